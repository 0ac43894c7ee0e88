/* rollout_engine.c - active rollouts in memory, their evidence, and the look that decides. */
#include "serve/rollout_engine.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "registry/rollback_log.h"
#include "rollout/evidence_file.h"
#include "rollout/gate_store.h"
#include "serve/rollout_files.h"

enum {
    LIVE_ARENA_BYTES = 2 * ROLLOUT_MEMORY_BYTES_MAX,
    ALERT_BYTES = 128,
    FINDING_BYTES = 256,
    COOLED_MAX = 1000, /* models looked at for versions that need not stay warm */
};

/* A clock that jumps makes no step long: what one tick may add. */
#define TICK_US_MAX (10 * CLOCK_SECOND_US)

/* One active rollout. */
struct live {
    struct arena *arena;
    struct rollout row;               /* ticker only, but for what the lock is said to guard */
    struct rollout_spec *spec;        /* immutable */
    struct evidence_state evidence;   /* under the lock */
    int64_t weight_ppm;               /* under the lock; what requests are shared by */
    int64_t weight_before_ppm;        /* under the lock; until weight_since_us */
    int64_t weight_since_us;          /* under the lock; wall time */
    bool is_ended;                    /* ticker: taken back, though the store may not say so yet */
    bool is_shadowing;                /* ticker */
    int shadow_step;                  /* ticker; which step the shadow was begun for */
    int64_t error_us, ticked_us;      /* ticker; ticked_us is monotonic */
    enum finding finding;             /* ticker; of this look */
    char finding_text[FINDING_BYTES]; /* ticker */
    enum finding shown_finding;       /* under the lock; of the last look */
    char shown_text[FINDING_BYTES];   /* under the lock */
};

struct rollout_engine {
    struct rollout_engine_config config;
    struct ticker *ticker; /* under the lock; NULL: not (any more) scheduled */
    int task, tick_count;
    int64_t cooled_us;     /* ticker; wall time of the last cool_down */
    _Atomic bool is_dirty; /* the store has something new */

    pthread_mutex_t lock; /* of the list, and of what is said to be under it */
    struct live *live[ROLLOUTS_ACTIVE_MAX];
    int live_count;
    struct rollout_engine_stats stats;
};

const struct actor rollout_engine_actor = {.name = "slipway:rollout", .via = "rollout"};

/* ---- evidence ---- */

static struct live *find_live(struct rollout_engine *engine, int64_t rollout)
{
    for (int i = 0; i < engine->live_count; i++)
        if (engine->live[i]->row.id == rollout)
            return engine->live[i];
    return NULL;
}

static bool is_finite_output(const struct tensor *output)
{
    int64_t count = output->data ? tensor_elements(output->shape, output->rank) : 0;
    if (output->dtype == DTYPE_F32) {
        const float *values = output->data;
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(values[i]))
                return false;
    } else if (output->dtype == DTYPE_F64) {
        const double *values = output->data;
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(values[i]))
                return false;
    }
    return true;
}

static bool has_nonfinite(const struct record *record)
{
    for (int i = 0; i < record->output_count - record->schema->aside_count; i++)
        if (!is_finite_output(&record->outputs[i]))
            return true;
    return false;
}

static bool is_invalid(const struct record *record)
{
    if (has_nonfinite(record))
        return true;
    for (int64_t row = 0; record->is_suspect && row < record->row_count; row++)
        if (record->is_suspect[row])
            return true;
    return false;
}

static bool is_record_event(const struct rollout_event *event, const struct record *record)
{
    switch (event->kind) {
    case EVENT_ERROR:
        return record->status >= 500;
    case EVENT_REFUSED:
        return rollout_is_refused(record->status);
    case EVENT_SLOWER_THAN:
        return record->latency_us > event->bound_us;
    case EVENT_INVALID_OUTPUT:
        return is_invalid(record);
    default:
        return false;
    }
}

