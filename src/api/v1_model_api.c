/* v1_model_api.c - models as KServe's V1 protocol and TensorFlow Serving describe them. */
#include "api/handlers.h"
#include "base/check.h"

enum err_code v1_alive(struct call *call, struct err *err)
{
    (void)err;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "status", "alive");
    json_end_object(&w);
    return ERR_OK;
}

static enum err_code find_endpoint(struct call *call, const struct endpoint **endpoint,
                                   struct err *err)
{
    *endpoint = snapshot_find(call->snapshot, call->params[0]);
    if (*endpoint)
        return ERR_OK;
    err_set(err, ERR_NOT_FOUND, "Model with name %.*s does not exist.", STR_ARG(call->params[0]));
    return err_hint(err, "names are in GET /v1/models");
}

static void put_status(struct json_writer *w, int64_t number, const char *problem)
{
    char text[STR_NUMBER_BYTES];
    json_begin_object(w);
    json_key(w, "version");
    json_put_str(w, (struct str){text, str_from_i64(number, text)});
    json_member_text(w, "state", problem ? "END" : "AVAILABLE");
    json_key(w, "status");
    json_begin_object(w);
    json_member_text(w, "error_code", problem ? "UNAVAILABLE" : "OK");
    json_member_text(w, "error_message", problem ? problem : "");
    json_end_object(w);
    json_end_object(w);
}

/* Of all aliases' versions, or of the one that the path names. */
static enum err_code put_statuses(struct call *call, struct json_writer *w,
                                  const struct endpoint *endpoint, struct err *err)
{
    struct loaded *loaded = NULL;
    if (call->params[1].len) {
        enum err_code rc = endpoint_choose(endpoint, call->params[1], &loaded, err);
        if (!rc)
            put_status(w, loaded->number, loaded_problem(loaded));
        return rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, call->params[1]) ? ERR_OK : rc;
    }
    if (endpoint->champion_version)
        put_status(w, endpoint->champion_version,
                   endpoint->champion ? loaded_problem(endpoint->champion) : endpoint->problem);
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        if (alias->version != endpoint->champion_version)
            put_status(w, alias->version,
                       alias->loaded || alias->is_cold ? NULL : "it could not be loaded");
    }
    return ERR_OK;
}

enum err_code v1_model(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    enum err_code rc = find_endpoint(call, &endpoint, err);
    if (rc)
        return rc;
    bool is_ready = endpoint->champion || endpoint->is_cold || call->params[1].len;
    struct json_writer w = call_json(call, is_ready ? 200 : 503);
    json_begin_object(&w);
    json_member_text(&w, "name", endpoint->name);
    json_member_bool(&w, "ready", is_ready);
    json_key(&w, "model_version_status");
    json_begin_array(&w);
    rc = put_statuses(call, &w, endpoint, err);
    json_end_array(&w);
    json_end_object(&w);
    return rc;
}

/* ---- TensorFlow Serving's metadata ---- */

/* Names of tensorflow/core/framework/types.proto, by datatype. */
static const char *tf_type(enum dtype dtype)
{
    static const char *const names[DTYPE_COUNT] = {
        [DTYPE_BOOL] = "DT_BOOL",     [DTYPE_U8] = "DT_UINT8",     [DTYPE_U16] = "DT_UINT16",
        [DTYPE_U32] = "DT_UINT32",    [DTYPE_U64] = "DT_UINT64",   [DTYPE_I8] = "DT_INT8",
        [DTYPE_I16] = "DT_INT16",     [DTYPE_I32] = "DT_INT32",    [DTYPE_I64] = "DT_INT64",
        [DTYPE_F16] = "DT_HALF",      [DTYPE_F32] = "DT_FLOAT",    [DTYPE_F64] = "DT_DOUBLE",
        [DTYPE_BF16] = "DT_BFLOAT16", [DTYPE_BYTES] = "DT_STRING",
    };
    return names[dtype];
}

static void put_tensor_info(struct json_writer *w, const struct signature_tensor *tensor)
{
    char text[STR_NUMBER_BYTES];
    json_key(w, tensor->name);
    json_begin_object(w);
    json_member_text(w, "dtype", tf_type(tensor->dtype));
    json_key(w, "tensor_shape");
    json_begin_object(w);
    json_key(w, "dim");
    json_begin_array(w);
    for (int i = 0; i < tensor->rank; i++) {
        json_begin_object(w);
        json_key(w, "size"); /* an int64, which proto3's JSON writes as text */
        json_put_str(w, (struct str){text, str_from_i64(tensor->shape[i], text)});
        json_member_text(w, "name", "");
        json_end_object(w);
    }
    json_end_array(w);
    json_member_bool(w, "unknown_rank", false);
    json_end_object(w);
    json_member_text(w, "name", tensor->name);
    json_end_object(w);
}

static void put_signature(struct json_writer *w, const struct signature *sig)
{
    json_key(w, "inputs");
    json_begin_object(w);
    for (int i = 0; i < sig->input_count; i++)
        put_tensor_info(w, &sig->inputs[i]);
    json_end_object(w);
    json_key(w, "outputs");
    json_begin_object(w);
    for (int i = 0; i < sig->output_count; i++)
        if (!sig->outputs[i].is_on_request)
            put_tensor_info(w, &sig->outputs[i]);
    json_end_object(w);
    json_member_text(w, "method_name", "tensorflow/serving/predict");
}

static void put_model_spec(struct json_writer *w, const struct loaded *loaded)
{
    char text[STR_NUMBER_BYTES];
    json_key(w, "model_spec");
    json_begin_object(w);
    json_member_text(w, "name", loaded->model);
    json_member_text(w, "signature_name", "");
    json_key(w, "version");
    json_put_str(w, (struct str){text, str_from_i64(loaded->number, text)});
    json_end_object(w);
}

enum err_code v1_metadata(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = find_endpoint(call, &endpoint, err);
    if (!rc)
        rc = endpoint_choose(endpoint, call->params[1], &loaded, err);
    if (rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, call->params[1]))
        rc = call_wait_for_model(call, call->params[0], call->params[1], err);
    if (rc || call->is_waiting)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    put_model_spec(&w, loaded);
    json_key(&w, "metadata");
    json_begin_object(&w);
    json_key(&w, "signature_def");
    json_begin_object(&w);
    json_key(&w, "signature_def");
    json_begin_object(&w);
    json_key(&w, "serving_default");
    json_begin_object(&w);
    put_signature(&w, loaded->signature);
    json_end_object(&w);
    json_end_object(&w);
    json_end_object(&w);
    json_end_object(&w);
    json_end_object(&w);
    return ERR_OK;
}
