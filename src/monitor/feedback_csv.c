/* feedback_csv.c - feedback as CSV: a column each for what an item may say.
 *
 *     id | key, model, as_of, at, feedback_id     which prediction, when
 *     label                                       the truth
 *     values.NAME                                 a business value
 *     event                                       the name of what happened
 *     name, value, unit, direction                one more value, flat
 *
 * An empty cell says nothing.
 */
#include <stdio.h>

#include "base/csv.h"
#include "monitor/feedback.h"
#include "monitor/outcome_store.h"

enum column_kind {
    COLUMN_ID,
    COLUMN_KEY,
    COLUMN_MODEL,
    COLUMN_AS_OF,
    COLUMN_AT,
    COLUMN_FEEDBACK_ID,
    COLUMN_LABEL,
    COLUMN_EVENT,
    COLUMN_NAME,
    COLUMN_VALUE,
    COLUMN_UNIT,
    COLUMN_DIRECTION,
    COLUMN_VALUES,
    COLUMN_KIND_COUNT,
};

static const char *const column_names[COLUMN_VALUES] = {
    "id",    "key",   "model", "as_of", "at",   "feedback_id",
    "label", "event", "name",  "value", "unit", "direction"};

struct column {
    enum column_kind kind;
    struct str value_name; /* of COLUMN_VALUES */
};

enum { COLUMNS_MAX = COLUMN_VALUES + OUTCOME_NAMES_MAX };

struct table {
    struct column columns[COLUMNS_MAX]; /* [count] */
    int count;
    struct arena *arena;
};

/* ---- the first line ---- */

static enum column_kind kind_of(struct str name)
{
    for (int i = 0; i < COLUMN_VALUES; i++)
        if (str_equal_c(name, column_names[i]))
            return (enum column_kind)i;
    return str_starts_with(name, STR_LIT("values.")) ? COLUMN_VALUES : COLUMN_KIND_COUNT;
}

static enum err_code refuse_column(struct str name, struct err *err)
{
    err_set(err, ERR_INVALID, "there is no column '%.*s' of feedback",
            (int)(name.len < 80 ? name.len : 80), name.ptr ? name.ptr : "");
    return err_hint(err, "id, key, model, as_of, at, label, event, values.NAME, name, value, unit, "
                         "direction, feedback_id");
}

static enum err_code read_column(struct table *table, struct str name, struct err *err)
{
    struct column column = {.kind = kind_of(name)};
    if (column.kind == COLUMN_KIND_COUNT)
        return refuse_column(name, err);
    if (column.kind == COLUMN_VALUES) {
        const size_t prefix = sizeof("values.") - 1;
        const char *copy = arena_copy(table->arena, name.ptr + prefix, name.len - prefix);
        if (!copy)
            return err_set(err, ERR_LIMIT, "no room for the feedback");
        column.value_name = (struct str){copy, name.len - prefix};
    }
    for (int i = 0; i < table->count; i++)
        if (table->columns[i].kind == column.kind &&
            str_equal(table->columns[i].value_name, column.value_name))
            return err_set(err, ERR_INVALID, "the column '%.*s' is there twice",
                           (int)(name.len < 80 ? name.len : 80), name.ptr);
    table->columns[table->count++] = column;
    return ERR_OK;
}

