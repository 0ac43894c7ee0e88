/* quality_sample.h - rows made ready for the metrics of quality.h, and the metrics themselves.
 *
 * Inside of quality*.c only. A sample is the rows with a weight each, which a resample of the
 * bootstrap replaces by how often it drew the row; what takes sorting is sorted once. A metric is a
 * function of a sample; NaN means that the sample cannot give it.
 */
#ifndef SLIPWAY_MONITOR_QUALITY_SAMPLE_H
#define SLIPWAY_MONITOR_QUALITY_SAMPLE_H

#include "base/rand.h"
#include "monitor/quality.h"
#include "monitor/special.h"

struct quality_sample {
    const struct quality_rows *rows;
    const double *weight; /* [count], all rows; a row of weight 0 is not there */
    int column_count;     /* probabilities per row: 1 when there are two classes */
    const int32_t *order; /* [column_count, count] rows by falling probability; NULL: none given */
    double *sums;         /* [3, class_count] scratch of quality_class.c */
    const double *log_losses, *squares, *gaps; /* [count] of each row, see quality_score.c */
    const uint8_t *bins;                       /* [count] of the expected calibration error */
    int group_count;
    const double *ndcg, *map, *mrr; /* [group_count] of each group; NaN: no relevant item */
};

typedef double quality_fn(const struct quality_sample *sample);

/* quality_class.c */
quality_fn quality_accuracy, quality_balanced_accuracy, quality_precision, quality_recall,
    quality_f1;

/* quality_score.c */
quality_fn quality_auc, quality_average_precision, quality_log_loss, quality_brier, quality_ece,
    quality_calibration_slope, quality_calibration_intercept;

/* What each row adds to log loss, Brier score and calibration error: once, not per resample. */
enum err_code quality_score_rows(struct quality_sample *sample, struct arena *arena,
                                 struct err *err);

/* quality_number.c */
quality_fn quality_mae, quality_rmse, quality_r2, quality_mape;

/* quality_rank.c: means over groups. */
quality_fn quality_ndcg, quality_map, quality_mrr;
enum err_code quality_rank_groups(struct quality_sample *sample, int ndcg_at, struct arena *arena,
                                  struct err *err);

/* Sort, group and reserve. The sample lives in the arena. */
enum err_code quality_sample_make(const struct quality_rows *rows,
                                  const struct quality_options *options, struct arena *arena,
                                  struct quality_sample *sample, struct err *err);

/* ---- quality.c, for quality_pair.c ---- */

struct quality_options quality_defaults(const struct quality_options *options);
bool quality_is_given(const struct quality_rows *rows, enum quality_metric metric);

/* Rows or groups: what the bootstrap draws. */
int64_t quality_units(const struct quality_sample *sample);
double quality_value(const struct quality_sample *sample, enum quality_metric metric);

/* Value, n and skipped of `out`, and the whole range as its interval. */
void quality_point(const struct quality_sample *sample, enum quality_metric metric,
                   struct quality *out);

/* A probability of one column. */
static inline double quality_probability(const struct quality_sample *sample, int64_t row,
                                         int column)
{
    return sample->rows->probability[row * sample->column_count + column];
}

/* The class whose probability a column has. */
static inline int quality_column_class(const struct quality_sample *sample, int column)
{
    return sample->column_count == 1 ? 1 : column;
}

/* Unweighted sums that closed intervals are made of: hits[k] rows of class k answered as k, of
 * truths[k] that are k and answers[k] that were answered as k. Each [class_count]. */
void quality_class_sums(const struct quality_sample *sample, double *hits, double *truths,
                        double *answers);

/* DeLong's placement values of two classes: for each row of class 1 the share of class 0 rows below
 * it, for each row of class 0 the share of class 1 rows above it; ties count one half. [count]. */
void quality_placements(const struct quality_sample *sample, double *placement);

/* Standard errors of slope and intercept from Fisher's information; false when the fit diverges. */
bool quality_calibration_errors(const struct quality_sample *sample, double *slope_error,
                                double *intercept_error);

/* ---- quality_interval.c ---- */

struct quality_draws {
    struct rand rand;
    int64_t count;        /* units that are drawn: rows or groups */
    double *times;        /* [count] how often each was drawn, times its own weight */
    const double *weight; /* [count] or NULL */
};

void quality_draw(struct quality_draws *draws);

/* How many resamples for that many units. */
int quality_resamples(const struct quality_options *options, int64_t count);

/* Fill low, high of `out` from the resampled values (sorted here); those that are NaN are left out,
 * and too many of them leave the interval unknown. */
void quality_percentiles(double *values, int count, double alpha, struct quality *out);

/* The closed interval where there is one: true when `out` is filled. */
bool quality_closed_interval(const struct quality_sample *sample, enum quality_metric metric,
                             double alpha, struct arena *arena, struct quality *out);

#endif
