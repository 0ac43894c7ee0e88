/* sample.c - two sorted samples, walked together.
 *
 * Most of the statistics are sums over the pooled points of some function of F_x and F_y there; one
 * walk gives the points in order, with how many values of each sample are at or below them.
 */
#include "monitor/sample.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "monitor/special.h"

/* ---- one sample ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int64_t sample_sort(double *values, int64_t count)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i])) {
            double value = values[i];
            values[i] = values[kept];
            values[kept++] = value;
        }
    qsort(values, (size_t)kept, sizeof(*values), compare);
    return kept;
}

double sample_quantile(const double *x, int64_t n, double q)
{
    if (n < 1 || !(q >= 0 && q <= 1))
        return NAN;
    double place = q * (double)(n - 1);
    int64_t i = (int64_t)place;
    return i + 1 < n ? x[i] + (place - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

double sample_mean(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

double sample_std(const double *x, int64_t n)
{
    double mean = sample_mean(x, n), sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)n);
}

double sample_iqr(const double *x, int64_t n)
{
    return sample_quantile(x, n, 0.75) - sample_quantile(x, n, 0.25);
}

/* ---- the walk ---- */

struct walk {
    const double *x, *y;
    int64_t n, m;
    int64_t i, j; /* values of each at or below `at` */
    double at;    /* a value of the pooled sample */
};

static bool walk_next(struct walk *w)
{
    if (w->i >= w->n && w->j >= w->m)
        return false;
    bool is_x = w->j >= w->m || (w->i < w->n && w->x[w->i] <= w->y[w->j]);
    w->at = is_x ? w->x[w->i] : w->y[w->j];
    while (w->i < w->n && w->x[w->i] == w->at)
        w->i++;
    while (w->j < w->m && w->y[w->j] == w->at)
        w->j++;
    return true;
}

/* F_x - F_y at the point. */
static double walk_gap(const struct walk *w)
{
    return (double)w->i / (double)w->n - (double)w->j / (double)w->m;
}

struct ks sample_ks(const double *x, int64_t n, const double *y, int64_t m)
{
    struct walk w = {.x = x, .y = y, .n = n, .m = m};
    struct ks ks = {.distance = n < 1 || m < 1 ? NAN : -1, .location = NAN, .sign = 1};
    while (n > 0 && m > 0 && walk_next(&w)) {
        double gap = walk_gap(&w);
        if (fabs(gap) > ks.distance)
            ks = (struct ks){fabs(gap), w.at, gap < 0 ? -1 : 1};
    }
    return ks;
}

/* Integral of |F_x - F_y|^power over all values. */
static double integrate_gap(const double *x, int64_t n, const double *y, int64_t m, int power)
{
    struct walk w = {.x = x, .y = y, .n = n, .m = m};
    if (n < 1 || m < 1)
        return NAN;
    double sum = 0, gap = 0, before = 0;
    while (walk_next(&w)) {
        if (gap != 0)
            sum += (power == 1 ? fabs(gap) : gap * gap) * (w.at - before);
        gap = walk_gap(&w);
        before = w.at;
    }
    return sum;
}

double sample_wasserstein(const double *x, int64_t n, const double *y, int64_t m)
{
    return integrate_gap(x, n, y, m, 1);
}

double sample_energy(const double *x, int64_t n, const double *y, int64_t m)
{
    return sqrt(2 * integrate_gap(x, n, y, m, 2));
}

/* ---- Kolmogorov-Smirnov ---- */

/* out[j] is the share of paths to (i, j) that have left the band |i/n - j/m| < d: sums of positive
 * terms, so that a small p has all its digits. */
double sample_ks_p_exact(double d, int64_t n, int64_t m)
{
    if (n < 1 || m < 1 || n > KS_EXACT_CELLS_MAX / m || isnan(d))
        return NAN;
    double *out = calloc((size_t)m + 1, sizeof(*out));
    double limit = d - 1e-9 / (double)(n + m); /* d is a multiple of 1/(n m), give or take ulps */
    if (!out)
        abort();
    for (int64_t i = 0; i <= n; i++) {
        for (int64_t j = 0; j <= m; j++) {
            double gap = (double)i / (double)n - (double)j / (double)m;
            double steps = (double)(i + j);
            double from_x = i > 0 ? (double)i / steps * out[j] : 0;
            double from_y = j > 0 ? (double)j / steps * out[j - 1] : 0;
            out[j] = fabs(gap) >= limit ? 1 : from_x + from_y;
        }
    }
    double p = out[m];
    free(out);
    return p;
}

static double stephens(double d, double en)
{
    double root = sqrt(en);
    return kolmogorov_sf((root + 0.12 + 0.11 / root) * d);
}

