/* special.c - incomplete gamma and beta functions by series and continued fraction, and what
 * follows from them.
 *
 *     P(a, x) = front * (1 + x/(a+1) + x^2/((a+1)(a+2)) + ...)       x < a + 1
 *     Q(a, x) = front * a / (x + 1 - a - 1(1-a)/(x + 3 - a - ...))   else
 *     front   = x^a e^-x / Gamma(a + 1)
 *
 * `front` is a Poisson probability (for beta a binomial one). Written with lgamma it loses as many
 * digits as a has; Loader's form with the deviance bd0 loses none.
 */
#include "monitor/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "base/check.h"

enum { QUANTILE_STEPS_MAX = 200, KOLMOGOROV_TERMS = 100 };

static const double LOG_SQRT_2PI = 0.918938533204672741780329736406;
static const double TINY = 1e-300; /* in place of a zero denominator (Lentz) */

double special_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* ---- Loader's pieces ---- */

/* Error of Stirling's formula: log(n!) - log(sqrt(2 pi n) (n/e)^n). n > 0. */
static double stirling_error(double n)
{
    double n2 = n * n;
    if (n <= 16)
        return special_lgamma(n + 1) - (n + 0.5) * log(n) + n - LOG_SQRT_2PI;
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - 1.0 / 1680 / n2) / n2) / n2) / n;
}

/* x log(x / m) + m - x, exact also when x is near m. x, m > 0. */
static double deviance(double x, double m)
{
    if (fabs(x - m) >= 0.1 * (x + m))
        return x * log(x / m) + m - x;
    double v = (x - m) / (x + m), sum = (x - m) * v, term = 2 * x * v, next;
    for (int j = 1; j < 1000; j++, sum = next) {
        term *= v * v;
        next = sum + term / (2 * j + 1);
        if (next == sum)
            break;
    }
    return sum;
}

/* x^a e^-x / Gamma(a + 1), a >= 0, x >= 0 */
static double poisson_front(double a, double x)
{
    if (x == 0)
        return a == 0;
    if (a < DBL_MIN)
        return exp(-x);
    return exp(-stirling_error(a) - deviance(a, x) - LOG_SQRT_2PI - 0.5 * log(a));
}

/* Gamma(n + 1) / (Gamma(a + 1) Gamma(b + 1)) p^a q^b, n = a + b, p + q = 1 */
static double binomial_front(double a, double b, double p, double q)
{
    double n = a + b;
    if (p == 0)
        return a == 0;
    if (q == 0)
        return b == 0;
    if (a == 0)
        return exp(p < 0.1 ? -deviance(n, n * q) - n * p : n * log(q));
    if (b == 0)
        return exp(q < 0.1 ? -deviance(n, n * p) - n * q : n * log(p));
    double log_error = stirling_error(n) - stirling_error(a) - stirling_error(b) -
                       deviance(a, n * p) - deviance(b, n * q);
    return exp(log_error - LOG_SQRT_2PI + 0.5 * (log(n) - log(a) - log(b)));
}

/* ---- incomplete gamma ---- */

/* Terms until the sums below stand still: a few dozen, and about the square root of the shape. */
static int terms_max(double shape)
{
    return 500 + (int)(20 * sqrt(fmin(shape, 1e10)));
}

static double gamma_series(double a, double x)
{
    double term = 1, sum = 1;
    int count = terms_max(a);
    for (int i = 1; i < count; i++) {
        term *= x / (a + i);
        sum += term;
        if (term < sum * (DBL_EPSILON / 4))
            break;
    }
    return poisson_front(a, x) * sum;
}

static double gamma_fraction(double a, double x)
{
    double b = x + 1 - a, c = 1 / TINY, d = 1 / b, h = d;
    int count = terms_max(a);
    for (int i = 1; i < count; i++) {
        double an = -i * (i - a);
        b += 2;
        d = an * d + b;
        c = b + an / c;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = fabs(c) < TINY ? TINY : c;
        h *= c * d;
        if (fabs(c * d - 1) < DBL_EPSILON)
            break;
    }
    return poisson_front(a, x) * a * h;
}

static bool is_gamma_domain(double a, double x)
{
    return a > 0 && x >= 0 && isfinite(a);
}

