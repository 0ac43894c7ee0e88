/* rollout_write.c - rollouts and plans as JSON. */
#include <math.h>
#include <stdio.h>

#include "api/rollout_api.h"
#include "base/clock.h"
#include "rollout/plan.h"

enum { SPAN_BYTES = 32, WARNING_BYTES = 256 };

/* A guard's rate of events when nothing is known about it. */
#define ASSUMED_RATE 0.001

static void put_share(struct json_writer *w, const char *key, int64_t ppm)
{
    json_key(w, key);
    json_put_f64(w, (double)ppm / WEIGHT_ONE);
}

static void put_seconds(struct json_writer *w, const char *key, int64_t us)
{
    json_key(w, key);
    json_put_i64(w, us / CLOCK_SECOND_US);
}

static void put_step(struct json_writer *w, const struct rollout_step *step)
{
    json_begin_object(w);
    json_key(w, "do");
    json_put_text(w, step_kind_name(step->kind));
    if (step->kind == STEP_CANARY) {
        put_share(w, "weight", step->weight_ppm);
        put_seconds(w, "min_seconds", step->min_us);
        json_key(w, "min_keys");
        json_put_i64(w, step->keys_min);
    }
    if (step->kind == STEP_SHADOW) {
        json_key(w, "sample");
        json_put_f64(w, step->sample);
        put_seconds(w, "min_seconds", step->min_us);
        json_key(w, "max_disagreement");
        json_put_f64(w, step->disagreement_max);
    }
    if (step->kind == STEP_PROMOTE) {
        json_key(w, "alias");
        json_put_text(w, step->alias);
        put_seconds(w, "keep_warm_seconds", step->keep_warm_us);
    } else {
        put_seconds(w, "max_seconds", step->max_us);
    }
    json_end_object(w);
}

static void put_steps(struct json_writer *w, const struct rollout_spec *spec)
{
    json_key(w, "steps");
    json_begin_array(w);
    for (int i = 0; i < spec->step_count; i++)
        put_step(w, &spec->steps[i]);
    json_end_array(w);
}

static void put_salt(struct json_writer *w, const struct rollout *rollout)
{
    char salt[2 * sizeof(rollout->salt)];
    str_hex(rollout->salt, sizeof(rollout->salt), salt);
    json_key(w, "salt");
    json_put_str(w, (struct str){salt, sizeof(salt)});
}

static void put_row(struct json_writer *w, const struct rollout *r)
{
    json_key(w, "id");
    json_put_i64(w, r->id);
    json_key(w, "model");
    json_put_text(w, r->model);
    json_key(w, "from");
    json_put_i64(w, r->from);
    json_key(w, "to");
    json_put_i64(w, r->to);
    json_key(w, "to_digest");
    json_put_text(w, r->to_digest);
    json_key(w, "state");
    json_put_text(w, rollout_state_name(r->state));
    json_key(w, "step");
    json_put_i64(w, r->step + 1);
    put_share(w, "weight", r->weight_ppm);
    json_key(w, "reason");
    json_put_text(w, r->reason);
    json_key(w, "author");
    json_put_text(w, r->author);
    json_key(w, "started_at");
    json_put_time(w, r->started_us);
    json_key(w, "step_started_at");
    json_put_time(w, r->step_started_us);
    json_key(w, "ended_at");
    if (r->ended_us)
        json_put_time(w, r->ended_us);
    else
        json_put_null(w);
    json_key(w, "file_digest");
    json_put_text(w, r->file_digest);
}

void rollout_write(struct json_writer *w, const struct rollout *rollout,
                   const struct rollout_spec *spec, const struct rollout_view *view)
{
    json_begin_object(w);
    put_row(w, rollout);
    put_salt(w, rollout);
    if (spec) {
        json_key(w, "mode");
        json_put_text(w, spec->is_ab ? "ab" : "canary");
        json_key(w, "why");
        json_put_text(w, spec->why);
        json_key(w, "key");
        json_put_text(w, spec->key_field ? spec->key_field : spec->key_header);
        put_steps(w, spec);
    }
    if (view) {
        json_key(w, "evidence");
        rollout_view_write(view, w);
    }
    json_end_object(w);
}

/* ---- plans ---- */

