/* quality_api.c - GET /api/models/{model}/quality: what was realised, what is to be expected. */
#include <math.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "monitor/feedback.h"
#include "monitor/realised.h"
#include "serve/serving_store.h"

#define DEFAULT_DAYS INT64_C(30)
#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)

enum { QUALITY_MEMORY_BYTES_MAX = 512 * 1024 * 1024 };

#define ASSUMPTION                                                                                 \
    "estimates assume that the same scores still mean the same truth (no concept change)"

/* ---- writing ---- */

static void put_range(struct json_writer *w, const char *key, const struct estimate_value *value)
{
    json_key(w, key);
    if (!isfinite(value->value)) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_member_f64(w, "value", value->value);
    json_member_f64(w, "low", value->low);
    json_member_f64(w, "high", value->high);
    json_end_object(w);
}

static void put_coverage(struct json_writer *w, const struct realised_coverage *c)
{
    json_key(w, "answered");
    if (c->answered < 0)
        json_put_null(w);
    else
        json_put_i64(w, c->answered);
    json_key(w, "labelled");
    json_put_i64(w, c->labelled);
    json_member_f64(w, "coverage", c->ratio);
    json_key(w, "state");
    json_put_text(w, realised_state_name(c->state));
}

static void put_estimate(struct json_writer *w, const struct realised_estimate *e)
{
    json_key(w, "estimate");
    json_begin_object(w);
    if (e->is_known) {
        put_range(w, "accuracy", &e->estimate.accuracy);
        put_range(w, "precision", &e->estimate.precision);
        put_range(w, "recall", &e->estimate.recall);
        put_range(w, "f1", &e->estimate.f1);
        json_key(w, "rows");
        json_put_i64(w, e->estimate.row_count);
        json_key(w, "calibration_labels");
        json_put_i64(w, e->label_count);
    } else {
        json_key(w, "missing");
        json_put_text(w, e->missing);
    }
    json_end_object(w);
}

