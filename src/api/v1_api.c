/* v1_api.c - predict, classify and regress as TensorFlow Serving and KServe's V1 protocol have
 * them.
 *
 *     {"instances": [row, ...]}  -> {"predictions": [one a row]}
 *     {"inputs": {columns}}      -> {"outputs": columns}          TensorFlow Serving
 *     {"inputs": [row, ...]}     -> {"predictions": [...]}        KServe; {"outputs": ...} when
 *                                   the model's serving file says that its `inputs` are columns
 *     {"examples": [{feature: value}], "context": {feature: value}} -> {"result": [...]}
 */
#include "api/v1_api.h"

#include "api/handlers.h"
#include "api/routing_key.h"
#include "api/table.h"
#include "api/tensor_json.h"
#include "base/check.h"
#include "runtime/answer.h"

struct v1_request {
    struct table table;
    bool is_columnar; /* and so is the reply */
    bool is_list;     /* `inputs` is a list: what that means is a setting of the model */
};

static struct str find_key(const struct request *req, const char *name)
{
    const struct v1_request *v1 = req->decoded;
    return routing_key_of(table_first_value(&v1->table, name), req->arena);
}

static enum err_code fill(struct request *req, struct err *err)
{
    const struct v1_request *v1 = req->decoded;
    return table_fill(&v1->table, req, err);
}

static enum err_code read_body(struct request *req, yyjson_val **root, struct v1_request **v1,
                               struct err *err)
{
    *v1 = arena_calloc(req->arena, 1, sizeof(**v1));
    if (!*v1)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    req->decoded = *v1;
    enum err_code rc = json_read(req->exchange->request.body, req->arena, root, err);
    if (!rc && !yyjson_is_obj(*root))
        rc = err_set(err, ERR_INVALID, "the body must be a JSON object, got %s",
                     yyjson_get_type_desc(*root));
    return rc;
}

/* ---- predict ---- */

static enum err_code decode(struct request *req, struct err *err)
{
    yyjson_val *root;
    struct v1_request *v1;
    enum err_code rc = read_body(req, &root, &v1, err);
    if (rc)
        return rc;
    yyjson_val *instances = yyjson_obj_get(root, "instances");
    yyjson_val *inputs = yyjson_obj_get(root, "inputs");
    if ((instances != NULL) == (inputs != NULL)) {
        err_set(err, ERR_INVALID, "the body must have either 'instances' or 'inputs', got %s",
                instances ? "both" : "neither");
        return err_hint(err, "send {\"instances\": [row, ...]}");
    }
    if (instances)
        return table_of_rows(instances, "instances", &v1->table, err);
    v1->is_list = !yyjson_is_obj(inputs);
    if (v1->is_list)
        return table_of_rows(inputs, "inputs", &v1->table, err);
    v1->is_columnar = true;
    return table_of_columns(inputs, "inputs", &v1->table, err);
}

static void put_named(struct buf *out, const struct request *req, int64_t row)
{
    enum nan_policy nan = req->endpoint->serving->nan;
    buf_char(out, '{');
    for (int i = 0; i < req->out_count; i++) {
        buf_text(out, i ? "," : "");
        buf_json_str(out, str_of(req->out[i].name));
        buf_char(out, ':');
        if (row < 0)
            tensor_put_nested(out, &req->out[i], nan);
        else
            tensor_put_row(out, &req->out[i], row, req->row_count, nan);
    }
    buf_char(out, '}');
}

void v1_put_predictions(struct buf *out, const struct request *req)
{
    enum nan_policy nan = req->endpoint->serving->nan;
    buf_char(out, '[');
    for (int64_t row = 0; row < req->row_count; row++) {
        buf_text(out, row ? "," : "");
        if (req->out_count == 1)
            tensor_put_row(out, &req->out[0], row, req->row_count, nan);
        else
            put_named(out, req, row);
    }
    buf_char(out, ']');
}

enum err_code v1_finish(struct request *req, struct err *err)
{
    struct http_response *response = &req->exchange->response;
    response->content_type = "application/json";
    if (response->body.is_full)
        return err_set(err, ERR_LIMIT, "the reply is larger than %zu bytes",
                       response->body.bytes_max);
    return ERR_OK;
}

static enum err_code encode(struct request *req, struct err *err)
{
    enum nan_policy nan = req->endpoint->serving->nan;
    const struct v1_request *v1 = req->decoded;
    struct buf *out = &req->exchange->response.body;
    bool is_column = v1->is_list && req->endpoint->serving->v1_inputs == V1_COLUMNS;
    if (!v1->is_columnar && !is_column) {
        buf_lit(out, "{\"predictions\":");
        v1_put_predictions(out, req);
    } else {
        buf_lit(out, "{\"outputs\":");
        if (req->out_count == 1)
            tensor_put_nested(out, &req->out[0], nan);
        else
            put_named(out, req, -1);
    }
    buf_lit(out, "}\n");
    return v1_finish(req, err);
}

static const struct dialect predict_dialect = {
    .name = "v1",
    .decode = decode,
    .find_key = find_key,
    .fill = fill,
    .encode = encode,
};

enum err_code v1_predict(struct call *call, struct err *err)
{
    return call_predict(call, &predict_dialect, err);
}

/* ---- classify and regress ---- */

