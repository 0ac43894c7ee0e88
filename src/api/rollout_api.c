/* rollout_api.c - rollouts: start, plan, look at, explain, and what people do to them. */
#include "api/rollout_api.h"

#include "api/handlers.h"
#include "base/log.h"
#include "contract/compare.h"
#include "rollout/gate_store.h"
#include "serve/rollout_engine.h"

enum { LIST_STANDARD = 50 };

/* ---- starting ---- */

struct start {
    struct rollout_spec *spec;
    struct rollout rollout;
    struct version from, to;
    struct loaded *loaded_from, *loaded_to;
    struct call_change change;
    double rate;
    bool is_dry_run;
};

static enum err_code read_rate(struct call *call, double *rate, struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "rate", call->arena, &text))
        return ERR_OK;
    if (str_to_f64(text, rate) && *rate > 0 && *rate < 1e9)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "query 'rate': expected requests per second, got '%.*s'",
                   STR_ARG(text));
}

static bool wants_dry_run(struct call *call)
{
    struct str text;
    return http_query_find(call->x->request.query, "dry_run", call->arena, &text) &&
           !str_equal(text, STR_LIT("false")) && !str_equal(text, STR_LIT("0"));
}

static enum err_code read_start(struct call *call, struct start *s, struct err *err)
{
    const char *model;
    struct str body = call->x->request.body;
    char digest[SHA256_HEX_BYTES + 1];
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = read_rate(call, &s->rate, err);
    if (!rc)
        rc = rollout_file_parse(body, call->arena, &s->spec, err);
    if (rc)
        return rc;
    if (strcmp(s->spec->model, model) != 0)
        return err_set(err, ERR_INVALID, "the file is about model '%s', the request about '%s'",
                       s->spec->model, model);
    s->is_dry_run = wants_dry_run(call);
    hash_sha256_hex(body.ptr, body.len, digest);
    s->rollout.model = model;
    s->rollout.file = arena_copy(call->arena, body.ptr, body.len);
    s->rollout.file_digest = arena_copy(call->arena, digest, SHA256_HEX_BYTES);
    if (!s->rollout.file || !s->rollout.file_digest)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    return str_is_utf8(body) ? ERR_OK : err_set(err, ERR_INVALID, "the file is not valid UTF-8");
}