static void put_metrics(struct json_writer *w, const struct realised_section *s)
{
    json_key(w, "metrics");
    json_begin_array(w);
    for (int i = 0; i < QUALITY_COUNT; i++) {
        const struct quality *q = &s->metrics[i];
        if (!q->is_measured)
            continue;
        json_begin_object(w);
        json_key(w, "name");
        json_put_text(w, quality_name((enum quality_metric)i));
        json_member_f64(w, "value", q->value);
        json_member_f64(w, "low", q->low);
        json_member_f64(w, "high", q->high);
        json_key(w, "n");
        json_put_i64(w, q->n);
        if (q->missing) {
            json_key(w, "missing");
            json_put_text(w, q->missing);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_days(struct json_writer *w, const struct realised_section *s)
{
    json_key(w, "days");
    json_begin_array(w);
    for (int i = 0; i < s->day_count; i++) {
        json_begin_object(w);
        json_key(w, "day");
        json_put_time(w, s->days[i].start_us);
        put_coverage(w, &s->days[i].coverage);
        put_range(w, s->is_class ? "accuracy" : "mae", &s->days[i].quality);
        put_estimate(w, &s->days[i].estimate);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_slices(struct json_writer *w, const struct realised_section *s)
{
    json_key(w, "slices");
    json_begin_array(w);
    for (int i = 0; i < s->slice_count; i++) {
        const struct realised_slice *slice = &s->slices[i];
        json_begin_object(w);
        json_key(w, "field");
        json_put_str(w, slice->field);
        json_key(w, "value");
        json_put_str(w, slice->value);
        json_key(w, "labelled");
        json_put_i64(w, slice->labelled);
        json_member_f64(w, "loss", slice->loss);
        json_member_f64(w, "rest", slice->rest);
        json_member_f64(w, "difference", slice->difference);
        json_member_f64(w, "low", slice->low);
        json_member_f64(w, "high", slice->high);
        json_key(w, "is_worse");
        json_put_bool(w, slice->is_worse);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_values(struct json_writer *w, const struct realised_section *s)
{
    json_key(w, "values");
    json_begin_array(w);
    for (int i = 0; i < s->value_count; i++) {
        const struct realised_value *v = &s->values[i];
        json_begin_object(w);
        json_key(w, "name");
        json_put_text(w, v->name->name);
        json_key(w, "kind");
        json_put_text(w, outcome_kind_name(v->name->kind));
        json_key(w, "unit");
        json_put_text(w, v->name->unit);
        json_key(w, "direction");
        json_put_text(w, outcome_direction_name(v->name->direction));
        json_key(w, "count");
        json_put_i64(w, v->count);
        json_member_f64(w, "sum", v->sum);
        put_range(w, "per_answer", &v->per_answer);
        put_range(w, "per_known", &v->per_known);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_delay(struct json_writer *w, const struct realised_section *s,
                      int64_t documented_us)
{
    json_key(w, "label_delay");
    if (s->delay_us_p99 == 0 && documented_us == 0) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_member_f64(w, "p50_seconds", s->delay_us_p99 ? (double)s->delay_us_p50 / 1e6 : NAN);
    json_member_f64(w, "p99_seconds", s->delay_us_p99 ? (double)s->delay_us_p99 / 1e6 : NAN);
    json_member_f64(w, "documented_seconds", documented_us ? (double)documented_us / 1e6 : NAN);
    json_end_object(w);
}

static void put_section(struct json_writer *w, const struct realised_section *s,
                        int64_t documented_us)
{
    json_begin_object(w);
    json_key(w, "version");
    json_put_i64(w, s->version);
    json_key(w, "is_shadow");
    json_put_bool(w, s->is_shadow);
    json_key(w, "task");
    json_put_text(w, s->is_class ? "classes" : "numbers");
    put_coverage(w, &s->coverage);
    put_delay(w, s, documented_us);
    put_metrics(w, s);
    put_estimate(w, &s->estimate);
    put_values(w, s);
    put_slices(w, s);
    put_days(w, s);
    json_end_object(w);
}

/* What labels can find: a sample of the requests, of which some kinds are all there. */
static void put_kept(struct json_writer *w, const struct call *call,
                     const struct serving_records *records)
{
    double share = call->node->options->record_share;
    if (records->is_set && share > 0)
        share = records->share;
    json_key(w, "kept");
    json_begin_object(w);
    json_key(w, "share");
    json_put_f64(w, share);
    json_member_bool(w, "held_always", records->is_set && records->keeps_held);
    json_member_bool(w, "differing_always", records->is_set && records->keeps_differing);
    json_end_object(w);
}

static void write_quality(struct call *call, const struct realised_query *query,
                          const struct serving_records *records, const struct realised *realised)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, query->model);
    json_key(&w, "from");
    json_put_time(&w, query->from_us);
    json_key(&w, "to");
    json_put_time(&w, query->to_us);
    json_key(&w, "is_cut");
    json_put_bool(&w, realised->is_cut);
    put_kept(&w, call, records);
    json_key(&w, "assumption");
    json_put_text(&w, ASSUMPTION);
    json_key(&w, "versions");
    json_begin_array(&w);
    for (int i = 0; i < realised->section_count; i++)
        put_section(&w, &realised->sections[i], query->label_delay_us);
    json_end_array(&w);
    json_end_object(&w);
}

/* ---- the question ---- */

static enum err_code query_arm(struct call *call, const char **arm, struct err *err)
{
    struct str text;
    *arm = "";
    if (!http_query_find(call->x->request.query, "arm", call->arena, &text))
        return ERR_OK;
    for (int i = 0; i < ARM_COUNT; i++)
        if (str_equal_c(text, arm_name((enum arm)i)))
            *arm = arm_name((enum arm)i);
    if (text.len && !(*arm)[0])
        return err_set(err, ERR_INVALID,
                       "query 'arm': expected stable, canary or shadow, got "
                       "'%.*s'",
                       (int)(text.len < 40 ? text.len : 40), text.ptr);
    return ERR_OK;
}

static enum err_code query_version(struct call *call, struct store *store, const char *model,
                                   int64_t *version, struct err *err)
{
    struct str text;
    *version = 0;
    if (!http_query_find(call->x->request.query, "version", call->arena, &text))
        return ERR_OK;
    return version_resolve(store, model, text, version, err);
}

/* Of the champion: what is known about the labels of a model, not of a version. */
static int64_t documented_delay(struct call *call, const char *model)
{
    struct snapshot *snapshot = control_snapshot(call->node->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    const struct loaded *champion = endpoint ? endpoint->champion : NULL;
    int64_t delay_us = champion && champion->contract ? champion->contract->label_delay_us : 0;
    snapshot_unref(snapshot);
    return delay_us;
}

static enum err_code read_query(struct call *call, struct store *store,
                                struct realised_query *query, struct err *err)
{
    struct model model;
    int64_t now_us = clock_wall_us();
    enum err_code rc = call_name(call, 0, "a model", &query->model, err);
    query->from_us = now_us - DEFAULT_DAYS * DAY_US;
    query->to_us = now_us + 1;
    if (!rc)
        rc = model_get(store, query->model, call->arena, &model, err);
    if (!rc)
        rc = query_version(call, store, query->model, &query->version, err);
    if (!rc)
        query->label_delay_us = documented_delay(call, query->model);
    if (!rc)
        rc = query_arm(call, &query->arm, err);
    if (!rc)
        rc = call_query_i64(call, "rollout", 1, INT64_MAX, &query->rollout, err);
    if (!rc)
        rc = call_query_time(call, "from", &query->from_us, err);
    if (!rc)
        rc = call_query_time(call, "to", &query->to_us, err);
    if (!rc && query->from_us >= query->to_us)
        return err_set(err, ERR_INVALID, "'from' is not before 'to'");
    if (!rc && query->to_us - query->from_us > REALISED_DAYS_MAX * DAY_US)
        return err_set(err, ERR_LIMIT, "more than %d days are asked for", REALISED_DAYS_MAX);
    return rc;
}

/* A reader of its own: this may take seconds, and nobody is to wait for it. */
enum err_code quality_get(struct call *call, struct err *err)
{
    struct store *store;
    struct realised_query query = {0};
    struct realised realised;
    const struct serving *serving = NULL;
    const char *folder = folder_path(control_folder(call->node->control));
    intake_refresh(call->node->intake);
    enum err_code rc = store_open(&store_sqlite, folder, STORE_READ, &store, err);
    if (rc)
        return rc;
    struct arena *arena = arena_new(QUALITY_MEMORY_BYTES_MAX);
    rc = read_query(call, store, &query, err);
    if (!rc)
        rc = serving_load(store, query.model, arena, &serving, err);
    if (!rc)
        rc = realised_measure(store, &query, arena, &realised, err);
    if (!rc)
        write_quality(call, &query, &serving->records, &realised);
    arena_free(arena);
    store_close(store);
    return rc;
}
