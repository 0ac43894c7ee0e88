/* simulate.c - the engine's work on a log, with the log's clock. */
#include "rollout/simulate.h"

#include "base/check.h"
#include "base/clock.h"

static bool is_event(const struct rollout_event *event, const struct simulated_request *request)
{
    switch (event->kind) {
    case EVENT_ERROR:
        return request->status >= 500;
    case EVENT_REFUSED:
        return rollout_is_refused(request->status);
    case EVENT_SLOWER_THAN:
        return request->latency_us > event->bound_us;
    case EVENT_INVALID_OUTPUT:
        return request->is_invalid;
    default:
        return false; /* comes later than the answer, and is in no log of answers */
    }
}

/* A canary that is `worse` times as bad has the logged events, and others in between. */
static bool has_event(struct simulation *s, int check, const struct simulated_request *request,
                      int side)
{
    bool is_logged = is_event(&s->spec->checks[check].event, request);
    s->logged[check] += is_logged;
    if (is_logged || side == SIDE_STABLE)
        return is_logged;
    double rate = (double)s->logged[check] / (double)s->requests;
    return rand_unit(&s->rand) < (s->worse - 1) * rate;
}

static void count(struct simulation *s, const struct simulated_request *request)
{
    uint64_t hash = choose_hash(&s->choose, request->key);
    bool has_key = request->key.len > 0;
    bool is_canary =
        has_key ? choose_is_canary(&s->choose, hash) : choose_draw(&s->choose, &s->rand);
    int side = is_canary ? SIDE_CANARY : SIDE_STABLE;
    double theta = (double)s->rollout.weight_ppm / WEIGHT_ONE;
    s->requests++;
    s->exposure.requests[side]++;
    s->exposure.keyed_requests[side] += has_key;
    if (has_key)
        key_sketch_add(&s->exposure.keys[side], hash);
    bool is_harm = false;
    for (int i = 0; i < s->spec->check_count; i++) {
        if (!has_event(s, i, request, side))
            continue;
        guard_event(&s->guards[i], &s->exposure, theta, side, has_key ? &hash : NULL);
        is_harm = is_harm || s->spec->checks[i].event.kind == EVENT_ERROR;
    }
    s->harm += is_harm && side == SIDE_CANARY;
}

static int64_t canary_keys(const struct exposure *exposure)
{
    int64_t keyed = exposure->keyed_requests[SIDE_CANARY], all = exposure->requests[SIDE_CANARY];
    return 2 * keyed >= all ? key_sketch_count(&exposure->keys[SIDE_CANARY]) : all;
}

static void look(struct simulation *s, int64_t now_us)
{
    struct rollout_view *view = &s->view;
    enum step_kind kind = s->spec->steps[s->rollout.step].kind;
    *view = (struct rollout_view){
        .spec = s->spec,
        .state = s->rollout.state,
        .step = s->rollout.step,
        .step_us = now_us - s->step_began_us,
        .age_us = now_us - s->began_us,
        .step_keys = canary_keys(&s->exposure),
        .canary_requests = s->exposure.requests[SIDE_CANARY],
        .canary_harm = s->harm,
        .finding = kind == STEP_GATE || kind == STEP_SHADOW ? FINDING_GOOD : FINDING_NONE,
    };
    for (int i = 0; i < s->spec->check_count; i++)
        guard_read(&s->guards[i], &s->exposure, &view->readings[i]);
}

static void take(struct simulation *s, const struct rollout_decision *decision, int64_t now_us)
{
    struct rollout_change change = {0};
    struct err err = {0};
    enum err_code rc = rollout_next(&s->rollout, s->spec, decision->action, &change, &err);
    assert(!rc);
    if (change.step != s->rollout.step)
        s->step_began_us = now_us;
    s->rollout.state = change.state;
    s->rollout.step = change.step;
    s->rollout.weight_ppm = change.weight_ppm;
    s->choose.threshold = choose_threshold(change.weight_ppm);
    if (s->transition_count < SIMULATE_TRANSITIONS_MAX)
        s->transitions[s->transition_count++] = (struct simulated_transition){
            .at_us = now_us,
            .decision = *decision,
            .state = change.state,
            .step = change.step,
            .weight_ppm = change.weight_ppm,
        };
}

/* A person would say yes. */
static void approve(struct simulation *s, int64_t now_us)
{
    const struct rollout_decision yes = {
        .action = ACT_APPROVE, .cause = "person", .reason = "taken as approved"};
    if (s->rollout.state == ROLLOUT_AWAITING)
        take(s, &yes, now_us);
}

static void start(struct simulation *s, int64_t now_us)
{
    const struct rollout_decision first = {.action = ACT_START, .cause = "person", .reason = ""};
    s->began_us = s->step_began_us = now_us;
    take(s, &first, now_us);
    approve(s, now_us);
}

bool simulation_add(struct simulation *s, const struct simulated_request *request)
{
    struct rollout_decision decision;
    if (s->transition_count == 0)
        start(s, request->at_us);
    if (rollout_is_over(s->rollout.state) || s->rollout.state == ROLLOUT_HELD)
        return false;
    if (s->rollout.weight_ppm > 0)
        count(s, request);
    look(s, request->at_us);
    rollout_decide(&s->view, &decision);
    if (decision.action != ACT_NOTHING) {
        take(s, &decision, request->at_us);
        approve(s, request->at_us);
    }
    return !rollout_is_over(s->rollout.state) && s->rollout.state != ROLLOUT_HELD;
}

void simulation_begin(struct simulation *s, const struct rollout_spec *spec, double worse,
                      uint64_t seed)
{
    assert(worse >= 1);
    *s = (struct simulation){.spec = spec, .worse = worse};
    rand_seed(&s->rand, seed);
    for (int i = 0; i < 2; i++)
        s->choose.salt[i] = spec->has_salt ? spec->salt[i] : rand_u64(&s->rand);
    s->rollout = (struct rollout){.model = spec->model, .author = "", .reason = ""};
    for (int i = 0; i < spec->check_count; i++)
        guard_init(&s->guards[i], &spec->checks[i].rule);
}

void simulation_end(struct simulation *s)
{
    for (int i = 0; i < s->spec->check_count; i++)
        guard_done(&s->guards[i]);
    exposure_done(&s->exposure);
}
