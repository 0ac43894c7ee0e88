/* calibration.h - do scores mean what they say? Isotonic calibration and its error.
 *
 * Pure functions, any thread.
 */
#ifndef SLIPWAY_MONITOR_CALIBRATION_H
#define SLIPWAY_MONITOR_CALIBRATION_H

#include <stdbool.h>
#include <stdint.h>

/* The growing step function with the least squared distance from y: y [n] are labels or means in
 * order of ascending score, weight [n] their weights > 0 (NULL: all 1); `fitted` [n] may be y
 * itself. O(n). Pool adjacent violators: Barlow et al. (1972). */
void calibration_isotonic(const double *y, const double *weight, int64_t n, double *fitted);

/* Expected calibration error over `bins` bins of equal count in order of probability:
 *
 *     sum over bins of share of rows * |mean probability - mean label|        in [0, 1]
 *
 * probability, label [n], sorted by probability. The first n mod bins bins have one row more, as
 * numpy.array_split does. NaN when n < 1 or bins < 1. */
double calibration_error(const double *probability, const double *label, int64_t n, int bins);

/* What a binary classifier's quality is expected to be when its calibrated probabilities are right,
 * before anybody knows the truth (NannyML's CBPE): a row of probability p that was answered 1 is a
 * true positive p times. Blind to a change of what the same inputs mean.
 *
 * score [n]       raw scores, descending; rows of equal score count together in the AUC
 * probability [n] calibrated P(class 1), in [0, 1]
 * is_positive [n] the answer was class 1
 *
 * A ratio without a denominator is NaN. Exact; what watches windows bins scores (estimate.h). */
struct expected_quality {
    double tp, fp, fn, tn; /* expected rows */
    double accuracy, precision, recall, f1, auc;
};
struct expected_quality calibration_expected(const double *score, const double *probability,
                                             const bool *is_positive, int64_t n);

#endif
