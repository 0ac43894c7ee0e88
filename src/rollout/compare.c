/* compare.c - counting where two versions' answers differ. */
#include "rollout/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SLICES_SHOWN = 20, SLICE_ROWS_MIN = 30 };

/* Changes are kept in the histogram of whole numbers as multiples of this. */
#define CHANGE_UNIT 1e-9

void compare_init(struct compare *compare, int class_count, const struct str *class_names)
{
    memset(compare, 0, sizeof(*compare));
    compare->is_class = class_count > 1;
    compare->class_count = class_count;
    compare->class_names = class_names;
    rand_seed(&compare->rand, 1);
}

/* ---- one row ---- */

static double relative_error(double a, double b)
{
    double scale = fmax(fabs(a), fabs(b));
    return scale > 0 ? fabs(a - b) / scale : 0;
}

static double change_of(const struct compare_row *row)
{
    return row->stable.is_class
               ? row->delta
               : relative_error((double)row->stable.value, (double)row->shadow.value);
}

bool compare_differs(const struct compare_row *row)
{
    if (row->stable.is_class != row->shadow.is_class)
        return true;
    if (row->stable.is_class)
        return row->stable.class_index != row->shadow.class_index;
    if (isnan(row->stable.value) || isnan(row->shadow.value))
        return isnan(row->stable.value) != isnan(row->shadow.value);
    return relative_error((double)row->stable.value, (double)row->shadow.value) > COMPARE_TOLERANCE;
}

static void count_flip(struct compare *compare, const struct compare_row *row)
{
    int from = row->stable.class_index, to = row->shadow.class_index;
    if (from < COMPARE_CLASSES_MAX && to < COMPARE_CLASSES_MAX)
        compare->flips[from][to]++;
    else
        compare->other_flips += from != to;
}

static struct compare_slice *slice_of(struct compare *compare, struct str name)
{
    if (name.len > COMPARE_SLICE_BYTES - 1)
        name.len = COMPARE_SLICE_BYTES - 1;
    for (int i = 0; i < compare->slice_count; i++)
        if (str_equal_c(name, compare->slices[i].name))
            return &compare->slices[i];
    if (compare->slice_count == COMPARE_SLICES_MAX)
        return &compare->slices[COMPARE_SLICES_MAX - 1];
    if (compare->slice_count == COMPARE_SLICES_MAX - 1)
        name = STR_LIT("all other slices");
    struct compare_slice *slice = &compare->slices[compare->slice_count++];
    memcpy(slice->name, name.ptr, name.len);
    slice->name[name.len] = '\0';
    return slice;
}

static void keep_example(struct compare *compare, const struct compare_row *row)
{
    struct compare_example *example = &compare->examples[compare->example_next];
    size_t len = row->request_id.len < COMPARE_ID_BYTES ? row->request_id.len : COMPARE_ID_BYTES;
    if (len)
        memcpy(example->request_id, row->request_id.ptr, len);
    example->request_id[len] = '\0';
    example->row = row->row;
    example->stable = row->stable;
    example->shadow = row->shadow;
    compare->example_next = (compare->example_next + 1) % COMPARE_EXAMPLES_MAX;
    if (compare->example_count < COMPARE_EXAMPLES_MAX)
        compare->example_count++;
}

/* Algorithm R (Vitter 1985): every pair seen has the same chance to be among those kept. */
static void keep_pair(struct compare *compare, const struct compare_row *row)
{
    if (!isfinite(row->stable.value) || !isfinite(row->shadow.value))
        return;
    uint64_t place = compare->pairs_seen++;
    if (compare->pair_count < COMPARE_PAIRS_MAX)
        place = (uint64_t)compare->pair_count++;
    else
        place = rand_u64(&compare->rand) % (place + 1);
    if (place < COMPARE_PAIRS_MAX) {
        compare->pairs[place][0] = row->stable.value;
        compare->pairs[place][1] = row->shadow.value;
    }
}

static void count_change(struct compare *compare, double change)
{
    if (!isfinite(change))
        return;
    compare->change_max = fmax(compare->change_max, change);
    compare->change.counts[histogram_bucket((uint64_t)(change / CHANGE_UNIT))]++;
    compare->change.count++;
}

void compare_add(struct compare *compare, const struct compare_row *row)
{
    bool differs = compare_differs(row);
    double change = change_of(row);
    compare->rows++;
    compare->differ += differs;
    compare->identical += !differs && change == 0;
    if (row->stable.is_class && row->shadow.is_class)
        count_flip(compare, row);
    count_change(compare, change);
    for (int i = 0; i < row->slice_count; i++) {
        struct compare_slice *slice = slice_of(compare, row->slices[i]);
        slice->rows++;
        slice->differ += differs;
    }
    if (differs)
        keep_example(compare, row);
    keep_pair(compare, row);
}

/* ---- rank correlation ---- */

struct ranked {
    float value;
    int place; /* of the pair */
};

static int by_value(const void *a, const void *b)
{
    float x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;
    return (x > y) - (x < y);
}

/* ranks[place] of side 0 or 1, from 1; tied values share the mean of their ranks. */
static void rank_side(const struct compare *compare, int side, struct ranked *sorted, double *ranks)
{
    int count = compare->pair_count;
    for (int i = 0; i < count; i++)
        sorted[i] = (struct ranked){compare->pairs[i][side], i};
    qsort(sorted, (size_t)count, sizeof(*sorted), by_value);
    for (int i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && sorted[end].value == sorted[i].value;)
            end++;
        double rank = (double)(i + 1 + end) / 2;
        for (int j = i; j < end; j++)
            ranks[sorted[j].place] = rank;
    }
}