/* The canary's share when the record's version was chosen. */
static double theta_at(const struct live *live, int64_t at_us)
{
    int64_t ppm = at_us < live->weight_since_us && live->weight_before_ppm > 0
                      ? live->weight_before_ppm
                      : live->weight_ppm;
    return (double)ppm / WEIGHT_ONE;
}

static int side_of(enum arm arm)
{
    return arm == ARM_CANARY ? SIDE_CANARY : SIDE_STABLE;
}

/* True when the guard has failed by it. */
static bool add_event(struct live *live, int check, double theta, int side, const uint64_t *key)
{
    struct guard *guard = &live->evidence.guards[check];
    bool had_failed = guard->is_failed;
    if (theta <= 0 || theta >= 1)
        return false;
    guard_event(guard, &live->evidence.exposure, theta, side, key);
    return guard->is_failed && !had_failed;
}

static bool is_live_harm(const struct live *live)
{
    return guard_is_harm(live->evidence.canary_harm, live->evidence.exposure.requests[SIDE_CANARY]);
}

static void expose(struct exposure *exposure, const struct record *record, int side)
{
    exposure->requests[side]++;
    if (!record->has_key)
        return;
    exposure->keyed_requests[side]++;
    key_sketch_add(&exposure->keys[side], record->key_hash);
}

/* True when somebody must decide now. */
static bool count_record(struct live *live, const struct record *record)
{
    int side = side_of(record->arm);
    double theta = theta_at(live, record->at_us);
    bool is_deciding = false;
    expose(&live->evidence.exposure, record, side);
    for (int i = 0; i < live->spec->check_count; i++)
        if (is_record_event(&live->spec->checks[i].event, record) &&
            add_event(live, i, theta, side, record->has_key ? &record->key_hash : NULL))
            is_deciding = true;
    if (side == SIDE_CANARY && (record->status >= 500 || has_nonfinite(record))) {
        live->evidence.canary_harm++;
        is_deciding = is_deciding || is_live_harm(live);
    }
    return is_deciding;
}

static void kick(struct rollout_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->ticker)
        ticker_kick(engine->ticker, engine->task);
    pthread_mutex_unlock(&engine->lock);
}

static void take_record(void *arg, const struct record *record)
{
    struct rollout_engine *engine = arg;
    bool is_deciding = false;
    if (record->rollout == 0 || (record->arm != ARM_STABLE && record->arm != ARM_CANARY))
        return;
    pthread_mutex_lock(&engine->lock);
    struct live *live = find_live(engine, record->rollout);
    if (live)
        is_deciding = count_record(live, record);
    pthread_mutex_unlock(&engine->lock);
    if (is_deciding)
        kick(engine);
}

static bool is_outcome_event(const struct rollout_event *event, const struct outcome *outcome)
{
    if (event->within_us && outcome->at_us - outcome->predicted->at_us > event->within_us)
        return false;
    switch (event->kind) {
    case EVENT_OVERRIDE:
        return outcome->kind == OUTCOME_EVENT && str_equal_c(outcome->name, "override");
    case EVENT_OUTCOME:
        if (outcome->kind == OUTCOME_LABEL)
            return outcome->is_wrong && str_equal_c(outcome->name, event->name);
        return outcome->kind == OUTCOME_EVENT && str_equal_c(outcome->name, event->name);
    case EVENT_COST:
        return outcome->kind == OUTCOME_VALUE && str_equal_c(outcome->name, event->name) &&
               outcome->value > event->above;
    default:
        return false;
    }
}

/* Evidence is not taken back, so a prediction whose first word was an event has been counted. One
 * that turns out bad only by a correction has its event now; of each key still the first counts. */
static bool was_event(const struct rollout_event *event, const struct outcome *outcome)
{
    if (outcome->result != OUTCOME_CORRECTED)
        return false;
    if (outcome->kind == OUTCOME_LABEL)
        return outcome->replaced.is_wrong;
    return outcome->kind == OUTCOME_EVENT || outcome->replaced.value > event->above;
}

