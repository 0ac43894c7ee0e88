/* model_api.c - models: list, show, change the owner. */
#include "api/handlers.h"

static void put_model(struct json_writer *w, const struct model *model)
{
    json_key(w, "name");
    json_put_text(w, model->name);
    json_key(w, "owner");
    json_put_text(w, model->owner);
    json_key(w, "description");
    json_put_text(w, model->description);
    json_key(w, "champion");
    json_put_i64(w, model->champion);
    json_key(w, "latest_version");
    json_put_i64(w, model->latest_version);
    json_key(w, "created_at");
    json_put_time(w, model->created_us);
}

enum err_code models_get(struct call *call, struct err *err)
{
    struct model *models;
    int count = 0;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = model_list(store, call->arena, &models, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "models");
    json_begin_array(&w);
    for (int i = 0; i < count; i++) {
        json_begin_object(&w);
        put_model(&w, &models[i]);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static void put_alias(struct json_writer *w, const struct alias *alias)
{
    json_begin_object(w);
    json_key(w, "alias");
    json_put_text(w, alias->name);
    json_key(w, "version");
    json_put_i64(w, alias->version);
    json_key(w, "previous");
    json_put_i64(w, alias->previous);
    json_key(w, "revision");
    json_put_i64(w, alias->revision);
    json_key(w, "updated_at");
    json_put_time(w, alias->updated_us);
    json_end_object(w);
}

static enum err_code write_model(struct call *call, struct store *store, const char *name,
                                 struct err *err)
{
    struct model model;
    struct alias *aliases;
    int count = 0;
    enum err_code rc = model_get(store, name, call->arena, &model, err);
    if (!rc)
        rc = alias_list(store, name, call->arena, &aliases, &count, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    put_model(&w, &model);
    json_key(&w, "aliases");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_alias(&w, &aliases[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code model_get_handler(struct call *call, struct err *err)
{
    const char *name;
    enum err_code rc = call_name(call, 0, "a model", &name, err);
    if (rc)
        return rc;
    rc = write_model(call, control_read_begin(call->node->control), name, err);
    control_read_end(call->node->control);
    return rc;
}

struct patch {
    const char *model, *owner, *description; /* NULL: as it was */
};

static enum err_code patch(struct call *call, struct control *control, struct store *store,
                           void *arg, struct err *err)
{
    const struct patch *p = arg;
    struct model model;
    (void)control;
    enum err_code rc = model_get(store, p->model, call->arena, &model, err);
    if (!rc)
        rc = model_ensure(store, p->model, p->owner, p->description, &call->actor, err);
    return rc ? rc : write_model(call, store, p->model, err);
}

enum err_code model_patch(struct call *call, struct err *err)
{
    static const char *const keys[] = {"owner", "description", NULL};
    yyjson_val *root;
    struct patch p = {0};
    struct str owner = {0}, description = {0};
    enum err_code rc = call_name(call, 0, "a model", &p.model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "owner", &owner, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "description", &description, err);
    if (rc)
        return rc;
    p.owner = owner.ptr ? arena_copy(call->arena, owner.ptr, owner.len) : NULL;
    p.description =
        description.ptr ? arena_copy(call->arena, description.ptr, description.len) : NULL;
    struct call_change change = {.op = {.model = p.model}, .fn = patch, .arg = &p};
    return call_execute(call, &change, err);
}