static enum err_code resolve(struct call *call, struct start *s, struct err *err)
{
    struct alias champion = {0};
    struct rollout *r = &s->rollout;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = version_resolve(store, r->model, str_of(s->spec->to), &r->to, err);
    if (!rc)
        rc = version_resolve(store, r->model, str_of(s->spec->from), &r->from, err);
    if (!rc)
        rc = version_get(store, r->model, r->to, call->arena, &s->to, err);
    if (!rc)
        rc = version_get(store, r->model, r->from, call->arena, &s->from, err);
    if (!rc)
        rc = alias_get(store, r->model, ALIAS_CHAMPION, call->arena, &champion, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    r->from_digest = s->from.artifact.hex;
    r->to_digest = s->to.artifact.hex;
    if (champion.version != r->from) {
        err_set(err, ERR_CONFLICT, "version %lld is not the champion of '%s', version %lld is",
                (long long)r->from, r->model, (long long)champion.version);
        return err_hint(err, "leave `from` out: the champion is what a rollout replaces");
    }
    if (r->from == r->to)
        return err_set(err, ERR_CONFLICT, "version %lld is the champion of '%s' already",
                       (long long)r->to, r->model);
    return ERR_OK;
}

static enum err_code open_contract(struct call *call, const struct version *version,
                                   struct contract **contract, struct err *err)
{
    const void *bytes;
    size_t size;
    struct blob_store *blobs = control_blobs(call->node->control);
    if (!version->contract.hex[0])
        return ERR_OK;
    enum err_code rc = blob_get(blobs, &version->contract, &bytes, &size, err);
    if (rc)
        return rc;
    rc = contract_parse((struct str){bytes, size}, contract, err);
    blob_release(blobs, bytes, size);
    return rc;
}

static enum err_code refuse_incompatible(const struct start *s,
                                         const struct contract_comparison *comparison,
                                         struct err *err)
{
    const struct contract_change *first = &comparison->changes[0];
    err_set(err, ERR_CONFLICT,
            "version %lld of '%s' cannot answer the callers of version %lld: %s%s%s",
            (long long)s->rollout.to, s->rollout.model, (long long)s->rollout.from, first->field,
            first->field[0] ? ": " : "", first->text);
    return err_hint(err, "all changes: slipway contract diff %s:%lld %s:%lld", s->rollout.model,
                    (long long)s->rollout.from, s->rollout.model, (long long)s->rollout.to);
}

static enum err_code compare(struct call *call, const struct start *s,
                             const struct contract *before, const struct contract *after,
                             struct err *err)
{
    struct contract_comparison comparison;
    if (!before)
        return ERR_OK;
    if (!after)
        return err_set(err, ERR_CONFLICT, "version %lld has no contract, version %lld has one",
                       (long long)s->rollout.to, (long long)s->rollout.from);
    if (strcmp(after->compatibility, "none") == 0)
        return ERR_OK;
    enum err_code rc = contract_compare(before, after, call->arena, &comparison, err);
    if (!rc && !comparison.is_compatible)
        return refuse_incompatible(s, &comparison, err);
    return rc;
}

static enum err_code check_contracts(struct call *call, const struct start *s, struct err *err)
{
    struct contract *before = NULL, *after = NULL;
    enum err_code rc = open_contract(call, &s->from, &before, err);
    if (!rc)
        rc = open_contract(call, &s->to, &after, err);
    if (!rc)
        rc = compare(call, s, before, after, err);
    contract_free(before);
    contract_free(after);
    return rc;
}

static void write_plan(struct call *call, const struct start *s)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, s->rollout.model);
    json_key(&w, "from");
    json_put_i64(&w, s->rollout.from);
    json_key(&w, "to");
    json_put_i64(&w, s->rollout.to);
    json_key(&w, "file_digest");
    json_put_text(&w, s->rollout.file_digest);
    rollout_plan_write(&w, call->node, s->loaded_from, s->spec, s->rate);
    json_end_object(&w);
}

/* With a gate step in front the rollout waits there; without one the version has passed already. */
static enum err_code check_gate(struct store *store, const struct start *s, struct err *err)
{
    for (int i = 0; i < s->spec->step_count; i++) {
        if (s->spec->steps[i].kind == STEP_GATE)
            return ERR_OK;
        if (s->spec->steps[i].kind == STEP_CANARY || s->spec->steps[i].kind == STEP_PROMOTE)
            break;
    }
    return gate_check_required(store, s->rollout.model, s->rollout.to, err);
}

/* May run again after an undo, so it works on copies. */
static enum err_code insert(struct call *call, struct control *control, struct store *store,
                            void *arg, struct err *err)
{
    const struct start *s = arg;
    struct rollout rollout = s->rollout;
    struct rollout_change change = {.cause = "person", .reason = s->spec->why, .evidence = "{}"};
    (void)control;
    enum err_code rc = check_gate(store, s, err);
    if (!rc)
        rc = rollout_next(&rollout, s->spec, ACT_START, &change, err);
    if (!rc)
        rc = rollout_insert(store, &rollout, &change, &call->actor, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 201);
    rollout_write(&w, &rollout, s->spec, NULL);
    return ERR_OK;
}

/* Both versions are in memory, and `to` has answered its golden rows, before anything changes. */
static enum err_code load_both(struct call *call, struct start *s, struct err *err)
{
    struct control *control = call->node->control;
    enum err_code rc =
        control_acquire(control, s->rollout.model, s->rollout.from, &s->loaded_from, err);
    return rc ? rc : control_acquire(control, s->rollout.model, s->rollout.to, &s->loaded_to, err);
}

static enum err_code start(struct call *call, struct start *s, struct err *err)
{
    if (s->spec->has_salt)
        memcpy(s->rollout.salt, s->spec->salt, sizeof(s->rollout.salt));
    else
        rand_secret(s->rollout.salt, sizeof(s->rollout.salt));
    s->change = (struct call_change){
        .op = {.model = s->rollout.model, .loaded = {s->loaded_from, s->loaded_to}},
        .fn = insert,
        .arg = s,
    };
    enum err_code rc = call_execute(call, &s->change, err);
    if (rc)
        return rc;
    log_info("rollout started", "model=%s from=%lld to=%lld actor=%s", s->rollout.model,
             (long long)s->rollout.from, (long long)s->rollout.to, call->actor.name);
    rollout_engine_changed(call->node->rollouts);
    return ERR_OK;
}

