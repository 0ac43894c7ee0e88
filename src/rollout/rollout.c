/* rollout.c - the order of decisions. */
#include "rollout/rollout.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

const char *rollout_state_name(enum rollout_state state)
{
    static const char *const names[ROLLOUT_STATE_COUNT] = {
        "running", "hold", "paused", "awaiting approval", "promoted", "rolled back", "aborted"};
    assert(state >= ROLLOUT_RUNNING && state <= ROLLOUT_ABORTED);
    return names[state];
}

bool rollout_state_parse(struct str text, enum rollout_state *state)
{
    for (int i = 0; i < ROLLOUT_STATE_COUNT; i++)
        if (str_equal_c(text, rollout_state_name((enum rollout_state)i))) {
            *state = (enum rollout_state)i;
            return true;
        }
    return false;
}

bool rollout_is_over(enum rollout_state state)
{
    return state >= ROLLOUT_PROMOTED;
}

const char *rollout_action_name(enum rollout_action action)
{
    static const char *const names[ROLLOUT_ACTION_COUNT] = {
        "nothing", "advance", "await",   "hold",    "rollback", "start",
        "pause",   "resume",  "approve", "promote", "abort"};
    assert(action >= ACT_NOTHING && action <= ACT_ABORT);
    return names[action];
}

/* ---- transitions ---- */

static int64_t keep_warm(const struct rollout_spec *spec)
{
    const struct rollout_step *last = &spec->steps[spec->step_count - 1];
    return last->keep_warm_us;
}

static void enter_step(const struct rollout *rollout, const struct rollout_spec *spec, int step,
                       struct rollout_change *change)
{
    const struct rollout_step *next = &spec->steps[step];
    change->step = step;
    change->state = next->kind == STEP_APPROVE ? ROLLOUT_AWAITING : ROLLOUT_RUNNING;
    change->weight_ppm = next->kind == STEP_CANARY ? next->weight_ppm : rollout->weight_ppm;
    if (next->kind != STEP_PROMOTE)
        return;
    change->state = ROLLOUT_PROMOTED;
    change->weight_ppm = 0;
    change->warm_us = keep_warm(spec);
    change->alias = next->alias;
}

static void end(const struct rollout_spec *spec, enum rollout_state state,
                struct rollout_change *change)
{
    change->state = state;
    change->weight_ppm = 0;
    change->warm_us = keep_warm(spec);
}

static enum err_code refuse_action(const struct rollout *rollout, enum rollout_action action,
                                   struct err *err)
{
    err_set(err, ERR_CONFLICT, "rollout %lld of model '%s' is %s: it cannot %s",
            (long long)rollout->id, rollout->model, rollout_state_name(rollout->state),
            rollout_action_name(action));
    return err_hint(err, "look at it with: slipway rollout status %s", rollout->model);
}

static enum err_code promote_by_hand(const struct rollout *rollout, const struct rollout_spec *spec,
                                     struct rollout_change *change, struct err *err)
{
    const struct rollout_step *last = &spec->steps[spec->step_count - 1];
    for (int i = rollout->step; i < spec->step_count; i++)
        if (spec->steps[i].kind == STEP_APPROVE) {
            err_set(err, ERR_CONFLICT, "rollout %lld needs an approval first, in step %d",
                    (long long)rollout->id, i + 1);
            return err_hint(err, "when it is there: slipway rollout approve %s", rollout->model);
        }
    end(spec, ROLLOUT_PROMOTED, change);
    change->step = spec->step_count - 1;
    change->alias = last->alias ? last->alias : "champion";
    return ERR_OK;
}

static bool is_allowed(enum rollout_state state, enum rollout_action action)
{
    switch (action) {
    case ACT_PAUSE:
        return state == ROLLOUT_RUNNING || state == ROLLOUT_HELD || state == ROLLOUT_AWAITING;
    case ACT_RESUME:
        return state == ROLLOUT_PAUSED || state == ROLLOUT_HELD;
    case ACT_APPROVE:
        return state == ROLLOUT_AWAITING;
    default:
        return !rollout_is_over(state);
    }
}