struct traffic {
    struct plan_traffic plan;
    bool is_measured;      /* the rate of requests */
    bool is_rate_measured; /* the rate of events */
};

static uint64_t count_requests(const struct loaded *loaded, int status_min)
{
    uint64_t sum = 0;
    for (int slot = 0; slot < LOADED_STATUS_COUNT; slot++) {
        int64_t status = 0;
        if (status_min &&
            (!str_to_i64(str_of(loaded_status_name(slot)), &status) || status < status_min))
            continue;
        for (int t = 0; t < loaded->thread_count; t++)
            sum += counter_read(&loaded->stats[t].request_count[slot]);
    }
    return sum;
}

static uint64_t count_slow(const struct loaded *loaded, int64_t bound_us)
{
    struct histogram_sum sum = {0};
    for (int t = 0; t < loaded->thread_count; t++)
        histogram_add_to(&loaded->stats[t].latency, &sum);
    return sum.count - histogram_count_to(&sum, (uint64_t)bound_us * 1000);
}

static struct traffic measure(const struct node *node, const struct loaded *stable,
                              const struct rollout_event *event, double rate)
{
    struct traffic traffic = {.plan = {.requests_a_second = rate, .event_rate = ASSUMED_RATE}};
    double up = (double)(clock_monotonic_us() - node->start_us) / (double)CLOCK_SECOND_US;
    uint64_t requests = stable ? count_requests(stable, 0) : 0, events = 0;
    if (rate <= 0 && node->start_us && up > 0) {
        traffic.plan.requests_a_second = (double)requests / up;
        traffic.is_measured = true;
    }
    if (requests > 0 && event->kind == EVENT_ERROR)
        events = count_requests(stable, 500);
    else if (requests > 0 && event->kind == EVENT_SLOWER_THAN)
        events = count_slow(stable, event->bound_us);
    traffic.is_rate_measured = events > 0 && events < requests;
    if (traffic.is_rate_measured)
        traffic.plan.event_rate = (double)events / (double)requests;
    return traffic;
}

/* Infinite is null: never. */
static void put_finite(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    if (isfinite(value) && value < 1e15)
        json_put_f64(w, round(value * 10) / 10);
    else
        json_put_null(w);
}

static void put_answer(struct json_writer *w, const struct plan_answer *answer)
{
    put_finite(w, "canary_events", answer->canary_events);
    put_finite(w, "canary_requests", answer->canary_requests);
    put_finite(w, "seconds", answer->seconds);
}