enum err_code rollout_post(struct call *call, struct err *err)
{
    struct start s = {0};
    enum err_code rc = read_start(call, &s, err);
    if (!rc)
        rc = resolve(call, &s, err);
    if (!rc)
        rc = check_contracts(call, &s, err);
    if (!rc)
        rc = load_both(call, &s, err);
    if (!rc && s.is_dry_run)
        write_plan(call, &s);
    else if (!rc)
        rc = start(call, &s, err);
    loaded_unref(s.loaded_from);
    loaded_unref(s.loaded_to);
    return rc;
}

/* ---- looking ---- */

static enum err_code refuse_none(const char *model, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "model '%s' has never had a rollout", model);
    return err_hint(err, "start one: slipway rollout start FILE");
}

/* A file that this program cannot read any more is shown without its steps. */
static struct rollout_spec *parse_or_null(struct call *call, const struct rollout *rollout)
{
    struct rollout_spec *spec = NULL;
    struct err ignored = {0};
    return rollout_file_parse(str_of(rollout->file), call->arena, &spec, &ignored) ? NULL : spec;
}

enum err_code rollout_get_handler(struct call *call, struct err *err)
{
    const char *model;
    struct model found;
    struct rollout rollout;
    bool is_there = false;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, model, call->arena, &found, err);
    if (!rc)
        rc = rollout_find_newest(store, model, call->arena, &rollout, &is_there, err);
    control_read_end(call->node->control);
    if (!rc && !is_there)
        return refuse_none(model, err);
    if (rc)
        return rc;
    struct rollout_view view = {.spec = parse_or_null(call, &rollout)};
    bool has_view = view.spec && call->node->rollouts && rollout.ended_us == 0 &&
                    rollout_engine_view(call->node->rollouts, rollout.id, &view);
    struct json_writer w = call_json(call, 200);
    rollout_write(&w, &rollout, view.spec, has_view ? &view : NULL);
    return ERR_OK;
}

enum err_code rollouts_get(struct call *call, struct err *err)
{
    const char *model;
    struct model found;
    struct rollout *list = NULL;
    int64_t limit = LIST_STANDARD;
    int count = 0;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, ROLLOUT_LIST_MAX, &limit, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, model, call->arena, &found, err);
    if (!rc)
        rc = rollout_list(store, model, false, (int)limit, call->arena, &list, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, model);
    json_key(&w, "rollouts");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        rollout_write(&w, &list[i], NULL, NULL);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static void put_decision(struct json_writer *w, const struct rollout_event_row *row)
{
    json_begin_object(w);
    json_key(w, "audit_event");
    json_put_i64(w, row->id);
    json_key(w, "at");
    json_put_time(w, row->at_us);
    json_key(w, "action");
    json_put_text(w, row->action);
    json_key(w, "cause");
    json_put_text(w, row->cause);
    json_key(w, "state");
    json_put_text(w, row->state);
    json_key(w, "step");
    json_put_i64(w, row->step + 1);
    json_key(w, "weight");
    json_put_f64(w, (double)row->weight_ppm / WEIGHT_ONE);
    json_key(w, "actor");
    json_put_text(w, row->actor);
    json_key(w, "reason");
    json_put_text(w, row->reason);
    json_key(w, "evidence");
    json_put_raw(w, str_of(row->evidence));
    json_end_object(w);
}

static enum err_code read_explained(struct call *call, const char *model, int64_t id,
                                    struct rollout *rollout, struct rollout_event_row **rows,
                                    int *count, struct err *err)
{
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = rollout_get(store, id, call->arena, rollout, err);
    if (!rc && strcmp(rollout->model, model) != 0)
        rc = err_set(err, ERR_NOT_FOUND, "rollout %lld is not one of model '%s'", (long long)id,
                     model);
    if (!rc)
        rc = rollout_decisions(store, id, call->arena, rows, count, err);
    control_read_end(call->node->control);
    return rc;
}

