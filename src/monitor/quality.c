/* quality.c - the table of metrics, and measuring those that the rows can give. */
#include "monitor/quality.h"

#include <math.h>
#include <stdlib.h>

#include "monitor/quality_sample.h"

enum needs { NEEDS_CLASS, NEEDS_PROBABILITY, NEEDS_BINARY, NEEDS_NUMBER, NEEDS_GROUPS };

static const struct metric {
    const char *name;
    enum needs needs;
    enum quality_better better;
    quality_fn *value;
    double least, most;  /* its range */
    const char *missing; /* why it may have no value */
} metrics[QUALITY_COUNT] = {
    [QUALITY_ACCURACY] = {"accuracy", NEEDS_CLASS, BETTER_HIGHER, quality_accuracy, 0, 1,
                          "no rows"},
    [QUALITY_BALANCED_ACCURACY] = {"balanced_accuracy", NEEDS_CLASS, BETTER_HIGHER,
                                   quality_balanced_accuracy, 0, 1, "no rows"},
    [QUALITY_PRECISION] = {"precision", NEEDS_CLASS, BETTER_HIGHER, quality_precision, 0, 1,
                           "no row was answered with the positive class"},
    [QUALITY_RECALL] = {"recall", NEEDS_CLASS, BETTER_HIGHER, quality_recall, 0, 1,
                        "no row is of the positive class"},
    [QUALITY_F1] = {"f1", NEEDS_CLASS, BETTER_HIGHER, quality_f1, 0, 1,
                    "the positive class is in neither truth nor answers"},
    [QUALITY_AUC] = {"auc", NEEDS_PROBABILITY, BETTER_HIGHER, quality_auc, 0, 1,
                     "a class has no rows, or all of them"},
    [QUALITY_AVERAGE_PRECISION] = {"average_precision", NEEDS_PROBABILITY, BETTER_HIGHER,
                                   quality_average_precision, 0, 1, "a class has no rows"},
    [QUALITY_LOG_LOSS] = {"log_loss", NEEDS_PROBABILITY, BETTER_LOWER, quality_log_loss, 0,
                          INFINITY, "no rows"},
    [QUALITY_BRIER] = {"brier", NEEDS_PROBABILITY, BETTER_LOWER, quality_brier, 0, 2, "no rows"},
    [QUALITY_ECE] = {"ece", NEEDS_PROBABILITY, BETTER_LOWER, quality_ece, 0, 1, "no rows"},
    [QUALITY_CALIBRATION_SLOPE] = {"calibration_slope", NEEDS_BINARY, BETTER_NEAR_ONE,
                                   quality_calibration_slope, -INFINITY, INFINITY,
                                   "the probabilities separate the classes, or are all the same"},
    [QUALITY_CALIBRATION_INTERCEPT] = {"calibration_intercept", NEEDS_BINARY, BETTER_NEAR_ZERO,
                                       quality_calibration_intercept, -INFINITY, INFINITY,
                                       "all rows are of one class"},
    [QUALITY_MAE] = {"mae", NEEDS_NUMBER, BETTER_LOWER, quality_mae, 0, INFINITY, "no rows"},
    [QUALITY_RMSE] = {"rmse", NEEDS_NUMBER, BETTER_LOWER, quality_rmse, 0, INFINITY, "no rows"},
    [QUALITY_R2] = {"r2", NEEDS_NUMBER, BETTER_HIGHER, quality_r2, -INFINITY, 1,
                    "the truth is the same in all rows"},
    [QUALITY_MAPE] = {"mape", NEEDS_NUMBER, BETTER_LOWER, quality_mape, 0, INFINITY,
                      "the truth is 0 in all rows"},
    [QUALITY_NDCG] = {"ndcg", NEEDS_GROUPS, BETTER_HIGHER, quality_ndcg, 0, 1,
                      "no group has a relevant item"},
    [QUALITY_MAP] = {"map", NEEDS_GROUPS, BETTER_HIGHER, quality_map, 0, 1,
                     "no group has a relevant item"},
    [QUALITY_MRR] = {"mrr", NEEDS_GROUPS, BETTER_HIGHER, quality_mrr, 0, 1,
                     "no group has a relevant item"},
};