static double correlation(const double *x, const double *y, int count)
{
    double mean = (double)(count + 1) / 2; /* of ranks 1..count, ties or not */
    double xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < count; i++) {
        xy += (x[i] - mean) * (y[i] - mean);
        xx += (x[i] - mean) * (x[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

double compare_rank_correlation(const struct compare *compare)
{
    struct ranked sorted[COMPARE_PAIRS_MAX];
    double ranks[2][COMPARE_PAIRS_MAX];
    if (compare->pair_count < 3)
        return NAN;
    rank_side(compare, 0, sorted, ranks[0]);
    rank_side(compare, 1, sorted, ranks[1]);
    return correlation(ranks[0], ranks[1], compare->pair_count);
}

/* ---- writing ---- */

static void put_class(const struct compare *compare, struct json_writer *w, int class_index)
{
    if (compare->class_names && class_index < compare->class_count)
        json_put_str(w, compare->class_names[class_index]);
    else
        json_put_i64(w, class_index);
}

static void put_answer(const struct compare *compare, struct json_writer *w, const char *key,
                       const struct record_answer *answer)
{
    json_key(w, key);
    json_begin_object(w);
    if (answer->is_class) {
        json_key(w, "label");
        put_class(compare, w, answer->class_index);
    } else {
        json_key(w, "value");
        json_put_f32(w, answer->value);
    }
    if (answer->has_score) {
        json_key(w, "probability");
        json_put_f32(w, answer->score);
    }
    json_end_object(w);
}

static void write_flips(const struct compare *compare, struct json_writer *w)
{
    json_key(w, "flips");
    json_begin_array(w);
    for (int from = 0; from < COMPARE_CLASSES_MAX; from++)
        for (int to = 0; to < COMPARE_CLASSES_MAX; to++) {
            if (from == to || !compare->flips[from][to])
                continue;
            json_begin_object(w);
            json_key(w, "stable");
            put_class(compare, w, from);
            json_key(w, "shadow");
            put_class(compare, w, to);
            json_key(w, "rows");
            json_put_u64(w, compare->flips[from][to]);
            json_end_object(w);
        }
    json_end_array(w);
    json_key(w, "other_flips");
    json_put_u64(w, compare->other_flips);
}

static void write_change(const struct compare *compare, struct json_writer *w)
{
    static const struct {
        const char *key;
        double share;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    json_key(w, compare->is_class ? "probability_change" : "relative_change");
    json_begin_object(w);
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        json_key(w, points[i].key);
        json_put_f64(w,
                     (double)histogram_quantile(&compare->change, points[i].share) * CHANGE_UNIT);
    }
    json_key(w, "max");
    json_put_f64(w, compare->change_max);
    json_end_object(w);
    json_key(w, "rank_correlation");
    json_put_f64(w, compare_rank_correlation(compare));
}

/* By how far the share that differs lies above chance: the lower end of one standard error. */
static double badness(const struct compare_slice *slice)
{
    double n = (double)slice->rows, p = (double)slice->differ / n;
    return slice->rows < SLICE_ROWS_MIN ? -1 : p - sqrt(p * (1 - p) / n);
}

static int by_badness(const void *a, const void *b)
{
    double x = badness(*(const struct compare_slice *const *)a);
    double y = badness(*(const struct compare_slice *const *)b);
    return (x < y) - (x > y);
}

static void write_slices(const struct compare *compare, struct json_writer *w)
{
    const struct compare_slice *worst[COMPARE_SLICES_MAX];
    for (int i = 0; i < compare->slice_count; i++)
        worst[i] = &compare->slices[i];
    qsort(worst, (size_t)compare->slice_count, sizeof(*worst), by_badness);
    json_key(w, "slices");
    json_begin_array(w);
    for (int i = 0; i < compare->slice_count && i < SLICES_SHOWN; i++) {
        json_begin_object(w);
        json_key(w, "slice");
        json_put_text(w, worst[i]->name);
        json_key(w, "rows");
        json_put_u64(w, worst[i]->rows);
        json_key(w, "differ");
        json_put_u64(w, worst[i]->differ);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_examples(const struct compare *compare, struct json_writer *w)
{
    json_key(w, "examples");
    json_begin_array(w);
    for (int i = 1; i <= compare->example_count; i++) {
        int place = (compare->example_next - i + COMPARE_EXAMPLES_MAX) % COMPARE_EXAMPLES_MAX;
        const struct compare_example *example = &compare->examples[place];
        char id[COMPARE_ID_BYTES + STR_NUMBER_BYTES + 2];
        size_t len = strlen(example->request_id);
        memcpy(id, example->request_id, len);
        id[len++] = '-';
        len += str_from_i64(example->row, id + len);
        json_begin_object(w);
        json_key(w, "id");
        json_put_str(w, (struct str){id, len});
        put_answer(compare, w, "stable", &example->stable);
        put_answer(compare, w, "shadow", &example->shadow);
        json_end_object(w);
    }
    json_end_array(w);
}

void compare_write(const struct compare *compare, struct json_writer *w)
{
    json_member_u64(w, "rows", compare->rows);
    json_member_u64(w, "differ", compare->differ);
    json_key(w, "differ_ratio");
    json_put_f64(w, compare->rows ? (double)compare->differ / (double)compare->rows : NAN);
    json_member_u64(w, "identical", compare->identical);
    json_member_u64(w, "errors", compare->errors);
    json_member_u64(w, "refused", compare->refused);
    if (compare->is_class)
        write_flips(compare, w);
    write_change(compare, w);
    write_slices(compare, w);
    write_examples(compare, w);
}
