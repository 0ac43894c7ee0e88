/* drift.h - how far live bin counts are from the baseline's, in numbers whose names say their unit.
 *
 *     base, live   counts over the same bins, shape [bins], >= 0; n and m are their sums
 *     p, q         shares: with `smoothed` (base_i + 1/2) / (n + bins/2) and the same of live,
 *                  so that an empty bin is no infinity; without, base_i / n
 *     result       NaN when bins < 2 or one side has no rows
 *
 * Missing, NaN, infinite and unseen values have bins of their own (sketch.h), so that a change of
 * missingness is drift like any other. Pure functions, any thread.
 *
 * The same name means different numbers in different tools: a Jensen-Shannon "distance" is a
 * natural-log distance in Evidently, a base-2 distance in NannyML and a base-2 divergence in TFDV.
 * Numbers agree with those tools and scipy 1.10.1 (drift_vectors.json).
 */
#ifndef SLIPWAY_MONITOR_DRIFT_H
#define SLIPWAY_MONITOR_DRIFT_H

#include <stdint.h>

/* Population stability index, nats, smoothed: sum (p_i - q_i) ln(p_i / q_i). 0 is the same
 * distribution. N. Siddiqi, Credit Risk Scorecards (2006). */
double drift_psi_nats(const double *base, const double *live, int bins);

/* The same with plain shares, each at least `floor` (others' custom: 1e-4 or 0.01). */
double drift_psi_nats_floored(const double *base, const double *live, int bins, double floor);

/* What drift_psi_nats is by chance alone: (1/n + 1/m) times a chi-square with bins - 1 degrees of
 * freedom. Its mean, and the value exceeded with probability alpha. */
double drift_psi_chance(int bins, double n, double m);
double drift_psi_critical(int bins, double n, double m, double alpha);

/* max(0, psi - chance): comparable with the customary limits 0.1 and 0.25 at any window size. */
double drift_psi_corrected_nats(const double *base, const double *live, int bins);

/* Kullback-Leibler divergence KL(base || live), nats; infinite when a bin has only base rows. */
double drift_kl_nats(const double *base, const double *live, int bins);

/* Jensen-Shannon divergence in bits, in [0, 1]; its square root is a distance. */
double drift_js_divergence_base2(const double *base, const double *live, int bins);
double drift_js_distance_base2(const double *base, const double *live, int bins);
double drift_js_distance_natural(const double *base, const double *live, int bins);

/* sqrt(1 - sum sqrt(p q)), in [0, 1] */
double drift_hellinger(const double *base, const double *live, int bins);

/* Largest difference of a share, and half the sum of all of them; both in [0, 1]. */
double drift_l_infinity(const double *base, const double *live, int bins);
double drift_total_variation(const double *base, const double *live, int bins);

/* Largest difference of counts over the sum of all counts (TFDV): only for equal row counts. */
double drift_normalized_abs_difference(const double *base, const double *live, int bins);

/* Two-sample chi-square of the 2 x bins table. Bins whose smaller expected count is below
 * DRIFT_EXPECTED_MIN are joined with their neighbour; `bins` is what is left, dof is one less.
 * With fewer than two bins left there is nothing to test: statistic 0, p 1. */
enum { DRIFT_EXPECTED_MIN = 5 };
struct drift_chi2 {
    double statistic, p;
    int dof, bins;
};
struct drift_chi2 drift_chi2(const double *base, const double *live, int bins);

#endif
