/* draw.c - a bin by its count, a value within the bin. */
#include "contract/draw.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "contract/text.h"

enum { TEXT_BYTES = 64 };

/* A bin of the profile, or -1 for a missing value. */
static int draw_bin(const struct contract_profile *profile, struct rand *rand)
{
    int64_t left = (int64_t)(rand_unit(rand) * (double)profile->row_count);
    for (int i = 0; i < profile->bin_count; i++) {
        if (left < profile->counts[i])
            return i;
        left -= profile->counts[i];
    }
    return -1;
}

/* The outer bins are endless: their far side is where the field's range ends, else as far away as
 * the neighbouring bin is wide. */
static double low_of(const struct contract_field *field, int bin)
{
    const struct contract_profile *profile = &field->profile;
    const double *edges = profile->edges;
    if (bin > 0)
        return edges[bin - 1];
    if (field->has_min)
        return field->min;
    return profile->edge_count > 1 ? 2 * edges[0] - edges[1] : edges[0];
}

static double high_of(const struct contract_field *field, int bin)
{
    const struct contract_profile *profile = &field->profile;
    const double *edges = profile->edges;
    int last = profile->edge_count - 1;
    if (bin <= last)
        return edges[bin];
    if (field->has_max)
        return field->max;
    return last > 0 ? 2 * edges[last] - edges[last - 1] : edges[last];
}

/* The next value of the field's kind towards `to`. Values are floats in the end. */
static double next_to(const struct contract_field *field, double value, double to)
{
    if (field->type == TYPE_INTEGER)
        return to > value ? floor(value) + 1 : ceil(value) - 1;
    return (double)nextafterf((float)value, (float)to);
}

/* Into the field's range, and off a bound that is not of it. */
static double keep_within(const struct contract_field *field, double value)
{
    if (field->has_min && (value < field->min || (field->is_min_exclusive && value <= field->min)))
        value = field->is_min_exclusive ? next_to(field, field->min, INFINITY) : field->min;
    if (field->has_max && (value > field->max || (field->is_max_exclusive && value >= field->max)))
        value = field->is_max_exclusive ? next_to(field, field->max, -INFINITY) : field->max;
    return value;
}

/* (low, high], as bins are; the field's own minimum belongs to its first bin. */
static double draw_between(const struct contract_field *field, double low, double high,
                           struct rand *rand)
{
    if (field->type != TYPE_INTEGER)
        return keep_within(field, (double)(float)(high - rand_unit(rand) * (high - low)));
    bool has_low = field->has_min && low <= field->min;
    double first = has_low ? ceil(low) : floor(low) + 1, last = floor(high);
    double count = last > first ? last - first + 1 : 1;
    return keep_within(field, first + floor(rand_unit(rand) * count));
}

static double draw_numeric(const struct contract_field *field, struct rand *rand)
{
    if (field->listed_count)
        return field->listed[(int)(rand_unit(rand) * field->listed_count)];
    if (field->has_profile && field->profile.edge_count > 0 && field->profile.row_count > 0) {
        int bin = draw_bin(&field->profile, rand);
        if (bin < 0)
            return NAN;
        return draw_between(field, low_of(field, bin), high_of(field, bin), rand);
    }
    double low = field->has_min ? field->min : field->has_max ? field->max - 1 : 0;
    double high = field->has_max ? field->max : low + 1;
    return draw_between(field, low, high, rand);
}

/* The last bin of the profile stands for all categories without one of their own. */
static double draw_category(const struct contract_field *field, struct rand *rand)
{
    int any = (int)(rand_unit(rand) * field->category_count);
    if (!field->has_profile || !field->profile.category_bins || field->profile.row_count == 0)
        return any;
    int bin = draw_bin(&field->profile, rand);
    if (bin < 0)
        return NAN;
    for (int i = 0; i < field->category_count; i++) {
        int code = (any + i) % field->category_count;
        if (field->profile.category_bins[code] == bin)
            return code;
    }
    return any;
}

double draw_number(const struct contract_field *field, struct rand *rand)
{
    double value;
    if (field->category_count)
        value = draw_category(field, rand);
    else if (field->type == TYPE_BOOLEAN)
        value = rand_unit(rand) < 0.5;
    else
        value = draw_numeric(field, rand);
    if (!isnan(value) || !field->is_required)
        return value;
    return field->category_count ? 0 : keep_within(field, 0);
}

/* ---- text ---- */

static void put_time(const struct contract_field *field, char out[TEXT_BYTES])
{
    time_t seconds = (time_t)(clock_wall_us() / CLOCK_SECOND_US);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(out, TEXT_BYTES, field->type == TYPE_DATE ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static bool is_time(const struct contract_field *field)
{
    return field->type == TYPE_DATE || field->type == TYPE_TIMESTAMP;
}

static bool draw_text(const struct contract_field *field, int64_t row, char out[TEXT_BYTES])
{
    if (is_time(field))
        put_time(field, out);
    else if (field->type == TYPE_INTEGER || field->type == TYPE_NUMBER)
        snprintf(out, TEXT_BYTES, "%lld", (long long)row);
    else
        snprintf(out, TEXT_BYTES, "key-%lld", (long long)row);
    int64_t length = text_length(str_of(out));
    bool fits =
        length >= field->length_min && (field->length_max < 0 || length <= field->length_max);
    return fits && !field->pattern && !(is_time(field) && field->format);
}

bool draw_json(const struct contract_field *field, struct rand *rand, int64_t row, struct buf *out)
{
    char text[TEXT_BYTES];
    if (field->is_text && !field->category_count) {
        if (!draw_text(field, row, text))
            return false;
        buf_json_str(out, str_of(text));
        return true;
    }
    double value = draw_number(field, rand);
    if (isnan(value))
        buf_lit(out, "null");
    else if (field->category_count)
        buf_json_str(out, field->categories[(int)value]);
    else if (field->type == TYPE_BOOLEAN)
        buf_text(out, value != 0 ? "true" : "false");
    else if (field->type == TYPE_INTEGER)
        buf_i64(out, (int64_t)value);
    else
        buf_f64(out, value);
    return true;
}
