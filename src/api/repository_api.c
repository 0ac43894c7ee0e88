/* repository_api.c - the Open Inference Protocol's model repository: index, load, unload.
 *
 * What a model's versions are is the registry's business; here it is only whether they are in
 * memory. With a memory budget a model that was unloaded is loaded again when somebody asks.
 */
#include "api/handlers.h"
#include "base/check.h"

static void put_version(struct json_writer *w, const struct endpoint *endpoint, int64_t number,
                        const char *reason)
{
    char text[STR_NUMBER_BYTES];
    json_begin_object(w);
    json_member_text(w, "name", endpoint->name);
    json_key(w, "version");
    json_put_str(w, (struct str){text, str_from_i64(number, text)});
    json_member_text(w, "state", reason ? "UNAVAILABLE" : "READY");
    json_member_text(w, "reason", reason ? reason : "");
    json_end_object(w);
}

const char *repository_reason(const struct endpoint *endpoint, const struct endpoint_alias *alias)
{
    if (alias->loaded)
        return loaded_problem(alias->loaded);
    if (alias->is_cold)
        return "unloaded: not in memory until it is asked";
    return alias->version == endpoint->champion_version && endpoint->problem
               ? endpoint->problem
               : "could not be loaded";
}

bool repository_is_listed(const struct endpoint *endpoint, int index)
{
    for (int i = 0; i < index; i++)
        if (endpoint->aliases[i].version == endpoint->aliases[index].version)
            return true;
    return false;
}

static void put_endpoint(struct json_writer *w, const struct endpoint *endpoint, bool is_ready_only)
{
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        if (!repository_is_listed(endpoint, i) && (alias->loaded || !is_ready_only))
            put_version(w, endpoint, alias->version, repository_reason(endpoint, alias));
    }
}

enum err_code repository_index(struct call *call, struct err *err)
{
    yyjson_val *root;
    bool is_ready_only = false;
    enum err_code rc = call_body_object(call, &root, err);
    yyjson_val *ready = rc ? NULL : yyjson_obj_get(root, "ready");
    if (ready && !yyjson_is_bool(ready))
        rc = err_set(err, ERR_INVALID, "Invalid value for 'ready': expected a boolean");
    if (rc)
        return rc;
    is_ready_only = yyjson_get_bool(ready);
    const struct map *endpoints = &call->snapshot->endpoints;
    struct json_writer w = call_json(call, 200);
    json_begin_array(&w);
    for (size_t i = 0; i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            put_endpoint(&w, endpoints->slots[i].value, is_ready_only);
    json_end_array(&w);
    return ERR_OK;
}

/* A caller's files and configuration are never taken: versions come through the registry. */
static enum err_code check_parameters(struct call *call, struct err *err)
{
    yyjson_val *root;
    enum err_code rc = call_body_object(call, &root, err);
    yyjson_val *parameters = rc ? NULL : yyjson_obj_get(root, "parameters");
    size_t i, count;
    yyjson_val *key, *value;
    if (!parameters)
        return rc;
    yyjson_obj_foreach(parameters, i, count, key, value)
    {
        if (str_equal_c(json_str(key), "unload_dependents"))
            continue;
        err_set(err, ERR_UNSUPPORTED, "the parameter '%s' is not taken", yyjson_get_str(key));
        return err_hint(err, "register a version: slipway model register NAME FILE");
    }
    return rc;
}

static enum err_code reply_empty(struct call *call)
{
    call->x->response.status = 200;
    return ERR_OK;
}

enum err_code repository_load_model(struct call *call, const char *model, struct err *err)
{
    struct node *node = call->node;
    enum err_code rc = node->model_cache ? model_cache_load_now(node->model_cache, model, "", err)
                                         : control_refresh(node->control, model, err);
    if (!rc && node->model_cache)
        model_cache_load_previous(node->model_cache, model);
    return rc ? err_wrap(err, "failed to load '%s'", model) : ERR_OK;
}

enum err_code repository_load(struct call *call, struct err *err)
{
    const char *model;
    enum err_code rc = call_name(call, 0, "model", &model, err);
    if (!rc)
        rc = check_parameters(call, err);
    if (!rc)
        rc = repository_load_model(call, model, err);
    return rc ? rc : reply_empty(call);
}

enum err_code repository_unload(struct call *call, struct err *err)
{
    const char *model;
    enum err_code rc = call_name(call, 0, "model", &model, err);
    if (!rc)
        rc = check_parameters(call, err);
    if (!rc)
        rc = control_unload(call->node->control, model, err);
    return rc ? rc : reply_empty(call);
}
