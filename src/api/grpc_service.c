/* grpc_service.c - inference.GRPCInferenceService: health, metadata, repository. The twins of the
 * REST handlers in oip_api.c; field numbers are those of Triton's grpc_service.proto. */
#include "api/grpc_service.h"

#include "api/grpc.h"
#include "api/grpc_tensor.h"
#include "api/handlers.h"
#include "api/oip_api.h"
#include "api/oip_config.h"
#include "base/check.h"

#define GRPC_SERVER_NAME "slipway"

/* ---- requests ---- */

enum err_code grpc_read_names(struct call *call, struct str names[2], struct err *err)
{
    struct str message;
    struct pb_field f;
    names[0] = names[1] = (struct str){"", 0};
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    struct pb_reader r = pb_read(message);
    while (pb_next(&r, &f))
        if (f.wire == PB_BYTES && f.number >= 1 && f.number <= 2)
            names[f.number - 1] = f.bytes;
    return r.problem ? err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem)
                     : ERR_OK;
}

static enum err_code choose_version(struct call *call, const struct str names[2],
                                    const struct endpoint **endpoint, struct loaded **loaded,
                                    struct err *err)
{
    *endpoint = snapshot_find(call->snapshot, names[0]);
    if (*endpoint)
        return endpoint_choose(*endpoint, names[1], loaded, err);
    err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
            STR_ARG(names[0]));
    return err_hint(err, "names are in RepositoryIndex");
}

enum err_code grpc_find_in_memory(struct call *call, const struct endpoint **endpoint,
                                  struct loaded **loaded, struct err *err)
{
    struct str names[2];
    enum err_code rc = grpc_read_names(call, names, err);
    if (rc)
        return rc;
    rc = choose_version(call, names, endpoint, loaded, err);
    if (rc == ERR_UNAVAILABLE && endpoint_is_cold(*endpoint, names[1]))
        rc = call_wait_for_model(call, names[0], names[1], err);
    return rc;
}

/* A reply whose only field is a truth in field 1. */
static enum err_code answer_bool(struct call *call, bool value)
{
    size_t mark = grpc_begin(&call->x->response.body);
    if (value) /* false is what an absent field means */
        pb_put_varint(&call->x->response.body, 1, 1);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* ---- health ---- */

enum err_code grpc_server_live(struct call *call, struct err *err)
{
    (void)err;
    return answer_bool(call, true);
}

enum err_code grpc_server_ready(struct call *call, struct err *err)
{
    (void)err;
    return answer_bool(call, call_readiness(call, NULL) == NULL);
}

/* Questions about readiness are answered with no, not with an error. */
enum err_code grpc_model_ready(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    struct str names[2];
    enum err_code rc = grpc_read_names(call, names, err);
    if (rc)
        return rc;
    rc = choose_version(call, names, &endpoint, &loaded, err);
    bool is_cold = rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, names[1]);
    return answer_bool(call, is_cold || (rc == ERR_OK && !loaded_problem(loaded)));
}

/* ---- metadata ---- */

enum err_code grpc_server_metadata(struct call *call, struct err *err)
{
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    (void)err;
    pb_put_text(out, 1, GRPC_SERVER_NAME);
    pb_put_text(out, 2, SLIPWAY_VERSION);
    for (int i = 0; oip_extensions[i]; i++)
        pb_put_text(out, 3, oip_extensions[i]);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

void grpc_put_number(struct buf *out, uint32_t number, int64_t version)
{
    char text[STR_NUMBER_BYTES];
    pb_put_bytes(out, number, (struct str){text, str_from_i64(version, text)});
}

static void put_versions(struct buf *out, const struct endpoint *endpoint)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(endpoint, versions);
    for (int i = 0; i < count; i++)
        grpc_put_number(out, 2, versions[i]->number);
}

struct tensor_list {
    struct buf *out;
    uint32_t number; /* of the field that each tensor is */
};

static void put_metadata(void *arg, const struct oip_tensor *tensor)
{
    const struct tensor_list *list = arg;
    size_t mark = pb_begin(list->out, list->number);
    pb_put_text(list->out, 1, tensor->name);
    pb_put_text(list->out, 2, dtype_name(tensor->dtype));
    grpc_put_shape(list->out, 3, tensor->shape, tensor->rank);
    pb_end(list->out, mark);
}