static enum err_code read_head(struct table *table, const struct str *cells, int count,
                               struct err *err)
{
    if (count == 0)
        return err_set(err, ERR_INVALID, "the body is empty: expected a line of column names");
    if (count > COLUMNS_MAX)
        return err_set(err, ERR_LIMIT, "%d columns, at most %d are taken", count, COLUMNS_MAX);
    for (int i = 0; i < count; i++) {
        enum err_code rc = read_column(table, str_trim(cells[i]), err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- a row ---- */

struct row {
    struct str cells[COLUMNS_MAX]; /* [table.count], trimmed copies */
};

static struct str cell_of(const struct table *table, const struct row *row, enum column_kind kind)
{
    for (int i = 0; i < table->count; i++)
        if (table->columns[i].kind == kind)
            return row->cells[i];
    return (struct str){0};
}

static enum err_code copy_row(struct table *table, const struct str *cells, struct row *row,
                              struct err *err)
{
    for (int i = 0; i < table->count; i++) {
        struct str cell = str_trim(cells[i]);
        const char *copy = arena_copy(table->arena, cell.ptr, cell.len);
        if (!copy)
            return err_set(err, ERR_LIMIT, "no room for the feedback");
        row->cells[i] = (struct str){copy, cell.len};
    }
    return ERR_OK;
}

static bool read_time(struct feedback_item *item, const struct table *table, const struct row *row,
                      enum column_kind kind, int64_t *wall_us, struct err *err, enum err_code *rc)
{
    struct str cell = cell_of(table, row, kind);
    if (cell.len == 0 || feedback_time(cell, wall_us))
        return true;
    *rc =
        feedback_refuse(item, err, "'%s': expected a time such as 2026-01-31T09:30:00Z, got '%.*s'",
                        column_names[kind], (int)(cell.len < 40 ? cell.len : 40), cell.ptr);
    return false;
}

static enum err_code add_text(struct feedback_item *item, enum outcome_kind kind, struct str text,
                              struct err *err)
{
    struct outcome *outcome;
    if (text.len == 0)
        return ERR_OK;
    enum err_code rc = feedback_add(item, &outcome, err);
    if (rc)
        return rc;
    outcome->kind = kind;
    outcome->name = kind == OUTCOME_LABEL ? STR_LIT(OUTCOME_LABEL_NAME) : text;
    if (kind == OUTCOME_LABEL)
        outcome->label = text;
    return ERR_OK;
}

static enum err_code add_value(struct feedback_item *item, struct str name, struct str cell,
                               struct outcome **outcome, struct err *err)
{
    double value;
    *outcome = NULL;
    if (cell.len == 0)
        return ERR_OK;
    if (name.len == 0)
        return feedback_refuse(item, err, "has a 'value' and no 'name'");
    if (!str_to_f64(cell, &value))
        return feedback_refuse(item, err, "value '%.*s' must be a number, got '%.*s'",
                               (int)(name.len < 64 ? name.len : 64), name.ptr,
                               (int)(cell.len < 40 ? cell.len : 40), cell.ptr);
    enum err_code rc = feedback_add(item, outcome, err);
    if (rc)
        return rc;
    (*outcome)->kind = OUTCOME_VALUE;
    (*outcome)->name = name;
    (*outcome)->value = value;
    return ERR_OK;
}

static bool is_refused(const struct feedback_item *item)
{
    const struct feedback *f = item->feedback;
    return f->count > item->first && f->outcomes[item->first].result == OUTCOME_REFUSED;
}

static enum err_code add_flat(struct feedback_item *item, const struct table *table,
                              const struct row *row, struct err *err)
{
    struct outcome *outcome;
    struct str direction = cell_of(table, row, COLUMN_DIRECTION);
    enum err_code rc = add_value(item, cell_of(table, row, COLUMN_NAME),
                                 cell_of(table, row, COLUMN_VALUE), &outcome, err);
    if (rc || !outcome)
        return rc;
    outcome->unit = cell_of(table, row, COLUMN_UNIT);
    if (!outcome_direction_parse(direction, &outcome->direction))
        return feedback_refuse(item, err,
                               "'direction': expected up or down (which is good), got '%.*s'",
                               (int)(direction.len < 40 ? direction.len : 40), direction.ptr);
    return ERR_OK;
}

static enum err_code add_all(struct feedback_item *item, const struct table *table,
                             const struct row *row, struct err *err)
{
    struct outcome *outcome;
    enum err_code rc = add_text(item, OUTCOME_LABEL, cell_of(table, row, COLUMN_LABEL), err);
    for (int i = 0; i < table->count && !rc && !is_refused(item); i++)
        if (table->columns[i].kind == COLUMN_VALUES)
            rc = add_value(item, table->columns[i].value_name, row->cells[i], &outcome, err);
    if (!rc && !is_refused(item))
        rc = add_flat(item, table, row, err);
    if (!rc && !is_refused(item))
        rc = add_text(item, OUTCOME_EVENT, cell_of(table, row, COLUMN_EVENT), err);
    return rc;
}

static enum err_code read_row(struct feedback_item *item, struct table *table,
                              const struct str *cells, int count, struct err *err)
{
    struct row row;
    enum err_code rc = ERR_OK;
    if (count != table->count)
        return feedback_refuse(item, err, "has %d cells, expected %d", count, table->count);
    rc = copy_row(table, cells, &row, err);
    if (rc)
        return rc;
    item->common.prediction_id = cell_of(table, &row, COLUMN_ID);
    item->common.key = cell_of(table, &row, COLUMN_KEY);
    item->common.feedback_id = cell_of(table, &row, COLUMN_FEEDBACK_ID);
    if (cell_of(table, &row, COLUMN_MODEL).len)
        item->common.model = cell_of(table, &row, COLUMN_MODEL).ptr;
    if (!read_time(item, table, &row, COLUMN_AT, &item->common.at_us, err, &rc) ||
        !read_time(item, table, &row, COLUMN_AS_OF, &item->common.until_us, err, &rc))
        return rc;
    rc = add_all(item, table, &row, err);
    return rc || is_refused(item) ? rc : feedback_end(item, err);
}

static enum err_code read_rows(struct csv *csv, const char *model, struct table *table,
                               struct feedback *feedback, struct err *err)
{
    const struct str *cells;
    int count = 0;
    struct feedback_item item;
    enum err_code rc = csv_next(csv, &cells, &count, err);
    if (!rc)
        rc = read_head(table, cells, count, err);
    if (rc)
        return rc;
    for (;;) {
        rc = csv_next(csv, &cells, &count, err);
        if (rc || count == 0)
            return rc;
        feedback_begin(&item, feedback, table->arena, model);
        rc = read_row(&item, table, cells, count, err);
        if (rc)
            return rc;
    }
}

enum err_code feedback_read_csv(struct str text, const char *model, struct arena *arena,
                                struct feedback *feedback, struct err *err)
{
    struct table table = {.arena = arena};
    struct csv *csv = csv_new(text, ',');
    *feedback = (struct feedback){0};
    enum err_code rc = read_rows(csv, model, &table, feedback, err);
    csv_free(csv);
    if (!rc && feedback->item_count == 0)
        rc = err_set(err, ERR_INVALID, "there are no rows of feedback below the column names");
    return rc;
}
