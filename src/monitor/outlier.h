/* outlier.h - is one row unlike what the model was made for?
 *
 * Pure functions, any thread. Limits for these scores are quantiles of the same score over training
 * rows, not of a textbook distribution: features are not normal.
 */
#ifndef SLIPWAY_MONITOR_OUTLIER_H
#define SLIPWAY_MONITOR_OUTLIER_H

#include "base/err.h"

enum { OUTLIER_FEATURES_MAX = 512 };

/* The lower triangle L of a covariance matrix, S = L L^T; both [d, d] row-major, may be the same
 * array. ERR_INVALID when S is not positive definite (a constant or a repeated feature: shrink it,
 * 0.9 S + 0.1 diag S), ERR_LIMIT past OUTLIER_FEATURES_MAX. */
enum err_code outlier_factor(const double *covariance, int d, double *lower, struct err *err);

/* Squared Mahalanobis distance (x - mean)^T S^-1 (x - mean), >= 0. x, mean [d]. d is at most
 * OUTLIER_FEATURES_MAX. */
double outlier_mahalanobis2(const double *x, const double *mean, const double *lower, int d);

/* Energy -T ln(sum exp(z / T)) of logits z [k]: higher is stranger. Liu et al., NeurIPS (2020). */
double outlier_energy(const double *logits, int k, double temperature);

/* Largest softmax probability of the logits, in (0, 1]. */
double outlier_max_softmax(const double *logits, int k);

/* Sum of |a_i - b_i| over class probabilities [k], in [0, 2]: the answer for a row and for the same
 * row squeezed (Xu, Evans, Qi, NDSS 2018), or of two versions. */
double outlier_l1(const double *a, const double *b, int k);

#endif
