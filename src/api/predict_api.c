/* predict_api.c - POST /predict/{model}: rows by field names in, labels and probabilities out.
 *
 *     {"rows": [{"tenure": 3, ...}, ...]}   or one row:   {"tenure": 3, ...}
 *
 * Clients usually send fields in the contract's order, so the next field of the contract is tried
 * before the name is looked up.
 */
#include "api/handlers.h"
#include "api/routing_key.h"
#include "api/row_json.h"
#include "api/tensor_json.h"
#include "base/check.h"
#include "runtime/answer.h"

enum { SEEN_WORDS = (CONTRACT_FIELDS_MAX + 63) / 64 };

/* What decode leaves for fill. */
struct named_rows {
    yyjson_val *first; /* the row objects follow one another in the document */
    yyjson_val *rows;  /* the array, or NULL when the body itself is the row */
    int64_t count;
};

/* ---- decode ---- */

static enum err_code decode(struct request *req, struct err *err)
{
    yyjson_val *root;
    struct named_rows *named = arena_calloc(req->arena, 1, sizeof(*named));
    enum err_code rc = json_read_numbers(req->exchange->request.body, req->arena, &root, err);
    if (rc)
        return rc;
    if (!named)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    if (!yyjson_is_obj(root)) {
        err_set(err, ERR_INVALID, "the body must be a JSON object, got %s",
                yyjson_get_type_desc(root));
        return err_hint(err, "send {\"rows\": [{\"field\": value, ...}]} or one row object");
    }
    named->rows = yyjson_obj_get(root, "rows");
    named->first = root;
    named->count = 1;
    if (yyjson_is_arr(named->rows) && yyjson_obj_size(root) == 1) {
        named->count = (int64_t)yyjson_arr_size(named->rows);
        named->first = yyjson_arr_get_first(named->rows);
    } else {
        named->rows = NULL;
    }
    if (named->count == 0)
        return err_set(err, ERR_INVALID, "'rows' is empty: nothing to predict");
    if (named->count > req->thread->predict_rows_max)
        return err_set(err, ERR_LIMIT, "%lld rows in one request, at most %lld are taken",
                       (long long)named->count, (long long)req->thread->predict_rows_max);
    req->decoded = named;
    return ERR_OK;
}

static struct str find_key(const struct request *req, const char *name)
{
    const struct named_rows *named = req->decoded;
    yyjson_val *row = named->first;
    return routing_key_of(yyjson_is_obj(row) ? yyjson_obj_get(row, name) : NULL, req->arena);
}

/* ---- fill ---- */

static bool is_input(const struct contract_field *field)
{
    return field->column >= 0;
}

static const struct contract_field *next_or_named(const struct contract *contract, int *next,
                                                  struct str name)
{
    while (*next < contract->field_count && !is_input(&contract->fields[*next]))
        (*next)++;
    if (*next < contract->field_count) {
        const struct contract_field *guess = &contract->fields[*next];
        if (strncmp(guess->name, name.ptr, name.len) == 0 && guess->name[name.len] == '\0') {
            (*next)++;
            return guess;
        }
    }
    const struct contract_field *field = contract_field_find(contract, name);
    if (field)
        *next = (int)(field - contract->fields) + 1;
    return field;
}

static enum err_code fill_row(struct rows *rows, int64_t row, yyjson_val *object, struct err *err)
{
    const struct contract *contract = rows->contract;
    uint64_t seen[SEEN_WORDS];
    int next = 0;
    size_t i, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object))
        return err_set(err, ERR_INVALID, "row %lld must be an object of fields, got %s",
                       (long long)row, yyjson_get_type_desc(object));
    memset(seen, 0, (size_t)(contract->field_count + 63) / 64 * sizeof(*seen));
    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct str name = json_str(key);
        const struct contract_field *field = next_or_named(contract, &next, name);
        if (!field) {
            rows_put_unknown(rows, row, name);
            continue;
        }
        size_t at = (size_t)(field - contract->fields);
        if (seen[at / 64] >> (at % 64) & 1)
            return err_set(err, ERR_INVALID, "row %lld has the field '%s' twice", (long long)row,
                           field->name);
        seen[at / 64] |= UINT64_C(1) << (at % 64);
        row_put_json(rows, row, field, value);
    }
    return ERR_OK;
}

static enum err_code fill(struct request *req, struct err *err)
{
    const struct named_rows *named = req->decoded;
    if (!req->loaded->contract) {
        err_set(err, ERR_UNSUPPORTED, "model '%s' version %lld has no contract, so no field names",
                req->loaded->model, (long long)req->loaded->number);
        return err_hint(err, "send tensors to /v2/models/%s/infer", req->loaded->model);
    }
    enum err_code rc = rows_begin(&req->rows, req->loaded->contract, named->count, req->arena, err);
    if (rc)
        return rc;
    req->has_rows = true;
    req->row_count = named->count;
    yyjson_val *object = named->first;
    for (int64_t row = 0; row < named->count && !req->rows.is_rejected; row++) {
        rc = fill_row(&req->rows, row, object, err);
        if (rc)
            return rc;
        object = unsafe_yyjson_get_next(object);
    }
    return ERR_OK;
}

