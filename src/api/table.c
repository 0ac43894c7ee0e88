/* table.c - the forms of a table, and its cells put into the fields of a contract. */
#include "api/table.h"

#include "api/row_json.h"
#include "api/table_tensor.h"
#include "base/check.h"
#include "base/csv.h"

/* ---- forms ---- */

enum err_code table_of_rows(yyjson_val *array, const char *what, struct table *table,
                            struct err *err)
{
    if (!yyjson_is_arr(array))
        return err_set(err, ERR_INVALID, "'%s' must be an array of rows, got %s", what,
                       yyjson_get_type_desc(array));
    *table = (struct table){
        .form = yyjson_is_obj(yyjson_arr_get_first(array)) ? TABLE_RECORDS : TABLE_LISTS,
        .what = what,
        .rows = array,
        .row_count = (int64_t)yyjson_arr_size(array),
    };
    if (table->row_count == 0)
        return err_set(err, ERR_INVALID, "'%s' is empty: nothing to predict", what);
    return ERR_OK;
}

static int64_t column_rows(yyjson_val *column)
{
    return yyjson_is_arr(column) ? (int64_t)yyjson_arr_size(column) : 1;
}

enum err_code table_of_columns(yyjson_val *object, const char *what, struct table *table,
                               struct err *err)
{
    size_t i, count;
    yyjson_val *key, *column;
    if (!yyjson_is_obj(object) || yyjson_obj_size(object) == 0)
        return err_set(err, ERR_INVALID, "'%s' must be an object of columns, got %s", what,
                       yyjson_is_obj(object) ? "an empty one" : yyjson_get_type_desc(object));
    *table = (struct table){.form = TABLE_COLUMNS, .what = what, .rows = object};
    yyjson_obj_foreach(object, i, count, key, column)
    {
        int64_t rows = column_rows(column);
        if (i > 0 && rows != table->row_count)
            return err_set(err, ERR_INVALID, "'%s': column '%s' has %lld rows, the first has %lld",
                           what, yyjson_get_str(key), (long long)rows, (long long)table->row_count);
        table->row_count = rows;
    }
    if (table->row_count == 0)
        return err_set(err, ERR_INVALID, "'%s' has no rows: nothing to predict", what);
    return ERR_OK;
}

enum err_code table_of_split(yyjson_val *object, const char *what, struct table *table,
                             struct err *err)
{
    yyjson_val *names = yyjson_obj_get(object, "columns");
    yyjson_val *data = yyjson_obj_get(object, "data");
    if (!data) {
        err_set(err, ERR_INVALID, "'%s' has no 'data'", what);
        return err_hint(err, "send {\"columns\": [names], \"data\": [[values], ...]}");
    }
    if (names && !yyjson_is_arr(names))
        return err_set(err, ERR_INVALID, "'%s': 'columns' must be an array of names, got %s", what,
                       yyjson_get_type_desc(names));
    enum err_code rc = table_of_rows(data, what, table, err);
    if (rc)
        return rc;
    if (table->form == TABLE_RECORDS)
        return err_set(err, ERR_INVALID, "'%s': a row of 'data' must be a list, got an object",
                       what);
    table->names = names;
    return ERR_OK;
}

enum err_code table_of_csv(struct str text, struct table *table, struct err *err)
{
    *table = (struct table){.form = TABLE_CSV, .what = "the CSV text", .csv = text};
    struct csv *csv = csv_new(text, ',');
    const struct str *cells;
    int count = 0;
    enum err_code rc;
    while (!(rc = csv_next(csv, &cells, &count, err)) && count)
        table->row_count++;
    csv_free(csv);
    if (!rc && table->row_count == 0)
        rc = err_set(err, ERR_INVALID, "the CSV text has no rows: nothing to predict");
    return rc;
}

static int find_name(yyjson_val *names, const char *name)
{
    size_t i, count;
    yyjson_val *value;
    yyjson_arr_foreach(names, i, count, value)
    {
        if (yyjson_equals_str(value, name))
            return (int)i;
    }
    return -1;
}

yyjson_val *table_first_value(const struct table *table, const char *name)
{
    yyjson_val *value;
    int place;
    switch (table->form) {
    case TABLE_RECORDS:
        return yyjson_obj_get(yyjson_arr_get_first(table->rows), name);
    case TABLE_COLUMNS:
        value = yyjson_obj_get(table->rows, name);
        return yyjson_is_arr(value) ? yyjson_arr_get_first(value) : value;
    case TABLE_LISTS:
        place = find_name(table->names, name);
        return place < 0 ? NULL : yyjson_arr_get(yyjson_arr_get_first(table->rows), (size_t)place);
    case TABLE_CSV:
        break;
    }
    return NULL;
}

/* ---- into the fields of a contract ---- */

/* A value of one field may stand in a list of its own, as TensorFlow's callers write it. */
static yyjson_val *unwrap(yyjson_val *value)
{
    return yyjson_is_arr(value) && yyjson_arr_size(value) == 1 ? yyjson_arr_get_first(value)
                                                               : value;
}