static bool count_outcome(struct live *live, const struct outcome *outcome)
{
    const struct predicted *predicted = outcome->predicted;
    bool is_deciding = false;
    for (int i = 0; i < live->spec->check_count; i++) {
        const struct rollout_event *event = &live->spec->checks[i].event;
        if (is_outcome_event(event, outcome) && !was_event(event, outcome) &&
            add_event(live, i, theta_at(live, predicted->at_us), side_of(predicted->arm),
                      predicted->has_key ? &predicted->key_hash : NULL))
            is_deciding = true;
    }
    return is_deciding;
}

static void take_outcome(void *arg, const struct outcome *outcome)
{
    struct rollout_engine *engine = arg;
    const struct predicted *predicted = outcome->predicted;
    bool is_deciding = false;
    if (!predicted || predicted->rollout == 0 ||
        (predicted->arm != ARM_STABLE && predicted->arm != ARM_CANARY))
        return;
    pthread_mutex_lock(&engine->lock);
    struct live *live = find_live(engine, predicted->rollout);
    if (live)
        is_deciding = count_outcome(live, outcome);
    pthread_mutex_unlock(&engine->lock);
    if (is_deciding)
        kick(engine);
}

/* ---- evidence on disk ---- */

static void save_shadow(struct rollout_engine *engine, const struct live *live)
{
    struct buf out;
    buf_init(&out, SHADOW_FILE_BYTES_MAX);
    if (shadow_save(engine->config.shadow, live->row.id, &out))
        rollout_file_save(control_folder(engine->config.control), live->row.id, ROLLOUT_SHADOW,
                          &out);
    buf_done(&out);
}

static void save(struct rollout_engine *engine, struct live *live)
{
    struct buf out;
    buf_init(&out, EVIDENCE_BYTES_MAX);
    pthread_mutex_lock(&engine->lock);
    live->evidence.saved_wall_us = clock_wall_us();
    evidence_format(&live->evidence, &out);
    pthread_mutex_unlock(&engine->lock);
    rollout_file_save(control_folder(engine->config.control), live->row.id, ROLLOUT_EVIDENCE, &out);
    buf_done(&out);
    if (live->is_shadowing)
        save_shadow(engine, live);
}

/* Time in which nobody looked is part of the rollout's age, and of no step. */
static void take_saved(struct live *live, const struct evidence_state *fresh)
{
    struct evidence_state *saved = &live->evidence;
    int64_t away_us = clock_wall_us() - saved->saved_wall_us;
    saved->age_us += away_us > 0 ? away_us : 0;
    if (saved->step != fresh->step)
        saved->step_us = 0;
    saved->step = fresh->step;
}

static void restore(struct rollout_engine *engine, struct live *live)
{
    struct buf bytes;
    const struct evidence_state fresh = {.step = live->row.step};
    rollout_file_load(control_folder(engine->config.control), live->row.id, ROLLOUT_EVIDENCE,
                      EVIDENCE_BYTES_MAX, &bytes);
    if (evidence_parse(buf_view(&bytes), &live->evidence))
        take_saved(live, &fresh);
    buf_done(&bytes);
}

/* ---- the list ---- */

static void live_free(struct live *live)
{
    for (int i = 0; i < live->evidence.guard_count; i++)
        guard_done(&live->evidence.guards[i]);
    exposure_done(&live->evidence.exposure);
    arena_free(live->arena);
    free(live);
}

/* The texts of a row that was read into another arena. */
static void copy_row(struct live *live, const struct rollout *row)
{
    live->row = *row;
    live->row.model = arena_copy(live->arena, row->model, strlen(row->model));
    live->row.file = live->row.reason = live->row.author = "";
    live->row.from_digest = live->row.to_digest = live->row.file_digest = "";
    assert(live->row.model);
}

