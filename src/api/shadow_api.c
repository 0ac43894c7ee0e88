/* shadow_api.c - GET .../rollouts/{rollout}/shadow: the comparison of a rollout's shadow. */
#include "api/handlers.h"
#include "rollout/rollout_store.h"
#include "serve/shadow.h"

/* Is it a rollout of that model? */
static enum err_code check_rollout(struct call *call, const char *model, int64_t id,
                                   struct err *err)
{
    struct rollout rollout;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = rollout_get(store, id, call->arena, &rollout, err);
    control_read_end(call->node->control);
    if (!rc && strcmp(rollout.model, model) != 0)
        rc = err_set(err, ERR_NOT_FOUND, "rollout %lld is not one of model '%s'", (long long)id,
                     model);
    return rc;
}

static enum err_code refuse_none(const char *model, int64_t id, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "rollout %lld of model '%s' has no shadow that is remembered",
            (long long)id, model);
    return err_hint(err, "a rollout file asks for one with steps: [{do: shadow, for: 2h}, ...]; "
                         "comparisons begin anew when the server does");
}

enum err_code rollout_shadow_get(struct call *call, struct err *err)
{
    const char *model;
    int64_t id;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc && !str_to_i64(call->params[1], &id))
        rc = err_set(err, ERR_INVALID, "'%.*s' is not the number of a rollout",
                     STR_ARG(call->params[1]));
    if (!rc)
        rc = check_rollout(call, model, id, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    if (!call->node->shadow || !shadow_write(call->node->shadow, id, &w))
        return refuse_none(model, id, err);
    return ERR_OK;
}
