/* cause.c - the likely cause of a drift, from bin counts and a sample of live values. */
#include "monitor/cause.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "monitor/drift.h"

enum { SAMPLE_MAX = 512 };

static const double FIT_P_MIN = 0.001;

/* Powers of ten first: of two factors that explain the values alike the earlier one is told. */
static const struct {
    double factor;
    const char *hint;
} units[] = {
    {0.1, "mm as cm?"},
    {10, "cm as mm?"},
    {0.01, "per cent as a share, cm as m?"},
    {100, "a share as per cent, m as cm?"},
    {0.001, "g as kg, mm as m, ms as s?"},
    {1000, "kg as g, m as mm, s as ms?"},
    {1e-6, "in millions?"},
    {1e6, "in millionths?"},
    {-1, "sign?"},
    {2.20462, "kg as lb?"},
    {0.453592, "lb as kg?"},
    {2.54, "inch as cm?"},
    {0.393701, "cm as inch?"},
    {25.4, "inch as mm?"},
    {1 / 25.4, "mm as inch?"},
    {1.609344, "miles as km?"},
    {0.621371, "km as miles?"},
    {3.28084, "m as ft?"},
    {0.3048, "ft as m?"},
    {60, "minutes as seconds?"},
    {1.0 / 60, "seconds as minutes?"},
    {3600, "hours as seconds?"},
    {1.0 / 3600, "seconds as hours?"},
    {24, "days as hours?"},
    {1.0 / 24, "hours as days?"},
    {180 / M_PI, "radians as degrees?"},
    {M_PI / 180, "degrees as radians?"},
    {4.184, "kcal as kJ?"},
    {1 / 4.184, "kJ as kcal?"},
};

/* ---- unit changes ---- */

static int bin_of(const struct baseline_column *c, double value)
{
    int bin = 0;
    while (bin < c->edge_count && (double)c->edges[bin] < value)
        bin++;
    return bin;
}

/* How well the values divided by `factor` fit the baseline: a p-value, 0 when the size of the
 * difference alone rules it out. */
static double fit(const struct baseline_column *c, const float *values, int count, double factor)
{
    double live[BASELINE_ANSWER_EDGES_MAX + 1] = {0};
    for (int i = 0; i < count; i++)
        live[bin_of(c, (double)values[i] / factor)]++;
    if (c->bin_count < 2 || drift_psi_corrected_nats(c->counts, live, c->bin_count) >= 0.25)
        return 0;
    return drift_chi2(c->counts, live, c->bin_count).p;
}

static double best_factor(const struct baseline_column *c, const float *values, int count)
{
    double best = 0, best_p = FIT_P_MIN;
    for (size_t i = 0; i < ARRAY_LEN(units) && count >= CAUSE_SAMPLE_MIN; i++) {
        double p = fit(c, values, count, units[i].factor);
        if (p <= best_p)
            continue;
        best = units[i].factor;
        best_p = fmin(0.5, p * 10); /* a later one must explain much better */
    }
    return best;
}

/* Values outside a range twice as wide as the baseline's middle, and the others. */
static int split(const struct baseline_column *c, const float *values, int count, float *outside,
                 float *inside)
{
    float low = c->edges[0], high = c->edges[c->edge_count - 1], spread = high - low;
    int out = 0, in = 0;
    for (int i = 0; i < count; i++)
        if (values[i] < low - spread || values[i] > high + spread)
            outside[out++] = values[i];
        else
            inside[in++] = values[i];
    return out;
}

double cause_find_factor(const struct baseline_column *c, const float *values, int count,
                         double *share)
{
    float outside[SAMPLE_MAX], inside[SAMPLE_MAX];
    *share = 1;
    if (c->code_count || c->edge_count < 2 || !(c->rows > 0) || count > SAMPLE_MAX)
        return 0;
    double factor = best_factor(c, values, count);
    if (factor != 0)
        return factor;
    int out = split(c, values, count, outside, inside);
    if (count - out < CAUSE_SAMPLE_MIN || fit(c, inside, count - out, 1) <= FIT_P_MIN)
        return 0;
    *share = (double)out / count;
    return best_factor(c, outside, out);
}

static const char *hint_of(double factor)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (units[i].factor == factor)
            return units[i].hint;
    return "";
}

/* ---- other causes ---- */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The baseline's median: within its bin as if evenly spread; the nearest edge in an outer one. */
static double base_median(const struct baseline_column *c)
{
    double half = (c->rows - c->missing) / 2, below = 0;
    int bin = 0;
    while (bin < c->bin_count - 1 && below + c->counts[bin] < half)
        below += c->counts[bin++];
    if (bin == 0 || bin == c->edge_count)
        return c->edge_count ? (double)c->edges[bin ? bin - 1 : 0] : NAN;
    double low = (double)c->edges[bin - 1], high = (double)c->edges[bin];
    return low + (high - low) * (half - below) / c->counts[bin];
}