enum err_code rollout_explain_get(struct call *call, struct err *err)
{
    const char *model;
    int64_t id;
    int count = 0;
    struct rollout rollout;
    struct rollout_event_row *rows = NULL;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (!rc && !str_to_i64(call->params[1], &id))
        rc = err_set(err, ERR_INVALID, "'%.*s' is not the number of a rollout",
                     STR_ARG(call->params[1]));
    if (!rc)
        rc = read_explained(call, model, id, &rollout, &rows, &count, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "rollout");
    rollout_write(&w, &rollout, parse_or_null(call, &rollout), NULL);
    json_key(&w, "file");
    json_put_text(&w, rollout.file);
    json_key(&w, "decisions");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_decision(&w, &rows[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* ---- what people do ---- */

struct deed {
    struct rollout_act act;
    struct call_change change;
};

static enum err_code do_deed(struct call *call, struct control *control, struct store *store,
                             void *arg, struct err *err)
{
    const struct deed *deed = arg;
    struct rollout rollout;
    (void)control;
    enum err_code rc = rollout_act(store, &deed->act, &call->actor, call->arena, &rollout, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    rollout_write(&w, &rollout, NULL, NULL);
    return ERR_OK;
}

/* The evidence of the moment goes with the decision of a person too. */
static const char *evidence_now(struct call *call, const char *model)
{
    struct rollout rollout;
    bool is_there = false;
    struct err ignored = {0};
    struct buf text;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = rollout_find(store, model, call->arena, &rollout, &is_there, &ignored);
    control_read_end(call->node->control);
    struct rollout_view view = {.spec = !rc && is_there ? parse_or_null(call, &rollout) : NULL};
    if (!view.spec || !call->node->rollouts ||
        !rollout_engine_view(call->node->rollouts, rollout.id, &view))
        return "{}";
    buf_init(&text, ROLLOUT_FILE_BYTES_MAX);
    struct json_writer w = {.out = &text};
    rollout_view_write(&view, &w);
    const char *copy = text.is_full ? NULL : arena_copy(call->arena, text.data, text.len);
    buf_done(&text);
    return copy ? copy : "{}";
}

static enum err_code read_deed(struct call *call, enum rollout_action action, struct deed *deed,
                               struct err *err)
{
    static const char *const keys[] = {"reason", NULL};
    yyjson_val *root;
    struct str reason = {0};
    enum err_code rc = call_name(call, 0, "a model", &deed->act.model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "reason", &reason, err);
    if (rc)
        return rc;
    const char *text = arena_copy(call->arena, reason.ptr ? reason.ptr : "", reason.len);
    deed->act.action = action;
    deed->act.cause = "person";
    deed->act.reason = text ? text : "";
    deed->act.evidence = evidence_now(call, deed->act.model);
    return ERR_OK;
}

static enum err_code act(struct call *call, enum rollout_action action, struct err *err)
{
    struct deed deed = {0};
    enum err_code rc = read_deed(call, action, &deed, err);
    if (rc)
        return rc;
    deed.change =
        (struct call_change){.op = {.model = deed.act.model}, .fn = do_deed, .arg = &deed};
    rc = call_execute(call, &deed.change, err);
    if (rc)
        return rc;
    log_info("rollout changed", "model=%s action=%s actor=%s", deed.act.model,
             rollout_action_name(action), call->actor.name);
    rollout_engine_changed(call->node->rollouts);
    return ERR_OK;
}

enum err_code rollout_pause_post(struct call *call, struct err *err)
{
    return act(call, ACT_PAUSE, err);
}

enum err_code rollout_resume_post(struct call *call, struct err *err)
{
    return act(call, ACT_RESUME, err);
}

enum err_code rollout_promote_post(struct call *call, struct err *err)
{
    return act(call, ACT_PROMOTE, err);
}

enum err_code rollout_abort_post(struct call *call, struct err *err)
{
    return act(call, ACT_ABORT, err);
}

enum err_code rollout_approve_post(struct call *call, struct err *err)
{
    return act(call, ACT_APPROVE, err);
}
