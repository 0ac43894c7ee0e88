/* intake.c - outcomes from whoever brings them to the store and to whoever builds on them. */
#include "serve/intake.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum { RETRY_ARENA_BYTES_MAX = 64 * 1024 * 1024, PRUNE_ARENA_BYTES_MAX = 4 * 1024 * 1024 };
#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)

struct intake_op {
    struct outcome *outcomes;
    int count;
    const struct actor *actor; /* NULL: orphans, each with its own */
    struct arena *arena;
};

static enum err_code submit(struct control *control, struct store *store, void *arg,
                            struct err *err)
{
    const struct intake_op *op = arg;
    (void)control;
    if (!op->actor)
        return outcome_orphan_settle(store, op->outcomes, op->count, op->arena, err);
    return outcome_submit(store, op->outcomes, op->count, op->actor, op->arena, err);
}

/* ---- joining ---- */

/* Things said of one prediction follow one another. */
static bool asks_the_same(const struct outcome *a, const struct outcome *b)
{
    return str_equal(a->prediction_id, b->prediction_id) && str_equal(a->key, b->key) &&
           a->until_us == b->until_us && strcmp(a->model, b->model) == 0;
}

static enum err_code look_up(const struct intake *intake, const struct outcome *o,
                             struct arena *arena, struct predicted *predicted, struct err *err)
{
    const struct prediction_lookup *lookup = intake->lookup;
    if (!lookup)
        return ERR_NOT_FOUND;
    if (o->prediction_id.len)
        return lookup->by_id(lookup->arg, o->model, o->prediction_id, arena, predicted, err);
    int64_t until_us = o->until_us ? o->until_us : clock_wall_us();
    return lookup->by_key(lookup->arg, o->model, o->key, until_us, arena, predicted, err);
}

static enum err_code join(const struct intake *intake, struct outcome *o,
                          const struct outcome *before, struct arena *arena, struct err *err)
{
    if (before && before->result != OUTCOME_REFUSED && asks_the_same(before, o)) {
        o->predicted = before->predicted;
        return ERR_OK;
    }
    struct predicted *predicted = arena_alloc(arena, sizeof(*predicted));
    if (!predicted)
        return err_set(err, ERR_LIMIT, "no room for what was predicted");
    enum err_code rc = look_up(intake, o, arena, predicted, err);
    if (rc == ERR_CONFLICT || rc == ERR_LIMIT)
        outcome_refuse(o, "%.200s", err->msg); /* alone; an orphan waits on */
    if (!rc)
        o->predicted = predicted;
    if (rc && rc != ERR_NOT_FOUND && rc != ERR_CONFLICT && rc != ERR_LIMIT)
        return rc;
    err->code = ERR_OK;
    return ERR_OK;
}