const char *quality_name(enum quality_metric metric)
{
    return metrics[metric].name;
}

enum quality_metric quality_find(struct str name)
{
    int m = 0;
    while (m < QUALITY_COUNT && !str_equal_c(name, metrics[m].name))
        m++;
    return (enum quality_metric)m;
}

enum quality_better quality_better(enum quality_metric metric)
{
    return metrics[metric].better;
}

bool quality_is_given(const struct quality_rows *rows, enum quality_metric metric)
{
    switch (metrics[metric].needs) {
    case NEEDS_CLASS:
        return rows->truth && rows->predicted;
    case NEEDS_PROBABILITY:
        return rows->truth && rows->probability;
    case NEEDS_BINARY:
        return rows->truth && rows->probability && rows->class_count == 2;
    case NEEDS_NUMBER:
        return rows->truth_number && rows->predicted_number && !rows->group;
    case NEEDS_GROUPS:
        return rows->truth_number && rows->predicted_number && rows->group;
    }
    return false;
}

/* ---- what is wrong with the rows ---- */

static enum err_code check_class(const int32_t *classes, int64_t row, int class_count,
                                 const char *what, struct err *err)
{
    if (!classes || (classes[row] >= 0 && classes[row] < class_count))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "row %lld: %s: expected a class below %d, got %d",
                   (long long)row, what, class_count, (int)classes[row]);
}

static enum err_code check_number(const double *numbers, int64_t at, int64_t row, double least,
                                  double most, const char *what, struct err *err)
{
    if (!numbers || (isfinite(numbers[at]) && numbers[at] >= least && numbers[at] <= most))
        return ERR_OK;
    if (isinf(most))
        return err_set(err, ERR_INVALID, "row %lld: %s: expected a number, got %g", (long long)row,
                       what, numbers[at]);
    return err_set(err, ERR_INVALID, "row %lld: %s: expected a number in [%g, %g], got %g",
                   (long long)row, what, least, most, numbers[at]);
}

static enum err_code check_row(const struct quality_rows *rows, int64_t row, struct err *err)
{
    int columns = rows->class_count == 2 ? 1 : rows->class_count;
    double most = rows->group ? QUALITY_RELEVANCE_MAX : INFINITY;
    enum err_code rc = check_class(rows->truth, row, rows->class_count, "truth", err);
    if (!rc)
        rc = check_class(rows->predicted, row, rows->class_count, "answer", err);
    for (int c = 0; !rc && rows->probability && c < columns; c++)
        rc = check_number(rows->probability, row * columns + c, row, 0, 1, "probability", err);
    if (!rc)
        rc = check_number(rows->truth_number, row, row, rows->group ? 0 : -INFINITY, most,
                          rows->group ? "relevance" : "truth", err);
    if (!rc)
        rc = check_number(rows->predicted_number, row, row, -INFINITY, INFINITY, "answer", err);
    return rc ? rc : check_number(rows->weight, row, row, 0, 1e15, "weight", err);
}

static enum err_code check_rows(const struct quality_rows *rows, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (rows->count > QUALITY_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "%lld rows are too many to measure: at most %d",
                       (long long)rows->count, QUALITY_ROWS_MAX);
    if (rows->class_count > QUALITY_CLASSES_MAX)
        return err_set(err, ERR_LIMIT, "%d classes are too many to measure: at most %d",
                       rows->class_count, QUALITY_CLASSES_MAX);
    for (int64_t i = 0; !rc && i < rows->count; i++)
        rc = check_row(rows, i, err);
    return rc;
}

/* ---- the sample ---- */

struct sort_key {
    double probability;
    int32_t row;
};