/* Which field each of `count` places is, when no names were given: all inputs in the contract's
 * order, or the features alone. NULL when the count fits neither: then that has been noted. */
static const struct contract_field **fields_by_place(struct rows *rows, size_t count)
{
    const struct contract *contract = rows->contract;
    if (count == (size_t)contract->input_count)
        return contract->inputs;
    if (count == (size_t)contract->feature_count) {
        const struct contract_field **fields = arena_calloc(rows->arena, count, sizeof(*fields));
        for (size_t i = 0; fields && i < count; i++)
            fields[i] = contract->values[contract->feature_columns[i]];
        rows->is_over_limit = rows->is_over_limit || !fields;
        return fields;
    }
    const char *expected = contract->feature_count == contract->input_count
                               ? arena_printf(rows->arena, "%d values", contract->input_count)
                               : arena_printf(rows->arena, "%d values, or the %d features",
                                              contract->input_count, contract->feature_count);
    const char *got = arena_printf(rows->arena, "%zu", count);
    if (expected && got)
        rows_put_shape(rows, expected, got);
    else
        rows->is_over_limit = true;
    return NULL;
}

/* The fields of a list of names; NULL where there is none, which has been noted. */
static enum err_code fields_by_name(struct rows *rows, const struct str *names, size_t count,
                                    const struct contract_field ***out, struct err *err)
{
    const struct contract *contract = rows->contract;
    const struct contract_field **fields = arena_calloc(rows->arena, count, sizeof(*fields));
    bool *is_seen = arena_calloc(rows->arena, (size_t)contract->field_count, sizeof(*is_seen));
    if (!fields || !is_seen)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    for (size_t i = 0; i < count; i++) {
        fields[i] = contract_field_find(contract, names[i]);
        if (!fields[i])
            rows_put_unknown(rows, 0, names[i]);
        else if (is_seen[fields[i]->index])
            return err_set(err, ERR_INVALID, "column '%s' occurs twice", fields[i]->name);
        else
            is_seen[fields[i]->index] = true;
    }
    *out = fields;
    return ERR_OK;
}

static enum err_code put_record(const struct table *table, struct rows *rows, int64_t row,
                                yyjson_val *object, struct err *err)
{
    int place = 0;
    size_t i, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object))
        return err_set(err, ERR_INVALID, "'%s': row %lld must be an object as the first is, got %s",
                       table->what, (long long)row, yyjson_get_type_desc(object));
    yyjson_obj_foreach(object, i, count, key, value)
    {
        const struct contract_field *field =
            contract_field_next(rows->contract, &place, json_str(key));
        if (field)
            row_put_json(rows, row, field, unwrap(value));
        else
            rows_put_unknown(rows, row, json_str(key));
    }
    return ERR_OK;
}