static void describe_values(const struct baseline_column *c, float *values, int count, char *text)
{
    qsort(values, (size_t)count, sizeof(*values), compare_floats);
    double median = (double)values[count / 2], before = base_median(c);
    const char *space = c->unit[0] ? " " : "";
    if (values[0] == values[count - 1])
        snprintf(text, CAUSE_BYTES, "every row has the value %.6g%s%s; stuck?", median, space,
                 c->unit);
    else if (isfinite(c->std) && c->std > 0)
        snprintf(text, CAUSE_BYTES,
                 "median %.4g%s%s, %.4g in the baseline (%+.2g standard "
                 "deviations)",
                 median, space, c->unit, before, (median - before) / c->std);
    else
        snprintf(text, CAUSE_BYTES, "median %.4g%s%s, %.4g in the baseline", median, space, c->unit,
                 before);
}

/* The bin whose share has changed the most. */
static int moved_bin(const struct baseline_column *c, const uint64_t *slots, double rows,
                     double *now, double *before)
{
    int most = 0;
    double largest = -1;
    for (int i = 0; i < c->bin_count; i++) {
        double live = (double)slots[SLOT_BINS + i] / rows, base = c->counts[i] / c->rows;
        if (fabs(live - base) <= largest)
            continue;
        largest = fabs(live - base);
        most = i;
        *now = live;
        *before = base;
    }
    return most;
}

static void describe_bin(const struct baseline_column *c, const uint64_t *slots, double rows,
                         char *text)
{
    double now = 0, before = 0;
    int bin = moved_bin(c, slots, rows, &now, &before);
    if (c->is_private)
        snprintf(text, CAUSE_BYTES, "one bin has %.1f %% of rows, %.1f %% in the baseline",
                 100 * now, 100 * before);
    else if (c->bin_names)
        snprintf(text, CAUSE_BYTES, "'%.64s' in %.1f %% of rows, %.1f %% in the baseline",
                 c->bin_names[bin].ptr, 100 * now, 100 * before);
    else if (bin == 0)
        snprintf(text, CAUSE_BYTES, "%.1f %% of rows at or below %.6g, %.1f %% in the baseline",
                 100 * now, (double)c->edges[0], 100 * before);
    else if (bin == c->edge_count)
        snprintf(text, CAUSE_BYTES, "%.1f %% of rows above %.6g, %.1f %% in the baseline",
                 100 * now, (double)c->edges[bin - 1], 100 * before);
    else
        snprintf(text, CAUSE_BYTES, "%.1f %% of rows in (%.6g, %.6g], %.1f %% in the baseline",
                 100 * now, (double)c->edges[bin - 1], (double)c->edges[bin], 100 * before);
}

static void describe_missing(const uint64_t *slots, const struct judgement *j, char *text)
{
    static const char *const kinds[] = {"NaN", "no such field", "null", "a missing marker"};
    int most = 0;
    for (int i = 1; i <= SLOT_MARKER; i++)
        if (slots[i] > slots[most])
            most = i;
    snprintf(text, CAUSE_BYTES, "missing in %.1f %% of rows, %.1f %% in the baseline%s%s",
             100 * j->missing_share, 100 * j->base_missing_share, slots[most] ? "; mostly " : "",
             slots[most] ? kinds[most] : "");
}

/* Finite values only, into `kept` [SAMPLE_MAX]. */
static int keep_numbers(const float *values, int count, float *kept)
{
    int found = 0;
    for (int i = 0; i < count && found < SAMPLE_MAX; i++)
        if (isfinite(values[i]))
            kept[found++] = values[i];
    return found;
}

static void describe_number(const struct baseline_column *c, const uint64_t *slots,
                            const struct judgement *j, float *values, int count, const char *since,
                            char *text)
{
    double share, factor = cause_find_factor(c, values, count, &share);
    if (factor != 0)
        snprintf(text, CAUSE_BYTES, "%.0f %% of rows x%.4g of the baseline%s; unit change? (%s)",
                 100 * share, factor, since, hint_of(factor));
    else if (count >= CAUSE_SAMPLE_MIN && !c->is_private)
        describe_values(c, values, count, text);
    else
        describe_bin(c, slots, j->rows, text);
}

void cause_describe(const struct baseline_column *c, const uint64_t *slots,
                    const struct judgement *j, const float *values, int count, const char *since,
                    char *text)
{
    float kept[SAMPLE_MAX] = {0};
    double missing = fabs(j->missing_share - j->base_missing_share);
    text[0] = '\0';
    if (!(j->rows > 0))
        return;
    if (j->rule == JUDGE_MISSING || missing >= 0.5 * j->l_infinity)
        describe_missing(slots, j, text);
    else if (j->unseen_share >= 0.5 * j->l_infinity)
        snprintf(text, CAUSE_BYTES, "a category that the contract does not list in %.1f %% of rows",
                 100 * j->unseen_share);
    else if (j->infinite_share >= 0.5 * j->l_infinity)
        snprintf(text, CAUSE_BYTES, "infinite in %.1f %% of rows", 100 * j->infinite_share);
    else if (c->code_count)
        describe_bin(c, slots, j->rows, text);
    else
        describe_number(c, slots, j, kept, keep_numbers(values, count, kept), since, text);
}