enum err_code rollout_next(const struct rollout *rollout, const struct rollout_spec *spec,
                           enum rollout_action action, struct rollout_change *change,
                           struct err *err)
{
    if (!is_allowed(rollout->state, action))
        return refuse_action(rollout, action, err);
    change->action = action;
    change->state = rollout->state;
    change->step = rollout->step;
    change->weight_ppm = rollout->weight_ppm;
    switch (action) {
    case ACT_START:
    case ACT_RESUME:
        enter_step(rollout, spec, rollout->step, change);
        break;
    case ACT_ADVANCE:
    case ACT_APPROVE:
        assert(rollout->step + 1 < spec->step_count);
        enter_step(rollout, spec, rollout->step + 1, change);
        break;
    case ACT_AWAIT:
        change->state = ROLLOUT_AWAITING;
        break;
    case ACT_HOLD:
        change->state = ROLLOUT_HELD;
        break;
    case ACT_PAUSE:
        change->state = ROLLOUT_PAUSED;
        break;
    case ACT_ROLLBACK:
        end(spec, ROLLOUT_ROLLED_BACK, change);
        break;
    case ACT_ABORT:
        end(spec, ROLLOUT_ABORTED, change);
        break;
    case ACT_PROMOTE:
        return promote_by_hand(rollout, spec, change, err);
    case ACT_NOTHING:
        break;
    }
    return ERR_OK;
}

/* "key:ana", or "uid:*" for all that begin so. */
static bool is_named(const struct rollout_step *step, const char *actor)
{
    for (int i = 0; i < step->approver_count; i++) {
        size_t len = strlen(step->approvers[i]);
        bool is_prefix = len > 0 && step->approvers[i][len - 1] == '*';
        if (is_prefix ? strncmp(step->approvers[i], actor, len - 1) == 0
                      : strcmp(step->approvers[i], actor) == 0)
            return true;
    }
    return step->approver_count == 0;
}

enum err_code rollout_check_approver(const struct rollout *rollout, const struct rollout_spec *spec,
                                     const char *actor, const char *version_author, struct err *err)
{
    const struct rollout_step *step = &spec->steps[rollout->step];
    if (step->kind != STEP_APPROVE)
        return refuse_action(rollout, ACT_APPROVE, err);
    if (!is_named(step, actor))
        return err_set(err, ERR_DENIED, "'%s' is not among those who may approve rollout %lld",
                       actor, (long long)rollout->id);
    if (step->is_author_refused &&
        (strcmp(actor, rollout->author) == 0 || strcmp(actor, version_author) == 0)) {
        err_set(err, ERR_DENIED,
                "'%s' started rollout %lld or made its version: somebody else "
                "approves",
                actor, (long long)rollout->id);
        return err_hint(err, "four eyes are asked for by not_author of the approve step");
    }
    return ERR_OK;
}

/* ---- deciding ---- */

__attribute__((format(printf, 4, 5))) static bool decide(struct rollout_decision *d,
                                                         enum rollout_action action,
                                                         const char *cause, const char *fmt, ...)
{
    va_list args;
    d->action = action;
    d->cause = cause;
    va_start(args, fmt);
    vsnprintf(d->reason, sizeof(d->reason), fmt, args);
    va_end(args);
    return true;
}

static enum rollout_action action_of(enum reaction reaction)
{
    return reaction == REACT_ROLLBACK ? ACT_ROLLBACK
           : reaction == REACT_HOLD   ? ACT_HOLD
                                      : ACT_ADVANCE;
}

/* What would hold a rollout that is held already decides nothing. */
static bool is_idle(const struct rollout_view *view, enum rollout_action action)
{
    return action == ACT_HOLD && (view->state == ROLLOUT_HELD || view->state == ROLLOUT_PAUSED);
}

static bool find_harm(const struct rollout_view *view, struct rollout_decision *d)
{
    if (!guard_is_harm(view->canary_harm, view->canary_requests))
        return false;
    return decide(d, ACT_ROLLBACK, "harm", "%lld of %lld canary requests failed",
                  (long long)view->canary_harm, (long long)view->canary_requests);
}

static bool say_failed(const struct rollout_check *check, const struct guard_reading *r,
                       enum rollout_action action, const char *cause, struct rollout_decision *d)
{
    const char *unit = r->is_by_key ? "keys" : "requests";
    return decide(d, action, cause,
                  "%s: the canary has %lld of %lld %s with the event; E = %.4g reached %.4g "
                  "(worse than %gx)%s",
                  check->event.text, (long long)r->counted[SIDE_CANARY],
                  (long long)(r->counted[SIDE_CANARY] + r->counted[SIDE_STABLE]), unit, r->e_fail,
                  r->fail_at, check->rule.worse_than,
                  r->is_by_key ? "" : "; too few keys to tell a version from its clients");
}

