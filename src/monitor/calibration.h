/* calibration.h - do scores mean what they say? Isotonic calibration and its error.
 *
 * Pure functions, any thread.
 */
#ifndef SLIPWAY_MONITOR_CALIBRATION_H
#define SLIPWAY_MONITOR_CALIBRATION_H

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

#endif
