/* sample.h - how far apart two samples of numbers are: distances and rank tests.
 *
 * For batches that are in memory; what watches traffic works on bin counts (drift.h). Pure
 * functions, any thread.
 *
 *     x, y    the samples, sorted ascending without NaN (sample_sort), lengths n and m >= 1
 *     result  NaN when a sample is empty
 *
 * Numbers agree with scipy 1.10.1 (data and cases: drift_vectors.json).
 */
#ifndef SLIPWAY_MONITOR_SAMPLE_H
#define SLIPWAY_MONITOR_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* Sort ascending and move NaN behind the end; returns how many are left. */
int64_t sample_sort(double *values, int64_t count);

/* The q-quantile of a sorted sample with linear interpolation (numpy's default). q in [0, 1]. */
double sample_quantile(const double *x, int64_t n, double q);

double sample_mean(const double *x, int64_t n);
double sample_std(const double *x, int64_t n); /* of the population: divided by n */
double sample_iqr(const double *x, int64_t n); /* third quartile minus the first */

/* Largest distance of the two empirical distribution functions, in [0, 1]; where it is, and which
 * is above there: +1 that of x, -1 that of y. */
struct ks {
    double distance;
    double location;
    int sign;
};
struct ks sample_ks(const double *x, int64_t n, const double *y, int64_t m);

enum { KS_EXACT_CELLS_MAX = 4 * 1000 * 1000, KS_ONE_SAMPLE_MAX = 1000 };

/* P(distance >= d) of two samples without drift, by counting lattice paths: n m steps. NaN past
 * KS_EXACT_CELLS_MAX; then take sample_ks_p. */
double sample_ks_p_exact(double d, int64_t n, int64_t m);

/* The same by the limit with Stephens' correction, as Numerical Recipes has it: within 15 % of
 * exact at n m / (n + m) = 9, and better with more. */
double sample_ks_p(double d, int64_t n, int64_t m);

/* P(D_n >= d) of one sample of n against a known distribution: what scipy calls "asymp" takes this
 * at n m / (n + m), rounded. Exact to KS_ONE_SAMPLE_MAX, else the limit as above. */
double sample_ks_p_one(double d, int64_t n);

/* Integral of |F_x - F_y|: the mean distance that mass has to move, in the unit of the values.
 * Divide by sample_iqr of the reference for a number without unit that outliers do not move. */
double sample_wasserstein(const double *x, int64_t n, const double *y, int64_t m);

/* sqrt(2 integral (F_x - F_y)^2), square root of the unit of the values. */
double sample_energy(const double *x, int64_t n, const double *y, int64_t m);

/* U = #(x > y) + #(x = y) / 2; p two-sided by the normal limit with ties and continuity; auc =
 * P(y > x) + P(y = x) / 2, that of telling the samples apart by this value alone. */
struct mann_whitney {
    double u, p, auc;
};
struct mann_whitney sample_mann_whitney(const double *x, int64_t n, const double *y, int64_t m);

/* Cramer-von Mises for two samples (Anderson 1962): statistic T, p by its limit. */
struct cramer_von_mises {
    double t, p;
};
struct cramer_von_mises sample_cramer_von_mises(const double *x, int64_t n, const double *y,
                                                int64_t m);

/* Squared maximum mean discrepancy of two sets of rows with the kernel exp(-|a-b|^2/(2 sigma^2)).
 * x [n, width], y [m, width], unsorted. (n + m)^2 kernels: keep n, m below some thousands. The
 * unbiased one may be negative and needs n, m >= 2. Gretton et al., JMLR 13 (2012). */
struct mmd {
    double unbiased, biased;
};
struct mmd sample_mmd(const double *x, int64_t n, const double *y, int64_t m, int width,
                      double sigma);

#endif