double sample_ks_p(double d, int64_t n, int64_t m)
{
    if (n < 1 || m < 1)
        return NAN;
    return stephens(d, (double)n * (double)m / (double)(n + m));
}

/* c = a b, all [k, k]; scaled when its middle grows large: *exponent counts powers of 10^140. */
static void multiply(const double *a, const double *b, double *c, int k, int *exponent)
{
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * k + j];
            c[i * k + j] = sum;
        }
    if (c[(k / 2) * k + k / 2] > 1e140) {
        for (int i = 0; i < k * k; i++)
            c[i] *= 1e-140;
        (*exponent)++;
    }
}

/* The matrix H of Marsaglia, Tsang, Wang, Evaluating Kolmogorov's Distribution (2003), [k, k]. */
static void fill_durbin(double *h, int k, double rest)
{
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++)
            h[i * k + j] = i - j + 1 < 0 ? 0 : 1;
    for (int i = 0; i < k; i++) {
        h[i * k] -= pow(rest, i + 1);
        h[(k - 1) * k + i] -= pow(rest, k - i);
    }
    h[(k - 1) * k] += 2 * rest - 1 > 0 ? pow(2 * rest - 1, k) : 0;
    for (int i = 0; i < k; i++)
        for (int j = 0; j <= i; j++)
            for (int g = 1; g <= i - j + 1; g++)
                h[i * k + j] /= g;
}

/* P(D_n < d) = n! / n^n times the middle of H^n; H and its powers are [2 ceil(n d) - 1] square. */
static double durbin_cdf(double d, int n)
{
    int middle = (int)((double)n * d) + 1, k = 2 * middle - 1;
    size_t cells = (size_t)k * (size_t)k;
    double *memory = calloc(3 * cells, sizeof(*memory));
    if (!memory)
        abort();
    double *base = memory, *power = base + cells, *next = power + cells, *swap;
    int base_exponent = 0, exponent = 0;
    fill_durbin(base, k, middle - n * d);
    for (int i = 0; i < k; i++)
        power[i * k + i] = 1;
    for (int left = n; left; left >>= 1) {
        if (left & 1) {
            exponent += base_exponent;
            multiply(power, base, next, k, &exponent);
            swap = power, power = next, next = swap;
        }
        base_exponent *= 2;
        multiply(base, base, next, k, &base_exponent);
        swap = base, base = next, next = swap;
    }
    double log_scale = special_lgamma(n + 1.0) - n * log(n) + 140 * exponent * M_LN10;
    double cdf = exp(log(power[(middle - 1) * k + middle - 1]) + log_scale);
    free(memory);
    return cdf;
}

/* P(D_n+ >= d), one-sided, by Birnbaum and Tingey (1951): a sum of positive terms. */
static double one_sided_sf(double d, int n)
{
    double sum = 0, log_n_factorial = special_lgamma(n + 1.0);
    for (int j = 0; j <= (int)(n * (1 - d)); j++) {
        double up = d + (double)j / n, down = 1 - up;
        if (down <= 0)
            break;
        double log_term = log_n_factorial - special_lgamma(j + 1.0) - special_lgamma(n - j + 1.0) +
                          (n - j) * log(down) + (j - 1) * log(up);
        sum += exp(log_term);
    }
    return d * sum;
}

/* Far out both sides cannot happen together, so the two-sided p is twice the one-sided one; its
 * error is below 1e-10 of itself from n d^2 = 4 on (Simard, L'Ecuyer 2011). */
double sample_ks_p_one(double d, int64_t n)
{
    if (n < 1 || isnan(d))
        return NAN;
    if (n > KS_ONE_SAMPLE_MAX)
        return stephens(d, (double)n);
    if (d <= 0.5 / (double)n || d >= 1)
        return d < 1;
    bool is_far = (double)n * d * d >= 4;
    return is_far ? 2 * one_sided_sf(d, (int)n) : fmax(0, 1 - durbin_cdf(d, (int)n));
}

/* ---- ranks ---- */

struct mann_whitney sample_mann_whitney(const double *x, int64_t n, const double *y, int64_t m)
{
    struct walk w = {.x = x, .y = y, .n = n, .m = m};
    if (n < 1 || m < 1)
        return (struct mann_whitney){NAN, NAN, NAN};
    double u = 0, ties = 0, count_x = (double)n, count_y = (double)m, total = count_x + count_y;
    for (int64_t i = 0, j = 0; walk_next(&w); i = w.i, j = w.j) {
        double here_x = (double)(w.i - i), here_y = (double)(w.j - j), tied = here_x + here_y;
        u += here_x * ((double)j + here_y / 2);
        ties += tied * tied * tied - tied;
    }
    double larger = fmax(u, count_x * count_y - u);
    double variance = count_x * count_y / 12 * (total + 1 - ties / (total * (total - 1)));
    double z = (larger - count_x * count_y / 2 - 0.5) / sqrt(variance);
    double p = variance > 0 ? fmin(1, 2 * normal_sf(z)) : 1;
    return (struct mann_whitney){u, p, 1 - u / (count_x * count_y)};
}

