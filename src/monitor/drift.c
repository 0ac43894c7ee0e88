/* drift.c - distances and the two-sample test over bin counts. */
#include "monitor/drift.h"

#include <math.h>

#include "monitor/special.h"

static double sum_of(const double *counts, int bins)
{
    double sum = 0;
    for (int i = 0; i < bins; i++)
        sum += counts[i];
    return sum;
}

/* The two sides, and one function of shares that is summed over all bins. */
struct sides {
    const double *base, *live;
    int bins;
    double n, m;
};

typedef double term_fn(double p, double q);

static struct sides sides_of(const double *base, const double *live, int bins)
{
    return (struct sides){base, live, bins, sum_of(base, bins), sum_of(live, bins)};
}

static double sum_terms(const double *base, const double *live, int bins, term_fn *term)
{
    struct sides s = sides_of(base, live, bins);
    if (bins < 2 || !(s.n > 0) || !(s.m > 0))
        return NAN;
    double sum = 0;
    for (int i = 0; i < bins; i++)
        sum += term(base[i] / s.n, live[i] / s.m);
    return sum;
}

/* ---- population stability index ---- */

static double psi_term(double p, double q)
{
    return (p - q) * log(p / q);
}

double drift_psi_nats(const double *base, const double *live, int bins)
{
    struct sides s = sides_of(base, live, bins);
    if (bins < 2 || !(s.n > 0) || !(s.m > 0))
        return NAN;
    double sum = 0;
    for (int i = 0; i < bins; i++)
        sum += psi_term((base[i] + 0.5) / (s.n + 0.5 * bins), (live[i] + 0.5) / (s.m + 0.5 * bins));
    return sum;
}

double drift_psi_nats_floored(const double *base, const double *live, int bins, double floor)
{
    struct sides s = sides_of(base, live, bins);
    if (bins < 2 || !(s.n > 0) || !(s.m > 0) || !(floor > 0))
        return NAN;
    double sum = 0;
    for (int i = 0; i < bins; i++)
        sum += psi_term(fmax(base[i] / s.n, floor), fmax(live[i] / s.m, floor));
    return sum;
}

double drift_psi_chance(int bins, double n, double m)
{
    return (bins - 1) * (1 / n + 1 / m);
}

double drift_psi_critical(int bins, double n, double m, double alpha)
{
    return chi2_quantile(1 - alpha, bins - 1) * (1 / n + 1 / m);
}

double drift_psi_corrected_nats(const double *base, const double *live, int bins)
{
    double psi = drift_psi_nats(base, live, bins);
    double chance = drift_psi_chance(bins, sum_of(base, bins), sum_of(live, bins));
    return isnan(psi) ? psi : fmax(0, psi - chance);
}

/* ---- other distances ---- */

static double kl_term(double p, double q)
{
    return p > 0 ? p * log(p / q) : 0;
}

/* Half the sum of both divergences from the middle. */
static double js_term(double p, double q)
{
    double middle = (p + q) / 2;
    return (kl_term(p, middle) + kl_term(q, middle)) / 2;
}

static double affinity_term(double p, double q)
{
    return sqrt(p * q);
}

static double difference_term(double p, double q)
{
    return fabs(p - q) / 2;
}

double drift_kl_nats(const double *base, const double *live, int bins)
{
    return sum_terms(base, live, bins, kl_term);
}

/* Rounding may leave a sum of zeros just below zero. */
static double js_nats(const double *base, const double *live, int bins)
{
    double js = sum_terms(base, live, bins, js_term);
    return js < 0 ? 0 : js;
}

double drift_js_divergence_base2(const double *base, const double *live, int bins)
{
    return js_nats(base, live, bins) / M_LN2;
}

double drift_js_distance_base2(const double *base, const double *live, int bins)
{
    return sqrt(js_nats(base, live, bins) / M_LN2);
}

double drift_js_distance_natural(const double *base, const double *live, int bins)
{
    return sqrt(js_nats(base, live, bins));
}

double drift_hellinger(const double *base, const double *live, int bins)
{
    double affinity = sum_terms(base, live, bins, affinity_term);
    return affinity > 1 ? 0 : sqrt(1 - affinity);
}

double drift_total_variation(const double *base, const double *live, int bins)
{
    return sum_terms(base, live, bins, difference_term);
}

double drift_l_infinity(const double *base, const double *live, int bins)
{
    struct sides s = sides_of(base, live, bins);
    if (bins < 2 || !(s.n > 0) || !(s.m > 0))
        return NAN;
    double largest = 0;
    for (int i = 0; i < bins; i++)
        largest = fmax(largest, fabs(base[i] / s.n - live[i] / s.m));
    return largest;
}

double drift_normalized_abs_difference(const double *base, const double *live, int bins)
{
    struct sides s = sides_of(base, live, bins);
    if (bins < 2 || !(s.n + s.m > 0))
        return NAN;
    double largest = 0;
    for (int i = 0; i < bins; i++)
        largest = fmax(largest, fabs(base[i] - live[i]));
    return largest / (s.n + s.m);
}

/* ---- two-sample chi-square ---- */

/* One column of the table: (o - e)^2 / e of both rows. */
static double chi2_column(double base, double live, double n, double m)
{
    double e_base = (base + live) * n / (n + m), e_live = (base + live) * m / (n + m);
    return (base - e_base) * (base - e_base) / e_base + (live - e_live) * (live - e_live) / e_live;
}

struct drift_chi2 drift_chi2(const double *base, const double *live, int bins)
{
    struct sides s = sides_of(base, live, bins);
    struct drift_chi2 r = {.statistic = 0, .p = 1};
    if (bins < 2 || !(s.n > 0) || !(s.m > 0))
        return (struct drift_chi2){.statistic = NAN, .p = NAN};
    double smaller = fmin(s.n, s.m) / (s.n + s.m);
    double open_base = 0, open_live = 0; /* of the bin that is being filled */
    double last_base = 0, last_live = 0; /* of the last full one, and its part of the statistic */
    double last = 0;
    for (int i = 0; i < bins; i++) {
        open_base += base[i];
        open_live += live[i];
        if ((open_base + open_live) * smaller < DRIFT_EXPECTED_MIN)
            continue;
        last_base = open_base, last_live = open_live;
        last = chi2_column(last_base, last_live, s.n, s.m);
        r.statistic += last;
        r.bins++;
        open_base = open_live = 0;
    }
    if (r.bins > 0 && open_base + open_live > 0) /* what is left joins the last full one */
        r.statistic += chi2_column(last_base + open_base, last_live + open_live, s.n, s.m) - last;
    r.dof = r.bins > 0 ? r.bins - 1 : 0;
    if (r.dof > 0)
        r.p = chi2_sf(r.statistic, r.dof);
    else
        r.statistic = 0;
    return r;
}
