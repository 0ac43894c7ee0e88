/* review_stats_api.c - GET /api/review/stats: how review goes, a model at a time. */
#include <math.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "review/stats.h"

/* ---- pieces ---- */

static double share(int64_t part, int64_t whole)
{
    return whole ? (double)part / (double)whole : NAN;
}

static void put_compared(struct json_writer *w, const char *key,
                         const struct review_compared *compared)
{
    json_key(w, key);
    json_begin_object(w);
    json_member_i64(w, "count", compared->count);
    json_member_i64(w, "same", compared->same);
    json_member_f64(w, "share", share(compared->same, compared->count));
    json_end_object(w);
}

static void put_versions(struct json_writer *w, const struct review_stats *stats)
{
    json_key(w, "versions");
    json_begin_array(w);
    for (int i = 0; i < stats->version_count; i++) {
        const struct review_version *v = &stats->versions[i];
        json_begin_object(w);
        json_member_i64(w, "version", v->version);
        json_member_i64(w, "items", v->item_count);
        json_member_i64(w, "decided", v->decided_count);
        json_member_i64(w, "overrides", v->override_count);
        json_member_f64(w, "override_share", share(v->override_count, v->decided_count));
        json_member_i64(w, "late", v->late_count);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_reviewers(struct json_writer *w, const struct review_stats *stats)
{
    json_key(w, "reviewers");
    json_begin_array(w);
    for (int i = 0; i < stats->reviewer_count; i++) {
        const struct review_reviewer *r = &stats->reviewers[i];
        json_begin_object(w);
        json_key(w, "reviewer");
        json_put_text(w, r->name);
        json_member_i64(w, "decisions", r->decision_count);
        json_member_f64(w, "median_seconds", r->median_seconds);
        put_compared(w, "gold", &r->gold);
        put_compared(w, "shown", &r->shown);
        put_compared(w, "blind", &r->blind);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_agreement(struct json_writer *w, const struct review_stats *stats)
{
    json_key(w, "agreement");
    json_begin_object(w);
    json_member_f64(w, "alpha", stats->alpha);
    json_member_i64(w, "items", stats->alpha_item_count);
    json_key(w, "pairs");
    json_begin_array(w);
    for (int i = 0; i < stats->pair_count; i++) {
        const struct review_pair *pair = &stats->pairs[i];
        json_begin_object(w);
        json_key(w, "a");
        json_put_text(w, pair->a);
        json_key(w, "b");
        json_put_text(w, pair->b);
        json_member_i64(w, "items", pair->item_count);
        json_member_i64(w, "same", pair->same_count);
        json_member_f64(w, "kappa", pair->kappa);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_random(struct json_writer *w, const struct review_stats *stats)
{
    bool is_known = stats->random.count > 0;
    json_key(w, "random");
    json_begin_object(w);
    json_member_i64(w, "count", stats->random.count);
    json_member_i64(w, "same", stats->random.same);
    json_member_f64(w, "share", share(stats->random.same, stats->random.count));
    json_member_f64(w, "low", is_known ? stats->random_interval.low : NAN);
    json_member_f64(w, "high", is_known ? stats->random_interval.high : NAN);
    json_end_object(w);
}

static void put_stats(struct json_writer *w, const struct review_stats *stats, int64_t now_us)
{
    double age = stats->oldest_us ? (double)(now_us - stats->oldest_us) / 1e6 : 0;
    json_begin_object(w);
    json_key(w, "model");
    json_put_text(w, stats->model);
    json_member_i64(w, "open", stats->open_count);
    json_member_f64(w, "oldest_age_seconds", age);
    json_member_i64(w, "overdue", stats->overdue_count);
    json_member_i64(w, "decisions", stats->decision_count);
    json_key(w, "seconds_per_decision");
    json_begin_object(w);
    json_member_f64(w, "median", stats->median_seconds);
    json_member_f64(w, "p90", stats->p90_seconds);
    json_end_object(w);
    put_compared(w, "shown", &stats->shown);
    put_compared(w, "blind", &stats->blind);
    put_random(w, stats);
    put_agreement(w, stats);
    put_versions(w, stats);
    put_reviewers(w, stats);
    json_end_object(w);
}

/* ---- the route ---- */

static enum err_code list_models(struct call *call, const char ***models, int *count,
                                 struct err *err)
{
    struct str text;
    if (!http_query_find(call->x->request.query, "model", call->arena, &text)) {
        struct store *store = control_read_begin(call->node->control);
        enum err_code rc = review_models(store, call->arena, models, count, err);
        control_read_end(call->node->control);
        return rc;
    }
    struct model model;
    *models = arena_alloc(call->arena, sizeof(**models));
    const char *name = arena_copy(call->arena, text.ptr, text.len);
    if (!*models || !name)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    (*models)[0] = name;
    *count = 1;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = model_get(store, name, call->arena, &model, err);
    control_read_end(call->node->control);
    return rc;
}

static enum err_code write_model(struct call *call, struct json_writer *w, const char *model,
                                 struct err *err)
{
    struct review_stats stats;
    int64_t now_us = clock_wall_us();
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = review_stats_read(store, model, now_us, call->arena, &stats, err);
    control_read_end(call->node->control);
    if (!rc)
        rc = review_stats_measure(&stats, err);
    if (!rc)
        put_stats(w, &stats, now_us);
    return rc;
}

enum err_code review_stats_get(struct call *call, struct err *err)
{
    const char **models = NULL;
    int count = 0;
    enum err_code rc = list_models(call, &models, &count, err);
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "models");
    json_begin_array(&w);
    for (int i = 0; i < count && !rc; i++)
        rc = write_model(call, &w, models[i], err);
    json_end_array(&w);
    json_end_object(&w);
    return rc;
}
