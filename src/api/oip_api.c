/* oip_api.c - Open Inference Protocol v2 over REST: infer, metadata, health. */
#include "api/oip_api.h"

#include "api/handlers.h"
#include "api/oip_config.h"
#include "api/oip_fill.h"
#include "api/oip_memory.h"
#include "api/oip_reply.h"
#include "api/routing_key.h"
#include "base/check.h"

#define OIP_SERVER_NAME "slipway"

enum { OIP_PARAMETERS_BYTES_MAX = 64 * 1024 };

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
    enum err_code rc = oip_parse(http->body, json_bytes, req->arena, oip, err);
    return rc ? rc : oip_memory_read(oip, req, err);
}

static struct str find_parameter(const struct request *req, const char *name)
{
    const struct oip_request *oip = req->decoded;
    return oip_parameter_text(oip, name, req->arena);
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
    struct oip_request *oip = req->decoded;
    enum err_code rc = oip_choose_outputs(req, oip, err);
    return rc ? rc : oip_fill(oip, req, err);
}

static enum err_code encode(struct request *req, struct err *err)
{
    return oip_reply(req->decoded, req, err);
}

struct str oip_parameter_text(const struct oip_request *oip, const char *name, struct arena *arena)
{
    yyjson_val *value = yyjson_obj_get(oip->parameters, name);
    if (yyjson_is_bool(value))
        return yyjson_get_bool(value) ? STR_LIT("true") : STR_LIT("false");
    return routing_key_of(value, arena);
}

/* What is for us, not for the model. A model without a response cache may have a `cache` of its
 * own. */
static bool is_ours(const struct request *req, yyjson_val *key)
{
    if (req->endpoint->responses && yyjson_equals_str(key, "cache"))
        return true;
    return yyjson_equals_str(key, "binary_data_output") || yyjson_equals_str(key, "timeout") ||
           yyjson_equals_str(key, "priority");
}

/* As the caller sent them. */
struct str oip_parameters(const struct request *req)
{
    const struct oip_request *oip = req->decoded;
    struct buf text;
    struct json_writer w = {.out = &text};
    size_t i, count;
    yyjson_val *key, *value;
    buf_init(&text, OIP_PARAMETERS_BYTES_MAX);
    yyjson_obj_foreach(oip->parameters, i, count, key, value)
    {
        if (is_ours(req, key))
            continue;
        if (text.len == 0)
            json_begin_object(&w);
        json_key_str(&w, json_str(key));
        json_put_value(&w, value);
    }
    if (text.len)
        json_end_object(&w);
    const char *copy =
        text.is_full || text.len == 0 ? NULL : arena_copy(req->arena, text.data, text.len);
    struct str json = {copy, copy ? text.len : 0};
    buf_done(&text);
    return json;
}

static const struct dialect oip_dialect = {
    .name = "oip",
    .decode = decode,
    .find_key = find_key,
    .find_parameter = find_parameter,
    .parameters = oip_parameters,
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

static void put_versions(struct json_writer *w, const struct endpoint *endpoint)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(endpoint, versions);
    json_key(w, "versions");
    json_begin_array(w);
    for (int i = 0; i < count; i++)
        put_number(w, versions[i]->number);
    json_end_array(w);
}

static void put_tensor(void *arg, const struct oip_tensor *tensor)
{
    struct json_writer *w = arg;
    json_begin_object(w);
    json_member_text(w, "name", tensor->name);
    json_member_text(w, "datatype", dtype_name(tensor->dtype));
    json_key(w, "shape");
    json_begin_array(w);
    for (int i = 0; i < tensor->rank; i++)
        json_put_i64(w, tensor->shape[i]);
    json_end_array(w);
    json_end_object(w);
}

enum err_code oip_find_in_memory(struct call *call, const struct endpoint **endpoint,
                                 struct loaded **loaded, struct err *err)
{
    enum err_code rc = find_version(call, endpoint, loaded, err);
    if (rc == ERR_UNAVAILABLE && endpoint_is_cold(*endpoint, call->params[1]))
        rc = call_wait_for_model(call, call->params[0], call->params[1], err);
    return rc;
}

enum err_code oip_model(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = oip_find_in_memory(call, &endpoint, &loaded, err);
    if (rc || call->is_waiting)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "name", endpoint->name);
    put_versions(&w, endpoint);
    json_member_text(&w, "platform", loaded->signature->platform);
    json_key(&w, "inputs");
    json_begin_array(&w);
    oip_each_input(loaded, put_tensor, &w);
    json_end_array(&w);
    json_key(&w, "outputs");
    json_begin_array(&w);
    oip_each_output(loaded, put_tensor, &w);
    json_end_array(&w);
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

const char *const oip_extensions[] = {"classification",
                                      "sequence",
                                      "model_repository",
                                      "schedule_policy",
                                      "model_configuration",
                                      "binary_tensor_data",
                                      "parameters",
                                      "statistics",
                                      "trace",
                                      "logging",
                                      NULL};

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
    for (int i = 0; oip_extensions[i]; i++)
        json_put_text(&w, oip_extensions[i]);
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