/* ---- encode ---- */

static void write_class(struct buf *out, const struct loaded *loaded, int class_index)
{
    struct str name = answer_class_name(loaded, class_index);
    if (name.ptr) {
        buf_json_str(out, name);
        return;
    }
    buf_char(out, '"');
    buf_i64(out, class_index);
    buf_char(out, '"');
}

static void write_probabilities(struct buf *out, const struct request *req,
                                const struct tensor *tensor, int64_t row, int class_index)
{
    const struct loaded *loaded = req->loaded;
    enum nan_policy nan = req->endpoint->serving->nan;
    buf_lit(out, ",\"probability\":");
    nan_put_f32(out, answer_probability(loaded, tensor, row, class_index), nan);
    buf_lit(out, ",\"probabilities\":{");
    for (int i = 0; i < answer_class_count(loaded); i++) {
        if (i)
            buf_char(out, ',');
        write_class(out, loaded, i);
        buf_char(out, ':');
        nan_put_f32(out, answer_probability(loaded, tensor, row, i), nan);
    }
    buf_char(out, '}');
}

/* What a label or a value does not say: several outputs, and rows of several numbers or texts. */
static void write_outputs(struct buf *out, const struct request *req, int64_t row)
{
    buf_lit(out, ",\"outputs\":{");
    for (int i = 0; i < req->out_count; i++) {
        if (i)
            buf_char(out, ',');
        buf_json_str(out, str_of(req->out[i].name));
        buf_char(out, ':');
        tensor_put_row(out, &req->out[i], row, req->row_count, req->endpoint->serving->nan);
    }
    buf_char(out, '}');
}

static void write_answer(struct buf *out, const struct request *req, const struct tensor *tensor,
                         int64_t row)
{
    struct answer answer = answer_read(req->loaded, tensor, row);
    if (answer.is_class) {
        buf_lit(out, ",\"label\":");
        write_class(out, req->loaded, answer.class_index);
        if (answer.has_score)
            write_probabilities(out, req, tensor, row, answer.class_index);
    } else {
        buf_lit(out, ",\"value\":");
        nan_put_f32(out, answer.value, req->endpoint->serving->nan);
    }
}

/* The answer says all of it. */
static bool is_whole(const struct request *req, const struct tensor *answer)
{
    bool is_class = answer_class_count(req->loaded) > 1;
    return answer && req->out_count == 1 &&
           (is_class || answer->rank == 1 || answer->shape[1] == 1);
}

static void write_row(struct buf *out, const struct request *req, const struct tensor *answer,
                      int64_t row)
{
    buf_lit(out, "{\"id\":\"");
    buf_str(out, req->id);
    buf_char(out, '-');
    buf_i64(out, row);
    buf_char(out, '"');
    if (answer)
        write_answer(out, req, answer, row);
    if (!is_whole(req, answer))
        write_outputs(out, req, row);
    if (req->rows.is_suspect && req->rows.is_suspect[row])
        buf_lit(out, ",\"quality\":\"suspect\"");
    buf_char(out, '}');
}

static enum err_code check_numbers(const struct request *req, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; req->endpoint->serving->nan == NAN_REJECT && !rc && i < req->out_count; i++)
        rc = nan_check(&req->out[i], err);
    return rc;
}

static enum err_code encode(struct request *req, struct err *err)
{
    struct buf *out = &req->exchange->response.body;
    const struct tensor *answer = answer_find(req->loaded, NULL, req->out, req->row_count);
    if (check_numbers(req, err))
        return err->code;
    req->exchange->response.content_type = "application/json";
    buf_lit(out, "{\"model\":\"");
    buf_text(out, req->loaded->model); /* names need no escapes */
    buf_lit(out, "\",\"version\":\"");
    buf_i64(out, req->loaded->number);
    buf_lit(out, "\",\"request_id\":\"");
    buf_str(out, req->id); /* is_request_id: the same */
    buf_lit(out, "\",\"predictions\":[");
    for (int64_t row = 0; row < req->row_count; row++) {
        if (row)
            buf_char(out, ',');
        write_row(out, req, answer, row);
    }
    buf_lit(out, "]}\n");
    if (out->is_full)
        return err_set(err, ERR_LIMIT, "the reply is larger than %zu bytes", out->bytes_max);
    return ERR_OK;
}

static const struct dialect predict_dialect = {
    .name = "predict",
    .decode = decode,
    .find_key = find_key,
    .fill = fill,
    .encode = encode,
};

enum err_code predict_rows(struct call *call, struct err *err)
{
    return call_predict(call, &predict_dialect, err);
}