static int by_probability(const void *a, const void *b)
{
    const struct sort_key *x = a, *y = b;
    if (x->probability != y->probability)
        return x->probability < y->probability ? 1 : -1;
    return x->row - y->row;
}

static void sort_column(const struct quality_sample *sample, int column, struct sort_key *keys,
                        int32_t *order)
{
    int64_t count = sample->rows->count;
    for (int64_t i = 0; i < count; i++)
        keys[i] = (struct sort_key){quality_probability(sample, i, column), (int32_t)i};
    qsort(keys, (size_t)count, sizeof(*keys), by_probability);
    for (int64_t i = 0; i < count; i++)
        order[i] = keys[i].row;
}

static bool sort_columns(struct quality_sample *sample, struct arena *arena)
{
    size_t count = (size_t)sample->rows->count;
    struct sort_key *keys = arena_calloc(arena, count, sizeof(*keys));
    int32_t *order = arena_calloc(arena, count * (size_t)sample->column_count, sizeof(*order));
    if (!keys || !order)
        return false;
    sample->order = order;
    for (int c = 0; c < sample->column_count; c++)
        sort_column(sample, c, keys, order + (size_t)c * count);
    return true;
}

static const double *ones(struct arena *arena, int64_t count)
{
    double *weight = arena_calloc(arena, (size_t)count, sizeof(*weight));
    for (int64_t i = 0; weight && i < count; i++)
        weight[i] = 1;
    return weight;
}

enum err_code quality_sample_make(const struct quality_rows *rows,
                                  const struct quality_options *options, struct arena *arena,
                                  struct quality_sample *sample, struct err *err)
{
    enum err_code rc = check_rows(rows, err);
    if (rc)
        return rc;
    size_t classes = rows->class_count > 0 ? (size_t)rows->class_count : 1;
    *sample = (struct quality_sample){
        .rows = rows,
        .weight = rows->weight && !rows->group ? rows->weight : ones(arena, rows->count),
        .column_count = rows->class_count > 2 ? rows->class_count : 1,
        .sums = arena_calloc(arena, 3 * classes, sizeof(double)),
    };
    if (!sample->weight || !sample->sums ||
        (rows->probability && rows->truth && !sort_columns(sample, arena)))
        return err_set(err, ERR_LIMIT, "no room to measure %lld rows", (long long)rows->count);
    if (rows->probability && rows->truth && quality_score_rows(sample, arena, err))
        return err->code;
    if (!rows->group)
        return ERR_OK;
    int at = options->ndcg_at ? options->ndcg_at : QUALITY_NDCG_AT;
    return quality_rank_groups(sample, at, arena, err);
}

/* ---- measuring ---- */

int64_t quality_units(const struct quality_sample *sample)
{
    return sample->rows->group ? sample->group_count : sample->rows->count;
}

static void count_units(const struct quality_sample *sample, enum quality_metric metric,
                        struct quality *out)
{
    int64_t units = quality_units(sample);
    for (int64_t i = 0; i < units; i++) {
        if (metric == QUALITY_MAPE)
            out->skipped += sample->rows->truth_number[i] == 0;
        else if (metrics[metric].needs == NEEDS_GROUPS)
            out->skipped += isnan(sample->map[i]);
    }
    out->n = units - out->skipped;
}

void quality_point(const struct quality_sample *sample, enum quality_metric metric,
                   struct quality *out)
{
    *out = (struct quality){.is_measured = true,
                            .value = NAN,
                            .low = metrics[metric].least,
                            .high = metrics[metric].most,
                            .method = ""};
    count_units(sample, metric, out);
    double value = metrics[metric].value(sample);
    if (isfinite(value))
        out->value = value;
    else
        out->missing = metrics[metric].missing;
}

double quality_value(const struct quality_sample *sample, enum quality_metric metric)
{
    return metrics[metric].value(sample);
}