double special_gamma_p(double a, double x)
{
    if (!is_gamma_domain(a, x))
        return NAN;
    if (isinf(x))
        return 1;
    return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double special_gamma_q(double a, double x)
{
    if (!is_gamma_domain(a, x))
        return NAN;
    if (isinf(x))
        return 0;
    return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}

/* ---- incomplete beta ---- */

static double keep_off_zero(double value)
{
    return fabs(value) < TINY ? TINY : value;
}

/* The continued fraction of I_x(a, b) by Lentz's method; quick for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / keep_off_zero(1 - (a + b) * x / (a + 1)), h = d;
    int count = terms_max(fmax(a, b));
    for (int m = 1; m < count; m++) {
        double even = m * (b - m) * x / ((a - 1 + 2.0 * m) * (a + 2.0 * m));
        d = 1 / keep_off_zero(1 + even * d);
        c = keep_off_zero(1 + even / c);
        h *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 1 + 2.0 * m));
        d = 1 / keep_off_zero(1 + odd * d);
        c = keep_off_zero(1 + odd / c);
        h *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON)
            break;
    }
    return h;
}

/* I_x(a, b) with y = 1 - x, which the caller may know to more digits. */
static double beta_of(double a, double b, double x, double y)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    double front = binomial_front(a, b, x, y) / (a + b);
    if (x < (a + 1) / (a + b + 2))
        return front * b * beta_fraction(a, b, x);
    return 1 - front * a * beta_fraction(b, a, y);
}

static bool is_beta_domain(double a, double b, double x)
{
    return a > 0 && b > 0 && isfinite(a) && isfinite(b) && x >= 0 && x <= 1;
}

double special_beta(double a, double b, double x)
{
    return is_beta_domain(a, b, x) ? beta_of(a, b, x, 1 - x) : NAN;
}

/* ---- quantiles: Newton's steps, kept inside a bracket that shrinks ---- */

struct quantile {
    double low, high, x;
};

/* One step towards value(x) = 0 for a growing function; false when x stands still. */
static bool quantile_step(struct quantile *q, double value, double slope)
{
    if (value == 0)
        return false;
    if (value < 0)
        q->low = q->x;
    else
        q->high = q->x;
    double next = q->x - value / slope;
    if (!(next > q->low && next < q->high))
        next = isinf(q->high) ? q->x * 2 : (q->low + q->high) / 2;
    bool is_moving = fabs(next - q->x) > 4 * DBL_EPSILON * fabs(next);
    q->x = next;
    return is_moving;
}

/* The upper tail is matched when it is the smaller one: it has more digits then. */
double special_beta_quantile(double a, double b, double p)
{
    if (!is_beta_domain(a, b, p))
        return NAN;
    if (p == 0 || p == 1)
        return p;
    struct quantile q = {0, 1, a / (a + b)};
    for (int i = 0; i < QUANTILE_STEPS_MAX; i++) {
        double x = q.x, y = 1 - x;
        double value = p < 0.5 ? beta_of(a, b, x, y) - p : (1 - p) - beta_of(b, a, y, x);
        double slope = binomial_front(a, b, x, y) * a * b / ((a + b) * x * y);
        if (!quantile_step(&q, value, slope))
            break;
    }
    return q.x;
}

double chi2_sf(double x, double dof)
{
    return dof > 0 ? (x <= 0 ? 1 : special_gamma_q(dof / 2, x / 2)) : NAN;
}

double chi2_quantile(double p, double dof)
{
    if (!(p >= 0 && p <= 1 && dof > 0))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? 0 : INFINITY;
    double a = dof / 2;
    struct quantile q = {0, INFINITY, a};
    for (int i = 0; i < QUANTILE_STEPS_MAX; i++) {
        double value = p < 0.5 ? special_gamma_p(a, q.x) - p : (1 - p) - special_gamma_q(a, q.x);
        if (!quantile_step(&q, value, poisson_front(a, q.x) * a / q.x))
            break;
    }
    return 2 * q.x;
}

/* ---- normal, Student, binomial ---- */

double normal_cdf(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2);
}

double normal_sf(double z)
{
    return 0.5 * erfc(z * M_SQRT1_2);
}

/* z > 0 with sf(z) = p, p in (0, 0.5]: an asymptotic start, then Halley's steps. */
static double normal_upper(double p)
{
    double t = sqrt(-2 * log(p));
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (int i = 0; i < 4; i++) {
        double step = (normal_sf(z) - p) * exp(z * z / 2 + LOG_SQRT_2PI);
        z += step / (1 - z * step / 2);
    }
    return z;
}

double normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -INFINITY : INFINITY;
    if (p == 0.5)
        return 0;
    return p < 0.5 ? -normal_upper(p) : normal_upper(1 - p);
}

double student_sf(double t, double dof)
{
    if (!(dof > 0) || isnan(t))
        return NAN;
    if (isinf(t))
        return t < 0;
    double t2 = t * t;
    double tail = 0.5 * beta_of(dof / 2, 0.5, dof / (dof + t2), t2 / (dof + t2));
    return t > 0 ? tail : 1 - tail;
}

/* t > 0 with sf(t) = p, p in (0, 0.5). y = t^2 / (dof + t^2) is Beta(1/2, dof/2). */
static double student_upper(double p, double dof)
{
    if (p > 1e-4) {
        double y = special_beta_quantile(0.5, dof / 2, 1 - 2 * p);
        return sqrt(dof * y / (1 - y));
    }
    double x = special_beta_quantile(dof / 2, 0.5, 2 * p);
    return sqrt(dof * (1 - x) / x);
}

double student_quantile(double p, double dof)
{
    if (!(p >= 0 && p <= 1 && dof > 0))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -INFINITY : INFINITY;
    if (p == 0.5)
        return 0;
    return p < 0.5 ? -student_upper(p, dof) : student_upper(1 - p, dof);
}

static bool is_binomial_domain(int64_t n, double p)
{
    return n >= 0 && p >= 0 && p <= 1;
}

double binomial_pmf(int64_t k, int64_t n, double p)
{
    if (!is_binomial_domain(n, p))
        return NAN;
    return k < 0 || k > n ? 0 : binomial_front((double)k, (double)(n - k), p, 1 - p);
}

double binomial_at_least(int64_t k, int64_t n, double p)
{
    if (!is_binomial_domain(n, p))
        return NAN;
    if (k <= 0 || k > n)
        return k <= 0;
    return beta_of((double)k, (double)(n - k + 1), p, 1 - p);
}

double binomial_at_most(int64_t k, int64_t n, double p)
{
    if (!is_binomial_domain(n, p))
        return NAN;
    if (k < 0 || k >= n)
        return k >= 0;
    return beta_of((double)(n - k), (double)(k + 1), 1 - p, p);
}

struct interval binomial_clopper_pearson(int64_t k, int64_t n, double alpha)
{
    assert(k >= 0 && k <= n && alpha > 0 && alpha < 1);
    double hits = (double)k, misses = (double)(n - k);
    return (struct interval){
        .low = k == 0 ? 0 : special_beta_quantile(hits, misses + 1, alpha / 2),
        .high = k == n ? 1 : special_beta_quantile(hits + 1, misses, 1 - alpha / 2),
    };
}

struct interval binomial_wilson(int64_t k, int64_t n, double alpha)
{
    assert(k >= 0 && k <= n && alpha > 0 && alpha < 1);
    if (n == 0)
        return (struct interval){0, 1};
    double z = normal_quantile(1 - alpha / 2), count = (double)n, share = (double)k / count;
    double spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count));
    double scale = 1 + z * z / count, middle = share + z * z / (2 * count);
    return (struct interval){
        .low = k == 0 ? 0 : (middle - spread) / scale,
        .high = k == n ? 1 : (middle + spread) / scale,
    };
}

/* ---- Kolmogorov ---- */

/* Below 1.18 the alternating sum is slow; its Jacobi transform has three terms there. */
double kolmogorov_sf(double lambda)
{
    if (isnan(lambda))
        return NAN;
    if (lambda <= 0)
        return 1;
    if (lambda < 1.18) {
        double q = exp(-M_PI * M_PI / (8 * lambda * lambda));
        double sum = q + pow(q, 9) + pow(q, 25) + pow(q, 49);
        return 1 - exp(LOG_SQRT_2PI) / lambda * sum;
    }
    double sum = 0, sign = 1;
    for (int j = 1; j < KOLMOGOROV_TERMS; j++, sign = -sign) {
        double term = exp(-2.0 * j * j * lambda * lambda);
        sum += sign * term;
        if (term < sum * (DBL_EPSILON / 4))
            break;
    }
    return 2 * sum;
}
