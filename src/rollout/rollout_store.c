/* rollout_store.c - rows of rollouts and rollout_decisions. */
#include "rollout/rollout_store.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "registry/registry.h"
#include "registry/registry_check.h"
#include "rollout/gate_store.h"

#define COLUMNS                                                                                    \
    "id, model, from_version, to_version, from_digest, to_digest, file, file_digest, salt, "       \
    "author, started_us, state, revision, step, weight_ppm, step_started_us, reason, ended_us, "   \
    "warm_until_us"
#define SQL_INSERT                                                                                 \
    "INSERT INTO rollouts (" COLUMNS                                                               \
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, "  \
    "?19)"
#define SQL_UPDATE                                                                                 \
    "UPDATE rollouts SET state = ?3, revision = revision + 1, step = ?4, weight_ppm = ?5, "        \
    "step_started_us = ?6, reason = ?7, ended_us = ?8, warm_until_us = ?9 "                        \
    "WHERE id = ?1 AND revision = ?2"
#define SQL_SALT "UPDATE rollouts SET salt = ?2 WHERE id = ?1"
#define SQL_GET "SELECT " COLUMNS " FROM rollouts WHERE id = ?1"
#define SQL_ACTIVE "SELECT " COLUMNS " FROM rollouts WHERE model = ?1 AND ended_us = 0"
#define SQL_NEWEST "SELECT " COLUMNS " FROM rollouts WHERE model = ?1 ORDER BY id DESC LIMIT 1"
#define SQL_LIST_ALL                                                                               \
    "SELECT " COLUMNS " FROM rollouts WHERE ended_us <= ?1 ORDER BY id DESC LIMIT ?2"
#define SQL_LIST_OF                                                                                \
    "SELECT " COLUMNS " FROM rollouts WHERE ended_us <= ?1 AND model = ?3 ORDER BY id DESC LIMIT ?2"
#define SQL_COOLED                                                                                 \
    "SELECT DISTINCT model FROM rollouts WHERE warm_until_us > ?1 AND warm_until_us <= ?2 LIMIT ?3"
#define SQL_NEXT_ID "SELECT COALESCE(MAX(id), 0) + 1 FROM rollouts"
#define SQL_DECIDE                                                                                 \
    "INSERT INTO rollout_decisions (id, rollout, at_us, action, cause, state, step, weight_ppm, "  \
    "reason, actor, evidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
#define SQL_DECISIONS                                                                              \
    "SELECT id, at_us, action, cause, state, step, weight_ppm, reason, actor, evidence "           \
    "FROM rollout_decisions WHERE rollout = ?1 ORDER BY id LIMIT ?2"

struct list_context {
    struct arena *arena;
    struct rollout *list;
    int count;
    bool is_lenient; /* salt and state may say anything: zeros, and running */
};

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room to read rollouts");
}

/* A row of a newer program, or a damaged one: its model is served without it. */
static enum err_code refuse_row(struct store_rows *rows, int column, const char *what,
                                struct err *err)
{
    struct str text = store_text(rows, column);
    err_set(err, ERR_UNSUPPORTED,
            "rollout %lld of model '%.*s' has the %s '%.*s', which says nothing",
            (long long)store_i64(rows, 0), STR_ARG(store_text(rows, 1)), what,
            (int)(text.len < 40 ? text.len : 40), text.ptr ? text.ptr : "");
    return err_hint(err,
                    "a newer slipway may have written it; the champion answers alone; end it: "
                    "slipway rollout abort %.*s",
                    STR_ARG(store_text(rows, 1)));
}

static enum err_code read_rollout(struct store_rows *rows, void *arg, struct err *err)
{
    struct list_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return no_room(err);
    struct rollout *r = &c->list[c->count++];
    *r = (struct rollout){
        .id = store_i64(rows, 0),
        .model = store_text_copy(rows, 1, c->arena, &is_full),
        .from = store_i64(rows, 2),
        .to = store_i64(rows, 3),
        .from_digest = store_text_copy(rows, 4, c->arena, &is_full),
        .to_digest = store_text_copy(rows, 5, c->arena, &is_full),
        .file = store_text_copy(rows, 6, c->arena, &is_full),
        .file_digest = store_text_copy(rows, 7, c->arena, &is_full),
        .author = store_text_copy(rows, 9, c->arena, &is_full),
        .started_us = store_i64(rows, 10),
        .revision = store_i64(rows, 12),
        .step = (int)store_i64(rows, 13),
        .weight_ppm = store_i64(rows, 14),
        .step_started_us = store_i64(rows, 15),
        .reason = store_text_copy(rows, 16, c->arena, &is_full),
        .ended_us = store_i64(rows, 17),
        .warm_until_us = store_i64(rows, 18),
    };
    if (!str_unhex(store_text(rows, 8), r->salt, sizeof(r->salt))) {
        memset(r->salt, 0, sizeof(r->salt));
        if (!c->is_lenient)
            return refuse_row(rows, 8, "salt", err);
    }
    if (!rollout_state_parse(store_text(rows, 11), &r->state) && !c->is_lenient)
        return refuse_row(rows, 11, "state", err);
    return is_full ? no_room(err) : ERR_OK;
}

