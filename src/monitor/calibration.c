/* calibration.c - pool adjacent violators, expected calibration error, expected quality. */
#include "monitor/calibration.h"

#include <math.h>
#include <stdlib.h>

/* Neighbours that share one fitted value. */
struct block {
    double mean, weight;
    int64_t end; /* place behind its last row */
};

static void join(struct block *into, const struct block *other)
{
    double weight = into->weight + other->weight;
    into->mean += (other->mean - into->mean) * (other->weight / weight);
    into->weight = weight;
    into->end = other->end;
}

void calibration_isotonic(const double *y, const double *weight, int64_t n, double *fitted)
{
    struct block *blocks = malloc(((size_t)n + 1) * sizeof(*blocks));
    int64_t count = 0, row = 0;
    if (!blocks)
        abort();
    for (int64_t i = 0; i < n; i++) {
        blocks[count++] = (struct block){y[i], weight ? weight[i] : 1, i + 1};
        while (count > 1 && blocks[count - 2].mean >= blocks[count - 1].mean) {
            join(&blocks[count - 2], &blocks[count - 1]);
            count--;
        }
    }
    for (int64_t i = 0; i < count; i++)
        while (row < blocks[i].end)
            fitted[row++] = blocks[i].mean;
    free(blocks);
}

double calibration_error(const double *probability, const double *label, int64_t n, int bins)
{
    double error = 0;
    if (n < 1 || bins < 1)
        return NAN;
    for (int64_t bin = 0, row = 0; bin < bins; bin++) {
        int64_t end = row + n / bins + (bin < n % bins);
        double gap = 0;
        for (; row < end; row++)
            gap += probability[row] - label[row];
        error += fabs(gap);
    }
    return error / (double)n;
}

/* Area under the curve of expected true against expected false positives, by trapezoids from one
 * score to the next. */
static double expected_auc(const double *score, const double *probability, int64_t n)
{
    double hits = 0, misses = 0, area = 0;
    for (int64_t i = 0; i < n;) {
        double before = hits, here = score[i], fresh = 0;
        for (; i < n && score[i] == here; i++) {
            hits += probability[i];
            fresh += 1 - probability[i];
        }
        misses += fresh;
        area += fresh * (before + hits) / 2;
    }
    return area / (hits * misses);
}

struct expected_quality calibration_expected(const double *score, const double *probability,
                                             const bool *is_positive, int64_t n)
{
    struct expected_quality q = {0};
    for (int64_t i = 0; i < n; i++) {
        double p = probability[i];
        *(is_positive[i] ? &q.tp : &q.fn) += p;
        *(is_positive[i] ? &q.fp : &q.tn) += 1 - p;
    }
    q.accuracy = (q.tp + q.tn) / (double)n;
    q.precision = q.tp / (q.tp + q.fp);
    q.recall = q.tp / (q.tp + q.fn);
    q.f1 = 2 * q.tp / (2 * q.tp + q.fp + q.fn);
    q.auc = expected_auc(score, probability, n);
    return q;
}