static struct live *live_new(struct rollout_engine *engine, const struct rollout *row)
{
    struct err err = {0};
    struct live *live = calloc(1, sizeof(*live));
    if (!live)
        abort();
    live->arena = arena_new(LIVE_ARENA_BYTES);
    copy_row(live, row);
    if (rollout_file_parse(str_of(row->file), live->arena, &live->spec, &err)) {
        log_error("rollout file not read", "rollout=%lld reason=%s", (long long)row->id, err.msg);
        live_free(live);
        return NULL;
    }
    live->weight_ppm = row->weight_ppm;
    live->ticked_us = clock_monotonic_us();
    live->evidence.rollout = row->id;
    live->evidence.step = row->step;
    live->evidence.guard_count = live->spec->check_count;
    for (int i = 0; i < live->spec->check_count; i++)
        guard_init(&live->evidence.guards[i], &live->spec->checks[i].rule);
    restore(engine, live);
    return live;
}

/* People who resume a held rollout have seen what held it: requests are counted anew. */
static void start_anew(struct live *live)
{
    live->evidence.step_us = 0;
    live->shadow_step = -1;
    for (int i = 0; i < live->evidence.guard_count; i++)
        guard_forgive(&live->evidence.guards[i]);
}

static void update_live(struct live *live, const struct rollout *row)
{
    bool was_held = live->row.state == ROLLOUT_HELD;
    if (row->revision == live->row.revision)
        return;
    if (row->weight_ppm != live->weight_ppm) {
        live->weight_before_ppm = live->weight_ppm;
        live->weight_ppm = row->weight_ppm;
        live->weight_since_us = clock_wall_us();
    }
    if (row->step != live->row.step) {
        live->evidence.step = row->step;
        live->evidence.step_us = 0;
    }
    if (was_held && row->state != ROLLOUT_HELD)
        start_anew(live);
    live->row.state = row->state;
    live->row.revision = row->revision;
    live->row.step = row->step;
    live->row.weight_ppm = row->weight_ppm;
}