static enum err_code join_all(const struct intake *intake, struct outcome *outcomes, int count,
                              struct arena *arena, struct err *err)
{
    if (intake->recorder)
        recorder_sync(intake->recorder);
    for (int i = 0; i < count; i++) {
        if (outcomes[i].result == OUTCOME_REFUSED)
            continue;
        enum err_code rc = join(intake, &outcomes[i], i ? &outcomes[i - 1] : NULL, arena, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- taking ---- */

static void count(struct intake *intake, const struct outcome *outcomes, int n, bool is_retry)
{
    for (int i = 0; i < n; i++) {
        if (is_retry && !outcomes[i].predicted)
            continue; /* it still waits, and was counted when it came */
        atomic_fetch_add_explicit(&intake->counts[outcomes[i].result], 1, memory_order_relaxed);
        if (is_retry)
            atomic_fetch_add_explicit(&intake->joined_count, 1, memory_order_relaxed);
    }
}

static enum err_code store_all(struct intake *intake, struct intake_op *work, struct err *err)
{
    struct control_op op = {.fn = submit, .arg = work, .is_bulk = true};
    enum err_code rc = control_execute(intake->control, &op, err);
    if (rc)
        return rc;
    outcomes_publish(intake->outcomes, work->outcomes, work->count);
    count(intake, work->outcomes, work->count, work->actor == NULL);
    return ERR_OK;
}

enum err_code intake_take(struct intake *intake, struct outcome *outcomes, int n,
                          const struct actor *actor, struct arena *arena, struct err *err)
{
    struct intake_op work = {outcomes, n, actor, arena};
    assert(actor && n <= OUTCOME_BATCH_MAX);
    enum err_code rc = join_all(intake, outcomes, n, arena, err);
    return rc ? rc : store_all(intake, &work, err);
}

/* ---- orphans ---- */

static enum err_code retry(struct intake *intake, struct arena *arena, int *n, struct err *err)
{
    struct intake_op work = {.arena = arena};
    enum err_code rc = outcome_orphan_due(control_read_begin(intake->control), clock_wall_us(),
                                          arena, &work.outcomes, &work.count, err);
    control_read_end(intake->control);
    *n = work.count;
    if (rc || work.count == 0)
        return rc;
    rc = join_all(intake, work.outcomes, work.count, arena, err);
    return rc ? rc : store_all(intake, &work, err);
}

void intake_retry(void *arg)
{
    struct intake *intake = arg;
    struct err err = {0};
    int n = 0;
    struct arena *arena = arena_new(RETRY_ARENA_BYTES_MAX);
    if (retry(intake, arena, &n, &err))
        log_warn("orphaned outcomes not looked for, they stay", "count=%d reason=%s", n, err.msg);
    arena_free(arena);
}

/* ---- age ---- */

/* A clock that is set a year ahead must not take a year of outcomes along. */
static bool is_clock_trusted(struct intake *intake)
{
    int64_t wall_us = clock_wall_us(), monotonic_us = clock_monotonic_us();
    int64_t step_us = (wall_us - intake->wall_us) - (monotonic_us - intake->monotonic_us);
    bool is_first = intake->wall_us == 0;
    intake->wall_us = wall_us;
    intake->monotonic_us = monotonic_us;
    if (!is_first && step_us > INTAKE_CLOCK_STEP_US) {
        intake->paused_until_us = monotonic_us + INTAKE_CLOCK_PAUSE_US;
        log_warn("clock stepped ahead, old outcomes are kept for a day more", "step_seconds=%lld",
                 (long long)(step_us / CLOCK_SECOND_US));
    }
    return monotonic_us >= intake->paused_until_us;
}

struct pruning {
    int64_t before_us, now_us;
    struct arena *arena;
    int64_t count;
};

static enum err_code has_old(const struct intake *intake, const struct pruning *work, bool *has_old,
                             struct err *err)
{
    struct store *store = control_read_begin(intake->control);
    enum err_code rc = outcome_has_old(store, work->before_us, has_old, err);
    if (!rc && !*has_old)
        rc = outcome_orphan_has_old(store, work->now_us, has_old, err);
    control_read_end(intake->control);
    return rc;
}

static enum err_code prune_some(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    struct pruning *work = arg;
    int64_t orphans = 0;
    (void)control;
    enum err_code rc = outcome_prune(store, work->before_us, work->arena, &work->count, err);
    if (!rc)
        rc = outcome_orphan_prune(store, work->now_us, &orphans, err);
    work->count += orphans;
    return rc;
}

static enum err_code prune(struct intake *intake, struct pruning *work, int64_t *total,
                           struct err *err)
{
    bool is_old = false;
    enum err_code rc = has_old(intake, work, &is_old, err);
    work->count = is_old;
    for (int i = 0; i < INTAKE_PRUNE_BATCHES_MAX && !rc && work->count; i++) {
        struct control_op op = {.fn = prune_some, .arg = work, .is_bulk = true};
        arena_reset(work->arena);
        rc = control_execute(intake->control, &op, err);
        *total += rc ? 0 : work->count;
    }
    return rc;
}

void intake_prune(void *arg)
{
    struct intake *intake = arg;
    struct err err = {0};
    int64_t total = 0, now_us = clock_wall_us();
    if (!is_clock_trusted(intake))
        return;
    struct pruning work = {.before_us = intake->keep_us ? now_us - intake->keep_us : INT64_MIN,
                           .now_us = now_us,
                           .arena = arena_new(PRUNE_ARENA_BYTES_MAX)};
    if (prune(intake, &work, &total, &err))
        log_warn("old outcomes not forgotten, tried again", "reason=%s", err.msg);
    else if (total)
        log_debug("old outcomes forgotten", "rows=%lld", (long long)total);
    arena_free(work.arena);
}

/* ---- tallies ---- */

struct saving {
    struct intake *intake;
    bool is_pruning; /* once a day, and with the first save */
    struct arena *arena;
};

static enum err_code save(struct control *control, struct store *store, void *arg, struct err *err)
{
    const struct saving *work = arg;
    (void)control;
    enum err_code rc = tallies_save(work->intake->tallies, store, err);
    return rc || !work->is_pruning ? rc : tally_prune(store, work->arena, err);
}

static enum err_code save_and_prune(struct intake *intake, struct err *err)
{
    int64_t day = clock_wall_us() / DAY_US;
    struct saving work = {intake, day != intake->pruned_day, arena_new(PRUNE_ARENA_BYTES_MAX)};
    struct control_op op = {.fn = save, .arg = &work};
    enum err_code rc = control_execute(intake->control, &op, err);
    if (!rc)
        intake->pruned_day = day; /* what was not committed is done again */
    arena_free(work.arena);
    return rc;
}

void intake_save(void *arg)
{
    struct intake *intake = arg;
    struct err err = {0};
    if (!intake->tallies || tallies_changed(intake->tallies) == 0 ||
        atomic_exchange(&intake->is_saving, true))
        return;
    if (save_and_prune(intake, &err))
        log_warn("tallies not saved, tried again", "reason=%s", err.msg);
    else
        tallies_saved(intake->tallies, clock_wall_us());
    atomic_store(&intake->is_saving, false);
}

void intake_refresh(struct intake *intake)
{
    if (!intake)
        return;
    if (intake->recorder)
        recorder_sync(intake->recorder);
    intake_save(intake);
}
