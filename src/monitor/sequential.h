/* sequential.h - tests that stay valid however often one looks.
 *
 * A p-value is valid for one look. What is here keeps its promise at every look (Ville: the chance
 * that an e-process ever reaches 1/a is at most a), or is a detector whose mean time between false
 * alarms is known. Pure functions and small states; one thread at a time per state. Logs are
 * natural. e-values of independent windows multiply, those of replicas average.
 */
#ifndef SLIPWAY_MONITOR_SEQUENTIAL_H
#define SLIPWAY_MONITOR_SEQUENTIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Mixture sequential probability ratio test for the mean of n values with known variance sigma2,
 * whose sum minus n theta0 is `sum`; tau2 is the variance of the mixture over means:
 *
 *     L_n = sqrt(sigma2 / (sigma2 + n tau2)) exp(tau2 sum^2 / (2 sigma2 (sigma2 + n tau2)))
 *
 * Returns ln L_n. The always-valid p is the smallest 1 / L so far, at most 1. Johari, Pekelis,
 * Walsh (2017). */
double sequential_msprt_log(double sum, double n, double sigma2, double tau2);

/* Half width of a confidence sequence for a mean after n values of standard deviation sigma: it
 * covers at every n at once with probability 1 - alpha. The first is the event L_n < 1 / alpha of
 * the test above (tau2 in units of sigma^2), tightest around n = 1 / tau2; the second is stitched,
 * right for any n (Howard, Ramdas, McAuliffe, Sekhon 2021). NaN when n < 1. */
double sequential_mixture_width(double n, double sigma, double tau2, double alpha);
double sequential_stitched_width(double n, double sigma, double alpha);

/* Log e-value of counts [bins] against reference shares [bins] (sum 1, each > 0): a mixture of all
 * multinomials, Dirichlet(kappa p) around the reference.
 *
 *     ln e = lgamma(k) - lgamma(k + m) + sum (lgamma(k p_i + c_i) - lgamma(k p_i)) - sum c_i ln p_i
 *
 * Mean of e is 1 when the counts come from p. A small kappa expects large shifts. */
double sequential_log_e(const double *p, const double *counts, int bins, double kappa);

/* Sums of window e-values: e-CUSUM M = max(M, 0) + ln e, and e-Shiryaev-Roberts R = (R + 1) e.
 * With an alarm at ln A the mean time to a false alarm is at least A windows (Shin, Ramdas, Rinaldo
 * 2022). `windows` counts those since M was last 0 or below: the estimated start of the change. */
struct e_detector {
    double log_cusum;
    double log_sr; /* begin with -INFINITY: nothing seen */
    int64_t windows;
};
void e_detector_init(struct e_detector *detector);
void e_detector_add(struct e_detector *detector, double log_e);

/* Two-sided CUSUM over standardised values: C+ = max(0, C+ + z - k), C- = max(0, C- - z - k);
 * alarm above h. Zeroed to begin. */
struct cusum {
    double up, down;
};
bool cusum_add(struct cusum *cusum, double z, double k, double h);

/* Page-Hinkley for a growing mean: m = sum (x - mean - delta), statistic m - min m; alarm above
 * lambda. The mean takes x in first. Zeroed to begin. */
struct page_hinkley {
    double mean, sum, smallest, statistic;
    int64_t count;
};
bool page_hinkley_add(struct page_hinkley *test, double x, double delta, double lambda);

/* The difference of means of two adjoining windows past which ADWIN cuts: n0, n1 values in [0, 1]
 * of overall `variance`, confidence delta (0.002). Bifet, Gavalda (2007). */
double adwin_cut(double n0, double n1, double variance, double delta);

#endif