static enum err_code put_records(const struct table *table, struct rows *rows, struct err *err)
{
    size_t row, count;
    yyjson_val *object;
    yyjson_arr_foreach(table->rows, row, count, object)
    {
        enum err_code rc = put_record(table, rows, (int64_t)row, object, err);
        if (rc || rows->is_rejected)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_names(yyjson_val *array, struct arena *arena, const struct str **out,
                                struct err *err)
{
    size_t i, count = yyjson_arr_size(array);
    struct str *names = arena_calloc(arena, count, sizeof(*names));
    yyjson_val *name;
    if (!names)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    yyjson_arr_foreach(array, i, count, name)
    {
        if (!yyjson_is_str(name))
            return err_set(err, ERR_INVALID, "'columns': a name must be text, got %s",
                           yyjson_get_type_desc(name));
        names[i] = json_str(name);
    }
    *out = names;
    return ERR_OK;
}

static enum err_code list_fields(const struct table *table, struct rows *rows, size_t *width,
                                 const struct contract_field ***fields, struct err *err)
{
    yyjson_val *first = yyjson_arr_get_first(table->rows);
    const struct str *names = NULL;
    if (!table->names) {
        *width = yyjson_is_arr(first) ? yyjson_arr_size(first) : 1;
        *fields = fields_by_place(rows, *width);
        return ERR_OK;
    }
    *width = yyjson_arr_size(table->names);
    enum err_code rc = read_names(table->names, rows->arena, &names, err);
    return rc ? rc : fields_by_name(rows, names, *width, fields, err);
}

static enum err_code put_list(const struct table *table, struct rows *rows, int64_t row,
                              yyjson_val *list, size_t width,
                              const struct contract_field *const *fields, struct err *err)
{
    size_t i, count;
    yyjson_val *value;
    if (!yyjson_is_arr(list)) { /* one column: the row may be its value */
        if (fields[0])
            row_put_json(rows, row, fields[0], list);
        return ERR_OK;
    }
    if (yyjson_arr_size(list) != width)
        return err_set(err, ERR_INVALID, "'%s': row %lld has %zu values, expected %zu", table->what,
                       (long long)row, yyjson_arr_size(list), width);
    yyjson_arr_foreach(list, i, count, value)
    {
        if (fields[i])
            row_put_json(rows, row, fields[i], unwrap(value));
    }
    return ERR_OK;
}

static enum err_code put_lists(const struct table *table, struct rows *rows, struct err *err)
{
    const struct contract_field **fields = NULL;
    size_t row, count, width;
    yyjson_val *list;
    enum err_code rc = list_fields(table, rows, &width, &fields, err);
    if (rc || !fields)
        return rc;
    yyjson_arr_foreach(table->rows, row, count, list)
    {
        if (!yyjson_is_arr(list) && width != 1)
            return err_set(err, ERR_INVALID, "'%s': row %zu must be a list of %zu values, got %s",
                           table->what, row, width, yyjson_get_type_desc(list));
        rc = put_list(table, rows, (int64_t)row, list, width, fields, err);
        if (rc || rows->is_rejected)
            return rc;
    }
    return ERR_OK;
}

static void put_column(struct rows *rows, const struct contract_field *field, yyjson_val *column)
{
    size_t row, count;
    yyjson_val *value;
    if (!yyjson_is_arr(column)) {
        row_put_json(rows, 0, field, column);
        return;
    }
    yyjson_arr_foreach(column, row, count, value)
    {
        row_put_json(rows, (int64_t)row, field, unwrap(value));
    }
}

static enum err_code put_columns(const struct table *table, struct rows *rows)
{
    int place = 0;
    size_t i, count;
    yyjson_val *key, *column;
    yyjson_obj_foreach(table->rows, i, count, key, column)
    {
        const struct contract_field *field =
            contract_field_next(rows->contract, &place, json_str(key));
        if (field)
            put_column(rows, field, column);
        else
            rows_put_unknown(rows, 0, json_str(key));
    }
    return ERR_OK;
}

/* ---- CSV ---- */

/* A first line whose every cell is the name of a field is a header. */
static bool is_header(const struct contract *contract, const struct str *cells, int count)
{
    for (int i = 0; i < count; i++)
        if (!contract_field_find(contract, cells[i]))
            return false;
    return true;
}

static enum err_code put_csv_rows(struct csv *csv, struct rows *rows,
                                  const struct contract_field *const *fields, int width,
                                  struct err *err)
{
    const struct str *cells;
    int count;
    for (int64_t row = 0; row < rows->count && !rows->is_rejected; row++) {
        enum err_code rc = csv_next(csv, &cells, &count, err);
        if (rc)
            return rc;
        if (count != width)
            return err_set(err, ERR_INVALID, "line %lld has %d cells, expected %d",
                           (long long)csv_line(csv), count, width);
        for (int i = 0; i < count; i++) {
            const char *copy = arena_copy(rows->arena, cells[i].ptr, cells[i].len);
            if (!copy)
                return err_set(err, ERR_LIMIT, "the request does not fit its memory");
            rows_put_csv(rows, row, fields[i], (struct str){copy, cells[i].len});
        }
    }
    return ERR_OK;
}

static enum err_code begin_rows(struct request *req, int64_t count, struct err *err)
{
    enum err_code rc = rows_begin(&req->rows, req->loaded->contract, count, req->arena, err);
    req->has_rows = !rc;
    req->row_count = count;
    return rc;
}

static enum err_code fill_csv(const struct table *table, struct request *req, struct err *err)
{
    const struct contract *contract = req->loaded->contract;
    const struct contract_field **fields = NULL;
    const struct str *cells;
    struct csv *csv = csv_new(table->csv, ',');
    int width = 0;
    enum err_code rc = csv_next(csv, &cells, &width, err);
    bool has_header = !rc && is_header(contract, cells, width);
    if (has_header && table->row_count == 1)
        rc = err_set(err, ERR_INVALID, "the CSV text has a header and no rows: nothing to predict");
    if (!rc)
        rc = begin_rows(req, table->row_count - has_header, err);
    if (!rc && has_header)
        rc = fields_by_name(&req->rows, cells, (size_t)width, &fields, err);
    else if (!rc)
        fields = fields_by_place(&req->rows, (size_t)width);
    if (!rc && fields && !has_header) { /* the first line is a row */
        csv_free(csv);
        csv = csv_new(table->csv, ',');
    }
    if (!rc && fields)
        rc = put_csv_rows(csv, &req->rows, fields, width, err);
    csv_free(csv);
    return rc;
}

/* ---- either way ---- */

static enum err_code fill_rows(const struct table *table, struct request *req, struct err *err)
{
    if (table->form == TABLE_CSV)
        return fill_csv(table, req, err);
    enum err_code rc = begin_rows(req, table->row_count, err);
    if (rc)
        return rc;
    switch (table->form) {
    case TABLE_RECORDS:
        return put_records(table, &req->rows, err);
    case TABLE_LISTS:
        return put_lists(table, &req->rows, err);
    default:
        return put_columns(table, &req->rows);
    }
}

enum err_code table_fill(const struct table *table, struct request *req, struct err *err)
{
    if (table->row_count > req->thread->predict_rows_max)
        return err_set(err, ERR_LIMIT, "%lld rows in one request, at most %lld are taken",
                       (long long)table->row_count, (long long)req->thread->predict_rows_max);
    return req->loaded->contract ? fill_rows(table, req, err) : table_fill_tensors(table, req, err);
}