static void put_noticed(struct json_writer *w, const struct rollout_check *check,
                        const struct traffic *traffic, const struct rollout_step *step)
{
    static const double ratios[] = {2, 3, 5, 10};
    struct plan_answer answer;
    double theta = (double)step->weight_ppm / WEIGHT_ONE;
    json_begin_object(w);
    put_share(w, "weight", step->weight_ppm);
    if (check->is_proof) {
        plan_safe(&check->rule, &traffic->plan, theta, &answer);
        put_answer(w, &answer);
        json_end_object(w);
        return;
    }
    put_finite(
        w, "ratio_noticed_by_max",
        plan_ratio_noticed(&check->rule, &traffic->plan, theta,
                           step->max_us ? (double)step->max_us / CLOCK_SECOND_US : INFINITY));
    json_key(w, "noticed");
    json_begin_array(w);
    for (size_t i = 0; i < sizeof(ratios) / sizeof(*ratios); i++) {
        plan_fail(&check->rule, &traffic->plan, theta, ratios[i] * check->rule.worse_than, &answer);
        json_begin_object(w);
        json_key(w, "ratio");
        json_put_f64(w, ratios[i] * check->rule.worse_than);
        put_answer(w, &answer);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_check(struct json_writer *w, const struct rollout_check *check,
                      const struct traffic *traffic, const struct rollout_spec *spec)
{
    json_begin_object(w);
    json_key(w, "kind");
    json_put_text(w, check->is_proof ? "prove" : "guard");
    json_key(w, "event");
    json_put_text(w, check->event.text);
    json_key(w, "dry_run");
    json_put_bool(w, check->is_dry_run);
    json_key(w, "event_rate");
    json_put_f64(w, traffic->plan.event_rate);
    json_key(w, "event_rate_from");
    json_put_text(w, traffic->is_rate_measured ? "measured" : "assumed");
    json_key(w, "at");
    json_begin_array(w);
    for (int i = 0; i < spec->step_count; i++)
        if (spec->steps[i].kind == STEP_CANARY)
            put_noticed(w, check, traffic, &spec->steps[i]);
    json_end_array(w);
    json_end_object(w);
}

/* The last canary step before the promotion must see every proof safe. */
static const struct rollout_step *last_canary(const struct rollout_spec *spec)
{
    const struct rollout_step *last = NULL;
    for (int i = 0; i < spec->step_count; i++)
        if (spec->steps[i].kind == STEP_CANARY)
            last = &spec->steps[i];
    return last;
}

static const char *span_text(double seconds, char out[SPAN_BYTES])
{
    if (!isfinite(seconds))
        snprintf(out, SPAN_BYTES, "more than any amount");
    else if (seconds < 3600)
        snprintf(out, SPAN_BYTES, "%.0f min", ceil(seconds / 60));
    else if (seconds < 48 * 3600)
        snprintf(out, SPAN_BYTES, "%.1f h", seconds / 3600);
    else
        snprintf(out, SPAN_BYTES, "%.1f d", seconds / 86400);
    return out;
}

static const char *reaction_text(enum reaction reaction)
{
    return reaction == REACT_ROLLBACK ? "rolls back" : "holds";
}

static void warn_of_proof(struct json_writer *w, const struct rollout_check *check,
                          const struct rollout_spec *spec, const struct traffic *traffic)
{
    char text[WARNING_BYTES], needed[SPAN_BYTES], there[SPAN_BYTES];
    struct plan_answer answer;
    const struct rollout_step *step = last_canary(spec);
    double theta = (double)step->weight_ppm / WEIGHT_ONE;
    double of_step = step->max_us ? (double)step->max_us / CLOCK_SECOND_US : INFINITY;
    double of_all = spec->deadline_us ? (double)spec->deadline_us / CLOCK_SECOND_US : INFINITY;
    bool is_step = of_step <= of_all;
    plan_safe(&check->rule, &traffic->plan, theta, &answer);
    if (answer.seconds <= fmin(of_step, of_all))
        return;
    snprintf(text, sizeof(text), "prove %s needs %s of this traffic at %g %%; after %s (%s) it %s",
             check->event.text, span_text(answer.seconds, needed), theta * 100,
             span_text(fmin(of_step, of_all), there), is_step ? "the step's max" : "deadline",
             reaction_text(is_step ? spec->on_max : spec->on_deadline));
    json_put_text(w, text);
}

/* What cannot come to its end as the file stands. */
static void put_warnings(struct json_writer *w, const struct node *node,
                         const struct loaded *stable, const struct rollout_spec *spec, double rate)
{
    json_key(w, "warnings");
    json_begin_array(w);
    for (int i = 0; i < spec->check_count && last_canary(spec); i++) {
        const struct rollout_check *check = &spec->checks[i];
        struct traffic traffic = measure(node, stable, &check->event, rate);
        if (check->is_proof && !check->is_dry_run)
            warn_of_proof(w, check, spec, &traffic);
    }
    json_end_array(w);
}

void rollout_plan_write(struct json_writer *w, const struct node *node, const struct loaded *stable,
                        const struct rollout_spec *spec, double rate)
{
    const struct rollout_event any = {.kind = EVENT_ERROR};
    struct traffic traffic = measure(node, stable, &any, rate);
    int64_t min_us = 0;
    for (int i = 0; i < spec->step_count; i++)
        min_us += spec->steps[i].min_us;
    json_key(w, "requests_per_second");
    json_put_f64(w, traffic.plan.requests_a_second);
    json_key(w, "requests_per_second_from");
    json_put_text(w, traffic.is_measured ? "measured" : "given");
    put_seconds(w, "seconds_at_least", min_us);
    put_warnings(w, node, stable, spec, rate);
    put_steps(w, spec);
    json_key(w, "checks");
    json_begin_array(w);
    for (int i = 0; i < spec->check_count; i++) {
        traffic = measure(node, stable, &spec->checks[i].event, rate);
        put_check(w, &spec->checks[i], &traffic, spec);
    }
    json_end_array(w);
}