/* What all examples have in common stands in `context`. Copied into each example, since a table
 * has whole rows. */
static enum err_code join_context(struct request *req, yyjson_val *examples, yyjson_val *context,
                                  yyjson_val **joined, struct err *err)
{
    size_t i, j, count, member_count;
    yyjson_val *example, *key, *value;
    struct buf text;
    buf_init(&text, req->exchange->request.body.len * (yyjson_arr_size(examples) + 1) + 64);
    buf_char(&text, '[');
    yyjson_arr_foreach(examples, i, count, example)
    {
        struct json_writer w = {.out = &text};
        buf_text(&text, i ? "," : "");
        json_begin_object(&w);
        yyjson_obj_foreach(context, j, member_count, key, value)
        {
            if (yyjson_obj_get(example, yyjson_get_str(key)))
                continue;
            json_key_str(&w, json_str(key));
            json_put_value(&w, value);
        }
        yyjson_obj_foreach(example, j, member_count, key, value)
        {
            json_key_str(&w, json_str(key));
            json_put_value(&w, value);
        }
        json_end_object(&w);
    }
    buf_char(&text, ']');
    enum err_code rc = text.is_full ? err_set(err, ERR_LIMIT, "'examples' with 'context' are large")
                                    : json_read(buf_view(&text), req->arena, joined, err);
    buf_done(&text);
    return rc;
}

static enum err_code decode_examples(struct request *req, struct err *err)
{
    yyjson_val *root;
    struct v1_request *v1;
    enum err_code rc = read_body(req, &root, &v1, err);
    if (rc)
        return rc;
    yyjson_val *examples = yyjson_obj_get(root, "examples");
    yyjson_val *context = yyjson_obj_get(root, "context");
    rc = table_of_rows(examples, "examples", &v1->table, err);
    if (rc)
        return rc;
    if (v1->table.form != TABLE_RECORDS)
        return err_set(err, ERR_INVALID, "'examples': an example must be an object of features");
    if (!context)
        return ERR_OK;
    if (!yyjson_is_obj(context))
        return err_set(err, ERR_INVALID, "'context' must be an object of features, got %s",
                       yyjson_get_type_desc(context));
    rc = join_context(req, examples, context, &v1->table.rows, err);
    return rc;
}

static void put_class(struct buf *out, const struct loaded *loaded, int class_index)
{
    struct str name = answer_class_name(loaded, class_index);
    char digits[STR_NUMBER_BYTES];
    if (!name.ptr)
        name = (struct str){digits, str_from_i64(class_index, digits)};
    buf_json_str(out, name);
}

static enum err_code need_classes(const struct request *req, const struct tensor *answer,
                                  struct err *err)
{
    if (answer && req->loaded->signature->class_count >= 2 &&
        req->loaded->signature->is_probability)
        return ERR_OK;
    err_set(err, ERR_INVALID, "model '%s' version %lld gives no probabilities of classes",
            req->loaded->model, (long long)req->loaded->number);
    return err_hint(err, "use :regress or :predict");
}

static enum err_code encode_classes(struct request *req, struct err *err)
{
    struct buf *out = &req->exchange->response.body;
    const struct tensor *answer = answer_find(req->loaded, NULL, req->out, req->row_count);
    enum err_code rc = need_classes(req, answer, err);
    if (rc)
        return rc;
    buf_lit(out, "{\"result\":[");
    for (int64_t row = 0; row < req->row_count; row++) {
        buf_text(out, row ? ",[" : "[");
        for (int i = 0; i < answer_class_count(req->loaded); i++) {
            buf_text(out, i ? ",[" : "[");
            put_class(out, req->loaded, i);
            buf_char(out, ',');
            nan_put_f32(out, answer_probability(req->loaded, answer, row, i),
                        req->endpoint->serving->nan);
            buf_char(out, ']');
        }
        buf_char(out, ']');
    }
    buf_lit(out, "]}\n");
    return v1_finish(req, err);
}

static enum err_code encode_values(struct request *req, struct err *err)
{
    enum nan_policy nan = req->endpoint->serving->nan;
    struct buf *out = &req->exchange->response.body;
    if (tensor_elements(req->out[0].shape, req->out[0].rank) != req->row_count) {
        err_set(err, ERR_INVALID, "model '%s' version %lld gives more than one number a row",
                req->loaded->model, (long long)req->loaded->number);
        return err_hint(err, "use :classify or :predict");
    }
    buf_lit(out, "{\"result\":[");
    for (int64_t row = 0; row < req->row_count; row++) {
        buf_text(out, row ? "," : "");
        tensor_put_element(out, &req->out[0], row, nan);
    }
    buf_lit(out, "]}\n");
    return v1_finish(req, err);
}

static const struct dialect classify_dialect = {
    .name = "v1",
    .decode = decode_examples,
    .find_key = find_key,
    .fill = fill,
    .encode = encode_classes,
};

static const struct dialect regress_dialect = {
    .name = "v1",
    .decode = decode_examples,
    .find_key = find_key,
    .fill = fill,
    .encode = encode_values,
};

enum err_code v1_classify(struct call *call, struct err *err)
{
    return call_predict(call, &classify_dialect, err);
}

enum err_code v1_regress(struct call *call, struct err *err)
{
    return call_predict(call, &regress_dialect, err);
}