enum err_code grpc_model_metadata(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = grpc_find_in_memory(call, &endpoint, &loaded, err);
    if (rc || call->is_waiting)
        return rc;
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    pb_put_text(out, 1, endpoint->name);
    put_versions(out, endpoint);
    pb_put_text(out, 3, loaded->signature->platform);
    oip_each_input(loaded, put_metadata, &(struct tensor_list){out, 4});
    oip_each_output(loaded, put_metadata, &(struct tensor_list){out, 5});
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* ---- repository ---- */

static void put_index(struct buf *out, const char *name, int64_t version, const char *problem)
{
    size_t mark = pb_begin(out, 1);
    pb_put_text(out, 1, name);
    if (version)
        grpc_put_number(out, 2, version);
    pb_put_text(out, 3, problem ? "UNAVAILABLE" : "READY");
    if (problem)
        pb_put_text(out, 4, problem);
    pb_end(out, mark);
}

static void put_endpoint(struct buf *out, const struct endpoint *endpoint, bool is_ready_only)
{
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        const char *reason = repository_reason(endpoint, alias);
        if (!repository_is_listed(endpoint, i) && (!reason || !is_ready_only))
            put_index(out, endpoint->name, alias->version, reason);
    }
}

/* Field 2 of the request: only those that are ready. */
static enum err_code read_ready(struct call *call, bool *is_ready_only, struct err *err)
{
    struct str message;
    struct pb_field f;
    *is_ready_only = false;
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    struct pb_reader r = pb_read(message);
    while (pb_next(&r, &f))
        if (f.number == 2 && f.wire == PB_VARINT)
            *is_ready_only = f.value != 0;
    return r.problem ? err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem)
                     : ERR_OK;
}

enum err_code grpc_repository_index(struct call *call, struct err *err)
{
    const struct map *endpoints = &call->snapshot->endpoints;
    bool is_ready_only;
    enum err_code rc = read_ready(call, &is_ready_only, err);
    if (rc)
        return rc;
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    for (size_t i = 0; i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            put_endpoint(out, endpoints->slots[i].value, is_ready_only);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* The model that RepositoryModelLoad or Unload names, in field 2; field 3 are parameters, of which
 * files and configurations are not taken. */
static enum err_code read_model(struct call *call, const char **model, struct err *err)
{
    struct str message, key = {0};
    struct pb_field f;
    call->params[0] = (struct str){"", 0};
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    struct pb_reader r = pb_read(message);
    while (pb_next(&r, &f)) {
        if (f.wire == PB_BYTES && f.number == 2)
            call->params[0] = f.bytes;
        if (f.wire != PB_BYTES || f.number != 3)
            continue;
        struct pb_reader entry = pb_read(f.bytes);
        if (pb_next(&entry, &f) && f.wire == PB_BYTES && f.number == 1)
            key = f.bytes;
        if (!str_equal(key, STR_LIT("unload_dependents"))) {
            err_set(err, ERR_UNSUPPORTED, "the parameter '%.*s' is not taken", STR_ARG(key));
            return err_hint(err, "register a version: slipway model register NAME FILE");
        }
    }
    if (r.problem)
        return err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem);
    return call_name(call, 0, "model", model, err);
}

static void answer_empty(struct call *call)
{
    grpc_end(&call->x->response.body, grpc_begin(&call->x->response.body));
}

enum err_code grpc_repository_load(struct call *call, struct err *err)
{
    const char *model;
    enum err_code rc = read_model(call, &model, err);
    if (!rc)
        rc = repository_load_model(call, model, err);
    if (!rc)
        answer_empty(call);
    return rc;
}

enum err_code grpc_repository_unload(struct call *call, struct err *err)
{
    const char *model;
    enum err_code rc = read_model(call, &model, err);
    if (!rc)
        rc = control_unload(call->node->control, model, err);
    if (!rc)
        answer_empty(call);
    return rc;
}
