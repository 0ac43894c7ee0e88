/* report_api.c - GET /api/models/{model}/report: what the last release or rollback changed. */
#include "api/handlers.h"
#include "base/clock.h"
#include "monitor/impact.h"

#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)

enum { REPORT_MEMORY_BYTES_MAX = 512 * 1024 * 1024, DAYS_DEFAULT = 7, DAYS_MAX = 90 };

/* What is reported on. */
struct report {
    const char *model;
    int64_t change;  /* of the alias; 0: the last one */
    int64_t rollout; /* 0: none was asked for */
    int64_t days;    /* at most, on either side */
    bool is_markdown;

    const char *title, *why;
    struct impact_query query;
    struct impact impact;
};

/* ---- the change ---- */

static enum err_code nothing_changed(const struct report *r, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "the champion of '%s' was never moved from one version to another",
            r->model);
    return err_hint(err, "a report compares the version before with the one after");
}

/* The asked one, or the last that replaced a version by another. */
static enum err_code find_change(const struct report *r, const struct alias_change *changes,
                                 int count, int *found, struct err *err)
{
    for (int i = count - 1; i >= 0; i--) {
        if (r->change ? changes[i].id != r->change : changes[i].from == 0 || changes[i].to == 0)
            continue;
        *found = i;
        return changes[i].from && changes[i].to ? ERR_OK : nothing_changed(r, err);
    }
    if (!r->change)
        return nothing_changed(r, err);
    err_set(err, ERR_NOT_FOUND, "the champion of '%s' has no change %lld", r->model,
            (long long)r->change);
    return err_hint(err, "see their ids with: slipway model history %s --json", r->model);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void set_sides(struct report *r, const struct alias_change *changes, int count, int i)
{
    int64_t now_us = clock_wall_us(), at_us = changes[i].at_us, span_us = r->days * DAY_US;
    int64_t began_us = i > 0 ? changes[i - 1].at_us : 0;
    int64_t ended_us = i + 1 < count ? changes[i + 1].at_us : now_us;
    r->query = (struct impact_query){
        .model = r->model,
        .before = {.version = changes[i].from,
                   .arm = "",
                   .from_us = later(began_us, at_us - span_us),
                   .to_us = at_us},
        .after = {.version = changes[i].to,
                  .arm = "",
                  .from_us = at_us,
                  .to_us = later(earlier(ended_us, at_us + span_us), at_us + 1)},
    };
}

static enum err_code describe_change(struct call *call, struct report *r,
                                     const struct alias_change *c, struct err *err)
{
    char at[CLOCK_TEXT_BYTES];
    bool is_rollback = strcmp(c->kind, "rollback") == 0;
    r->title = arena_printf(call->arena, "%s: version %lld %s %lld", r->model, (long long)c->from,
                            is_rollback ? "rolled back to" : "replaced by", (long long)c->to);
    r->why =
        arena_printf(call->arena, "Change %lld at %s by %s%s%s", (long long)c->id,
                     clock_format(c->at_us, at), c->actor, c->reason[0] ? ": " : "", c->reason);
    return r->title && r->why ? ERR_OK : err_set(err, ERR_LIMIT, "no room for the report");
}

/* ---- a rollout ---- */

/* What its arms answered, as it was counted. */
struct arms {
    int64_t rollout; /* asked for; 0: the newest */
    int64_t stable, canary;
    int64_t first_us, last_us; /* beginnings of spans */
};

static enum err_code add_arm(void *arg, const struct tally *tally, struct err *err)
{
    struct arms *arms = arg;
    (void)err;
    if (tally->rollout == 0 || tally->rollout < arms->rollout ||
        (tally->arm != ARM_STABLE && tally->arm != ARM_CANARY))
        return ERR_OK;
    if (tally->rollout > arms->rollout || arms->first_us == 0)
        *arms = (struct arms){.rollout = tally->rollout, .first_us = tally->start_us};
    if (tally->arm == ARM_STABLE)
        arms->stable = tally->version;
    else
        arms->canary = tally->version;
    arms->last_us = tally->start_us;
    return ERR_OK;
}

/* Rollouts are known by what was answered in them: `rollout` 0 finds the newest. */
static enum err_code find_arms(struct store *store, const struct report *r, struct arms *arms,
                               struct err *err)
{
    int64_t now_us = clock_wall_us();
    const struct tally_query query = {
        .model = r->model,
        .rollout = r->rollout,
        .to_us = now_us + 1,
    };
    *arms = (struct arms){.rollout = r->rollout};
    return tally_each(store, &query, add_arm, arms, err);
}

static enum err_code use_arms(struct call *call, struct report *r, const struct arms *arms,
                              struct err *err)
{
    char from[CLOCK_TEXT_BYTES], to[CLOCK_TEXT_BYTES];
    int64_t end_us = earlier(arms->last_us + TALLY_SPAN_US, clock_wall_us() + 1);
    r->query = (struct impact_query){
        .model = r->model,
        .rollout = arms->rollout,
        .is_randomised = true,
        .before = {arms->stable, arm_name(ARM_STABLE), arms->first_us, end_us},
        .after = {arms->canary, arm_name(ARM_CANARY), arms->first_us, end_us},
    };
    r->title =
        arena_printf(call->arena, "%s: rollout %lld, version %lld against %lld", r->model,
                     (long long)arms->rollout, (long long)arms->canary, (long long)arms->stable);
    r->why = arena_printf(call->arena, "Both versions answered from %.16sZ to %.16sZ",
                          clock_format(arms->first_us, from), clock_format(end_us, to));
    return r->title && r->why ? ERR_OK : err_set(err, ERR_LIMIT, "no room for the report");
}

static bool has_both(const struct arms *arms)
{
    return arms->stable && arms->canary;
}

static enum err_code read_rollout(struct call *call, struct store *store, struct report *r,
                                  struct err *err)
{
    struct arms arms;
    enum err_code rc = find_arms(store, r, &arms, err);
    if (rc)
        return rc;
    if (has_both(&arms))
        return use_arms(call, r, &arms, err);
    err_set(err, ERR_NOT_FOUND, "rollout %lld of '%s' has no answers of two arms",
            (long long)r->rollout, r->model);
    return err_hint(err, "see its id with: slipway rollout status %s", r->model);
}

/* ---- which of the two ---- */

/* Arms drawn at random say more than before and after: they are taken when the last change came of
 * their rollout, or when it ran after the last change. */
static bool says_more(const struct arms *arms, const struct alias_change *change)
{
    if (!has_both(arms))
        return false;
    if (!change || arms->last_us > change->at_us)
        return true;
    return arms->canary == change->to && arms->last_us + TALLY_SPAN_US >= change->at_us;
}

static enum err_code read_last(struct call *call, struct store *store, struct report *r,
                               struct err *err)
{
    struct alias_change *changes;
    struct arms arms = {0};
    int count = 0, i = -1;
    enum err_code rc = alias_history(store, r->model, ALIAS_CHAMPION, ALIAS_HISTORY_MAX,
                                     call->arena, &changes, &count, err);
    if (!rc && !r->change)
        rc = find_arms(store, r, &arms, err);
    if (rc)
        return rc;
    rc = find_change(r, changes, count, &i, err);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (!r->change && says_more(&arms, rc ? NULL : &changes[i]))
        return use_arms(call, r, &arms, err);
    if (rc)
        return rc;
    set_sides(r, changes, count, i);
    return describe_change(call, r, &changes[i], err);
}

/* ---- the page ---- */

static void write_markdown(struct call *call, const struct report *r)
{
    struct http_response *response = &call->x->response;
    response->status = 200;
    response->content_type = "text/markdown; charset=utf-8";
    buf_printf(&response->body, "# %s\n\n%s.\n\n", r->title, r->why);
    impact_write_markdown(&r->impact, &response->body);
}

static void write_json(struct call *call, const struct report *r)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, r->model);
    json_key(&w, "title");
    json_put_text(&w, r->title);
    json_key(&w, "why");
    json_put_text(&w, r->why);
    impact_write_json(&r->impact, &w);
    json_end_object(&w);
}

