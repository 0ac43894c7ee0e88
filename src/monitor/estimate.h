/* estimate.h - how good answers are likely to be, before anybody knows the truth.
 *
 *     labelled rows   -> table of scores and hits -> estimate_fit -> P(hit | score), never falling
 *     unlabelled rows -> table of scores          -> estimate_quality: expected confusion
 *
 * Confidence-based performance estimation (NannyML's CBPE): once probabilities are calibrated, a
 * row answered with "class 1, 0.8" is right in 80 of 100 cases, so a window's accuracy is a sum
 * over its scores. It sees changes of the inputs, and it cannot see that the same inputs have come
 * to mean something else: it assumes that P(truth | score) is what it was among the labelled rows.
 *
 * Both tables are counts by answered class and score, so that windows are merged by adding, a newer
 * calibration applies to older windows, and memory is fixed. The score is the probability of class
 * 1 when there are two classes, and then a hit is "the truth is class 1"; with more classes it is
 * the probability of the answered class, and a hit is "the answer is right" (top-label calibration:
 * Gupta and Ramdas, 2022), so that accuracy and precisions are known and recalls are not.
 */
#ifndef SLIPWAY_MONITOR_ESTIMATE_H
#define SLIPWAY_MONITOR_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    ESTIMATE_BINS = 256,       /* of [0, 1], of equal width */
    ESTIMATE_LABELS_MIN = 500, /* fewer labelled rows tell nothing */
};

/* Which cell of a table [class_count, ESTIMATE_BINS] counts a row. */
int estimate_cell(int answered_class, double score);

/* P(hit | class, score): never falling in the score, from isotonic regression of hits on scores,
 * weighted by count; bins between those seen are interpolated. */
struct estimate_map {
    int class_count;
    int64_t label_count;
    double *hit;    /* [class_count, ESTIMATE_BINS] in [0, 1]; two classes share one row's values */
    double *weight; /* the same shape: labelled rows behind the value, of its whole level */
};

/* rows, hits [class_count, ESTIMATE_BINS]: labelled rows and those of them that hit. The caller's
 * arrays `hit` and `weight` are filled. ERR_INVALID below ESTIMATE_LABELS_MIN rows. */
enum err_code estimate_fit(const int64_t *rows, const int64_t *hits, int class_count,
                           struct estimate_map *map, struct err *err);

/* Expected values, each with the 95 % range in which the realised one will lie when the assumption
 * holds: from the chance of each row's truth and from the size of the calibration set. NaN: the
 * table cannot give it. */
struct estimate_value {
    double value, low, high;
};

struct estimate {
    int64_t row_count;
    struct estimate_value accuracy;
    struct estimate_value precision, recall, f1; /* of class 1 of two */
    double confusion[2][2];                      /* [truth][answer] expected rows; two classes */
};

/* ERR_INVALID when there is no row. */
enum err_code estimate_quality(const struct estimate_map *map, const int64_t *rows,
                               struct estimate *estimate, struct err *err);

#endif
