/* quality_pair.c - the difference between two models that answered the same rows.
 *
 * Both answered easy rows well and hard rows badly, so the difference is known far better than
 * either value. Accuracy: Newcombe's interval for paired shares (method 10). With n rows, e both
 * right, f only a, g only b, h none, and Wilson's limits l, u of each share p:
 *
 *     phi  = max(e h - f g - n/2, 0) / sqrt((e+f)(g+h)(e+g)(f+h))      (e h < f g: no n/2; 0 / 0:
 * 0) low  = d - sqrt((pa-la)^2 - 2 phi (pa-la)(ub-pb) + (ub-pb)^2)    and high with the others
 *
 * Area under the curve: the placements of both models vary together, which DeLong's covariance
 * takes off the variance of the difference. Everything else: the percentile bootstrap, each
 * resample answered by both.
 *
 * Sources: R. G. Newcombe, Improved confidence intervals for the difference between binomial
 * proportions based on paired data (1998); DeLong, DeLong, Clarke-Pearson (1988).
 */
#include <math.h>

#include "monitor/quality_sample.h"

struct pair {
    struct quality_sample a, b;
    struct quality_options options;
    struct arena *arena;
};

static double newcombe_phi(double e, double f, double g, double h)
{
    double margins = (e + f) * (g + h) * (e + g) * (f + h), n = e + f + g + h;
    double both = e * h - f * g;
    if (margins == 0)
        return 0;
    if (both >= 0)
        both = fmax(both - n / 2, 0);
    return both / sqrt(margins);
}

static double newcombe_half(double near, double far, double phi)
{
    return sqrt(fmax(near * near - 2 * phi * near * far + far * far, 0));
}

static void accuracy_interval(const struct pair *pair, struct quality *out)
{
    const struct quality_rows *a = pair->a.rows, *b = pair->b.rows;
    double cells[2][2] = {{0, 0}, {0, 0}};
    for (int64_t i = 0; i < a->count; i++)
        cells[a->predicted[i] == a->truth[i]][b->predicted[i] == a->truth[i]] += 1;
    double e = cells[1][1], f = cells[1][0], g = cells[0][1], h = cells[0][0];
    double n = (double)a->count, pa = (e + f) / n, pb = (e + g) / n;
    double phi = newcombe_phi(e, f, g, h);
    struct interval ia = binomial_wilson((int64_t)(e + f), a->count, pair->options.alpha);
    struct interval ib = binomial_wilson((int64_t)(e + g), a->count, pair->options.alpha);
    out->low = out->value - newcombe_half(pa - ia.low, ib.high - pb, phi);
    out->high = out->value + newcombe_half(ia.high - pa, pb - ib.low, phi);
    out->method = "newcombe";
}

/* Variance of a mean of differences of placements, class by class. */
static bool auc_interval(const struct pair *pair, struct quality *out)
{
    const struct quality_rows *rows = pair->a.rows;
    size_t count = (size_t)rows->count;
    double *a = arena_calloc(pair->arena, count, sizeof(*a));
    double *b = arena_calloc(pair->arena, count, sizeof(*b));
    double squares[2] = {0, 0}, counts[2] = {0, 0};
    if (!a || !b)
        return false;
    quality_placements(&pair->a, a);
    quality_placements(&pair->b, b);
    for (size_t i = 0; i < count; i++) {
        double from_mean = a[i] - b[i] - out->value;
        squares[rows->truth[i]] += from_mean * from_mean;
        counts[rows->truth[i]] += 1;
    }
    if (counts[0] < 2 || counts[1] < 2) {
        out->missing = "fewer than 2 rows of one class";
        return true;
    }
    double variance = squares[0] / (counts[0] - 1) / counts[0];
    variance += squares[1] / (counts[1] - 1) / counts[1];
    double half = normal_quantile(1 - pair->options.alpha / 2) * sqrt(variance);
    out->low = out->value - half;
    out->high = out->value + half;
    out->method = "delong";
    return true;
}

