/* ood.c - one pass over a row's cells, one tail probability at its end. */
#include "monitor/ood.h"

#include <math.h>

#include "base/check.h"
#include "contract/check.h"

/* ---- training rows ---- */

/* Categories without a bin of their own share the last one, which is taken as a whole. */
static double share_as_rare(const struct contract_profile *p, int bin)
{
    int rest = p->bin_count - 1;
    double count = (double)p->counts[rest] + 1;
    for (int i = 0; i < rest && bin != rest; i++)
        if (p->counts[i] <= p->counts[bin])
            count += (double)p->counts[i];
    return count / ((double)p->row_count + 1);
}

static void put_categories(struct ood_column *column, const struct contract_field *field,
                           struct arena *arena)
{
    const struct contract_profile *p = &field->profile;
    float *shares = arena_alloc(arena, (size_t)field->category_count * sizeof(*shares));
    assert(shares);
    for (int code = 0; code < field->category_count; code++)
        shares[code] = (float)share_as_rare(p, p->category_bins[code]);
    column->category_p = shares;
}

static void put_number(struct ood_column *column, const struct contract_field *field,
                       struct arena *arena)
{
    const struct contract_profile *p = &field->profile;
    float *known = arena_alloc(arena, (size_t)field->listed_count * sizeof(*known));
    assert(known || field->listed_count == 0);
    for (int i = 0; i < field->listed_count; i++)
        known[i] = (float)field->listed[i];
    column->known = known;
    column->known_count = field->listed_count;
    column->mean = p->mean;
    column->scale = p->std > 0 ? 1 / p->std : 0;
}

const struct ood_column *ood_column_new(const struct contract_field *field, struct arena *arena)
{
    const struct contract_profile *p = &field->profile;
    if (!field->has_profile || p->row_count < OOD_ROWS_MIN)
        return NULL;
    struct ood_column *column = arena_calloc(arena, 1, sizeof(*column));
    assert(column);
    column->missing_p = (float)(((double)p->missing_count + 1) / ((double)p->row_count + 1));
    if (p->category_bins)
        put_categories(column, field, arena);
    else
        put_number(column, field, arena);
    return column;
}

/* ---- a row ---- */

/* P(|T| >= t) of Student's t with 3 degrees of freedom, with u = t / sqrt(3):
 *
 *     1 - 2/pi (atan(u) + u / (1 + u^2)) = 2/pi (atan(1/u) - u / (1 + u^2))
 *
 * The right side loses digits for large u, where the series 2/pi * 2/(3 u^3) takes over: at
 * u = 1000 both agree to 1e-6. */
static double tail_of_t3(double t)
{
    double u = t / sqrt(3);
    if (u > 1000)
        return 4 / (3 * M_PI) / (u * u * u);
    return u > 0 ? 2 / M_PI * (atan(1 / u) - u / (1 + u * u)) : 1;
}

static bool is_known(const struct ood_column *column, float value)
{
    int low = 0, high = column->known_count - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2;
        if (column->known[middle] == value)
            return true;
        if (column->known[middle] < value)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return false;
}

/* The strangest cell so far: the least share, and the most standard deviations. */
struct strangest {
    double p, deviations;
};

static void add_number(struct strangest *s, const struct ood_column *column, float value)
{
    if (column->known_count) {
        s->p = is_known(column, value) ? s->p : 0;
        return;
    }
    double distance = fabs((double)value - column->mean);
    if (column->scale == 0)
        s->p = (float)column->mean == value ? s->p : 0;
    else if (distance * column->scale > s->deviations)
        s->deviations = distance * column->scale;
}

static void add_cell(struct strangest *s, const struct record_column *record_column, float value)
{
    const struct ood_column *column = record_column->training;
    double p = 1;
    if (isnan(value)) {
        p = cell_state(value) == CELL_OTHER ? 0 : (double)column->missing_p;
    } else if (column->category_p) {
        bool is_code = value >= 0 && value < (float)record_column->category_count;
        p = is_code ? (double)column->category_p[(int)value] : 0;
    } else {
        add_number(s, column, value);
    }
    s->p = p < s->p ? p : s->p;
}

double ood_of_row(const struct record *record, int64_t row)
{
    const struct record_schema *schema = record->schema;
    struct strangest s = {.p = 1};
    int count = 0;
    if (!record->values || row >= record->row_count)
        return NAN;
    const float *values = record->values + row * schema->value_count;
    for (int i = 0; i < schema->value_count; i++) {
        if (!schema->values[i].training)
            continue;
        add_cell(&s, &schema->values[i], values[i]);
        count++;
    }
    if (count == 0)
        return NAN;
    double p = fmin(s.p, tail_of_t3(s.deviations)) * count;
    return p < 1 ? fmin(OOD_MAX, 1 / p) : 1;
}
