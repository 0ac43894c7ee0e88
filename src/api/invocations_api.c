/* invocations_api.c - POST /invocations: the one path of MLflow's scoring server and of SageMaker.
 *
 * What the body is decides: MLflow's {"dataframe_split" | "dataframe_records" | "instances" |
 * "inputs": ...}, CSV by its Content-Type, else the Open Inference Protocol, whose `inputs` have
 * names and datatypes, as SageMaker's Triton containers take it.
 *
 * The path names no model: SageMaker's header does, or the option invocations_model, or there is
 * only one.
 */
#include "api/handlers.h"
#include "api/routing_key.h"
#include "api/table.h"
#include "api/tensor_json.h"
#include "api/v1_api.h"
#include "base/check.h"

#define TARGET_HEADER "X-Amzn-SageMaker-Target-Model"
#define TRITON_TYPE "application/vnd.sagemaker-triton.binary+json;json-header-size="

static const char *const forms[] = {"dataframe_split", "dataframe_records", "instances", "inputs"};

/* ---- the body ---- */

static struct str media_type(struct str content_type)
{
    const char *end = content_type.len ? memchr(content_type.ptr, ';', content_type.len) : NULL;
    struct str type = {content_type.ptr, end ? (size_t)(end - content_type.ptr) : content_type.len};
    while (type.len && type.ptr[type.len - 1] == ' ')
        type.len--;
    return type;
}

static bool is_csv(const struct request *req)
{
    return str_equal_nocase(media_type(req->exchange->request.known.content_type),
                            STR_LIT("text/csv"));
}

static enum err_code read_form(yyjson_val *root, const char *form, struct table *table,
                               struct err *err)
{
    yyjson_val *value = yyjson_obj_get(root, form);
    if (strcmp(form, "dataframe_split") == 0)
        return table_of_split(value, form, table, err);
    if (strcmp(form, "inputs") == 0 && yyjson_is_obj(value))
        return table_of_columns(value, form, table, err);
    return table_of_rows(value, form, table, err);
}

static enum err_code find_form(yyjson_val *root, const char **form, struct err *err)
{
    *form = NULL;
    for (size_t i = 0; yyjson_is_obj(root) && i < ARRAY_LEN(forms); i++) {
        if (!yyjson_obj_get(root, forms[i]))
            continue;
        if (*form)
            return err_set(err, ERR_INVALID, "the body has both '%s' and '%s', expected one", *form,
                           forms[i]);
        *form = forms[i];
    }
    if (*form)
        return ERR_OK;
    err_set(err, ERR_INVALID,
            "the body must be a JSON object with exactly one of 'dataframe_split', "
            "'dataframe_records', 'instances', 'inputs'");
    return err_hint(err, "send {\"dataframe_records\": [{\"field\": value, ...}]}, or CSV with "
                         "Content-Type text/csv");
}

static enum err_code decode(struct request *req, struct err *err)
{
    const struct http_request *http = &req->exchange->request;
    struct table *table = arena_calloc(req->arena, 1, sizeof(*table));
    yyjson_val *root;
    const char *form;
    if (!table)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    req->decoded = table;
    if (is_csv(req))
        return table_of_csv(http->body, table, err);
    enum err_code rc = json_read(http->body, req->arena, &root, err);
    if (!rc)
        rc = find_form(root, &form, err);
    return rc ? rc : read_form(root, form, table, err);
}

static struct str find_key(const struct request *req, const char *name)
{
    return routing_key_of(table_first_value(req->decoded, name), req->arena);
}

static enum err_code fill(struct request *req, struct err *err)
{
    return table_fill(req->decoded, req, err);
}

/* ---- the reply ---- */

static void put_csv(struct buf *out, const struct request *req)
{
    const struct tensor *first = &req->out[0];
    int64_t width =
        req->row_count ? tensor_elements(first->shape, first->rank) / req->row_count : 0;
    for (int64_t row = 0; row < req->row_count; row++) {
        for (int64_t i = 0; i < width; i++) {
            buf_text(out, i ? "," : "");
            tensor_put_element(out, first, row * width + i, req->endpoint->serving->nan);
        }
        buf_char(out, '\n');
    }
}