static bool closed_interval(const struct pair *pair, enum quality_metric metric,
                            struct quality *out)
{
    if (pair->a.rows->weight)
        return false;
    if (metric == QUALITY_ACCURACY) {
        accuracy_interval(pair, out);
        return true;
    }
    return metric == QUALITY_AUC && pair->a.rows->class_count == 2 && auc_interval(pair, out);
}

struct pair_bootstrap {
    struct quality_draws draws;
    int resamples, count;
    enum quality_metric metric[QUALITY_COUNT];
    double *values; /* [count, resamples] */
};

static enum err_code bootstrap(struct pair *pair, struct pair_bootstrap *b, struct quality *out,
                               struct err *err)
{
    struct quality_sample drawn_a = pair->a, drawn_b = pair->b;
    int64_t units = quality_units(&pair->a);
    size_t resamples = (size_t)quality_resamples(&pair->options, units);
    b->values = arena_calloc(pair->arena, (size_t)b->count * resamples, sizeof(double));
    b->draws.count = units;
    b->draws.weight = pair->a.weight;
    b->draws.times = arena_calloc(pair->arena, (size_t)units, sizeof(double));
    if (!b->values || !b->draws.times)
        return err_set(err, ERR_LIMIT, "no room to resample %lld rows", (long long)units);
    rand_seed(&b->draws.rand, pair->options.seed);
    drawn_a.weight = drawn_b.weight = b->draws.times;
    for (size_t r = 0; r < resamples; r++) {
        quality_draw(&b->draws);
        for (int i = 0; i < b->count; i++)
            b->values[(size_t)i * resamples + r] =
                quality_value(&drawn_a, b->metric[i]) - quality_value(&drawn_b, b->metric[i]);
    }
    for (int i = 0; i < b->count; i++)
        quality_percentiles(b->values + (size_t)i * resamples, (int)resamples, pair->options.alpha,
                            &out[b->metric[i]]);
    return ERR_OK;
}

/* The difference of the values; false when one of them is not there. */
static bool point(const struct pair *pair, enum quality_metric metric, struct quality *out)
{
    struct quality other;
    *out = (struct quality){.value = NAN, .low = NAN, .high = NAN, .method = ""};
    bool is_goal =
        quality_better(metric) == BETTER_HIGHER || quality_better(metric) == BETTER_LOWER;
    if (!is_goal || !quality_is_given(pair->a.rows, metric) ||
        !quality_is_given(pair->b.rows, metric))
        return false;
    quality_point(&pair->a, metric, out);
    quality_point(&pair->b, metric, &other);
    out->missing = out->missing ? out->missing : other.missing;
    out->value -= other.value;
    double range = out->high - out->low;
    out->low = -range;
    out->high = range;
    return !out->missing;
}

enum err_code quality_compare(const struct quality_rows *a, const struct quality_rows *b,
                              const struct quality_options *options, struct arena *arena,
                              struct quality out[QUALITY_COUNT], struct err *err)
{
    struct pair pair = {.options = quality_defaults(options), .arena = arena};
    struct pair_bootstrap again = {.count = 0};
    struct quality_rows other = *b;
    other.truth = a->truth;
    other.truth_number = a->truth_number;
    other.group = a->group;
    other.weight = a->weight;
    if (a->count != b->count || a->class_count != b->class_count)
        return err_set(err, ERR_INVALID, "two models are compared on the same rows and classes");
    enum err_code rc = quality_sample_make(a, &pair.options, arena, &pair.a, err);
    if (!rc)
        rc = quality_sample_make(&other, &pair.options, arena, &pair.b, err);
    for (int m = 0; !rc && m < QUALITY_COUNT; m++) {
        if (!point(&pair, m, &out[m]) || closed_interval(&pair, m, &out[m]))
            continue;
        if (quality_units(&pair.a) < QUALITY_BOOTSTRAP_MIN)
            out[m].missing = "fewer than 10 rows for an interval";
        else
            again.metric[again.count++] = m;
    }
    return !rc && again.count ? bootstrap(&pair, &again, out, err) : rc;
}
