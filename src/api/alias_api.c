/* alias_api.c - aliases: show, move, remove, history; and the one command that undoes: rollback. */
#include <stdlib.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "base/log.h"
#include "registry/rollback_log.h"
#include "rollout/gate_store.h"
#include "serve/rollout_engine.h"

static void write_alias(struct call *call, const struct alias *alias)
{
    char etag[STR_NUMBER_BYTES + 2] = "\"";
    size_t length = 1 + str_from_i64(alias->revision, etag + 1);
    etag[length++] = '"';
    http_add_header(&call->x->response, "ETag", (struct str){etag, length});
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, alias->model);
    json_key(&w, "alias");
    json_put_text(&w, alias->name);
    json_key(&w, "version");
    json_put_i64(&w, alias->version);
    json_key(&w, "previous");
    json_put_i64(&w, alias->previous);
    json_key(&w, "revision");
    json_put_i64(&w, alias->revision);
    json_key(&w, "updated_at");
    json_put_time(&w, alias->updated_us);
    json_end_object(&w);
}

static enum err_code alias_names(struct call *call, const char **model, const char **alias,
                                 struct err *err)
{
    enum err_code rc = call_name(call, 0, "a model", model, err);
    return rc ? rc : call_name(call, 1, "an alias", alias, err);
}

enum err_code alias_get_handler(struct call *call, struct err *err)
{
    const char *model, *name;
    struct alias alias;
    enum err_code rc = alias_names(call, &model, &name, err);
    if (rc)
        return rc;
    rc = alias_get(control_read_begin(call->node->control), model, name, call->arena, &alias, err);
    control_read_end(call->node->control);
    if (!rc)
        write_alias(call, &alias);
    return rc;
}

/* ---- what a rollback needs ---- */

/* What the next rollback brings back is loaded behind the reply's back, so that it is pinned when
 * needed. */
struct pin_task {
    struct pool_task task;
    struct control *control;
    struct model_cache *cache; /* NULL: all models stay in memory */
    char model[STR_NAME_BYTES_MAX + 1];
};

static void pin_next(struct pool_task *task)
{
    struct pin_task *pin = (struct pin_task *)(void *)task;
    struct err err = {0};
    if (pin->cache)
        model_cache_load_previous(pin->cache, pin->model);
    else if (control_refresh(pin->control, pin->model, &err))
        log_warn("previous champion not pinned", "model=%s reason=%s", pin->model, err.msg);
    free(pin);
}

static void pin_later(struct call *call, const char *model)
{
    struct err err = {0};
    if (!call->node->slow_pool)
        return;
    struct pin_task *pin = calloc(1, sizeof(*pin));
    if (!pin)
        abort();
    pin->task.fn = pin_next;
    pin->control = call->node->control;
    pin->cache = call->node->model_cache;
    snprintf(pin->model, sizeof(pin->model), "%s", model);
    if (pool_submit(call->node->slow_pool, &pin->task, &err))
        free(pin); /* the next rollback loads it itself */
}

/* ---- move ---- */

struct alias_move {
    const char *model, *alias, *reason;
    int64_t version, if_revision;
    bool is_gated; /* out: refused because of the gate, not of the revision */
};

static enum err_code move(struct call *call, struct control *control, struct store *store,
                          void *arg, struct err *err)
{
    struct alias_move *m = arg;
    struct alias alias;
    (void)control;
    enum err_code rc = rollout_check_move(store, m->model, m->alias, err);
    if (rc)
        return rc;
    rc = strcmp(m->alias, ALIAS_CHAMPION) == 0
             ? gate_check_required(store, m->model, m->version, err)
             : ERR_OK;
    m->is_gated = rc != ERR_OK;
    if (!rc)
        rc = alias_set(store, m->model, m->alias, m->version, m->if_revision, m->reason,
                       &call->actor, &alias, call->arena, err);
    if (!rc)
        write_alias(call, &alias);
    return rc;
}

static enum err_code read_version(struct call *call, yyjson_val *root, const char *model,
                                  int64_t *version, struct err *err)
{
    yyjson_val *value = yyjson_obj_get(root, "version");
    if (yyjson_is_str(value)) {
        struct store *store = control_read_begin(call->node->control);
        enum err_code rc = version_resolve(store, model, json_str(value), version, err);
        control_read_end(call->node->control);
        return rc;
    }
    return json_get_i64(root, "the request", "version", version, err);
}

static const char *reason_text(struct call *call, struct str reason)
{
    const char *text = arena_copy(call->arena, reason.ptr, reason.len);
    return text ? text : "";
}

