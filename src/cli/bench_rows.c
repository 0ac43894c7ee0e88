/* bench_rows.c - what a model takes is asked of its server, then written as its callers would. */
#include "cli/bench_rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/csv.h"
#include "base/file.h"
#include "cli/predict.h"
#include "contract/draw.h"

enum { BODIES_DRAWN = 256, CSV_BYTES_MAX = 256 * 1024 * 1024, DIMENSION_OF_ANY = 1 };

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the requests together are larger than %d bytes: fewer --rows",
                   BENCH_BODY_BYTES_MAX);
}

/* A body is kept; its text starts anew. */
static enum err_code keep(struct bench_rows *rows, struct buf *text, size_t json_bytes,
                          struct err *err)
{
    const char *copy = text->is_full ? NULL : arena_copy(rows->cli->arena, text->data, text->len);
    if (!copy)
        return no_room(err);
    rows->bodies[rows->body_count++] = (struct bench_body){{copy, text->len}, json_bytes};
    buf_clear(text);
    return ERR_OK;
}

/* ---- drawn from the contract ---- */

static enum err_code get_contract(struct bench_rows *rows, struct contract **contract,
                                  struct err *err)
{
    struct cli_reply reply;
    const char *target =
        cli_target(rows->cli, "/api/models/{}/versions/{}/contract", rows->model, rows->version);
    *contract = NULL;
    enum err_code rc = cli_get_bytes(rows->cli, target, &reply, err);
    if (rc == ERR_NOT_FOUND && rows->protocol != BENCH_ROWS &&
        strstr(err->msg, "has no contract")) { /* plain tensors */
        *err = (struct err){0};
        return ERR_OK;
    }
    return rc ? rc : contract_parse(reply.body, contract, err);
}

static enum err_code cannot_draw(const struct contract_field *field, struct err *err)
{
    err_set(err, ERR_INVALID, "the contract does not say enough to make up values of '%s'",
            field->name);
    return err_hint(err, "give real rows: --csv FILE");
}

static enum err_code put_row(struct bench_rows *rows, const struct contract *contract, int64_t row,
                             struct buf *text, struct err *err)
{
    buf_char(text, '{');
    for (int i = 0; i < contract->input_count; i++) {
        const struct contract_field *field = contract->inputs[i];
        buf_text(text, i ? "," : "");
        buf_json_str(text, str_of(field->name));
        buf_char(text, ':');
        if (!draw_json(field, &rows->rand, row, text))
            return cannot_draw(field, err);
    }
    buf_char(text, '}');
    return ERR_OK;
}

