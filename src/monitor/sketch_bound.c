/* sketch_bound.c - error bounds of sketches. */
#include "monitor/sketch_bound.h"

#include <math.h>

double ddsketch_gamma(double alpha)
{
    return (1 + alpha) / (1 - alpha);
}

int ddsketch_bucket(double x, double gamma)
{
    return (int)ceil(log(x) / log(gamma));
}

double ddsketch_value(int bucket, double gamma)
{
    return 2 * pow(gamma, bucket) / (gamma + 1);
}

double kll_rank_error(int k)
{
    return 2.296 / pow(k, 0.9723);
}

double kll_share_error(int k)
{
    return 2.446 / pow(k, 0.9433);
}

double hll_error(int lg_m)
{
    return 1.04 / sqrt(ldexp(1, lg_m));
}

int count_min_width(double eps)
{
    return (int)ceil(M_E / eps);
}

int count_min_depth(double delta)
{
    return (int)ceil(log(1 / delta));
}

double dkw_error(double n, double delta)
{
    return sqrt(log(2 / delta) / (2 * n));
}