/* A failure by key rolls back; one by request holds, because a few loud clients can make it. */
static bool find_failure(const struct rollout_view *view, bool is_by_key,
                         struct rollout_decision *d)
{
    enum reaction reaction = is_by_key ? view->spec->on_fail : view->spec->on_few_keys;
    enum rollout_action action = action_of(reaction);
    if (is_idle(view, action))
        return false;
    for (int i = 0; i < view->spec->check_count; i++) {
        const struct rollout_check *check = &view->spec->checks[i];
        const struct guard_reading *r = &view->readings[i];
        if (r->verdict == VERDICT_FAIL && r->is_by_key == is_by_key && !check->is_dry_run)
            return say_failed(check, r, action, is_by_key ? "guard" : "few_keys", d);
    }
    return false;
}

static bool find_bad_step(const struct rollout_view *view, struct rollout_decision *d)
{
    enum rollout_action action = action_of(view->spec->on_fail);
    if (view->finding != FINDING_BAD || is_idle(view, action))
        return false;
    const char *cause = step_kind_name(view->spec->steps[view->step].kind);
    return decide(d, action, cause, "%s", view->finding_text);
}

static bool find_deadline(const struct rollout_view *view, struct rollout_decision *d)
{
    enum rollout_action action = action_of(view->spec->on_deadline);
    if (view->age_us < view->spec->deadline_us || is_idle(view, action))
        return false;
    return decide(d, action, "deadline", "the deadline of %lld s has passed",
                  (long long)(view->spec->deadline_us / CLOCK_SECOND_US));
}

static bool find_trouble(const struct rollout_view *view, struct rollout_decision *d)
{
    enum rollout_action action = action_of(view->spec->on_error);
    if (view->error_us < ROLLOUT_ERROR_US_MAX || is_idle(view, action))
        return false;
    return decide(d, action, "error", "could not look for %lld s: %s",
                  (long long)(view->error_us / CLOCK_SECOND_US), view->finding_text);
}

/* ---- is the step done? ---- */

/* The first proof that has not been shown; NULL when all have. */
static const struct rollout_check *first_unproven(const struct rollout_view *view)
{
    for (int i = 0; i < view->spec->check_count; i++) {
        const struct rollout_check *check = &view->spec->checks[i];
        if (check->is_proof && !check->is_dry_run && view->readings[i].verdict != VERDICT_SAFE)
            return check;
    }
    return NULL;
}

/* The canary before the promotion must have shown what is to be proven. */
static bool needs_proof(const struct rollout_view *view)
{
    return view->spec->on_wait == REACT_HOLD && view->step == rollout_last_canary(view->spec);
}

static bool is_canary_done(const struct rollout_view *view, char *why, size_t why_bytes)
{
    const struct rollout_step *step = &view->spec->steps[view->step];
    const struct rollout_check *open = needs_proof(view) ? first_unproven(view) : NULL;
    why[0] = '\0';
    if (view->step_us < step->min_us)
        snprintf(why, why_bytes, "%lld s of at least %lld s have passed",
                 (long long)(view->step_us / CLOCK_SECOND_US),
                 (long long)(step->min_us / CLOCK_SECOND_US));
    else if (view->step_keys < step->keys_min)
        snprintf(why, why_bytes, "the canary has %lld of at least %lld keys",
                 (long long)view->step_keys, (long long)step->keys_min);
    else if (open && open->rule.rate_below > 0)
        snprintf(why, why_bytes, "not shown yet: %s no worse than %gx, or below %g%%",
                 open->event.text, open->rule.no_worse_than, open->rule.rate_below * 100);
    else if (open)
        snprintf(why, why_bytes, "not shown yet: %s no worse than %gx", open->event.text,
                 open->rule.no_worse_than);
    return why[0] == '\0';
}

static bool is_step_done(const struct rollout_view *view, char *why, size_t why_bytes)
{
    const struct rollout_step *step = &view->spec->steps[view->step];
    switch (step->kind) {
    case STEP_CANARY:
        return is_canary_done(view, why, why_bytes);
    case STEP_GATE:
    case STEP_SHADOW:
        snprintf(why, why_bytes, "%s", view->finding_text);
        return view->finding == FINDING_GOOD && view->step_us >= step->min_us;
    case STEP_APPROVE:
        snprintf(why, why_bytes, "nobody has approved");
        return false;
    case STEP_PROMOTE:
        return true;
    }
    return false;
}

