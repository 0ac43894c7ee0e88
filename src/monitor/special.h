/* special.h - special functions, and the distributions that tests and intervals are made of.
 *
 * Pure functions of doubles, any thread. An argument outside a function's domain, or NaN, gives
 * NaN, as in libm; nothing else fails. Relative error is below 1e-12 for shape parameters to 1e4
 * and below 1e-10 to 1e8, also far in the tails: an upper tail is computed as itself, never as one
 * minus something near one.
 *
 *     _cdf       P(X <= x)           _sf        P(X > x), the survival function
 *     _quantile  x with cdf(x) = p   p, alpha   probabilities in [0, 1]
 *
 * Sources: NIST Digital Library of Mathematical Functions, chapters 7, 8; C. Loader, Fast and
 * Accurate Computation of Binomial Probabilities (2000), for the factor in front.
 */
#ifndef SLIPWAY_MONITOR_SPECIAL_H
#define SLIPWAY_MONITOR_SPECIAL_H

#include <stdint.h>

/* Log of the absolute value of the gamma function; the one of libm writes a global variable. */
double special_lgamma(double x);

/* Regularised incomplete gamma functions, a > 0, x >= 0: P = gamma(a, x) / Gamma(a), Q = 1 - P. */
double special_gamma_p(double a, double x);
double special_gamma_q(double a, double x);

/* Regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1]: the cdf of Beta(a, b). */
double special_beta(double a, double b, double x);

/* x with I_x(a, b) = p. */
double special_beta_quantile(double a, double b, double p);

double normal_cdf(double z);
double normal_sf(double z);
double normal_quantile(double p); /* -inf at 0, +inf at 1 */

/* Chi-square with `dof` > 0 degrees of freedom. */
double chi2_sf(double x, double dof);
double chi2_quantile(double p, double dof);

/* Student's t with `dof` > 0 degrees of freedom (need not be whole: Welch). */
double student_sf(double t, double dof);
double student_quantile(double p, double dof);

/* Binomial of n trials: P(X = k), P(X >= k), P(X <= k). */
double binomial_pmf(int64_t k, int64_t n, double p);
double binomial_at_least(int64_t k, int64_t n, double p);
double binomial_at_most(int64_t k, int64_t n, double p);

/* Limit of the two-sided Kolmogorov-Smirnov statistic: Q(l) = 2 sum (-1)^(j-1) exp(-2 j^2 l^2). */
double kolmogorov_sf(double lambda);

struct interval {
    double low, high;
};

/* Two-sided interval of level 1 - alpha for a share, from k hits in n trials; [0, 1] when n = 0.
 * Clopper-Pearson never covers less than it says; Wilson does so on average and is shorter. For a
 * one-sided bound of level 1 - a take one end with alpha = 2a. */
struct interval binomial_clopper_pearson(int64_t k, int64_t n, double alpha);
struct interval binomial_wilson(int64_t k, int64_t n, double alpha);

#endif
