/* sequential.c - e-values, confidence sequences and change detectors. */
#include "monitor/sequential.h"

#include <math.h>

#include "monitor/special.h"

double sequential_msprt_log(double sum, double n, double sigma2, double tau2)
{
    double wide = sigma2 + n * tau2;
    return 0.5 * log(sigma2 / wide) + tau2 * sum * sum / (2 * sigma2 * wide);
}

double sequential_mixture_width(double n, double sigma, double tau2, double alpha)
{
    if (!(n >= 1))
        return NAN;
    double wide = 1 + n * tau2;
    return sigma * sqrt(wide / (n * n * tau2) * (log(wide) - 2 * log(alpha)));
}

double sequential_stitched_width(double n, double sigma, double alpha)
{
    if (!(n >= 1))
        return NAN;
    double iterated = fmax(0, log(fmax(1, log(2 * n))));
    return 1.7 * sigma * sqrt((iterated + 0.72 * log(10.4 / alpha)) / n);
}

double sequential_log_e(const double *p, const double *counts, int bins, double kappa)
{
    double total = 0, log_e = 0;
    for (int i = 0; i < bins; i++) {
        total += counts[i];
        if (counts[i] > 0)
            log_e += special_lgamma(kappa * p[i] + counts[i]) - special_lgamma(kappa * p[i]) -
                     counts[i] * log(p[i]);
    }
    return log_e + special_lgamma(kappa) - special_lgamma(kappa + total);
}

void e_detector_init(struct e_detector *detector)
{
    *detector = (struct e_detector){.log_sr = -INFINITY};
}

void e_detector_add(struct e_detector *detector, double log_e)
{
    double sr = detector->log_sr;
    detector->windows = detector->log_cusum > 0 ? detector->windows + 1 : 1;
    detector->log_cusum = fmax(detector->log_cusum, 0) + log_e;
    detector->log_sr = (sr > 0 ? sr + log1p(exp(-sr)) : log1p(exp(sr))) + log_e;
}

bool cusum_add(struct cusum *cusum, double z, double k, double h)
{
    cusum->up = fmax(0, cusum->up + z - k);
    cusum->down = fmax(0, cusum->down - z - k);
    return cusum->up > h || cusum->down > h;
}

bool page_hinkley_add(struct page_hinkley *test, double x, double delta, double lambda)
{
    test->count++;
    test->mean += (x - test->mean) / (double)test->count;
    test->sum += x - test->mean - delta;
    if (test->count == 1 || test->sum < test->smallest)
        test->smallest = test->sum;
    test->statistic = test->sum - test->smallest;
    return test->statistic > lambda;
}

double adwin_cut(double n0, double n1, double variance, double delta)
{
    double harmonic = 1 / (1 / n0 + 1 / n1);
    double log_term = log(2 * log(n0 + n1) / delta);
    return sqrt(2 / harmonic * variance * log_term) + 2 / (3 * harmonic) * log_term;
}
