/* table_tensor.c - a table becomes an OIP request, which knows how to fill tensors.
 *
 * Values are written as the JSON data of each input and read back, so that every datatype and
 * every complaint is the one of oip_fill.c. Text inputs become the binary form instead, since
 * {"b64": ...} may be any bytes.
 */
#include "api/table_tensor.h"

#include <openssl/evp.h>

#include "api/oip_fill.h"
#include "base/check.h"
#include "base/csv.h"

enum { TEXT_BYTES_MAX = 256 * 1024 * 1024 };

/* ---- what one input is made of ---- */

struct gather {
    const struct table *table;
    const struct signature_tensor *tensor;
    struct arena *arena;
    struct buf text; /* JSON of `data`, or the bytes of a BYTES input */
    struct err *err;
};

static enum err_code too_large(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

static enum err_code put_base64(struct gather *g, struct str text)
{
    size_t bytes = text.len / 4 * 3;
    uint8_t *out = arena_alloc(g->arena, bytes + 4);
    if (!out)
        return too_large(g->err);
    int got = text.len % 4 == 0 && text.len < INT32_MAX
                  ? EVP_DecodeBlock(out, (const uint8_t *)text.ptr, (int)text.len)
                  : -1;
    if (got < 0)
        return err_set(g->err, ERR_INVALID, "'%s': a 'b64' value is not base64", g->table->what);
    for (size_t i = text.len; i > 0 && i + 2 > text.len && text.ptr[i - 1] == '='; i--)
        got--;
    uint32_t size = (uint32_t)got;
    buf_append(&g->text, &size, sizeof(size));
    buf_append(&g->text, out, size);
    return ERR_OK;
}

static enum err_code put_bytes(struct gather *g, yyjson_val *value)
{
    yyjson_val *b64 = yyjson_obj_get(value, "b64");
    if (yyjson_is_str(b64) && yyjson_obj_size(value) == 1)
        return put_base64(g, json_str(b64));
    if (!yyjson_is_str(value))
        return err_set(g->err, ERR_INVALID, "'%s': input '%s' takes text or {\"b64\": ...}, got %s",
                       g->table->what, g->tensor->name, yyjson_get_type_desc(value));
    uint32_t size = (uint32_t)yyjson_get_len(value);
    buf_append(&g->text, &size, sizeof(size));
    buf_append(&g->text, yyjson_get_str(value), size);
    return ERR_OK;
}

/* Every leaf of nested lists, in order. Lists inside lists stay below JSON_DEPTH_MAX. */
static enum err_code put_leaves(struct gather *g, yyjson_val *value)
{
    yyjson_arr_iter iters[JSON_DEPTH_MAX];
    int depth = 0;
    enum err_code rc = ERR_OK;
    if (!yyjson_is_arr(value))
        return put_bytes(g, value);
    yyjson_arr_iter_init(value, &iters[depth++]);
    while (depth > 0 && !rc) {
        yyjson_val *next = yyjson_arr_iter_next(&iters[depth - 1]);
        if (!next)
            depth--;
        else if (!yyjson_is_arr(next))
            rc = put_bytes(g, next);
        else if (depth < JSON_DEPTH_MAX)
            yyjson_arr_iter_init(next, &iters[depth++]);
        else
            rc = err_set(g->err, ERR_LIMIT, "'%s' is nested too deeply", g->table->what);
    }
    return rc;
}

static enum err_code put_one(struct gather *g, yyjson_val *value, int64_t row)
{
    if (g->tensor->dtype == DTYPE_BYTES)
        return put_leaves(g, value);
    if (row > 0)
        buf_char(&g->text, ',');
    json_write(&g->text, value);
    return ERR_OK;
}

/* ---- the shape ---- */

/* As the first of each list says; oip_fill finds out when others differ. A model's trailing
 * dimension of 1 may be left out. */
static enum err_code read_shape(struct gather *g, yyjson_val *first, int64_t count,
                                struct oip_input *input)
{
    const struct signature_tensor *want = g->tensor;
    input->rank = 0;
    input->shape[input->rank++] = count;
    for (; yyjson_is_arr(first); first = yyjson_arr_get_first(first)) {
        if (input->rank == TENSOR_RANK_MAX)
            return err_set(g->err, ERR_LIMIT, "'%s' has more than %d dimensions", g->table->what,
                           TENSOR_RANK_MAX);
        input->shape[input->rank++] = (int64_t)yyjson_arr_size(first);
    }
    if (input->rank == want->rank - 1 && want->shape[want->rank - 1] == 1)
        input->shape[input->rank++] = 1;
    input->element_count = tensor_elements(input->shape, input->rank);
    return input->element_count < 0
               ? err_set(g->err, ERR_LIMIT, "'%s' has too many elements", g->table->what)
               : ERR_OK;
}

static enum err_code finish_input(struct gather *g, struct oip_input *input)
{
    input->name = str_of(g->tensor->name);
    input->dtype = g->tensor->dtype;
    if (g->text.is_full)
        return too_large(g->err);
    if (g->tensor->dtype != DTYPE_BYTES)
        return json_read(buf_view(&g->text), g->arena, &input->data, g->err);
    const char *copy = arena_copy(g->arena, g->text.data, g->text.len);
    input->binary = (struct str){copy, g->text.len};
    return copy ? ERR_OK : too_large(g->err);
}

/* ---- one input by its name ---- */

static enum err_code gather_record(struct gather *g, struct oip_input *input)
{
    size_t row, count;
    yyjson_val *object, *first = NULL;
    yyjson_arr_foreach(g->table->rows, row, count, object)
    {
        yyjson_val *value = yyjson_obj_get(object, g->tensor->name);
        first = row == 0 ? value : first;
        if (!value)
            return err_set(g->err, ERR_INVALID, "'%s': row %zu has no input '%s'", g->table->what,
                           row, g->tensor->name);
        enum err_code rc = put_one(g, value, (int64_t)row);
        if (rc)
            return rc;
    }
    return read_shape(g, first, (int64_t)count, input);
}

static enum err_code gather_column(struct gather *g, struct oip_input *input)
{
    size_t row, count;
    yyjson_val *column = yyjson_obj_get(g->table->rows, g->tensor->name), *value;
    if (!yyjson_is_arr(column)) {
        enum err_code rc = put_one(g, column, 0);
        return rc ? rc : read_shape(g, NULL, 1, input);
    }
    yyjson_arr_foreach(column, row, count, value)
    {
        enum err_code rc = put_one(g, value, (int64_t)row);
        if (rc)
            return rc;
    }
    return read_shape(g, yyjson_arr_get_first(column), (int64_t)count, input);
}

static enum err_code gather_named(struct gather *g, struct oip_input *input)
{
    return g->table->form == TABLE_RECORDS ? gather_record(g, input) : gather_column(g, input);
}

static bool has_name(const struct table *table, const char *name)
{
    return (table->form == TABLE_RECORDS || table->form == TABLE_COLUMNS) &&
           table_first_value(table, name);
}

/* ---- the one input, whole ---- */

static enum err_code gather_lists(struct gather *g, struct oip_input *input)
{
    size_t row, count;
    yyjson_val *value;
    yyjson_arr_foreach(g->table->rows, row, count, value)
    {
        enum err_code rc = put_one(g, value, (int64_t)row);
        if (rc)
            return rc;
    }
    return read_shape(g, yyjson_arr_get_first(g->table->rows), (int64_t)count, input);
}

static enum err_code put_cells(struct gather *g, const struct str *cells, int count, int64_t line)
{
    for (int i = 0; i < count; i++) {
        double number;
        if (cells[i].len && !str_to_f64(cells[i], &number))
            return err_set(g->err, ERR_INVALID, "line %lld: '%.*s' is not a number",
                           (long long)line, STR_ARG(cells[i]));
        buf_text(&g->text, i ? "," : "");
        if (cells[i].len)
            buf_f64(&g->text, number);
        else
            buf_lit(&g->text, "null");
    }
    return ERR_OK;
}

static enum err_code gather_csv_rows(struct gather *g, struct csv *csv, int width)
{
    const struct str *cells;
    for (int64_t row = 0; row < g->table->row_count; row++) {
        int count;
        enum err_code rc = csv_next(csv, &cells, &count, g->err);
        if (rc)
            return rc;
        if (width < count || width > count)
            return err_set(g->err, ERR_INVALID, "line %lld has %d cells, expected %d",
                           (long long)csv_line(csv), count, width);
        buf_text(&g->text, row ? ",[" : "[");
        rc = put_cells(g, cells, count, csv_line(csv));
        if (rc)
            return rc;
        buf_char(&g->text, ']');
    }
    return ERR_OK;
}

static enum err_code gather_csv(struct gather *g, struct oip_input *input)
{
    int width = (int)g->tensor->shape[1];
    if (g->tensor->dtype == DTYPE_BYTES || g->tensor->rank != 2)
        return err_set(g->err, ERR_UNSUPPORTED, "the model takes no rows of numbers, so no CSV");
    struct csv *csv = csv_new(g->table->csv, ',');
    enum err_code rc = gather_csv_rows(g, csv, width);
    csv_free(csv);
    input->rank = 2;
    input->shape[0] = g->table->row_count;
    input->shape[1] = width;
    input->element_count = tensor_elements(input->shape, 2);
    return rc;
}

/* One feature of one row, which must be there: a forgotten one would be a missing value. */
static enum err_code put_feature(struct gather *g, yyjson_val *from, const char *name, int64_t row)
{
    yyjson_val *value = yyjson_obj_get(from, name);
    if (g->table->form == TABLE_COLUMNS && yyjson_is_arr(value))
        value = yyjson_arr_get(value, (size_t)row);
    if (!value)
        return err_set(g->err, ERR_INVALID, "'%s': row %lld has no feature '%s'", g->table->what,
                       (long long)row, name);
    json_write(&g->text, value);
    return ERR_OK;
}

static enum err_code put_features(struct gather *g, const struct signature *sig, int64_t row)
{
    yyjson_val *from = g->table->form == TABLE_RECORDS ? yyjson_arr_get(g->table->rows, (size_t)row)
                                                       : g->table->rows;
    for (int i = 0; i < sig->feature_count; i++) {
        buf_text(&g->text, i ? "," : "");
        enum err_code rc = put_feature(g, from, sig->feature_names[i], row);
        if (rc)
            return rc;
    }
    if (yyjson_obj_size(from) != (size_t)sig->feature_count)
        return err_set(g->err, ERR_INVALID, "'%s': row %lld has %zu values, the model %d features",
                       g->table->what, (long long)row, yyjson_obj_size(from), sig->feature_count);
    return ERR_OK;
}

/* Rows of named features, in the model's order. */
static enum err_code gather_features(struct gather *g, const struct signature *sig,
                                     struct oip_input *input)
{
    for (int64_t row = 0; row < g->table->row_count; row++) {
        buf_text(&g->text, row ? ",[" : "[");
        enum err_code rc = put_features(g, sig, row);
        if (rc)
            return rc;
        buf_char(&g->text, ']');
    }
    input->rank = 2;
    input->shape[0] = g->table->row_count;
    input->shape[1] = sig->feature_count;
    input->element_count = tensor_elements(input->shape, 2);
    return ERR_OK;
}

/* ---- all inputs ---- */

typedef enum err_code gather_fn(struct gather *g, struct oip_input *input);

static enum err_code gather_input(struct gather *g, const struct signature *sig, gather_fn *fn,
                                  struct oip_input *input)
{
    bool is_json = g->tensor->dtype != DTYPE_BYTES;
    buf_init(&g->text, TEXT_BYTES_MAX);
    if (is_json)
        buf_char(&g->text, '[');
    enum err_code rc = fn ? fn(g, input) : gather_features(g, sig, input);
    if (is_json)
        buf_char(&g->text, ']');
    if (!rc)
        rc = finish_input(g, input);
    buf_done(&g->text);
    return rc;
}

static enum err_code unknown_form(const struct table *table, const struct signature *sig,
                                  const struct loaded *loaded, struct err *err)
{
    if (sig->input_count > 1)
        err_set(err, ERR_INVALID, "'%s': model '%s' takes %d inputs, by their names", table->what,
                loaded->model, sig->input_count);
    else
        err_set(err, ERR_INVALID, "'%s': model '%s' has no contract, so no names of columns",
                table->what, loaded->model);
    return err_hint(err, "see GET /v2/models/%s", loaded->model);
}

enum err_code table_fill_tensors(const struct table *table, struct request *req, struct err *err)
{
    const struct signature *sig = req->loaded->signature;
    struct oip_request oip = {0};
    struct gather g = {.table = table, .arena = req->arena, .err = err};
    bool is_named = table->form == TABLE_RECORDS || table->form == TABLE_COLUMNS;
    bool is_by_input = is_named && has_name(table, sig->inputs[0].name);
    bool is_by_feature = is_named && sig->input_count == 1 && sig->feature_names;
    if ((is_named && !is_by_input && !is_by_feature) || (!is_named && sig->input_count > 1) ||
        table->names)
        return unknown_form(table, sig, req->loaded, err);
    gather_fn *fn = is_by_input ? gather_named : is_by_feature ? NULL : gather_lists;
    oip.inputs = arena_calloc(req->arena, (size_t)sig->input_count, sizeof(*oip.inputs));
    if (!oip.inputs)
        return too_large(err);
    for (int i = 0; i < sig->input_count; i++) {
        g.tensor = &sig->inputs[i];
        if (is_by_input && i > 0 && !has_name(table, g.tensor->name))
            continue; /* oip_fill says so when it is not optional */
        enum err_code rc = gather_input(&g, sig, table->form == TABLE_CSV ? gather_csv : fn,
                                        &oip.inputs[oip.input_count]);
        if (rc)
            return rc;
        oip.input_count++;
    }
    return oip_fill(&oip, req, err);
}