/* One that cannot be read hides no other. */
static enum err_code read_listed(struct store_rows *rows, void *arg, struct err *err)
{
    struct list_context *c = arg;
    int before = c->count;
    enum err_code rc = read_rollout(rows, arg, err);
    if (rc != ERR_UNSUPPORTED)
        return rc;
    c->count = before;
    err->code = ERR_OK;
    return ERR_OK;
}

/* ---- changes ---- */

static void put_state(struct buf *out, enum rollout_state state, int step, int64_t weight_ppm,
                      const struct rollout *rollout, const struct rollout_change *change)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "state");
    json_put_text(&w, rollout_state_name(state));
    json_key(&w, "step");
    json_put_i64(&w, step + 1);
    json_key(&w, "weight");
    json_put_f64(&w, (double)weight_ppm / WEIGHT_ONE);
    if (change) {
        json_key(&w, "from_version");
        json_put_i64(&w, rollout->from);
        json_key(&w, "to_version");
        json_put_i64(&w, rollout->to);
        json_key(&w, "cause");
        json_put_text(&w, change->cause);
        json_key(&w, "reason");
        json_put_text(&w, change->reason);
    }
    json_end_object(&w);
}

static enum err_code record(struct store *store, const struct rollout *rollout,
                            const struct rollout_change *change, bool is_new,
                            const struct actor *actor, int64_t now_us, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX], action[64];
    struct buf before, after;
    int64_t id = 0;
    snprintf(subject, sizeof(subject), "model/%s/rollout/%lld", rollout->model,
             (long long)rollout->id);
    snprintf(action, sizeof(action), "rollout.%s", rollout_action_name(change->action));
    put_state(&before, rollout->state, rollout->step, rollout->weight_ppm, rollout, NULL);
    put_state(&after, change->state, change->step, change->weight_ppm, rollout, change);
    if (is_new)
        buf_done(&before);
    enum err_code rc = registry_append(store, actor, action, subject, is_new ? NULL : &before,
                                       &after, now_us, &id, err);
    const struct store_value row[] = {
        STORE_INT(id),
        STORE_INT(rollout->id),
        STORE_INT(now_us),
        STORE_CSTR(rollout_action_name(change->action)),
        STORE_CSTR(change->cause),
        STORE_CSTR(rollout_state_name(change->state)),
        STORE_INT(change->step),
        STORE_INT(change->weight_ppm),
        STORE_CSTR(change->reason),
        STORE_CSTR(actor->name),
        STORE_CSTR(change->evidence),
    };
    return rc ? rc : store_exec(store, SQL_DECIDE, row, ARRAY_LEN(row), NULL, err);
}

static void take_change(struct rollout *rollout, const struct rollout_change *change,
                        int64_t now_us)
{
    if (rollout->step != change->step || change->action == ACT_START ||
        change->action == ACT_RESUME)
        rollout->step_started_us = now_us;
    rollout->state = change->state;
    rollout->step = change->step;
    rollout->weight_ppm = change->weight_ppm;
    rollout->reason = change->reason;
    rollout->revision++;
    if (rollout_is_over(change->state)) {
        rollout->ended_us = now_us;
        rollout->warm_until_us = now_us + change->warm_us;
    }
}

static enum err_code insert_row(struct store *store, const struct rollout *r, struct err *err)
{
    char salt[2 * sizeof(r->salt)];
    str_hex(r->salt, sizeof(r->salt), salt);
    const struct store_value row[] = {
        STORE_INT(r->id),
        STORE_CSTR(r->model),
        STORE_INT(r->from),
        STORE_INT(r->to),
        STORE_CSTR(r->from_digest),
        STORE_CSTR(r->to_digest),
        STORE_CSTR(r->file),
        STORE_CSTR(r->file_digest),
        STORE_STR(((struct str){salt, sizeof(salt)})),
        STORE_CSTR(r->author),
        STORE_INT(r->started_us),
        STORE_CSTR(rollout_state_name(r->state)),
        STORE_INT(r->revision),
        STORE_INT(r->step),
        STORE_INT(r->weight_ppm),
        STORE_INT(r->step_started_us),
        STORE_CSTR(r->reason),
        STORE_INT(r->ended_us),
        STORE_INT(r->warm_until_us),
    };
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}