static enum err_code draw_rows(struct bench_rows *rows, const struct contract *contract,
                               struct buf *text, struct err *err)
{
    for (int body = 0; body < BODIES_DRAWN; body++) {
        buf_lit(text, "{\"rows\":[");
        for (int64_t i = 0; i < rows->rows; i++) {
            buf_text(text, i ? "," : "");
            enum err_code rc = put_row(rows, contract, body * rows->rows + i, text, err);
            if (rc)
                return rc;
        }
        buf_lit(text, "]}");
        enum err_code rc = keep(rows, text, 0, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- tensors ---- */

static double draw_normal(struct rand *rand)
{
    double radius = sqrt(-2 * log(1 - rand_unit(rand)));
    return radius * cos(2 * M_PI * rand_unit(rand));
}

/* One element of a tensor that no contract describes: small whole numbers are valid for whatever
 * counts or indexes, standard normal ones for what measures. */
static void put_element(struct buf *text, enum dtype dtype, struct rand *rand)
{
    switch (dtype) {
    case DTYPE_F32:
    case DTYPE_F64:
        buf_f32(text, (float)draw_normal(rand));
        break;
    case DTYPE_BYTES:
        buf_lit(text, "\"text\"");
        break;
    case DTYPE_BOOL:
        buf_text(text, rand_unit(rand) < 0.5 ? "true" : "false");
        break;
    default:
        buf_i64(text, (int64_t)(rand_unit(rand) * 10));
    }
}

struct input {
    struct str name;
    enum dtype dtype;
    int rank;
    int64_t shape[TENSOR_RANK_MAX];
    int64_t count;
    const struct contract_field *field; /* whose values it has; NULL: none, or all features */
};

/* The first dimension is the rows, other open ones are 1. */
static enum err_code read_input(struct bench_rows *rows, yyjson_val *from,
                                const struct contract *contract, struct input *input,
                                struct err *err)
{
    size_t i, count;
    yyjson_val *dimension, *shape = yyjson_obj_get(from, "shape");
    input->name = json_str(yyjson_obj_get(from, "name"));
    input->dtype = dtype_find(json_str(yyjson_obj_get(from, "datatype")));
    input->rank = 0;
    input->field = contract ? contract_field_find(contract, input->name) : NULL;
    if (input->dtype == DTYPE_COUNT || yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, "input '%.*s' is of a kind this does not know",
                       STR_ARG(input->name));
    yyjson_arr_foreach(shape, i, count, dimension)
    {
        int64_t size = yyjson_get_sint(dimension);
        input->shape[input->rank++] = size >= 0 ? size : i == 0 ? rows->rows : DIMENSION_OF_ANY;
    }
    input->count = tensor_elements(input->shape, input->rank);
    return input->count < 0 ? no_room(err) : ERR_OK;
}

static void put_head(struct buf *text, const struct input *input)
{
    buf_lit(text, "{\"name\":");
    buf_json_str(text, input->name);
    buf_printf(text, ",\"datatype\":\"%s\",\"shape\":[", dtype_name(input->dtype));
    for (int i = 0; i < input->rank; i++) {
        buf_text(text, i ? "," : "");
        buf_i64(text, input->shape[i]);
    }
    buf_char(text, ']');
}

/* Is the input all features of the contract, in its order? */
static bool is_matrix(const struct input *input, const struct contract *contract)
{
    return contract && !input->field && input->rank == 2 &&
           input->shape[1] == contract->feature_count;
}

static double draw_feature(const struct contract *contract, int64_t element, struct rand *rand)
{
    int64_t feature = element % contract->feature_count;
    return draw_number(contract->values[contract->feature_columns[feature]], rand);
}

static enum err_code put_data(struct bench_rows *rows, const struct contract *contract,
                              const struct input *input, struct buf *text, struct err *err)
{
    buf_lit(text, ",\"data\":[");
    for (int64_t i = 0; i < input->count; i++) {
        buf_text(text, i ? "," : "");
        if (is_matrix(input, contract))
            buf_f32(text, (float)draw_feature(contract, i, &rows->rand));
        else if (!input->field)
            put_element(text, input->dtype, &rows->rand);
        else if (!draw_json(input->field, &rows->rand, i, text))
            return cannot_draw(input->field, err);
        if (text->is_full)
            return no_room(err);
    }
    buf_lit(text, "]}");
    return ERR_OK;
}

static enum err_code draw_json_body(struct bench_rows *rows, const struct contract *contract,
                                    const struct input *inputs, int count, struct buf *text,
                                    struct err *err)
{
    buf_lit(text, "{\"inputs\":[");
    for (int i = 0; i < count; i++) {
        buf_text(text, i ? "," : "");
        put_head(text, &inputs[i]);
        enum err_code rc = put_data(rows, contract, &inputs[i], text, err);
        if (rc)
            return rc;
    }
    buf_lit(text, "]}");
    return keep(rows, text, 0, err);
}

static enum err_code draw_binary_body(struct bench_rows *rows, const struct contract *contract,
                                      const struct input *input, struct buf *text, struct err *err)
{
    buf_lit(text, "{\"inputs\":[");
    put_head(text, input);
    buf_printf(text,
               ",\"parameters\":{\"binary_data_size\":%lld}}],"
               "\"parameters\":{\"binary_data_output\":true}}",
               (long long)input->count * (long long)sizeof(float));
    size_t json_bytes = text->len;
    for (int64_t i = 0; i < input->count && !text->is_full; i++) {
        float value = (float)(is_matrix(input, contract) ? draw_feature(contract, i, &rows->rand)
                                                         : draw_normal(&rows->rand));
        buf_append(text, &value, sizeof(value));
    }
    return keep(rows, text, json_bytes, err);
}

static enum err_code get_inputs(struct bench_rows *rows, const struct contract *contract,
                                struct input **inputs, int *count, struct err *err)
{
    struct cli_reply reply;
    size_t i, n;
    yyjson_val *from;
    const char *target =
        cli_target(rows->cli, "/v2/models/{}/versions/{}", rows->model, rows->version);
    enum err_code rc = cli_get(rows->cli, target, &reply, err);
    if (rc)
        return rc;
    yyjson_val *list = yyjson_obj_get(reply.root, "inputs");
    *inputs = arena_calloc(rows->cli->arena, yyjson_arr_size(list) + 1, sizeof(**inputs));
    assert(*inputs);
    yyjson_arr_foreach(list, i, n, from)
    {
        rc = read_input(rows, from, contract, &(*inputs)[i], err);
        if (rc)
            return rc;
    }
    *count = (int)n;
    return ERR_OK;
}

static enum err_code draw_tensors(struct bench_rows *rows, const struct contract *contract,
                                  struct buf *text, struct err *err)
{
    struct input *inputs;
    int count;
    enum err_code rc = get_inputs(rows, contract, &inputs, &count, err);
    bool is_one = !rc && count == 1 && inputs[0].dtype == DTYPE_F32;
    if (!rc && rows->protocol == BENCH_BINARY && !is_one) {
        err_set(err, ERR_UNSUPPORTED, "binary requests are made for models of one FP32 tensor");
        return err_hint(err, "use --protocol oip");
    }
    for (int body = 0; !rc && body < BODIES_DRAWN; body++)
        rc = rows->protocol == BENCH_BINARY
                 ? draw_binary_body(rows, contract, &inputs[0], text, err)
                 : draw_json_body(rows, contract, inputs, count, text, err);
    return rc;
}

/* ---- of a CSV file ---- */

struct csv_columns {
    int count;
    const char **names;    /* [count] */
    enum cell_form *forms; /* [count]; CELL_SKIP: no field of the model */
};

static enum err_code read_columns(struct bench_rows *rows, struct csv *csv,
                                  struct csv_columns *columns, struct err *err)
{
    struct cli_reply reply;
    const struct str *cells;
    const char *target =
        cli_target(rows->cli, "/api/models/{}/versions/{}/schema", rows->model, rows->version);
    yyjson_val *schema;
    enum err_code rc = cli_get_bytes(rows->cli, target, &reply, err);
    if (!rc)
        rc = json_read(reply.body, rows->cli->arena, &schema, err);
    if (!rc)
        rc = csv_next(csv, &cells, &columns->count, err);
    if (rc)
        return rc;
    yyjson_val *properties = yyjson_obj_get(schema, "properties");
    size_t count = (size_t)columns->count;
    columns->names = arena_calloc(rows->cli->arena, count + 1, sizeof(*columns->names));
    columns->forms = arena_calloc(rows->cli->arena, count + 1, sizeof(*columns->forms));
    assert(columns->names && columns->forms);
    for (size_t i = 0; i < count; i++) {
        yyjson_val *property = yyjson_obj_getn(properties, cells[i].ptr, cells[i].len);
        columns->names[i] = arena_copy(rows->cli->arena, cells[i].ptr, cells[i].len);
        columns->forms[i] = property ? cell_form_of(property) : CELL_SKIP;
    }
    return ERR_OK;
}

static void put_csv_row(const struct csv_columns *columns, const struct str *cells,
                        struct buf *text)
{
    bool is_first = true;
    buf_char(text, '{');
    for (int i = 0; i < columns->count; i++) {
        if (columns->forms[i] == CELL_SKIP)
            continue;
        buf_text(text, is_first ? "" : ",");
        buf_json_str(text, str_of(columns->names[i]));
        buf_char(text, ':');
        cell_write(text, columns->forms[i], cells[i]);
        is_first = false;
    }
    buf_char(text, '}');
}

/* The file's rows in order, so many a request; what does not fill the last request is left out. */
static enum err_code read_rows(struct bench_rows *rows, struct csv *csv, struct buf *text,
                               struct err *err)
{
    struct csv_columns columns;
    const struct str *cells;
    int count;
    enum err_code rc = read_columns(rows, csv, &columns, err);
    for (int64_t at = 0; !rc && rows->body_count < BENCH_BODIES_MAX;) {
        rc = csv_next(csv, &cells, &count, err);
        if (rc || count == 0)
            break;
        if (count != columns.count)
            return err_set(err, ERR_INVALID, "line %lld has %d cells, the header %d",
                           (long long)csv_line(csv), count, columns.count);
        buf_text(text, at == 0 ? "{\"rows\":[" : ",");
        put_csv_row(&columns, cells, text);
        if (++at < rows->rows)
            continue;
        buf_lit(text, "]}");
        rc = keep(rows, text, 0, err);
        at = 0;
    }
    if (!rc && rows->body_count == 0)
        rc = err_set(err, ERR_INVALID, "the file has fewer than %lld rows", (long long)rows->rows);
    return rc;
}

static enum err_code read_csv(struct bench_rows *rows, const char *path, struct buf *text,
                              struct err *err)
{
    struct buf file;
    if (rows->protocol != BENCH_ROWS)
        return err_set(err, ERR_UNSUPPORTED, "--csv goes with --protocol rows");
    enum err_code rc = file_read(path, CSV_BYTES_MAX, &file, err);
    if (!rc) {
        struct csv *csv = csv_new(buf_view(&file), ',');
        rc = read_rows(rows, csv, text, err);
        csv_free(csv);
    }
    buf_done(&file);
    return rc;
}

/* ---- either way ---- */

static enum err_code draw(struct bench_rows *rows, struct buf *text, struct err *err)
{
    struct contract *contract;
    enum err_code rc = get_contract(rows, &contract, err);
    if (rc == ERR_NOT_FOUND && strstr(err->msg, "has no contract"))
        return err_hint(err, "its rows have no names; send tensors: --protocol oip");
    if (!rc)
        rc = rows->protocol == BENCH_ROWS ? draw_rows(rows, contract, text, err)
                                          : draw_tensors(rows, contract, text, err);
    contract_free(contract);
    return rc;
}

enum err_code bench_rows_make(struct bench_rows *rows, struct err *err)
{
    const char *path = cli_flag(rows->cli, "csv");
    struct buf text;
    buf_init(&text, BENCH_BODY_BYTES_MAX);
    rows->bodies = arena_calloc(rows->cli->arena, BENCH_BODIES_MAX, sizeof(*rows->bodies));
    assert(rows->bodies);
    enum err_code rc = path ? read_csv(rows, path, &text, err) : draw(rows, &text, err);
    buf_done(&text);
    return rc;
}