static enum err_code read_move(struct call *call, struct alias_move *m, struct err *err)
{
    static const char *const keys[] = {"version", "reason", NULL};
    yyjson_val *root;
    struct str reason = {0};
    enum err_code rc = alias_names(call, &m->model, &m->alias, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = read_version(call, root, m->model, &m->version, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "reason", &reason, err);
    if (!rc)
        rc = call_if_revision(call, &m->if_revision, err);
    m->reason = reason_text(call, reason);
    return rc;
}

/* If-Match or If-None-Match did not hold: 412 (RFC 9110, 13.1), while other conflicts are 409. */
static enum err_code refuse_precondition(struct call *call, const struct alias_move *m,
                                         enum err_code rc)
{
    if (rc == ERR_CONFLICT && m->if_revision >= 0 && !m->is_gated)
        call->x->response.status = 412;
    return rc;
}

/* The version is loaded and has answered its golden rows before the alias moves. */
enum err_code alias_put(struct call *call, struct err *err)
{
    struct alias_move m = {0};
    struct loaded *loaded = NULL;
    enum err_code rc = read_move(call, &m, err);
    if (!rc)
        rc = control_acquire(call->node->control, m.model, m.version, &loaded, err);
    if (rc)
        return rc;
    struct call_change change = {
        .op = {.model = m.model, .loaded = {loaded}}, .fn = move, .arg = &m};
    rc = call_execute(call, &change, err);
    loaded_unref(loaded);
    if (!rc && call->node->model_cache) /* else the champion was in memory */
        pin_later(call, m.model);
    return refuse_precondition(call, &m, rc);
}

static enum err_code drop(struct call *call, struct control *control, struct store *store,
                          void *arg, struct err *err)
{
    const struct alias_move *m = arg;
    (void)control;
    enum err_code rc =
        alias_delete(store, m->model, m->alias, m->if_revision, "", &call->actor, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "deleted");
    json_put_text(&w, m->alias);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code alias_delete_handler(struct call *call, struct err *err)
{
    struct alias_move m = {0};
    enum err_code rc = alias_names(call, &m.model, &m.alias, err);
    if (!rc)
        rc = call_if_revision(call, &m.if_revision, err);
    if (rc)
        return rc;
    if (strcmp(m.alias, ALIAS_CHAMPION) == 0) {
        err_set(err, ERR_CONFLICT, "the champion of '%s' cannot be removed, only moved", m.model);
        return err_hint(err, "slipway alias set %s champion VERSION", m.model);
    }
    struct call_change change = {.op = {.model = m.model}, .fn = drop, .arg = &m};
    return refuse_precondition(call, &m, call_execute(call, &change, err));
}

/* ---- rollback ---- */

enum { ROLLBACK_TRIES = 3 };

struct rollback {
    struct alias_move m;
    struct call_change change;
    int64_t start_us;
    int64_t rollout; /* that was ended instead of a step back; 0: none */
};

static void write_rollback(struct call *call, const struct rollback *r, bool is_durable)
{
    struct json_writer w = call_json(call, 200);
    buf_clear(&call->x->response.body);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, r->m.model);
    json_key(&w, "alias");
    json_put_text(&w, r->m.alias);
    json_key(&w, "from");
    json_put_i64(&w, r->change.op.from);
    json_key(&w, "to");
    json_put_i64(&w, r->change.op.to);
    if (r->rollout) {
        json_key(&w, "rollout");
        json_put_i64(&w, r->rollout);
    }
    json_key(&w, "durable");
    json_put_bool(&w, is_durable);
    json_key(&w, "milliseconds");
    json_put_f64(&w, (double)(clock_monotonic_us() - r->start_us) / 1000.0);
    json_end_object(&w);
}

/* A rollout is what can be taken back first: the champion is the version it was to replace. */
static enum err_code end_rollout(struct call *call, struct store *store, struct rollback *r,
                                 struct err *err)
{
    struct rollout rollout;
    const struct rollout_act act = {.model = r->m.model,
                                    .action = ACT_ABORT,
                                    .cause = "rollback",
                                    .reason = r->m.reason,
                                    .evidence = "{}"};
    enum err_code rc = rollout_act(store, &act, &call->actor, call->arena, &rollout, err);
    if (rc)
        return rc;
    r->rollout = rollout.id;
    r->change.op.alias = ROLLBACK_LOG_ROLLOUT;
    r->change.op.from = rollout.to;
    r->change.op.to = rollout.from;
    write_rollback(call, r, true);
    return ERR_OK;
}

/* The active one. One that cannot be read hinders no rollback: it shares no traffic. */
static enum err_code find_rollout(struct store *store, const char *model, struct arena *arena,
                                  bool *has_rollout, struct err *err)
{
    struct rollout rollout;
    enum err_code rc = rollout_find(store, model, arena, &rollout, has_rollout, err);
    if (rc != ERR_UNSUPPORTED)
        return rc;
    *has_rollout = false;
    err->code = ERR_OK;
    return ERR_OK;
}

static enum err_code take_back(struct call *call, struct control *control, struct store *store,
                               void *arg, struct err *err)
{
    struct rollback *r = arg;
    struct alias before, after;
    bool has_rollout = false;
    (void)control;
    r->rollout = 0;
    r->change.op.alias = r->m.alias;
    enum err_code rc = find_rollout(store, r->m.model, call->arena, &has_rollout, err);
    if (!rc && has_rollout)
        return end_rollout(call, store, r, err);
    if (!rc)
        rc = alias_get(store, r->m.model, r->m.alias, call->arena, &before, err);
    if (!rc)
        rc = alias_rollback(store, r->m.model, r->m.alias, r->m.reason, &call->actor, &after,
                            call->arena, err);
    if (rc)
        return rc;
    r->change.op.from = before.version;
    r->change.op.to = after.version;
    write_rollback(call, r, true);
    return ERR_OK;
}

/* Under a memory budget: nothing of the model is loaded, so nothing needs to be for a rollback. */
static bool is_cold(struct call *call, const char *model)
{
    struct snapshot *snapshot = control_snapshot(call->node->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    bool is_cold = endpoint && endpoint->is_cold;
    snapshot_unref(snapshot);
    return call->node->model_cache && is_cold;
}

/* The version before the champion is pinned in memory; only after a restart with a missing file,
 * right after another rollback, or when a memory budget is too small for both may it have to be
 * loaded here. */
static enum err_code acquire_previous(struct call *call, const char *model, struct loaded **loaded,
                                      struct err *err)
{
    struct alias alias;
    bool has_rollout = false;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = find_rollout(store, model, call->arena, &has_rollout, err);
    if (!rc && !has_rollout)
        rc = alias_get(store, model, ALIAS_CHAMPION, call->arena, &alias, err);
    control_read_end(call->node->control);
    if (rc || has_rollout || alias.previous == 0 || is_cold(call, model))
        return rc;
    return control_acquire(call->node->control, model, alias.previous, loaded, err);
}

static enum err_code read_rollback(struct call *call, struct alias_move *m, struct err *err)
{
    static const char *const keys[] = {"reason", NULL};
    yyjson_val *root;
    struct str reason = {0};
    enum err_code rc = call_name(call, 0, "a model", &m->model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "reason", &reason, err);
    m->alias = ALIAS_CHAMPION;
    m->reason = reason_text(call, reason);
    return rc;
}

enum err_code rollback_post(struct call *call, struct err *err)
{
    struct rollback r = {.start_us = clock_monotonic_us()};
    struct loaded *loaded = NULL;
    enum err_code rc = read_rollback(call, &r.m, err);
    if (!rc)
        rc = acquire_previous(call, r.m.model, &loaded, err);
    if (rc)
        return rc;
    r.change = (struct call_change){
        .op = {.model = r.m.model,
               .loaded = {loaded},
               .is_rollback = true,
               .alias = r.m.alias,
               .reason = r.m.reason,
               .actor = call->actor.name},
        .fn = take_back,
        .arg = &r,
    };
    rc = call_execute(call, &r.change, err);
    loaded_unref(loaded);
    /* Another rollback came first, or one waits in the log: the step is now a further one. */
    for (int tries = 0; rc == ERR_UNAVAILABLE && r.change.op.to && tries < ROLLBACK_TRIES;
         tries++) {
        rc = control_acquire(call->node->control, r.m.model, r.change.op.to, &loaded, err);
        if (rc)
            return rc;
        r.change.op.loaded[0] = loaded;
        r.change.op.to = 0; /* stays so when its Idempotency-Key was answered meanwhile */
        rc = call_execute(call, &r.change, err);
        loaded_unref(loaded);
    }
    if (rc)
        return rc;
    bool is_replayed = r.change.op.to == 0;
    if (is_replayed)
        return ERR_OK;
    write_rollback(call, &r, r.change.op.is_durable);
    rollout_engine_changed(call->node->rollouts);
    log_info("rollback done", "model=%s from=%lld to=%lld durable=%s actor=%s", r.m.model,
             (long long)r.change.op.from, (long long)r.change.op.to,
             r.change.op.is_durable ? "true" : "false", call->actor.name);
    pin_later(call, r.m.model);
    return ERR_OK;
}

/* ---- history ---- */

static void put_change(struct json_writer *w, const struct alias_change *change)
{
    json_begin_object(w);
    json_key(w, "id");
    json_put_i64(w, change->id);
    json_key(w, "at");
    json_put_time(w, change->at_us);
    json_key(w, "alias");
    json_put_text(w, change->alias);
    json_key(w, "kind");
    json_put_text(w, change->kind);
    json_key(w, "from");
    json_put_i64(w, change->from);
    json_key(w, "to");
    json_put_i64(w, change->to);
    json_key(w, "actor");
    json_put_text(w, change->actor);
    json_key(w, "reason");
    json_put_text(w, change->reason);
    json_end_object(w);
}

enum err_code history_get(struct call *call, struct err *err)
{
    const char *model;
    struct model found;
    struct alias_change *changes;
    int64_t limit = 1000;
    int count = 0;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, ALIAS_HISTORY_MAX, &limit, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, model, call->arena, &found, err);
    if (!rc)
        rc = alias_history(store, model, NULL, (int)limit, call->arena, &changes, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, model);
    json_key(&w, "changes");
    json_begin_array(&w);
    for (int i = count - 1; i >= 0; i--)
        put_change(&w, &changes[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}