static enum err_code refuse_second(const struct rollout *active, struct err *err)
{
    err_set(err, ERR_CONFLICT, "model '%s' has rollout %lld to version %lld, which is %s",
            active->model, (long long)active->id, (long long)active->to,
            rollout_state_name(active->state));
    return err_hint(err, "end it first: slipway rollout abort %s", active->model);
}

static enum err_code refuse_active(struct store *store, const char *model, struct err *err)
{
    struct arena *arena = arena_new(ROLLOUT_MEMORY_BYTES_MAX);
    struct rollout active = {0};
    bool is_there = false;
    enum err_code rc = rollout_find(store, model, arena, &active, &is_there, err);
    if (!rc && is_there)
        rc = refuse_second(&active, err);
    arena_free(arena);
    return rc;
}

/* A version without its required gates gets no traffic and no more of it. */
static enum err_code check_gates(struct store *store, const struct rollout *rollout,
                                 const struct rollout_change *change, struct err *err)
{
    if (change->weight_ppm <= rollout->weight_ppm && !change->alias)
        return ERR_OK;
    return gate_check_required(store, rollout->model, rollout->to, err);
}

enum err_code rollout_insert(struct store *store, struct rollout *rollout,
                             const struct rollout_change *change, const struct actor *actor,
                             struct err *err)
{
    int64_t now_us = clock_wall_us();
    enum err_code rc = registry_check_version(store, rollout->model, rollout->from, err);
    if (!rc)
        rc = registry_check_version(store, rollout->model, rollout->to, err);
    if (!rc)
        rc = refuse_active(store, rollout->model, err);
    if (!rc)
        rc = check_gates(store, rollout, change, err);
    if (!rc)
        rc = registry_read_number(store, SQL_NEXT_ID, NULL, 0, 1, &rollout->id, err);
    if (rc)
        return rc;
    rollout->revision = 0;
    rollout->started_us = now_us;
    rollout->author = actor->name;
    take_change(rollout, change, now_us);
    rc = insert_row(store, rollout, err);
    return rc ? rc : record(store, rollout, change, true, actor, now_us, err);
}

static enum err_code update_row(struct store *store, const struct rollout *rollout, struct err *err)
{
    int64_t changed = 0;
    const struct store_value row[] = {
        STORE_INT(rollout->id),
        STORE_INT(rollout->revision - 1),
        STORE_CSTR(rollout_state_name(rollout->state)),
        STORE_INT(rollout->step),
        STORE_INT(rollout->weight_ppm),
        STORE_INT(rollout->step_started_us),
        STORE_CSTR(rollout->reason),
        STORE_INT(rollout->ended_us),
        STORE_INT(rollout->warm_until_us),
    };
    if (store_exec(store, SQL_UPDATE, row, ARRAY_LEN(row), &changed, err))
        return err->code;
    if (changed == 1)
        return ERR_OK;
    return err_set(err, ERR_CONFLICT, "rollout %lld changed meanwhile", (long long)rollout->id);
}

enum err_code rollout_apply(struct store *store, struct rollout *rollout,
                            const struct rollout_change *change, const struct actor *actor,
                            struct arena *arena, struct err *err)
{
    int64_t now_us = clock_wall_us();
    struct rollout next = *rollout;
    struct alias moved;
    take_change(&next, change, now_us);
    enum err_code rc = update_row(store, &next, err);
    if (!rc)
        rc = record(store, rollout, change, false, actor, now_us, err);
    if (!rc && change->alias)
        rc = alias_set(store, rollout->model, change->alias, rollout->to, -1, change->reason, actor,
                       &moved, arena, err);
    if (!rc)
        *rollout = next;
    return rc;
}

/* ---- reading ---- */