/* e^q K_1/4(q), the modified Bessel function, q > 0: the trapezoidal rule on its integral over
 * exp(-q (cosh t - 1)) cosh(t / 4) converges faster than any power of the step. */
static double bessel_k_quarter(double q)
{
    const double step = 1.0 / 32;
    double sum = 0.5;
    for (int i = 1; i < 4000; i++) {
        double t = i * step, term = exp(-q * (cosh(t) - 1)) * cosh(t / 4);
        sum += term;
        if (term < sum * DBL_EPSILON / 16)
            break;
    }
    return sum * step;
}

/* Limit of the Cramer-von Mises statistic: P(W <= w) (Csorgo, Faraway 1996, formula 1.2). */
static double cramer_von_mises_cdf(double w)
{
    double sum = 0;
    for (int k = 0; k < 200; k++) {
        double y = 4.0 * k + 1, q = y * y / (16 * w);
        double front = exp(special_lgamma(k + 0.5) - special_lgamma(k + 1.0) - 2 * q);
        double term = front * sqrt(y) * bessel_k_quarter(q) / (pow(M_PI, 1.5) * sqrt(w));
        sum += term;
        if (term < 1e-17)
            break;
    }
    return sum;
}

/* U of Anderson (1962): n sum (rank of x_i - i)^2 + m sum (rank of y_j - j)^2, midranks. */
static double anderson_u(struct walk w)
{
    double of_x = 0, of_y = 0;
    for (int64_t i = 0, j = 0; walk_next(&w); i = w.i, j = w.j) {
        double rank = (double)(i + j) + (double)(w.i - i + w.j - j + 1) / 2;
        for (int64_t k = i; k < w.i; k++)
            of_x += (rank - (double)(k + 1)) * (rank - (double)(k + 1));
        for (int64_t k = j; k < w.j; k++)
            of_y += (rank - (double)(k + 1)) * (rank - (double)(k + 1));
    }
    return (double)w.n * of_x + (double)w.m * of_y;
}

struct cramer_von_mises sample_cramer_von_mises(const double *x, int64_t n, const double *y,
                                                int64_t m)
{
    if (n < 1 || m < 1)
        return (struct cramer_von_mises){NAN, NAN};
    struct walk w = {.x = x, .y = y, .n = n, .m = m};
    double nx = (double)n, ny = (double)m, k = nx * ny, total = nx + ny;
    double t = anderson_u(w) / (k * total) - (4 * k - 1) / (6 * total);
    double mean = (1 + 1 / total) / 6;
    double variance = (total + 1) * (4 * k * total - 3 * (nx * nx + ny * ny) - 2 * k) /
                      (45 * total * total * 4 * k);
    double standard = 1.0 / 6 + (t - mean) / sqrt(45 * variance);
    double p = standard < 0.003 ? 1 : fmax(0, 1 - cramer_von_mises_cdf(standard));
    return (struct cramer_von_mises){t, p};
}

/* ---- kernels ---- */

static double kernel(const double *a, const double *b, int width, double sigma)
{
    double square = 0;
    for (int i = 0; i < width; i++)
        square += (a[i] - b[i]) * (a[i] - b[i]);
    return exp(-square / (2 * sigma * sigma));
}

/* Sum of the kernel over all pairs of different rows. */
static double sum_within(const double *x, int64_t n, int width, double sigma)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            sum += kernel(x + i * width, x + j * width, width, sigma);
    return 2 * sum;
}

struct mmd sample_mmd(const double *x, int64_t n, const double *y, int64_t m, int width,
                      double sigma)
{
    if (n < 1 || m < 1 || !(sigma > 0))
        return (struct mmd){NAN, NAN};
    double nx = (double)n, ny = (double)m, across = 0;
    double in_x = sum_within(x, n, width, sigma), in_y = sum_within(y, m, width, sigma);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            across += kernel(x + i * width, y + j * width, width, sigma);
    across *= 2 / (nx * ny);
    return (struct mmd){
        .unbiased = n < 2 || m < 2 ? NAN : in_x / (nx * (nx - 1)) + in_y / (ny * (ny - 1)) - across,
        .biased = (in_x + nx) / (nx * nx) + (in_y + ny) / (ny * ny) - across,
    };
}