/* SageMaker's built-in containers answer CSV to those who accept nothing else. */
static bool wants_csv(const struct request *req)
{
    struct str accept = http_find_header(&req->exchange->request, "Accept");
    return str_equal_nocase(media_type(accept), STR_LIT("text/csv"));
}

static enum err_code encode(struct request *req, struct err *err)
{
    struct http_response *response = &req->exchange->response;
    if (wants_csv(req)) {
        put_csv(&response->body, req);
        enum err_code rc = v1_finish(req, err);
        response->content_type = "text/csv; charset=utf-8";
        return rc;
    }
    buf_lit(&response->body, "{\"predictions\":");
    v1_put_predictions(&response->body, req);
    buf_lit(&response->body, "}\n");
    return v1_finish(req, err);
}

static const struct dialect invocations_dialect = {
    .name = "invocations",
    .decode = decode,
    .find_key = find_key,
    .fill = fill,
    .encode = encode,
};

/* ---- which model ---- */

/* "/churn.tar.gz", "churn" -> churn */
static struct str target_model(struct str target)
{
    const char *dot;
    if (target.len && target.ptr[0] == '/')
        target = (struct str){target.ptr + 1, target.len - 1};
    if (str_ends_with(target, STR_LIT(".tar.gz")) && (dot = memchr(target.ptr, '.', target.len)))
        target.len = (size_t)(dot - target.ptr);
    return target;
}

static enum err_code only_model(struct call *call, struct str *name, struct err *err)
{
    const struct map *endpoints = &call->snapshot->endpoints;
    int count = 0;
    for (size_t i = 0; i < endpoints->slot_count; i++) {
        if (!endpoints->slots[i].key.ptr)
            continue;
        *name = endpoints->slots[i].key;
        count++;
    }
    if (count == 1)
        return ERR_OK;
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no model yet");
    err_set(err, ERR_INVALID, "%d models are served here and the request names none", count);
    return err_hint(err, "set the option invocations_model, or send the header " TARGET_HEADER);
}

static enum err_code choose_model(struct call *call, struct err *err)
{
    struct str target = http_find_header(&call->x->request, TARGET_HEADER);
    const char *option = call->node->options->invocations_model;
    if (target.len)
        call->params[0] = target_model(target);
    else if (option[0])
        call->params[0] = str_of(option);
    else
        return only_model(call, &call->params[0], err);
    return ERR_OK;
}

/* ---- which protocol ---- */

/* An input of the Open Inference Protocol says its datatype; rows of values have none. */
static bool is_oip(struct call *call)
{
    static const char *const marks[] = {"\"datatype\"", "\"inputs\"", "\"shape\""};
    struct str body = call->x->request.body;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (!body.len || !memmem(body.ptr, body.len, marks[i], strlen(marks[i])))
            return false;
    return true;
}

/* SageMaker's Triton containers give the JSON's length in the Content-Type. */
static void take_header_size(struct call *call)
{
    struct http_known_headers *known = &call->x->request.known;
    struct str prefix = STR_LIT(TRITON_TYPE);
    if (str_starts_with(known->content_type, prefix))
        known->inference_header_content_length = (struct str){known->content_type.ptr + prefix.len,
                                                              known->content_type.len - prefix.len};
}

enum err_code invocations_post(struct call *call, struct err *err)
{
    enum err_code rc = call->params[0].len ? ERR_OK : choose_model(call, err);
    if (rc)
        return rc;
    take_header_size(call);
    if (call->x->request.known.inference_header_content_length.ptr || is_oip(call))
        return oip_infer(call, err);
    return call_predict(call, &invocations_dialect, err);
}

/* ---- health ---- */

enum err_code invocations_ping(struct call *call, struct err *err)
{
    struct http_response *response = &call->x->response;
    if (call->snapshot->endpoints.count == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no model yet");
    response->status = call_readiness(call, NULL) ? 503 : 200;
    response->content_type = "application/json";
    buf_lit(&response->body, "\n");
    return ERR_OK;
}

enum err_code invocations_version(struct call *call, struct err *err)
{
    (void)err;
    call->x->response.content_type = "text/plain; charset=utf-8";
    buf_lit(&call->x->response.body, SLIPWAY_VERSION);
    return ERR_OK;
}
