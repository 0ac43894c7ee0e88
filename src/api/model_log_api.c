/* model_log_api.c - what a version's own code printed last: Python models. */
#include "api/handlers.h"
#include "serve/endpoint_build.h"

/* The version as it is in memory; the log dies with it. */
static struct loaded *find_loaded(struct call *call, const struct version *version)
{
    struct snapshot *snapshot = control_snapshot(call->node->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(version->model));
    struct loaded *loaded = endpoint ? endpoint_loaded(endpoint, version->number) : NULL;
    snapshot_unref(snapshot);
    return loaded;
}

enum err_code model_log_get(struct call *call, struct err *err)
{
    struct version version;
    enum err_code rc = call_version(call, &version, err);
    if (rc)
        return rc;
    struct loaded *loaded = find_loaded(call, &version);
    if (!loaded) {
        err_set(err, ERR_NOT_FOUND, "model '%s' version %lld is not in memory", version.model,
                (long long)version.number);
        return err_hint(err, "what code printed is kept while it is loaded; the server's log has "
                             "it too");
    }
    if (loaded->ops->log) {
        call->x->response.status = 200;
        call->x->response.content_type = "text/plain; charset=utf-8";
        loaded->ops->log(loaded->state, &call->x->response.body);
    } else {
        rc = err_set(err, ERR_UNSUPPORTED, "the runtime %s runs no code that could print",
                     loaded->ops->name);
    }
    loaded_unref(loaded);
    return rc;
}
