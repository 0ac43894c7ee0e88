/* quality.h - how good answers were, now that the truth is known: metrics with 95 % intervals.
 *
 *     arrays of truth and answer -> quality_measure -> value, low, high, n   of each metric
 *     the same rows, two models  -> quality_compare -> difference with its interval, row by row
 *
 * Which metrics there are follows from what is given: classes, probabilities, numbers, or scores
 * within groups. A metric that the rows cannot give (recall without a positive row) has no value
 * and says why; one whose interval they cannot give (two rows) has the whole range as interval, so
 * that no verdict comes from no data.
 *
 * Intervals: Wilson for shares (accuracy, precision, recall), their sum for balanced accuracy
 * (MOVER), DeLong on the logit scale for the area under the curve, Wald for calibration slope and
 * intercept, the percentile bootstrap for the rest and for everything that has weights. The
 * bootstrap is seeded: the same rows give the same interval.
 *
 * Any thread; nothing is shared. Formulas and sources stand at each metric's function in
 * quality_class.c, quality_score.c, quality_number.c and quality_rank.c.
 */
#ifndef SLIPWAY_MONITOR_QUALITY_H
#define SLIPWAY_MONITOR_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    QUALITY_ROWS_MAX = 10 * 1000 * 1000,
    QUALITY_CLASSES_MAX = 1000,
    QUALITY_RESAMPLES = 1000,    /* of the bootstrap; fewer when there are very many rows: */
    QUALITY_RESAMPLES_MIN = 200, /* at most QUALITY_DRAWS_MAX rows are drawn in all */
    QUALITY_DRAWS_MAX = 200 * 1000 * 1000,
    QUALITY_BOOTSTRAP_MIN = 10, /* rows below which it is not tried */
    QUALITY_BINS = 10,          /* of the expected calibration error */
    QUALITY_NDCG_AT = 10,       /* default depth of NDCG */
    QUALITY_RELEVANCE_MAX = 50, /* 2^50 stays an exact double */
};

enum quality_metric {
    /* classes */
    QUALITY_ACCURACY,
    QUALITY_BALANCED_ACCURACY,
    QUALITY_PRECISION, /* of the positive class; of several classes the plain mean */
    QUALITY_RECALL,
    QUALITY_F1,
    /* probabilities of classes */
    QUALITY_AUC,
    QUALITY_AVERAGE_PRECISION,
    QUALITY_LOG_LOSS,
    QUALITY_BRIER,
    QUALITY_ECE,
    QUALITY_CALIBRATION_SLOPE,
    QUALITY_CALIBRATION_INTERCEPT,
    /* numbers */
    QUALITY_MAE,
    QUALITY_RMSE,
    QUALITY_R2,
    QUALITY_MAPE,
    /* scores within groups */
    QUALITY_NDCG,
    QUALITY_MAP,
    QUALITY_MRR,
    QUALITY_COUNT,
};

/* What is better? */
enum quality_better { BETTER_HIGHER, BETTER_LOWER, BETTER_NEAR_ONE, BETTER_NEAR_ZERO };

const char *quality_name(enum quality_metric metric); /* "balanced_accuracy", ... */
enum quality_metric quality_find(struct str name);    /* QUALITY_COUNT: there is none */
enum quality_better quality_better(enum quality_metric metric);

/* Truth and answers; what is NULL is not known. All arrays are the caller's. */
struct quality_rows {
    int64_t count;
    int class_count;                /* >= 2: classes; 0: numbers */
    const int32_t *truth;           /* [count] class of each row */
    const int32_t *predicted;       /* [count] class that was answered */
    const double *probability;      /* [count] of class 1 when class_count is 2, else
                                       [count, class_count]; in [0, 1] */
    const double *truth_number;     /* [count]; relevance >= 0 when there are groups */
    const double *predicted_number; /* [count]; score when there are groups */
    const int64_t *group;           /* [count] query, basket, ... of a ranking; equal: one group */
    const double *weight;           /* [count] >= 0; NULL: each 1. Not used by rankings */
};

struct quality_options {
    double alpha;  /* 1 - level of the intervals; 0: 0.05 */
    uint64_t seed; /* of the bootstrap */
    int resamples; /* 0: QUALITY_RESAMPLES */
    int ndcg_at;   /* 0: QUALITY_NDCG_AT */
};

struct quality {
    bool is_measured;    /* the rows are of the kind that this metric is about */
    double value;        /* NaN when there is none */
    double low, high;    /* of the interval; the metric's whole range when it is unknown */
    int64_t n;           /* rows (groups) that the value is made of */
    int64_t skipped;     /* rows (groups) for which it does not exist: MAPE of a truth of 0 */
    const char *method;  /* "wilson", "delong", "mover", "wald", "bootstrap"; "" when unknown */
    const char *missing; /* why there is no value or no interval; NULL when there are both */
};

/* Every metric that the rows can give. Memory is the arena's. ERR_INVALID names the row and what
 * is wrong with it, ERR_LIMIT is for the limits above and the arena's. */
enum err_code quality_measure(const struct quality_rows *rows,
                              const struct quality_options *options, struct arena *arena,
                              struct quality out[QUALITY_COUNT], struct err *err);

/* The difference a - b of every metric, the same rows answered by two models: truth, group and
 * weight are those of `a`. Paired: both models share each resample. Accuracy by Newcombe's
 * interval for paired shares, AUC by DeLong's covariance. Calibration slope and intercept have a
 * best value in the middle and no difference that says anything: they are left out. */
enum err_code quality_compare(const struct quality_rows *a, const struct quality_rows *b,
                              const struct quality_options *options, struct arena *arena,
                              struct quality out[QUALITY_COUNT], struct err *err);

/* counts[truth * class_count + predicted] += 1 for each row. */
void quality_confusion(const struct quality_rows *rows, int64_t *counts);

#endif