static bool find_advance(const struct rollout_view *view, struct rollout_decision *d)
{
    char why[320];
    const struct rollout_step *step = &view->spec->steps[view->step];
    if (step->kind == STEP_APPROVE && view->state == ROLLOUT_RUNNING)
        return decide(d, ACT_AWAIT, "step", "step %d asks for an approval", view->step + 1);
    bool is_done = is_step_done(view, why, sizeof(why));
    /* An A/B test ends when a person says so. */
    if (is_done && view->spec->is_ab && view->step + 1 == view->spec->step_count)
        return false;
    if (is_done)
        return decide(d, ACT_ADVANCE, "step", "step %d of %d (%s) is done", view->step + 1,
                      view->spec->step_count, step_kind_name(step->kind));
    if (step->max_us == 0 || view->step_us < step->max_us)
        return false;
    return decide(d, action_of(view->spec->on_max), "max", "step %d has had its %lld s: %s",
                  view->step + 1, (long long)(step->max_us / CLOCK_SECOND_US), why);
}

void rollout_decide(const struct rollout_view *view, struct rollout_decision *d)
{
    *d = (struct rollout_decision){.action = ACT_NOTHING, .cause = ""};
    if (rollout_is_over(view->state))
        return;
    assert(view->step >= 0 && view->step < view->spec->step_count);
    if (find_harm(view, d) || find_failure(view, true, d) || find_bad_step(view, d) ||
        find_deadline(view, d) || find_failure(view, false, d) || find_trouble(view, d))
        return;
    if (view->state == ROLLOUT_RUNNING || view->state == ROLLOUT_AWAITING)
        find_advance(view, d);
}

/* ---- writing ---- */

static void put_sides(struct json_writer *w, const char *key, const int64_t counts[SIDE_COUNT])
{
    json_key(w, key);
    json_begin_object(w);
    json_key(w, "stable");
    json_put_i64(w, counts[SIDE_STABLE]);
    json_key(w, "canary");
    json_put_i64(w, counts[SIDE_CANARY]);
    json_end_object(w);
}

static void put_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_put_f64(w, value < 1e300 ? value : 1e300);
}

void rollout_reading_write(const struct rollout_check *check, const struct guard_reading *reading,
                           struct json_writer *w)
{
    json_key(w, "event");
    json_put_text(w, check->event.text);
    json_key(w, "kind");
    json_put_text(w, check->is_proof ? "prove" : "guard");
    json_key(w, "verdict");
    json_put_text(w, verdict_name(reading->verdict));
    json_key(w, "dry_run");
    json_put_bool(w, check->is_dry_run);
    json_key(w, "by");
    json_put_text(w, reading->is_by_key ? "key" : "request");
    json_key(w, "window");
    json_put_i64(w, reading->window);
    put_sides(w, "events", reading->events);
    put_sides(w, "counted", reading->counted);
    if (check->is_proof) {
        put_number(w, "no_worse_than", check->rule.no_worse_than);
        put_number(w, "e", reading->e_safe);
        put_number(w, "e_needed", reading->safe_at);
        put_number(w, "rate_below", check->rule.rate_below);
        put_number(w, "e_rate", reading->e_rate);
        return;
    }
    put_number(w, "worse_than", check->rule.worse_than);
    put_number(w, "e", reading->e_fail);
    put_number(w, "e_needed", reading->fail_at);
}

void rollout_view_write(const struct rollout_view *view, struct json_writer *w)
{
    json_begin_object(w);
    json_key(w, "state");
    json_put_text(w, rollout_state_name(view->state));
    json_key(w, "step");
    json_put_i64(w, view->step + 1);
    json_key(w, "step_seconds");
    json_put_i64(w, view->step_us / CLOCK_SECOND_US);
    json_key(w, "age_seconds");
    json_put_i64(w, view->age_us / CLOCK_SECOND_US);
    if (view->spec->check_count > 0) {
        put_sides(w, "requests", view->readings[0].requests);
        put_sides(w, "keys", view->readings[0].keys);
    }
    json_key(w, "keyless_requests");
    json_put_i64(w, view->keyless_requests);
    json_key(w, "failed_canary_requests");
    json_put_i64(w, view->canary_harm);
    if (view->finding != FINDING_NONE) {
        json_key(w, "finding");
        json_put_text(w, view->finding_text);
    }
    json_key(w, "checks");
    json_begin_array(w);
    for (int i = 0; i < view->spec->check_count; i++) {
        json_begin_object(w);
        rollout_reading_write(&view->spec->checks[i], &view->readings[i], w);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}
