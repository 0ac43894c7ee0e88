/* infer_column.c - types, missing markers and order statistics of one column. */
#include "contract/infer_column.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "contract/text.h"

enum {
    CODE_MISSING = -1,
    CODE_MANY = -2,
    SENTINEL_DISTINCT_MIN = 10, /* excludes columns of a few codes, whose ends are ordinary */
};

#define SENTINEL_SHARE_MIN 0.003
#define SENTINEL_GAP_IQRS 2.0

static void *grown(void *old, size_t bytes)
{
    void *p = realloc(old, bytes);
    if (!p)
        abort();
    return p;
}

void infer_column_init(struct infer_column *c, const char *name)
{
    *c = (struct infer_column){.name = name, .unit = ""};
    map_init(&c->distinct_by_text);
}

void infer_column_done(struct infer_column *c)
{
    free(c->values);
    free(c->codes);
    free(c->distincts);
    free(c->sorted);
    map_done(&c->distinct_by_text);
}

bool infer_column_is_number(const struct infer_column *c)
{
    return c->type == TYPE_NUMBER || c->type == TYPE_INTEGER;
}

/* --- cells ------------------------------------------------------------------------------------ */

static bool is_missing_text(struct str cell)
{
    static const char *const texts[] = {"NA", "N/A", "nan", "null", "UNK", "unknown", "?", "-"};
    if (cell.len == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (str_equal_nocase(cell, str_of(texts[i])))
            return true;
    return false;
}

static bool note_marker(struct infer_column *c, struct str cell, struct arena *arena)
{
    c->missing_count++;
    if (cell.len == 0 || c->marker_count == CONTRACT_MARKERS_MAX)
        return true;
    for (int i = 0; i < c->marker_count; i++)
        if (str_equal(c->markers[i], cell))
            return true;
    const char *copy = arena_copy(arena, cell.ptr, cell.len);
    if (!copy)
        return false;
    c->markers[c->marker_count++] = (struct str){copy, cell.len};
    return true;
}

/* Code of a text, or CODE_MANY; -3 when the arena is full. */
static int code_of(struct infer_column *c, struct str cell, struct arena *arena)
{
    if (c->has_more_distinct)
        return CODE_MANY; /* nobody asks for the texts of such a column */
    uintptr_t found = (uintptr_t)map_find(&c->distinct_by_text, cell);
    if (found) {
        c->distincts[found - 1].count++;
        return (int)found - 1;
    }
    if (c->distinct_count == INFER_DISTINCT_MAX) {
        c->has_more_distinct = true;
        return CODE_MANY;
    }
    const char *copy = arena_copy(arena, cell.ptr, cell.len);
    if (!copy)
        return -3;
    if (c->distinct_count % 64 == 0)
        c->distincts =
            grown(c->distincts, ((size_t)c->distinct_count + 64) * sizeof(*c->distincts));
    struct str text = {copy, cell.len};
    c->distincts[c->distinct_count] = (struct infer_distinct){text, 1};
    map_put(&c->distinct_by_text, text, (void *)((uintptr_t)c->distinct_count + 1));
    return c->distinct_count++;
}

static double classify(struct infer_column *c, struct str cell)
{
    int64_t whole;
    double number = NAN;
    bool flag;
    if (text_to_bool(cell, &flag)) {
        c->flag_count++;
        c->word_flag_count += cell.len > 1;
    }
    if (str_to_f64(cell, &number) && fabs(number) <= (double)FLT_MAX) {
        c->number_count++;
        c->whole_count += str_to_i64(cell, &whole);
        return number;
    }
    c->date_count += text_is_date(cell, NULL);
    c->time_count += text_is_timestamp(cell, NULL);
    return NAN;
}

bool infer_column_add(struct infer_column *c, struct str cell, struct arena *arena)
{
    struct str trimmed = str_trim(cell);
    if (c->row_count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 1024;
        c->values = grown(c->values, (size_t)c->capacity * sizeof(*c->values));
        c->codes = grown(c->codes, (size_t)c->capacity * sizeof(*c->codes));
    }
    double value = NAN;
    int code = CODE_MISSING;
    if (is_missing_text(trimmed)) {
        if (!note_marker(c, trimmed, arena))
            return false;
    } else {
        value = classify(c, trimmed);
        code = code_of(c, cell, arena);
        if (code == -3)
            return false;
    }
    c->values[c->row_count] = value;
    c->codes[c->row_count++] = code;
    return true;
}

/* --- types and sentinels ---------------------------------------------------------------------- */

static enum contract_type type_of(const struct infer_column *c)
{
    int64_t present = c->row_count - c->missing_count;
    if (present == 0)
        return TYPE_STRING;
    if (c->whole_count == present)
        return TYPE_INTEGER;
    if (c->number_count == present)
        return TYPE_NUMBER;
    if (c->date_count == present)
        return TYPE_DATE;
    if (c->time_count == present)
        return TYPE_TIMESTAMP;
    if (c->flag_count == present && c->word_flag_count > 0)
        return TYPE_BOOLEAN;
    return TYPE_STRING;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort_present(struct infer_column *c)
{
    free(c->sorted);
    c->sorted = grown(NULL, ((size_t)c->row_count + 1) * sizeof(*c->sorted));
    c->present_count = 0;
    for (int64_t i = 0; i < c->row_count; i++)
        if (!isnan(c->values[i]))
            c->sorted[c->present_count++] = c->values[i];
    qsort(c->sorted, (size_t)c->present_count, sizeof(*c->sorted), compare_doubles);
    c->number_distinct_count = c->present_count > 0;
    for (int64_t i = 1; i < c->present_count; i++)
        c->number_distinct_count += c->sorted[i] != c->sorted[i - 1];
}

double infer_quantile(const double *sorted, int64_t count, double q)
{
    assert(count > 0);
    double at = q * (double)(count - 1);
    int64_t below = (int64_t)floor(at);
    double t = at - (double)below;
    double a = sorted[below], b = sorted[below + 1 < count ? below + 1 : below];
    return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

/* Values equal to the one at an end: sorted[first .. first + count). */
static struct infer_sentinel judge_end(const struct infer_column *c, double value,
                                       const double *others, int64_t other_count, double nearest)
{
    struct infer_sentinel s = {.value = value};
    double share = (double)(c->present_count - other_count) / (double)c->row_count;
    if (c->number_distinct_count < SENTINEL_DISTINCT_MIN || share < SENTINEL_SHARE_MIN)
        return s;
    double iqr =
        infer_quantile(others, other_count, 0.75) - infer_quantile(others, other_count, 0.25);
    s.is_there = true;
    s.is_far = fabs(nearest - value) > SENTINEL_GAP_IQRS * iqr;
    return s;
}

static void find_sentinels(struct infer_column *c)
{
    int64_t n = c->present_count, first = 1, last = n - 1;
    if (c->number_distinct_count < 2)
        return;
    while (c->sorted[first] == c->sorted[0])
        first++;
    while (c->sorted[last - 1] == c->sorted[n - 1])
        last--;
    c->low = judge_end(c, c->sorted[0], c->sorted + first, n - first, c->sorted[first]);
    c->high = judge_end(c, c->sorted[n - 1], c->sorted, last, c->sorted[last - 1]);
}

void infer_column_finish(struct infer_column *c)
{
    c->type = type_of(c);
    if (!infer_column_is_number(c))
        return;
    sort_present(c);
    find_sentinels(c);
}

void infer_column_drop_value(struct infer_column *c, double value)
{
    assert(c->number_marker_count < (int)ARRAY_LEN(c->number_markers));
    c->number_markers[c->number_marker_count++] = value;
    for (int64_t i = 0; i < c->row_count; i++) {
        if (c->values[i] == value) {
            c->values[i] = NAN;
            c->codes[i] = CODE_MISSING;
            c->missing_count++;
        }
    }
}

/* --- measuring -------------------------------------------------------------------------------- */

static bool is_monotone(const struct infer_column *c)
{
    double last = NAN;
    int direction = 0;
    for (int64_t i = 0; i < c->row_count; i++) {
        double v = c->values[i];
        if (isnan(v))
            continue;
        int step = isnan(last) ? 0 : (v > last) - (v < last);
        if (!isnan(last) && (step == 0 || (direction != 0 && step != direction)))
            return false;
        direction = step ? step : direction;
        last = v;
    }
    return direction != 0;
}

void infer_column_measure(struct infer_column *c)
{
    c->is_measured = true;
    c->present_count = c->row_count - c->missing_count;
    if (!infer_column_is_number(c))
        return;
    if (c->number_marker_count)
        sort_present(c);
    c->is_id =
        c->present_count > 1 && c->number_distinct_count == c->present_count && is_monotone(c);
}