static enum err_code read_request(struct call *call, struct report *r, struct err *err)
{
    struct str format = STR_LIT("json");
    enum err_code rc = call_name(call, 0, "a model", &r->model, err);
    r->days = DAYS_DEFAULT;
    if (!rc)
        rc = call_query_i64(call, "change", 1, INT64_MAX, &r->change, err);
    if (!rc)
        rc = call_query_i64(call, "rollout", 1, INT64_MAX, &r->rollout, err);
    if (!rc)
        rc = call_query_i64(call, "days", 1, DAYS_MAX, &r->days, err);
    if (!rc && r->rollout && r->change)
        return err_set(err, ERR_INVALID, "a report is of a change or of a rollout, not of both");
    if (rc)
        return rc;
    http_query_find(call->x->request.query, "format", call->arena, &format);
    r->is_markdown = str_equal_c(format, "markdown");
    if (!r->is_markdown && !str_equal_c(format, "json"))
        return err_set(err, ERR_INVALID, "query 'format': expected json or markdown, got '%.*s'",
                       (int)(format.len < 40 ? format.len : 40), format.ptr);
    return ERR_OK;
}

static enum err_code measure(struct call *call, struct store *store, struct report *r,
                             struct arena *arena, struct err *err)
{
    struct model model;
    enum err_code rc = model_get(store, r->model, call->arena, &model, err);
    if (!rc)
        rc = r->rollout ? read_rollout(call, store, r, err) : read_last(call, store, r, err);
    if (!rc)
        rc = impact_measure(store, &r->query, arena, &r->impact, err);
    if (rc)
        return rc;
    if (r->is_markdown)
        write_markdown(call, r);
    else
        write_json(call, r);
    return ERR_OK;
}

/* A reader of its own: this may take seconds, and nobody is to wait for it. */
enum err_code report_get(struct call *call, struct err *err)
{
    struct store *store;
    struct report *r = arena_calloc(call->arena, 1, sizeof(*r));
    const char *folder = folder_path(control_folder(call->node->control));
    if (!r)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    intake_refresh(call->node->intake);
    enum err_code rc = read_request(call, r, err);
    if (!rc)
        rc = store_open(&store_sqlite, folder, STORE_READ, &store, err);
    if (rc)
        return rc;
    struct arena *arena = arena_new(REPORT_MEMORY_BYTES_MAX);
    rc = measure(call, store, r, arena, err);
    arena_free(arena);
    store_close(store);
    return rc;
}