enum err_code rollout_get(struct store *store, int64_t id, struct arena *arena,
                          struct rollout *rollout, struct err *err)
{
    const struct store_value params[] = {STORE_INT(id)};
    struct list_context c = {.arena = arena};
    if (registry_each_row(store, SQL_GET, params, 1, read_rollout, &c, err))
        return err->code;
    if (c.count == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no rollout %lld", (long long)id);
    *rollout = c.list[0];
    return ERR_OK;
}

static enum err_code find_one(struct store *store, const char *sql, const char *model,
                              struct arena *arena, struct rollout *rollout, bool *is_there,
                              struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    struct list_context c = {.arena = arena};
    if (registry_each_row(store, sql, params, 1, read_rollout, &c, err))
        return err->code;
    *is_there = c.count > 0;
    if (c.count > 0)
        *rollout = c.list[0];
    return ERR_OK;
}

enum err_code rollout_find(struct store *store, const char *model, struct arena *arena,
                           struct rollout *rollout, bool *is_there, struct err *err)
{
    return find_one(store, SQL_ACTIVE, model, arena, rollout, is_there, err);
}

enum err_code rollout_find_newest(struct store *store, const char *model, struct arena *arena,
                                  struct rollout *rollout, bool *is_there, struct err *err)
{
    return find_one(store, SQL_NEWEST, model, arena, rollout, is_there, err);
}

enum err_code rollout_list(struct store *store, const char *model, bool is_active_only, int limit,
                           struct arena *arena, struct rollout **list, int *count, struct err *err)
{
    const struct store_value params[] = {
        STORE_INT(is_active_only ? 0 : INT64_MAX),
        STORE_INT(limit < ROLLOUT_LIST_MAX ? limit : ROLLOUT_LIST_MAX),
        STORE_CSTR(model),
    };
    struct list_context c = {.arena = arena};
    if (registry_each_row(store, model ? SQL_LIST_OF : SQL_LIST_ALL, params, model ? 3 : 2,
                          read_listed, &c, err))
        return err->code;
    *list = c.list;
    *count = c.count;
    return ERR_OK;
}

struct cooled_context {
    struct arena *arena;
    const char **list;
    int count;
};

static enum err_code read_cooled(struct store_rows *rows, void *arg, struct err *err)
{
    struct cooled_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return no_room(err);
    c->list[c->count++] = store_text_copy(rows, 0, c->arena, &is_full);
    return is_full ? no_room(err) : ERR_OK;
}

enum err_code rollout_cooled(struct store *store, int64_t after_us, int64_t until_us, int limit,
                             struct arena *arena, const char ***models, int *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(after_us), STORE_INT(until_us),
                                         STORE_INT(limit)};
    struct cooled_context c = {.arena = arena};
    if (registry_each_row(store, SQL_COOLED, params, 3, read_cooled, &c, err))
        return err->code;
    *models = c.list;
    *count = c.count;
    return ERR_OK;
}

struct decisions_context {
    struct arena *arena;
    struct rollout_event_row *list;
    int count;
};

static enum err_code read_decision(struct store_rows *rows, void *arg, struct err *err)
{
    struct decisions_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return no_room(err);
    c->list[c->count++] = (struct rollout_event_row){
        .id = store_i64(rows, 0),
        .at_us = store_i64(rows, 1),
        .action = store_text_copy(rows, 2, c->arena, &is_full),
        .cause = store_text_copy(rows, 3, c->arena, &is_full),
        .state = store_text_copy(rows, 4, c->arena, &is_full),
        .step = (int)store_i64(rows, 5),
        .weight_ppm = store_i64(rows, 6),
        .reason = store_text_copy(rows, 7, c->arena, &is_full),
        .actor = store_text_copy(rows, 8, c->arena, &is_full),
        .evidence = store_text_copy(rows, 9, c->arena, &is_full),
    };
    return is_full ? no_room(err) : ERR_OK;
}

enum err_code rollout_decisions(struct store *store, int64_t id, struct arena *arena,
                                struct rollout_event_row **list, int *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(id), STORE_INT(ROLLOUT_DECISIONS_MAX)};
    struct decisions_context c = {.arena = arena};
    if (registry_each_row(store, SQL_DECISIONS, params, 2, read_decision, &c, err))
        return err->code;
    *list = c.list;
    *count = c.count;
    return ERR_OK;
}

enum err_code rollout_check_move(struct store *store, const char *model, const char *alias,
                                 struct err *err)
{
    if (strcmp(alias, ALIAS_CHAMPION) != 0)
        return ERR_OK;
    enum err_code rc = refuse_active(store, model, err);
    return rc ? err_wrap(err, "the champion is not moved while a rollout shares its traffic") : rc;
}

/* ---- transitions by words ---- */

static enum err_code refuse_absent(const char *model, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "model '%s' has no active rollout", model);
    return err_hint(err, "start one: slipway rollout start FILE");
}

