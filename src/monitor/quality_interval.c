/* quality_interval.c - how far a metric may be from what the rows show.
 *
 * Shares of rows have Wilson's interval. What is made of shares of separate rows (balanced accuracy
 * of K classes) adds up their distances to their own limits, square by square (MOVER):
 *
 *     low = value - sqrt(sum (p_k - l_k)^2) / K      high = value + sqrt(sum (u_k - p_k)^2) / K
 *
 * The area under the curve has DeLong's variance, on the logit scale so that it stays in [0, 1]; at
 * 0 or 1 that variance is 0, and the m = min(n0, n1) separate pairs, all in one order, give the
 * limit (alpha / 2)^(1 / m) of Clopper and Pearson. The same limit stands for other metrics that
 * are perfect in every resample.
 *
 * Sources: Zou, Donner, Construction of confidence limits about effect measures (2008); DeLong,
 * DeLong, Clarke-Pearson (1988); Qin, Hotilovac (2008) for the logit; Efron (1979).
 */
#include <math.h>
#include <stdlib.h>

#include "monitor/quality_sample.h"

/* ---- bootstrap ---- */

void quality_draw(struct quality_draws *draws)
{
    for (int64_t i = 0; i < draws->count; i++)
        draws->times[i] = 0;
    for (int64_t i = 0; i < draws->count; i++)
        draws->times[(int64_t)(rand_unit(&draws->rand) * (double)draws->count)] += 1;
    for (int64_t i = 0; draws->weight && i < draws->count; i++)
        draws->times[i] *= draws->weight[i];
}

int quality_resamples(const struct quality_options *options, int64_t count)
{
    int wanted = options->resamples ? options->resamples : QUALITY_RESAMPLES;
    int64_t affordable = QUALITY_DRAWS_MAX / (count ? count : 1);
    if (affordable < QUALITY_RESAMPLES_MIN)
        affordable = QUALITY_RESAMPLES_MIN;
    return wanted < affordable ? wanted : (int)affordable;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy's default: linear between the two nearest. */
static double quantile(const double *sorted, int count, double q)
{
    double place = q * (count - 1);
    int below = (int)place;
    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

void quality_percentiles(double *values, int count, double alpha, struct quality *out)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (isfinite(values[i]))
            values[kept++] = values[i];
    if (kept < count - count / 100) {
        out->missing = "too few rows of one class for an interval";
        return;
    }
    qsort(values, (size_t)kept, sizeof(*values), by_value);
    out->low = quantile(values, kept, alpha / 2);
    out->high = quantile(values, kept, 1 - alpha / 2);
    out->method = "bootstrap";
}

/* ---- closed forms ---- */

static void set_interval(struct quality *out, struct interval interval, const char *method)
{
    out->low = interval.low;
    out->high = interval.high;
    out->method = method;
}

static void wilson(struct quality *out, double hits, double trials, double alpha)
{
    out->n = (int64_t)trials;
    set_interval(out, binomial_wilson((int64_t)hits, (int64_t)trials, alpha), "wilson");
}

static void balanced(const struct quality_sample *sample, double alpha, struct quality *out)
{
    int count = sample->rows->class_count, occurring = 0;
    double *hits = sample->sums, *truths = hits + count, *answers = truths + count;
    double low = 0, high = 0;
    quality_class_sums(sample, hits, truths, answers);
    for (int k = 0; k < count; k++) {
        if (truths[k] == 0)
            continue;
        double p = hits[k] / truths[k];
        struct interval i = binomial_wilson((int64_t)hits[k], (int64_t)truths[k], alpha);
        low += (p - i.low) * (p - i.low);
        high += (i.high - p) * (i.high - p);
        occurring++;
    }
    set_interval(out,
                 (struct interval){fmax(0, out->value - sqrt(low) / occurring),
                                   fmin(1, out->value + sqrt(high) / occurring)},
                 "mover");
}

/* Variance of the area: that of each class's placements over its number of rows. */
static double delong_variance(const struct quality_sample *sample, const double *placement,
                              double area, double count[2])
{
    double squares[2] = {0, 0};
    count[0] = count[1] = 0;
    for (int64_t i = 0; i < sample->rows->count; i++) {
        int class = sample->rows->truth[i];
        squares[class] += (placement[i] - area) * (placement[i] - area);
        count[class] += 1;
    }
    if (count[0] < 2 || count[1] < 2)
        return NAN;
    return squares[0] / (count[0] - 1) / count[0] + squares[1] / (count[1] - 1) / count[1];
}

static bool delong(const struct quality_sample *sample, double alpha, struct arena *arena,
                   struct quality *out)
{
    double *placement = arena_calloc(arena, (size_t)sample->rows->count, sizeof(*placement));
    double count[2], area = out->value;
    if (!placement)
        return false;
    quality_placements(sample, placement);
    double variance = delong_variance(sample, placement, area, count);
    double edge = pow(alpha / 2, 1 / fmin(count[0], count[1]));
    struct interval i = {area == 1 ? edge : 0, area == 0 ? 1 - edge : 1};
    if (isnan(variance)) {
        out->missing = "fewer than 2 rows of one class";
        return true;
    }
    if (area > 0 && area < 1) {
        double middle = log(area / (1 - area));
        double half = normal_quantile(1 - alpha / 2) * sqrt(variance) / (area * (1 - area));
        i = (struct interval){1 / (1 + exp(half - middle)), 1 / (1 + exp(-half - middle))};
    }
    set_interval(out, i, "delong");
    return true;
}

static void wald(const struct quality_sample *sample, enum quality_metric metric, double alpha,
                 struct quality *out)
{
    double slope_error, intercept_error, z = normal_quantile(1 - alpha / 2);
    if (!quality_calibration_errors(sample, &slope_error, &intercept_error)) {
        out->missing = "the fit has no standard error";
        return;
    }
    double half = z * (metric == QUALITY_CALIBRATION_SLOPE ? slope_error : intercept_error);
    set_interval(out, (struct interval){out->value - half, out->value + half}, "wald");
}

static void share_of_class(const struct quality_sample *sample, enum quality_metric metric,
                           double alpha, struct quality *out)
{
    double *hits = sample->sums, *truths = hits + 2, *answers = truths + 2;
    quality_class_sums(sample, hits, truths, answers);
    wilson(out, hits[1], metric == QUALITY_PRECISION ? answers[1] : truths[1], alpha);
}

bool quality_closed_interval(const struct quality_sample *sample, enum quality_metric metric,
                             double alpha, struct arena *arena, struct quality *out)
{
    const struct quality_rows *rows = sample->rows;
    if (rows->weight)
        return false;
    switch (metric) {
    case QUALITY_ACCURACY:
        wilson(out, round(out->value * (double)rows->count), (double)rows->count, alpha);
        return true;
    case QUALITY_BALANCED_ACCURACY:
        balanced(sample, alpha, out);
        return true;
    case QUALITY_PRECISION:
    case QUALITY_RECALL:
        if (rows->class_count == 2)
            share_of_class(sample, metric, alpha, out);
        return rows->class_count == 2;
    case QUALITY_AUC:
        return rows->class_count == 2 && delong(sample, alpha, arena, out);
    case QUALITY_CALIBRATION_SLOPE:
    case QUALITY_CALIBRATION_INTERCEPT:
        wald(sample, metric, alpha, out);
        return true;
    default:
        return false;
    }
}
