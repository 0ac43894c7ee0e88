/* infer_leak.c - does one input alone tell the label? Then it may not be known when predicting.
 *
 *     AUC = (R1 - n1 (n1 + 1) / 2) / (n1 n0)
 *
 * with R1 the sum of the ranks (ties share their mean) of the n1 rows of the class among all n1 +
 * n0 rows with a value: the chance that a row of the class lies above one that is not of it (Mann
 * and Whitney 1947). Categories are ordered by the share of the class in them.
 */
#include <math.h>
#include <stdlib.h>

#include "contract/infer_table.h"

enum { LEAK_ROWS_MIN = 10 /* of either kind: fewer say nothing */ };
#define LEAK_AUC_MIN 0.95

struct pair {
    double score;
    bool is_class;
};

static int compare_pairs(const void *a, const void *b)
{
    double x = ((const struct pair *)a)->score, y = ((const struct pair *)b)->score;
    return (x > y) - (x < y);
}

/* 0.5 when there are too few rows of either kind. */
static double auc_of(struct pair *pairs, int64_t count)
{
    double rank_sum = 0, n1 = 0;
    qsort(pairs, (size_t)count, sizeof(*pairs), compare_pairs);
    for (int64_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && pairs[end].score == pairs[i].score; end++)
            continue;
        double rank = ((double)(i + 1) + (double)end) / 2;
        for (int64_t k = i; k < end; k++) {
            rank_sum += pairs[k].is_class ? rank : 0;
            n1 += pairs[k].is_class;
        }
    }
    double n0 = (double)count - n1;
    if (n1 < LEAK_ROWS_MIN || n0 < LEAK_ROWS_MIN)
        return 0.5;
    double auc = (rank_sum - n1 * (n1 + 1) / 2) / (n1 * n0);
    return auc < 0.5 ? 1 - auc : auc;
}

/* Which rows are of the class at hand; -1 where the label is missing. */
static void mark_class(const struct infer_table *t, int class_index, double above,
                       signed char *marks)
{
    const struct infer_column *label = t->label;
    for (int64_t i = 0; i < t->row_count; i++) {
        if (t->class_count == 0)
            marks[i] = isnan(label->values[i]) ? -1 : label->values[i] > above;
        else if (label->codes[i] < 0)
            marks[i] = -1;
        else
            marks[i] = str_equal(label->distincts[label->codes[i]].text, t->classes[class_index]);
    }
}

/* Share of the class per code of a column of texts. */
static double *class_shares(const struct infer_column *c, const signed char *marks)
{
    double *shares = calloc((size_t)c->distinct_count + 1, sizeof(*shares));
    double *counts = calloc((size_t)c->distinct_count + 1, sizeof(*counts));
    if (!shares || !counts)
        abort();
    for (int64_t i = 0; i < c->row_count; i++) {
        if (c->codes[i] < 0 || marks[i] < 0)
            continue;
        shares[c->codes[i]] += marks[i];
        counts[c->codes[i]]++;
    }
    for (int k = 0; k < c->distinct_count; k++)
        shares[k] = counts[k] > 0 ? shares[k] / counts[k] : 0;
    free(counts);
    return shares;
}

static double column_auc(const struct infer_column *c, const signed char *marks, struct pair *pairs)
{
    int64_t count = 0;
    double *shares = infer_column_is_number(c) ? NULL : class_shares(c, marks);
    for (int64_t i = 0; i < c->row_count; i++) {
        bool is_there = shares ? c->codes[i] >= 0 : !isnan(c->values[i]);
        if (!is_there || marks[i] < 0)
            continue;
        pairs[count].score = shares ? shares[c->codes[i]] : c->values[i];
        pairs[count++].is_class = marks[i] == 1;
    }
    free(shares);
    return auc_of(pairs, count);
}

/* Columns with a different text in every few rows separate anything. */
static bool is_candidate(const struct infer_table *t, const struct infer_column *c)
{
    if (c == t->label || c->is_ignored || c->role != ROLE_FEATURE)
        return false;
    return infer_column_is_number(c) || c->type == TYPE_BOOLEAN ||
           (infer_is_categorical(t, c) && c->present_count >= 50 * (int64_t)c->distinct_count);
}

void infer_find_leaks(struct infer_table *t)
{
    size_t rows = (size_t)t->row_count;
    if (!t->label || rows == 0 || (t->class_count == 0 && !infer_column_is_number(t->label)))
        return;
    signed char *marks = malloc(rows);
    struct pair *pairs = malloc(rows * sizeof(*pairs));
    double *best = calloc((size_t)t->column_count, sizeof(*best));
    if (!marks || !pairs || !best)
        abort();
    double median = t->class_count == 0 && t->label->present_count
                        ? infer_quantile(t->label->sorted, t->label->present_count, 0.5)
                        : 0;
    /* Of two classes, one is the other turned round. */
    int last = t->class_count > 2 ? t->class_count : 1;
    for (int class_index = 0; class_index < last; class_index++) {
        mark_class(t, class_index, median, marks);
        for (int i = 0; i < t->column_count; i++) {
            if (!is_candidate(t, &t->columns[i]))
                continue;
            double auc = column_auc(&t->columns[i], marks, pairs);
            best[i] = auc > best[i] ? auc : best[i];
        }
    }
    for (int i = 0; i < t->column_count; i++)
        if (best[i] > LEAK_AUC_MIN)
            infer_hint_add(t, t->columns[i].name,
                           "alone separates the label (AUC %.3f): is it known when predicting?",
                           best[i]);
    free(marks);
    free(pairs);
    free(best);
}
