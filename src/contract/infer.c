/* infer.c - rows in, columns judged, document out. */
#include "contract/infer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/nearest.h"
#include "contract/infer_table.h"

enum {
    LISTED_MAX = 20,       /* whole numbers: different values of a list */
    LISTED_ROWS_EACH = 50, /* rows per value, on average */
    REPEATED_MIN = 3,      /* columns that share a sentinel */
};

void infer_hint_add(struct infer_table *t, const char *field, const char *fmt, ...)
{
    char text[256];
    va_list args;
    if (t->report->hint_count == INFER_HINTS_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const char *field_copy = arena_copy(t->arena, field, strlen(field));
    const char *text_copy = arena_copy(t->arena, text, strlen(text));
    if (field_copy && text_copy)
        t->report->hints[t->report->hint_count++] = (struct infer_hint){field_copy, text_copy};
}

static int categories_max(const struct infer_table *t)
{
    return t->options->categories_max ? t->options->categories_max : INFER_CATEGORIES_MAX;
}

bool infer_is_categorical(const struct infer_table *t, const struct infer_column *c)
{
    if (c->given)
        return true;
    return c->type == TYPE_STRING && !c->has_more_distinct && c->distinct_count > 0 &&
           c->distinct_count <= categories_max(t);
}

bool infer_is_listed(const struct infer_column *c)
{
    return c->type == TYPE_INTEGER && c->number_distinct_count > 1 &&
           c->number_distinct_count <= LISTED_MAX &&
           c->present_count >= LISTED_ROWS_EACH * c->number_distinct_count;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool is_field_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return false;
    return name.len > 0 && name.len <= CONTRACT_NAME_BYTES_MAX && str_is_utf8(name);
}

static enum err_code check_cell(const struct csv *csv, const struct infer_column *column,
                                struct str cell, struct err *err)
{
    if (!str_is_utf8(cell))
        return err_set(err, ERR_INVALID, "line %lld, column '%s': the cell is not UTF-8",
                       (long long)csv_line(csv), column->name);
    if (cell.len > CONTRACT_TEXT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "line %lld, column '%s': more than %d bytes of text",
                       (long long)csv_line(csv), column->name, (int)CONTRACT_TEXT_BYTES_MAX);
    return ERR_OK;
}

static enum err_code read_header(struct infer_table *t, struct csv *csv, struct err *err)
{
    const struct str *names;
    int count;
    enum err_code code = csv_next(csv, &names, &count, err);
    if (code)
        return code;
    if (count == 0)
        return err_set(err, ERR_INVALID, "the file is empty: expected a header with field names");
    if (count > CONTRACT_FIELDS_MAX)
        return err_set(err, ERR_LIMIT, "the header has %d columns, a contract at most %d", count,
                       (int)CONTRACT_FIELDS_MAX);
    t->columns = calloc((size_t)count, sizeof(*t->columns));
    if (!t->columns)
        abort();
    for (int i = 0; i < count; i++) {
        struct str name = str_trim(names[i]);
        const char *copy = arena_copy(t->arena, name.ptr, name.len);
        if (!copy)
            return err_set(err, ERR_LIMIT, "no room for the header");
        if (!is_field_name(name))
            return err_set(err, ERR_INVALID, "column %d: expected a name of 1 to %d bytes in UTF-8",
                           i + 1, (int)CONTRACT_NAME_BYTES_MAX);
        infer_column_init(&t->columns[t->column_count++], copy);
    }
    return ERR_OK;
}

static enum err_code add_row(struct infer_table *t, const struct csv *csv, const struct str *cells,
                             int count, struct err *err)
{
    if (count != t->column_count)
        return err_set(err, ERR_INVALID, "line %lld: expected %d cells, got %d",
                       (long long)csv_line(csv), t->column_count, count);
    if ((t->row_count + 1) * t->column_count > INFER_CELLS_MAX) {
        err_set(err, ERR_LIMIT, "more than %d cells: %lld rows of %d columns", (int)INFER_CELLS_MAX,
                (long long)t->row_count + 1, t->column_count);
        return err_hint(err, "infer the contract from a random sample of the rows");
    }
    for (int i = 0; i < count; i++) {
        enum err_code code = check_cell(csv, &t->columns[i], cells[i], err);
        if (code)
            return code;
        if (!infer_column_add(&t->columns[i], cells[i], t->arena))
            return err_set(err, ERR_LIMIT, "line %lld: no room for more texts",
                           (long long)csv_line(csv));
    }
    t->row_count++;
    return ERR_OK;
}

static enum err_code read_rows(struct infer_table *t, struct csv *csv, struct err *err)
{
    const struct str *cells;
    int count;
    enum err_code code;
    while (!(code = csv_next(csv, &cells, &count, err)) && count) {
        code = add_row(t, csv, cells, count, err);
        if (code)
            return code;
    }
    if (!code && t->row_count == 0)
        return err_set(err, ERR_INVALID, "the file has a header but no rows");
    return code;
}

/* --- options ---------------------------------------------------------------------------------- */

static enum err_code find_column(struct infer_table *t, const char *option, const char *name,
                                 struct infer_column **out, struct err *err)
{
    const char *names[NEAREST_NAMES_MAX];
    for (int i = 0; i < t->column_count; i++) {
        if (strcmp(t->columns[i].name, name) == 0) {
            *out = &t->columns[i];
            return ERR_OK;
        }
    }
    size_t count = (size_t)t->column_count;
    count = count < NEAREST_NAMES_MAX ? count : NEAREST_NAMES_MAX;
    for (size_t i = 0; i < count; i++)
        names[i] = t->columns[i].name;
    size_t near = nearest_name(str_of(name), names, count);
    err_set(err, ERR_INVALID, "%s '%s': the file has no such column", option, name);
    return near < count ? err_hint(err, "did you mean '%s'?", names[near]) : ERR_INVALID;
}

static enum err_code set_roles(struct infer_table *t, const char *option, const char *const *names,
                               int count, enum contract_role role, struct err *err)
{
    enum err_code code = ERR_OK;
    for (int i = 0; i < count && !code; i++) {
        struct infer_column *column = NULL;
        code = find_column(t, option, names[i], &column, err);
        if (!code)
            column->role = role;
    }
    return code;
}

static enum err_code apply_options(struct infer_table *t, struct err *err)
{
    const struct infer_options *o = t->options;
    struct infer_column *column = NULL;
    enum err_code code = ERR_OK;
    for (int i = 0; i < o->ignored_count && !code; i++) {
        code = find_column(t, "ignored column", o->ignored[i], &column, err);
        if (!code)
            column->is_ignored = true;
    }
    if (!code)
        code = set_roles(t, "key", o->keys, o->key_count, ROLE_KEY, err);
    if (!code)
        code = set_roles(t, "segment", o->segments, o->segment_count, ROLE_SEGMENT, err);
    if (!code && o->label) {
        code = find_column(t, "label", o->label, &t->label, err);
        if (!code)
            t->label->role = ROLE_LABEL;
    }
    for (int i = 0; i < o->unit_count && !code; i++) {
        code = find_column(t, "unit of", o->units[i].field, &column, err);
        if (!code)
            column->unit = o->units[i].unit;
    }
    for (int i = 0; i < o->categories_count && !code; i++) {
        code = find_column(t, "categories of", o->categories[i].field, &column, err);
        if (!code)
            column->given = &o->categories[i];
    }
    return code;
}

static enum err_code check_names(const struct infer_table *t, struct err *err)
{
    struct map seen;
    enum err_code code = ERR_OK;
    map_init(&seen);
    for (int i = 0; i < t->column_count && !code; i++) {
        struct str name = str_of(t->columns[i].name);
        if (map_find(&seen, name))
            code = err_set(err, ERR_INVALID, "two columns are named '%s'", t->columns[i].name);
        map_put(&seen, name, &t->columns[i]);
    }
    map_done(&seen);
    return code;
}

/* Every value of a column must be in the list that was given for it. */
static enum err_code check_given(const struct infer_table *t, struct err *err)
{
    for (int i = 0; i < t->column_count; i++) {
        const struct infer_column *c = &t->columns[i];
        if (c->given && c->has_more_distinct)
            return err_set(err, ERR_LIMIT, "categories of '%s': the rows have more than %d",
                           c->name, (int)INFER_DISTINCT_MAX);
        for (int k = 0; c->given && k < c->distinct_count; k++) {
            bool is_listed = false;
            for (int n = 0; n < c->given->count && !is_listed; n++)
                is_listed = str_equal_c(c->distincts[k].text, c->given->names[n]);
            if (!is_listed)
                return err_set(err, ERR_INVALID, "categories of '%s': the rows also have '%.*s'",
                               c->name, STR_ARG(c->distincts[k].text));
        }
    }
    return ERR_OK;
}

/* --- missing markers that are numbers --------------------------------------------------------- */

static bool is_same_sentinel(const struct infer_sentinel *a, double value)
{
    return a->is_there && a->value == value;
}

/* Far from the others here, or far in one column and an end of several. */
static bool is_marker(const struct infer_table *t, const struct infer_sentinel *s)
{
    int repeated = 0;
    bool is_far_somewhere = false;
    for (int i = 0; i < t->column_count; i++) {
        const struct infer_column *c = &t->columns[i];
        bool low = is_same_sentinel(&c->low, s->value), high = is_same_sentinel(&c->high, s->value);
        repeated += low || high;
        is_far_somewhere = is_far_somewhere || (low && c->low.is_far) || (high && c->high.is_far);
    }
    return s->is_there && (s->is_far || (is_far_somewhere && repeated >= REPEATED_MIN));
}

static void drop_sentinel(struct infer_table *t, struct infer_column *c,
                          const struct infer_sentinel *s)
{
    int64_t before = c->missing_count;
    if (c == t->label || c->role == ROLE_KEY || !is_marker(t, s))
        return;
    infer_column_drop_value(c, s->value);
    infer_hint_add(t, c->name, "%.9g in %.1f %% of the rows was taken for missing", s->value,
                   100.0 * (double)(c->missing_count - before) / (double)t->row_count);
}

/* --- the label -------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    struct str x = *(const struct str *)a, y = *(const struct str *)b;
    size_t least = x.len < y.len ? x.len : y.len;
    int order = least ? memcmp(x.ptr, y.ptr, least) : 0;
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

static int compare_numbers(const void *a, const void *b)
{
    double x = 0, y = 0;
    str_to_f64(*(const struct str *)a, &x);
    str_to_f64(*(const struct str *)b, &y);
    return (x > y) - (x < y);
}

static bool is_classes(const struct infer_column *label)
{
    if (label->type == TYPE_INTEGER)
        return label->distinct_count <= INFER_CLASSES_MAX && !label->has_more_distinct;
    return label->type == TYPE_BOOLEAN ||
           (label->type == TYPE_STRING && !label->has_more_distinct && label->distinct_count);
}

static enum err_code find_classes(struct infer_table *t, struct err *err)
{
    struct infer_column *label = t->label;
    if (!label || !is_classes(label)) {
        if (t->options->class_count)
            return err_set(err, ERR_INVALID, "classes were given, but %s",
                           label ? "the label is a number per row" : "no label column");
        return ERR_OK;
    }
    t->class_count = label->distinct_count;
    t->classes = arena_calloc(t->arena, (size_t)t->class_count, sizeof(*t->classes));
    if (!t->classes)
        return err_set(err, ERR_LIMIT, "no room for %d classes", t->class_count);
    for (int i = 0; i < t->class_count; i++)
        t->classes[i] = label->distincts[i].text;
    qsort(t->classes, (size_t)t->class_count, sizeof(*t->classes),
          label->type == TYPE_INTEGER ? compare_numbers : compare_texts);
    if (t->options->class_count && t->options->class_count != t->class_count)
        return err_set(err, ERR_INVALID, "%d classes were given, but the label '%s' has %d values",
                       t->options->class_count, label->name, t->class_count);
    return ERR_OK;
}

/* --- judging ---------------------------------------------------------------------------------- */

/* Text that is neither a category nor given a role stays out of the model. */
static void give_role(struct infer_table *t, struct infer_column *c)
{
    if (c->role != ROLE_FEATURE)
        return;
    if (c->type == TYPE_DATE || c->type == TYPE_TIMESTAMP) {
        c->role = ROLE_TIMESTAMP;
    } else if (c->type == TYPE_STRING && !infer_is_categorical(t, c)) {
        bool is_all_missing = c->distinct_count == 0;
        c->role = ROLE_SEGMENT;
        if (is_all_missing)
            infer_hint_add(t, c->name, "has no value in any row: it is kept out of the model");
        else
            infer_hint_add(
                t, c->name,
                "has %s%d different texts, too many for categories: it is kept out of the "
                "model",
                c->has_more_distinct ? "more than " : "", c->distinct_count);
    }
}

static void judge_number(struct infer_table *t, const struct infer_column *c)
{
    if (c->role != ROLE_FEATURE || !infer_column_is_number(c) || c->present_count == 0)
        return;
    if (c->is_id)
        infer_hint_add(t, c->name, "looks like an id (all different, in order): is it an input?");
    else if (c->number_distinct_count == 1)
        infer_hint_add(t, c->name, "has the same value in every row");
    double largest = fmax(fabs(c->sorted[0]), fabs(c->sorted[c->present_count - 1]));
    if (c->type == TYPE_INTEGER && largest > 16777216.0)
        infer_hint_add(t, c->name, "has whole numbers above 2^24, which float32 rounds");
}

static void judge_columns(struct infer_table *t)
{
    for (int i = 0; i < t->column_count; i++)
        infer_column_finish(&t->columns[i]);
    for (int i = 0; i < t->column_count; i++) {
        struct infer_column *c = &t->columns[i];
        struct infer_sentinel low = c->low, high = c->high;
        if (c->is_ignored)
            continue;
        drop_sentinel(t, c, &low);
        drop_sentinel(t, c, &high);
    }
    for (int i = 0; i < t->column_count; i++) {
        struct infer_column *c = &t->columns[i];
        infer_column_measure(c);
        if (c->is_ignored)
            continue;
        give_role(t, c);
        judge_number(t, c);
    }
}

static void judge_whole(struct infer_table *t)
{
    const struct infer_options *o = t->options;
    int64_t least = o->required_rows_min ? o->required_rows_min : INFER_REQUIRED_ROWS_MIN;
    int without_unit = 0;
    for (int i = 0; i < t->column_count; i++)
        without_unit += t->columns[i].role == ROLE_FEATURE && !t->columns[i].is_ignored &&
                        infer_column_is_number(&t->columns[i]) && !*t->columns[i].unit;
    if (t->row_count < least)
        infer_hint_add(t, "",
                       "%lld rows are too few to tell that a field is always there (%lld): none is "
                       "required (--required-rows)",
                       (long long)t->row_count, (long long)least);
    if (without_unit)
        infer_hint_add(t, "", "%d numeric fields have no unit", without_unit);
    if (!o->owner)
        infer_hint_add(t, "", "no owner was given");
    if (!o->label)
        infer_hint_add(t, "", "no label was given: the answer is not described");
}

static enum err_code check_inputs(const struct infer_table *t, struct err *err)
{
    for (int i = 0; i < t->column_count; i++)
        if (t->columns[i].role == ROLE_FEATURE && !t->columns[i].is_ignored)
            return ERR_OK;
    return err_set(err, ERR_INVALID, "the file has no column that could be an input of a model");
}

static enum err_code infer(struct infer_table *t, struct csv *csv, struct buf *yaml,
                           struct err *err)
{
    enum err_code code;
    if ((code = read_header(t, csv, err)) || (code = check_names(t, err)) ||
        (code = apply_options(t, err)) || (code = read_rows(t, csv, err)) ||
        (code = check_given(t, err)))
        return code;
    judge_columns(t);
    if ((code = check_inputs(t, err)) || (code = find_classes(t, err)))
        return code;
    infer_find_leaks(t);
    judge_whole(t);
    return infer_write(t, yaml, err);
}

enum err_code contract_infer(struct csv *csv, const struct infer_options *options,
                             struct arena *arena, struct buf *yaml, struct infer_report *report,
                             struct err *err)
{
    struct infer_report *r = arena_calloc(arena, 1, sizeof(*r));
    if (!r)
        return err_set(err, ERR_LIMIT, "no room for the report");
    struct infer_table table = {.options = options, .arena = arena, .report = r};
    enum err_code code = infer(&table, csv, yaml, err);
    r->row_count = table.row_count;
    if (!code)
        *report = *r;
    for (int i = 0; i < table.column_count; i++)
        infer_column_done(&table.columns[i]);
    free(table.columns);
    return code;
}
