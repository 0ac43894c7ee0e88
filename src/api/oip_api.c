/* oip_api.c - Open Inference Protocol v2 over REST: infer, metadata, health. */
#include "api/handlers.h"
#include "api/oip_fill.h"
#include "api/routing_key.h"
#include "base/check.h"

#define OIP_SERVER_NAME "slipway"

/* ---- infer ---- */

static enum err_code decode(struct request *req, struct err *err)
{
    const struct http_request *http = &req->exchange->request;
    struct oip_request *oip = arena_alloc(req->arena, sizeof(*oip));
    if (!oip)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    req->decoded = oip;
    struct str json_bytes = http->known.inference_header_content_length;
    if (!json_bytes.ptr && oip_scan(http->body, req->arena, oip))
        return ERR_OK;
    return oip_parse(http->body, json_bytes, req->arena, oip, err);
}

static struct str find_parameter(const struct request *req, const char *name)
{
    const struct oip_request *oip = req->decoded;
    return routing_key_of(yyjson_obj_get(oip->parameters, name), req->arena);
}

static struct str find_key(const struct request *req, const char *name)
{
    return routing_key_of_oip(req->decoded, name, req->arena);
}

static int find_output(const struct signature *signature, struct str name)
{
    for (int i = 0; i < signature->output_count; i++)
        if (str_equal_c(name, signature->outputs[i].name))
            return i;
    return -1;
}

enum err_code oip_choose_outputs(struct request *req, const struct oip_request *oip,
                                 struct err *err)
{
    const struct signature *signature = req->loaded->signature;
    if (oip->output_count == 0)
        return ERR_OK;
    bool *wanted = arena_calloc(req->arena, (size_t)signature->output_count, sizeof(*wanted));
    if (!wanted)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    for (int i = 0; i < oip->output_count; i++) {
        int at = find_output(signature, oip->outputs[i].name);
        if (at < 0) {
            err_set(err, ERR_INVALID, "unexpected inference output '%.*s' for model '%s'",
                    STR_ARG(oip->outputs[i].name), req->loaded->model);
            return err_hint(err, "its outputs are in GET /v2/models/%s", req->loaded->model);
        }
        wanted[at] = true;
    }
    req->wanted = wanted;
    return ERR_OK;
}

static enum err_code fill(struct request *req, struct err *err)
{
    const struct oip_request *oip = req->decoded;
    enum err_code rc = oip_choose_outputs(req, oip, err);
    return rc ? rc : oip_fill(oip, req, err);
}

static bool is_binary(const struct oip_request *oip, const struct tensor *out)
{
    for (int i = 0; i < oip->output_count; i++)
        if (str_equal_c(oip->outputs[i].name, out->name))
            return oip->outputs[i].is_binary;
    return oip->is_binary_default;
}

static size_t tensor_bytes(const struct tensor *out)
{
    return (size_t)tensor_elements(out->shape, out->rank) * dtype_bytes(out->dtype);
}

static void write_shape(struct buf *body, const int64_t *shape, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (i)
            buf_char(body, ',');
        buf_i64(body, shape[i]);
    }
}

static void write_floats(struct buf *body, const float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (i)
            buf_char(body, ',');
        buf_f32(body, data[i]);
    }
}

static void write_output(struct buf *body, const struct tensor *out, bool binary)
{
    buf_lit(body, "{\"name\":\"");
    buf_text(body, out->name);
    buf_lit(body, "\",\"datatype\":\"");
    buf_text(body, dtype_name(out->dtype));
    buf_lit(body, "\",\"shape\":[");
    write_shape(body, out->shape, out->rank);
    if (binary) {
        buf_lit(body, "],\"parameters\":{\"binary_data_size\":");
        buf_u64(body, tensor_bytes(out));
        buf_lit(body, "}}");
        return;
    }
    assert(out->dtype == DTYPE_F32);
    buf_lit(body, "],\"data\":[");
    write_floats(body, out->data, tensor_elements(out->shape, out->rank));
    buf_lit(body, "]}");
}

static void append_blobs(struct request *req, const struct oip_request *oip)
{
    struct http_response *response = &req->exchange->response;
    char length[STR_NUMBER_BYTES];
    size_t digits = str_from_u64(response->body.len, length);
    http_add_header(response, "Inference-Header-Content-Length", (struct str){length, digits});
    response->content_type = "application/octet-stream";
    for (int i = 0; i < req->out_count; i++)
        if (is_binary(oip, &req->out[i]))
            buf_append(&response->body, req->out[i].data, tensor_bytes(&req->out[i]));
}

static enum err_code encode(struct request *req, struct err *err)
{
    const struct oip_request *oip = req->decoded;
    struct buf *body = &req->exchange->response.body;
    bool has_binary = false;
    req->exchange->response.content_type = "application/json";
    buf_lit(body, "{\"model_name\":\"");
    buf_text(body, req->loaded->model);
    buf_lit(body, "\",\"model_version\":\"");
    buf_i64(body, req->loaded->number);
    buf_char(body, '"');
    if (oip->id.ptr) {
        buf_lit(body, ",\"id\":");
        buf_json_str(body, oip->id);
    }
    buf_lit(body, ",\"outputs\":[");
    for (int i = 0; i < req->out_count; i++) {
        bool binary = is_binary(oip, &req->out[i]);
        if (i)
            buf_char(body, ',');
        write_output(body, &req->out[i], binary);
        has_binary = has_binary || binary;
    }
    buf_lit(body, "]}");
    if (has_binary)
        append_blobs(req, oip);
    if (body->is_full)
        return err_set(err, ERR_LIMIT, "the reply is larger than %zu bytes", body->bytes_max);
    return ERR_OK;
}