/* The least number of rows of a class that occurs, or of groups: what a perfect value rests on. */
static double least_support(const struct quality_sample *sample, int64_t n)
{
    const struct quality_rows *rows = sample->rows;
    double least = (double)n;
    if (!rows->truth)
        return least;
    double *truths = sample->sums;
    for (int k = 0; k < rows->class_count; k++)
        truths[k] = 0;
    for (int64_t i = 0; i < rows->count; i++)
        truths[rows->truth[i]] += 1;
    for (int k = 0; k < rows->class_count; k++)
        if (truths[k] > 0)
            least = fmin(least, truths[k]);
    return least;
}

static void finish(const struct quality_sample *sample, enum quality_metric metric, double *values,
                   int count, double alpha, struct quality *out)
{
    quality_percentiles(values, count, alpha, out);
    bool is_perfect = out->value == 1 && out->low == 1 && metrics[metric].most == 1;
    if (is_perfect && metrics[metric].least == 0)
        out->low = pow(alpha / 2, 1 / least_support(sample, out->n));
}

/* Which metrics still need an interval, and room for their resampled values. */
struct bootstrap {
    struct quality_draws draws;
    int resamples;
    int count;
    enum quality_metric metric[QUALITY_COUNT];
    double *values; /* [count, resamples] */
};

static enum err_code bootstrap(const struct quality_sample *sample,
                               const struct quality_options *options, struct bootstrap *b,
                               struct arena *arena, struct quality *out, struct err *err)
{
    struct quality_sample drawn = *sample;
    int64_t units = quality_units(sample);
    b->resamples = quality_resamples(options, units);
    b->values = arena_calloc(arena, (size_t)b->count * (size_t)b->resamples, sizeof(double));
    b->draws.count = units;
    b->draws.weight = sample->weight;
    b->draws.times = arena_calloc(arena, (size_t)units, sizeof(double));
    if (!b->values || !b->draws.times)
        return err_set(err, ERR_LIMIT, "no room to resample %lld rows", (long long)units);
    rand_seed(&b->draws.rand, options->seed);
    drawn.weight = b->draws.times;
    for (int r = 0; r < b->resamples; r++) {
        quality_draw(&b->draws);
        for (int i = 0; i < b->count; i++)
            b->values[(size_t)i * (size_t)b->resamples + (size_t)r] =
                quality_value(&drawn, b->metric[i]);
    }
    for (int i = 0; i < b->count; i++)
        finish(sample, b->metric[i], b->values + (size_t)i * (size_t)b->resamples, b->resamples,
               options->alpha, &out[b->metric[i]]);
    return ERR_OK;
}

struct quality_options quality_defaults(const struct quality_options *options)
{
    struct quality_options o = options ? *options : (struct quality_options){0};
    if (o.alpha == 0)
        o.alpha = 0.05;
    return o;
}

enum err_code quality_measure(const struct quality_rows *rows,
                              const struct quality_options *options, struct arena *arena,
                              struct quality out[QUALITY_COUNT], struct err *err)
{
    struct quality_options o = quality_defaults(options);
    struct quality_sample sample;
    struct bootstrap b = {.count = 0};
    enum err_code rc = quality_sample_make(rows, &o, arena, &sample, err);
    if (rc)
        return rc;
    for (int m = 0; m < QUALITY_COUNT; m++) {
        out[m] = (struct quality){.value = NAN, .low = NAN, .high = NAN, .method = ""};
        if (!quality_is_given(rows, m))
            continue;
        quality_point(&sample, m, &out[m]);
        if (out[m].missing || quality_closed_interval(&sample, m, o.alpha, arena, &out[m]))
            continue;
        if (quality_units(&sample) < QUALITY_BOOTSTRAP_MIN)
            out[m].missing = "fewer than 10 rows for an interval";
        else
            b.metric[b.count++] = m;
    }
    return b.count ? bootstrap(&sample, &o, &b, arena, out, err) : ERR_OK;
}