static enum err_code check_approval(struct store *store, const struct rollout *rollout,
                                    const struct rollout_spec *spec, const struct actor *actor,
                                    struct arena *arena, struct err *err)
{
    struct version version;
    enum err_code rc = version_get(store, rollout->model, rollout->to, arena, &version, err);
    return rc ? rc : rollout_check_approver(rollout, spec, actor->name, version.created_by, err);
}

static enum err_code mend_salt(struct store *store, const struct rollout *rollout, struct err *err)
{
    char salt[2 * sizeof(rollout->salt)];
    str_hex(rollout->salt, sizeof(rollout->salt), salt);
    const struct store_value row[] = {STORE_INT(rollout->id),
                                      STORE_STR(((struct str){salt, sizeof(salt)}))};
    return store_exec(store, SQL_SALT, row, ARRAY_LEN(row), NULL, err);
}

/* One that cannot be read shares no traffic, but it stands in the way of the next one: it can be
 * ended. What it was is not known, so the event has no state before. */
static enum err_code end_unread(struct store *store, const struct rollout_act *act,
                                const struct actor *actor, struct arena *arena,
                                struct rollout *rollout, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(act->model)};
    struct list_context c = {.arena = arena, .is_lenient = true};
    const struct rollout_change change = {.action = ACT_ABORT,
                                          .state = ROLLOUT_ABORTED,
                                          .cause = act->cause,
                                          .reason = act->reason,
                                          .evidence = act->evidence};
    int64_t now_us = clock_wall_us();
    *err = (struct err){0};
    if (registry_each_row(store, SQL_ACTIVE, params, 1, read_rollout, &c, err))
        return err->code;
    if (c.count == 0)
        return refuse_absent(act->model, err);
    struct rollout next = c.list[0];
    take_change(&next, &change, now_us);
    enum err_code rc = update_row(store, &next, err);
    if (!rc)
        rc = mend_salt(store, &next, err);
    if (!rc)
        rc = record(store, &next, &change, true, actor, now_us, err);
    if (!rc)
        *rollout = next;
    return rc;
}

enum err_code rollout_act(struct store *store, const struct rollout_act *act,
                          const struct actor *actor, struct arena *arena, struct rollout *rollout,
                          struct err *err)
{
    struct rollout_spec *spec;
    bool is_there = false;
    struct rollout_change change = {
        .cause = act->cause, .reason = act->reason, .evidence = act->evidence};
    enum err_code rc = registry_check_model(store, act->model, err);
    if (!rc)
        rc = registry_check_text("the reason", act->reason, REASON_BYTES_MAX, err);
    if (!rc)
        rc = rollout_find(store, act->model, arena, rollout, &is_there, err);
    if (rc == ERR_UNSUPPORTED && act->action == ACT_ABORT)
        return end_unread(store, act, actor, arena, rollout, err);
    if (!rc && !is_there)
        return refuse_absent(act->model, err);
    if (!rc && act->revision && act->revision != rollout->revision)
        return err_set(err, ERR_CONFLICT, "rollout %lld changed meanwhile", (long long)rollout->id);
    if (!rc)
        rc = rollout_file_parse(str_of(rollout->file), arena, &spec, err);
    if (rc && is_there && act->action == ACT_ABORT)
        return end_unread(store, act, actor, arena, rollout, err);
    if (!rc)
        rc = rollout_next(rollout, spec, act->action, &change, err);
    if (!rc && act->action == ACT_APPROVE)
        rc = check_approval(store, rollout, spec, actor, arena, err);
    if (!rc)
        rc = check_gates(store, rollout, &change, err);
    return rc ? rc : rollout_apply(store, rollout, &change, actor, arena, err);
}

enum err_code rollout_fold(struct store *store, const char *model, int64_t from, int64_t to,
                           const char *reason, const struct actor *actor, struct err *err)
{
    struct arena *arena = arena_new(2 * (size_t)ROLLOUT_MEMORY_BYTES_MAX);
    struct rollout rollout = {0};
    bool is_there = false;
    const struct rollout_act act = {.model = model,
                                    .action = ACT_ROLLBACK,
                                    .cause = "logged",
                                    .reason = reason,
                                    .evidence = "{}"};
    enum err_code rc = rollout_find(store, model, arena, &rollout, &is_there, err);
    if (!rc && is_there && rollout.to == from && rollout.from == to)
        rc = rollout_act(store, &act, actor, arena, &rollout, err);
    else if (!rc)
        log_warn("logged rollback skipped", "model=%s from=%lld to=%lld reason=%s", model,
                 (long long)from, (long long)to, "the rollout is over");
    arena_free(arena);
    return rc;
}