static const struct rollout *find_row(const struct rollout *rows, int count, int64_t id)
{
    for (int i = 0; i < count; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

static void clear_alert(struct rollout_engine *engine, const struct live *live)
{
    char key[ALERT_BYTES];
    snprintf(key, sizeof(key), "rollout_held/%s/%lld", live->row.model, (long long)live->row.id);
    alert_clear(engine->config.alerts, key);
}

static void end_shadow(struct rollout_engine *engine, struct live *live)
{
    if (live->is_shadowing)
        shadow_end(engine->config.shadow, live->row.id);
    live->is_shadowing = false;
    rollout_file_remove(control_folder(engine->config.control), live->row.id, ROLLOUT_SHADOW);
}

static void remove_live(struct rollout_engine *engine, int at)
{
    struct live *live = engine->live[at];
    end_shadow(engine, live);
    clear_alert(engine, live);
    rollout_file_remove(control_folder(engine->config.control), live->row.id, ROLLOUT_EVIDENCE);
    pthread_mutex_lock(&engine->lock);
    engine->live[at] = engine->live[--engine->live_count];
    pthread_mutex_unlock(&engine->lock);
    live_free(live);
}

static void add_live(struct rollout_engine *engine, const struct rollout *row)
{
    struct live *live = engine->live_count < ROLLOUTS_ACTIVE_MAX ? live_new(engine, row) : NULL;
    if (!live)
        return;
    pthread_mutex_lock(&engine->lock);
    engine->live[engine->live_count++] = live;
    pthread_mutex_unlock(&engine->lock);
}

static void take_rows(struct rollout_engine *engine, const struct rollout *rows, int count)
{
    for (int i = engine->live_count - 1; i >= 0; i--)
        if (!find_row(rows, count, engine->live[i]->row.id))
            remove_live(engine, i);
    for (int i = 0; i < count; i++) {
        struct live *live = find_live(engine, rows[i].id);
        if (!live) {
            add_live(engine, &rows[i]);
            continue;
        }
        pthread_mutex_lock(&engine->lock);
        update_live(live, &rows[i]);
        pthread_mutex_unlock(&engine->lock);
    }
}

/* What is active, as the store has it. Should it not answer, the next look asks again. */
static void sync_with_store(struct rollout_engine *engine)
{
    struct rollout *rows = NULL;
    int count = 0;
    struct err err = {0};
    for (int i = 0; i < engine->live_count; i++)
        if (engine->live[i]->is_ended)
            atomic_store(&engine->is_dirty, true); /* until the store says so */
    if (!atomic_exchange(&engine->is_dirty, false))
        return;
    struct arena *arena = arena_new((size_t)ROLLOUTS_ACTIVE_MAX * ROLLOUT_FILE_BYTES_MAX * 2);
    struct store *store = control_read_begin(engine->config.control);
    enum err_code rc =
        rollout_list(store, NULL, true, ROLLOUT_LIST_MAX, arena, &rows, &count, &err);
    control_read_end(engine->config.control);
    if (rc) {
        log_error("rollouts not read", "reason=%s", err.msg);
        atomic_store(&engine->is_dirty, true);
    } else {
        take_rows(engine, rows, count);
    }
    arena_free(arena);
}

/* ---- findings of steps ---- */

__attribute__((format(printf, 3, 4))) static enum finding
say(struct live *live, enum finding finding, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(live->finding_text, sizeof(live->finding_text), fmt, args);
    va_end(args);
    return finding;
}

/* Counts of before a restart go on when they are of this step. */
static enum err_code begin_shadow(struct rollout_engine *engine, struct live *live,
                                  const struct rollout_step *step, struct err *err)
{
    struct buf saved;
    struct shadow_session_config session = {
        .rollout = live->row.id, .step = live->row.step, .share = step->sample};
    rollout_file_load(control_folder(engine->config.control), live->row.id, ROLLOUT_SHADOW,
                      SHADOW_FILE_BYTES_MAX, &saved);
    session.saved = buf_view(&saved);
    enum err_code rc = control_acquire(engine->config.control, live->row.model, live->row.from,
                                       &session.stable, err);
    if (!rc)
        rc = control_acquire(engine->config.control, live->row.model, live->row.to,
                             &session.candidate, err);
    if (!rc)
        rc = shadow_begin(engine->config.shadow, &session, err);
    loaded_unref(session.stable);
    loaded_unref(session.candidate);
    buf_done(&saved);
    live->is_shadowing = rc == ERR_OK;
    live->shadow_step = live->row.step;
    return rc;
}

static enum finding look_at_shadow(struct rollout_engine *engine, struct live *live,
                                   const struct rollout_step *step)
{
    struct shadow_counts counts = {0};
    struct err err = {0};
    if (!engine->config.shadow)
        return say(live, FINDING_TROUBLE, "this process has no shadows");
    if (!live->is_shadowing && begin_shadow(engine, live, step, &err))
        return say(live, FINDING_TROUBLE, "the shadow could not begin: %s", err.msg);
    if (!shadow_counts(engine->config.shadow, live->row.id, &counts))
        return say(live, FINDING_TROUBLE, "the shadow's counts are gone");
    uint64_t differ = counts.differ + counts.errors + counts.refused;
    uint64_t rows = counts.rows + counts.errors + counts.refused;
    double share = rows ? (double)differ / (double)rows : 0;
    if ((int64_t)rows < step->rows_min || live->evidence.step_us < step->min_us)
        return say(live, FINDING_PENDING, "compared %llu of at least %lld rows, %llu differ",
                   (unsigned long long)rows, (long long)step->rows_min, (unsigned long long)differ);
    return say(live, share > step->disagreement_max ? FINDING_BAD : FINDING_GOOD,
               "%llu of %llu rows differ (%.2f %%; at most %g %% may)", (unsigned long long)differ,
               (unsigned long long)rows, share * 100, step->disagreement_max * 100);
}

static enum finding look_at_gate(struct rollout_engine *engine, struct live *live)
{
    struct err err = {0};
    struct store *store = control_read_begin(engine->config.control);
    enum err_code rc = gate_check_required(store, live->row.model, live->row.to, &err);
    control_read_end(engine->config.control);
    if (rc == ERR_OK)
        return say(live, FINDING_GOOD, "all required gates have passed");
    if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND)
        return say(live, FINDING_PENDING, "%s", err.msg);
    return say(live, FINDING_TROUBLE, "%s", err.msg);
}

static void look_at_step(struct rollout_engine *engine, struct live *live)
{
    const struct rollout_step *step = &live->spec->steps[live->row.step];
    enum finding finding = FINDING_NONE;
    live->finding_text[0] = '\0';
    bool is_other_step = step->kind != STEP_SHADOW || live->shadow_step != live->row.step;
    if (live->is_shadowing && is_other_step)
        end_shadow(engine, live); /* the next one counts anew */
    if (step->kind == STEP_SHADOW)
        finding = look_at_shadow(engine, live, step);
    else if (step->kind == STEP_GATE)
        finding = look_at_gate(engine, live);
    live->finding = finding;
}

/* ---- one look ---- */

static void add_time(struct live *live)
{
    int64_t now_us = clock_monotonic_us(), passed_us = now_us - live->ticked_us;
    bool is_running = live->row.state == ROLLOUT_RUNNING || live->row.state == ROLLOUT_AWAITING;
    passed_us = passed_us < 0 ? 0 : passed_us > TICK_US_MAX ? TICK_US_MAX : passed_us;
    live->ticked_us = now_us;
    live->evidence.age_us += passed_us;
    live->evidence.step_us += is_running ? passed_us : 0;
    live->error_us = live->finding == FINDING_TROUBLE ? live->error_us + passed_us : 0;
}

/* Keys the canary has seen; where most requests name none, requests. */
static int64_t canary_keys(const struct exposure *exposure)
{
    int64_t keyed = exposure->keyed_requests[SIDE_CANARY], all = exposure->requests[SIDE_CANARY];
    return 2 * keyed >= all ? key_sketch_count(&exposure->keys[SIDE_CANARY]) : all;
}

static int64_t keyless_requests(const struct exposure *exposure)
{
    int64_t count = 0;
    for (int side = 0; side < SIDE_COUNT; side++)
        count += exposure->requests[side] - exposure->keyed_requests[side];
    return count;
}

/* Under the lock. */
static void read_view(struct live *live, struct rollout_view *view)
{
    struct evidence_state *evidence = &live->evidence;
    *view = (struct rollout_view){
        .spec = live->spec,
        .state = live->row.state,
        .step = live->row.step,
        .step_us = evidence->step_us,
        .age_us = evidence->age_us,
        .error_us = live->error_us,
        .step_keys = canary_keys(&evidence->exposure),
        .keyless_requests = keyless_requests(&evidence->exposure),
        .canary_requests = evidence->exposure.requests[SIDE_CANARY],
        .canary_harm = evidence->canary_harm,
        .finding = live->shown_finding,
    };
    memcpy(view->finding_text, live->shown_text, sizeof(view->finding_text));
    for (int i = 0; i < evidence->guard_count; i++)
        guard_read(&evidence->guards[i], &evidence->exposure, &view->readings[i]);
}

struct transition {
    struct rollout_act act;
    struct control_op op;
};

static enum err_code make_transition(struct control *control, struct store *store, void *arg,
                                     struct err *err)
{
    struct transition *t = arg;
    struct rollout after;
    struct arena *arena = arena_new(LIVE_ARENA_BYTES);
    (void)control;
    enum err_code rc = rollout_act(store, &t->act, &rollout_engine_actor, arena, &after, err);
    if (!rc && t->op.is_rollback) {
        t->op.from = after.to;
        t->op.to = after.from;
    }
    arena_free(arena);
    return rc;
}

static void raise_alert(struct rollout_engine *engine, const struct live *live,
                        const struct rollout_decision *decision)
{
    char key[ALERT_BYTES];
    bool is_hold = decision->action == ACT_HOLD;
    const char *rule = is_hold ? "rollout_held" : "rolled_back";
    snprintf(key, sizeof(key), "%s/%s/%lld", rule, live->row.model, (long long)live->row.id);
    const struct alert alert = {
        .key = key,
        .model = live->row.model,
        .version = live->row.to,
        .rule = rule,
        .severity = ALERT_PAGE,
        .value = NAN,
        .bound = NAN,
        .message = decision->reason,
    };
    alert_raise(engine->config.alerts, &alert);
}

static void count_rollback(struct rollout_engine *engine, const char *cause)
{
    struct rollout_engine_stats *stats = &engine->stats;
    pthread_mutex_lock(&engine->lock);
    if (strcmp(cause, "harm") == 0)
        stats->rollbacks_harm++;
    else if (strcmp(cause, "guard") == 0 || strcmp(cause, "few_keys") == 0)
        stats->rollbacks_guard++;
    else if (strcmp(cause, "shadow") == 0 || strcmp(cause, "gate") == 0)
        stats->rollbacks_step++;
    else
        stats->rollbacks_other++;
    pthread_mutex_unlock(&engine->lock);
}

static void report(struct rollout_engine *engine, struct live *live,
                   const struct rollout_decision *decision)
{
    const char *action = rollout_action_name(decision->action);
    log_info("rollout decided", "model=%s rollout=%lld action=%s cause=%s reason=%s",
             live->row.model, (long long)live->row.id, action, decision->cause, decision->reason);
    if (decision->action == ACT_HOLD || decision->action == ACT_ROLLBACK)
        raise_alert(engine, live, decision);
    else
        clear_alert(engine, live);
    if (decision->action == ACT_ROLLBACK) {
        count_rollback(engine, decision->cause);
        live->is_ended = true;
    }
}

static void execute(struct rollout_engine *engine, struct live *live,
                    const struct rollout_view *view, const struct rollout_decision *decision)
{
    struct buf evidence;
    struct err err = {0};
    struct json_writer w = {.out = &evidence};
    buf_init(&evidence, ROLLOUT_FILE_BYTES_MAX);
    rollout_view_write(view, &w);
    struct transition t = {
        .act = {.model = live->row.model,
                .action = decision->action,
                .revision = live->row.revision,
                .cause = decision->cause,
                .reason = decision->reason,
                .evidence = buf_c(&evidence)},
        .op = {.fn = make_transition,
               .model = live->row.model,
               .is_rollback = decision->action == ACT_ROLLBACK,
               .alias = ROLLBACK_LOG_ROLLOUT,
               .reason = decision->reason,
               .actor = rollout_engine_actor.name},
    };
    t.op.arg = &t;
    enum err_code rc = control_execute(engine->config.control, &t.op, &err);
    if (!rc)
        report(engine, live, decision);
    else
        log_warn("rollout decision not made", "model=%s rollout=%lld action=%s reason=%s",
                 live->row.model, (long long)live->row.id, rollout_action_name(decision->action),
                 err.msg);
    atomic_store(&engine->is_dirty, true);
    buf_done(&evidence);
}

static void look(struct rollout_engine *engine, struct live *live)
{
    struct rollout_view view;
    struct rollout_decision decision;
    if (live->is_ended)
        return;
    look_at_step(engine, live);
    pthread_mutex_lock(&engine->lock);
    live->shown_finding = live->finding;
    memcpy(live->shown_text, live->finding_text, sizeof(live->shown_text));
    add_time(live);
    read_view(live, &view);
    pthread_mutex_unlock(&engine->lock);
    rollout_decide(&view, &decision);
    if (decision.action != ACT_NOTHING)
        execute(engine, live, &view, &decision);
}

static enum err_code nothing(struct control *control, struct store *store, void *arg,
                             struct err *err)
{
    (void)control, (void)store, (void)arg, (void)err;
    return ERR_OK;
}

/* Versions that had to stay warm and need it no longer leave with the endpoint they were pinned to.
 */
static void cool_down(struct rollout_engine *engine)
{
    const char **models;
    int count = 0;
    int64_t now_us = clock_wall_us();
    struct err err = {0};
    struct arena *arena = arena_new(COOLED_MAX * 128);
    struct store *store = control_read_begin(engine->config.control);
    enum err_code rc =
        rollout_cooled(store, engine->cooled_us, now_us, COOLED_MAX, arena, &models, &count, &err);
    control_read_end(engine->config.control);
    for (int i = 0; !rc && i < count; i++) {
        struct control_op op = {.fn = nothing, .model = models[i]};
        rc = control_execute(engine->config.control, &op, &err);
    }
    if (rc)
        log_warn("versions not let go, tried again", "reason=%s", err.msg);
    else
        engine->cooled_us = now_us;
    arena_free(arena);
}

void rollout_engine_run(struct rollout_engine *engine)
{
    if (engine->tick_count % ROLLOUT_COOL_TICKS == 0)
        cool_down(engine);
    sync_with_store(engine);
    for (int i = 0; i < engine->live_count; i++)
        look(engine, engine->live[i]);
    sync_with_store(engine);
    if (++engine->tick_count % ROLLOUT_SAVE_TICKS == 0)
        for (int i = 0; i < engine->live_count; i++)
            save(engine, engine->live[i]);
}

static void run(void *arg)
{
    rollout_engine_run(arg);
}

/* ---- for others ---- */

bool rollout_engine_view(struct rollout_engine *engine, int64_t rollout, struct rollout_view *view)
{
    pthread_mutex_lock(&engine->lock);
    const struct rollout_spec *spec = view->spec;
    struct live *live = find_live(engine, rollout);
    if (live) {
        read_view(live, view);
        view->spec = spec;
    }
    pthread_mutex_unlock(&engine->lock);
    return live != NULL;
}

void rollout_engine_each(struct rollout_engine *engine, rollout_visit_fn *visit, void *arg)
{
    struct rollout_view view;
    pthread_mutex_lock(&engine->lock);
    for (int i = 0; i < engine->live_count; i++) {
        read_view(engine->live[i], &view);
        visit(arg, &engine->live[i]->row, &view);
    }
    pthread_mutex_unlock(&engine->lock);
}

void rollout_engine_stats(struct rollout_engine *engine, struct rollout_engine_stats *stats)
{
    pthread_mutex_lock(&engine->lock);
    *stats = engine->stats;
    stats->active = engine->live_count;
    pthread_mutex_unlock(&engine->lock);
}

void rollout_engine_changed(struct rollout_engine *engine)
{
    if (!engine)
        return;
    atomic_store(&engine->is_dirty, true);
    kick(engine);
}

struct record_sink rollout_engine_sink(struct rollout_engine *engine)
{
    return (struct record_sink){.name = "guards", .arg = engine, .take = take_record};
}

struct outcome_sink rollout_engine_outcome_sink(struct rollout_engine *engine)
{
    return (struct outcome_sink){.name = "guards", .arg = engine, .take = take_outcome};
}

static bool is_live(void *arg, int64_t rollout)
{
    return find_live(arg, rollout) != NULL;
}

void rollout_engine_schedule(struct rollout_engine *engine, struct ticker *ticker)
{
    sync_with_store(engine); /* the first record finds its rollout */
    if (!atomic_load(&engine->is_dirty))
        rollout_files_clean(control_folder(engine->config.control), is_live, engine);
    engine->task = ticker_add(ticker, "rollouts", ROLLOUT_TICK_MS, run, engine);
    engine->ticker = ticker;
}

void rollout_engine_unschedule(struct rollout_engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_lock(&engine->lock);
    engine->ticker = NULL;
    pthread_mutex_unlock(&engine->lock);
}

struct rollout_engine *rollout_engine_new(const struct rollout_engine_config *config)
{
    struct rollout_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        abort();
    engine->config = *config;
    engine->is_dirty = true;
    engine->cooled_us = clock_wall_us();
    pthread_mutex_init(&engine->lock, NULL);
    return engine;
}

void rollout_engine_free(struct rollout_engine *engine)
{
    if (!engine)
        return;
    for (int i = 0; i < engine->live_count; i++) {
        save(engine, engine->live[i]);
        if (engine->live[i]->is_shadowing)
            shadow_end(engine->config.shadow, engine->live[i]->row.id);
        live_free(engine->live[i]);
    }
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}