static const struct dialect oip_dialect = {
    .name = "oip",
    .decode = decode,
    .find_key = find_key,
    .find_parameter = find_parameter,
    .fill = fill,
    .encode = encode,
};

enum err_code oip_infer(struct call *call, struct err *err)
{
    return call_predict(call, &oip_dialect, err);
}

/* ---- metadata ---- */

/* The model that the path names, and the version of it that answers. */
static enum err_code find_version(struct call *call, const struct endpoint **endpoint,
                                  struct loaded **loaded, struct err *err)
{
    *endpoint = snapshot_find(call->snapshot, call->params[0]);
    if (*endpoint)
        return endpoint_choose(*endpoint, call->params[1], loaded, err);
    err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
            STR_ARG(call->params[0]));
    return err_hint(err, "names are in GET /v2/models");
}

static void put_number(struct json_writer *w, int64_t number)
{
    char text[STR_NUMBER_BYTES];
    json_put_str(w, (struct str){text, str_from_i64(number, text)});
}

static bool is_listed_before(const struct endpoint *endpoint, int index, int64_t number)
{
    for (int i = 0; i < index; i++)
        if (endpoint->aliases[i].loaded && endpoint->aliases[i].version == number)
            return true;
    return false;
}

static void put_versions(struct json_writer *w, const struct endpoint *endpoint)
{
    int64_t previous = endpoint->previous ? endpoint->previous->number : 0;
    json_key(w, "versions");
    json_begin_array(w);
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        if (alias->loaded && !is_listed_before(endpoint, i, alias->version))
            put_number(w, alias->version);
    }
    if (previous && !is_listed_before(endpoint, endpoint->alias_count, previous))
        put_number(w, previous);
    json_end_array(w);
}

static void put_tensor(struct json_writer *w, const char *name, enum dtype dtype,
                       const int64_t *shape, int rank)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, name);
    json_key(w, "datatype");
    json_put_text(w, dtype_name(dtype));
    json_key(w, "shape");
    json_begin_array(w);
    for (int i = 0; i < rank; i++)
        json_put_i64(w, shape[i]);
    json_end_array(w);
    json_end_object(w);
}

static void put_signature_tensor(struct json_writer *w, const struct signature_tensor *tensor)
{
    put_tensor(w, tensor->name, tensor->dtype, tensor->shape, tensor->rank);
}

static void put_inputs(struct json_writer *w, const struct loaded *loaded)
{
    const int64_t column[2] = {-1, 1};
    json_key(w, "inputs");
    json_begin_array(w);
    if (loaded->takes_matrix) {
        for (int i = 0; i < loaded->signature->input_count; i++)
            put_signature_tensor(w, &loaded->signature->inputs[i]);
    } else {
        for (int i = 0; i < loaded->contract->field_count; i++) {
            const struct contract_field *field = &loaded->contract->fields[i];
            if (field->column >= 0)
                put_tensor(w, field->name, oip_field_dtype(field), column, 2);
        }
    }
    json_end_array(w);
}

static void put_outputs(struct json_writer *w, const struct loaded *loaded)
{
    json_key(w, "outputs");
    json_begin_array(w);
    for (int i = 0; i < loaded->signature->output_count; i++)
        put_signature_tensor(w, &loaded->signature->outputs[i]);
    json_end_array(w);
}

enum err_code oip_model(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = find_version(call, &endpoint, &loaded, err);
    if (rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, call->params[1]))
        rc = call_wait_for_model(call, call->params[0], call->params[1], err);
    if (rc || call->is_waiting)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "name");
    json_put_text(&w, endpoint->name);
    put_versions(&w, endpoint);
    json_key(&w, "platform");
    json_put_text(&w, loaded->signature->platform);
    put_inputs(&w, loaded);
    put_outputs(&w, loaded);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code oip_models(struct call *call, struct err *err)
{
    (void)err;
    const struct map *endpoints = &call->snapshot->endpoints;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "models");
    json_begin_array(&w);
    for (size_t i = 0; i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            json_put_str(&w, endpoints->slots[i].key);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code oip_model_ready(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = find_version(call, &endpoint, &loaded, err);
    bool is_cold = rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, call->params[1]);
    if (rc && !is_cold)
        return rc; /* one that is only not in memory will answer */
    if (!is_cold && loaded_problem(loaded))
        return err_set(err, ERR_UNAVAILABLE, "model '%s' version %lld is not ready: %s",
                       loaded->model, (long long)loaded->number, loaded_problem(loaded));
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "name");
    json_put_text(&w, endpoint->name);
    json_key(&w, "ready");
    json_put_bool(&w, true);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code oip_server(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "name");
    json_put_text(&w, OIP_SERVER_NAME);
    json_key(&w, "version");
    json_put_text(&w, SLIPWAY_VERSION);
    json_key(&w, "extensions");
    json_begin_array(&w);
    json_put_text(&w, "binary_tensor_data");
    json_put_text(&w, "model_repository");
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static void write_health(struct call *call, int status, const char *error)
{
    struct json_writer w = call_json(call, status);
    json_begin_object(&w);
    json_key(&w, "live");
    json_put_bool(&w, true);
    json_key(&w, "ready");
    json_put_bool(&w, error == NULL);
    if (error) {
        json_key(&w, "error");
        json_put_text(&w, error);
    }
    json_end_object(&w);
}

enum err_code oip_live(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "live");
    json_put_bool(&w, true);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code oip_ready(struct call *call, struct err *err)
{
    (void)err;
    const char *problem = call_readiness(call, NULL);
    write_health(call, problem ? 503 : 200, problem);
    return ERR_OK;
}
