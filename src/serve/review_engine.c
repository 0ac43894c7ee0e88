/* review_engine.c - from records to review items, and what happens to items by the clock. */
#include "serve/review_engine.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/review_watch.h"

enum { SNAPSHOT_RECORDS_MAX = 256 }; /* looked at before a newer snapshot is taken */

const struct actor review_engine_actor = {.name = "slipway", .via = "review"};

struct batch {
    struct batch *next;
    struct arena *arena; /* of the items' texts */
    struct review_item items[REVIEW_BATCH_MAX];
    int count;
};

struct review_engine {
    struct control *control;
    struct ticker *ticker;
    int task;
    struct review_watch *watch; /* ticker */
    int tick_count;             /* ticker */

    pthread_mutex_t lock; /* of what follows */
    struct batch *first, *last;
    int batch_count;

    _Atomic uint64_t dropped;

    /* recorder thread only */
    struct snapshot *snapshot;
    int record_count;
    bool has_added;
};

/* ---- batches ---- */

static struct batch *batch_new(void)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        abort();
    batch->arena = arena_new(REVIEW_BATCH_BYTES_MAX);
    return batch;
}

static void batch_free(struct batch *batch)
{
    arena_free(batch->arena);
    free(batch);
}

/* The batch that takes the next item; NULL when as many wait as may. Under the lock. */
static struct batch *open_batch(struct review_engine *engine)
{
    struct batch *last = engine->last;
    if (last && last->count < REVIEW_BATCH_MAX &&
        arena_bytes(last->arena) < REVIEW_BATCH_BYTES_MAX / 2)
        return last;
    if (engine->batch_count == REVIEW_WAITING_BATCHES_MAX)
        return NULL;
    struct batch *batch = batch_new();
    if (last)
        last->next = batch;
    else
        engine->first = batch;
    engine->last = batch;
    engine->batch_count++;
    return batch;
}

static struct batch *take_batch(struct review_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    struct batch *batch = engine->first;
    if (batch) {
        engine->first = batch->next;
        engine->batch_count--;
        if (!engine->first)
            engine->last = NULL;
    }
    pthread_mutex_unlock(&engine->lock);
    return batch;
}

static void add(struct review_engine *engine, const struct condition_facts *facts,
                const struct review_rules *rules, const struct review_match *match)
{
    struct err err = {0};
    pthread_mutex_lock(&engine->lock);
    struct batch *batch = open_batch(engine);
    if (!batch || review_item_make(facts->record, facts->row, rules, match, batch->arena,
                                   &batch->items[batch->count], &err))
        atomic_fetch_add_explicit(&engine->dropped, 1, memory_order_relaxed);
    else
        batch->count++;
    pthread_mutex_unlock(&engine->lock);
}

/* ---- records ---- */

static const struct review_rules *rules_of(const struct snapshot *snapshot,
                                           const struct record *record)
{
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(record->schema->model));
    return endpoint ? endpoint->review : NULL;
}

static void look(struct review_engine *engine, const struct condition_facts *facts,
                 const struct review_rules *rules)
{
    struct review_match match;
    if (!review_match(rules, facts, &match) || match.rule->mode != REVIEW_AFTER)
        return;
    add(engine, facts, rules, &match);
    engine->has_added = true;
}

static void take(void *arg, const struct record *record)
{
    struct review_engine *engine = arg;
    if (!record_is_answered(record) || record->arm == ARM_SHADOW || record->output_count == 0)
        return;
    if (!engine->snapshot)
        engine->snapshot = control_snapshot(engine->control);
    const struct review_rules *rules = rules_of(engine->snapshot, record);
    if (!rules || !rules->has_after)
        return;
    for (int64_t row = 0; row < record->row_count; row++) {
        struct condition_facts facts = condition_facts_of(record, row);
        look(engine, &facts, rules);
    }
    if (++engine->record_count % SNAPSHOT_RECORDS_MAX == 0) {
        snapshot_unref(engine->snapshot);
        engine->snapshot = NULL;
    }
}

static void flush(void *arg)
{
    struct review_engine *engine = arg;
    if (engine->snapshot)
        snapshot_unref(engine->snapshot);
    engine->snapshot = NULL;
    if (engine->has_added && engine->ticker)
        ticker_kick(engine->ticker, engine->task);
    engine->has_added = false;
}

struct record_sink review_engine_sink(struct review_engine *engine)
{
    return (struct record_sink){.name = "review", .arg = engine, .take = take, .flush = flush};
}

static void take_difference(void *arg, const struct record *record, int64_t row, double share)
{
    struct review_engine *engine = arg;
    struct review_match match;
    struct snapshot *snapshot = control_snapshot(engine->control);
    const struct review_rules *rules = rules_of(snapshot, record);
    if (rules && rules->has_shadow) {
        struct condition_facts facts = condition_facts_of(record, row);
        facts.is_disagreement = true;
        facts.shadow_share = share;
        if (review_match(rules, &facts, &match) && match.rule->mode == REVIEW_AFTER)
            add(engine, &facts, rules, &match);
    }
    snapshot_unref(snapshot);
}

struct shadow_watch review_engine_watch(struct review_engine *engine)
{
    return (struct shadow_watch){.differs = take_difference, .arg = engine};
}

/* ---- by the clock ---- */

static enum err_code open_items(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    struct batch *batch = arg;
    (void)control;
    return review_open(store, batch->items, batch->count, &review_engine_actor, clock_wall_us(),
                       NULL, err);
}

static void put_back(struct review_engine *engine, struct batch *batch)
{
    pthread_mutex_lock(&engine->lock);
    batch->next = engine->first;
    engine->first = batch;
    if (!engine->last)
        engine->last = batch;
    engine->batch_count++;
    pthread_mutex_unlock(&engine->lock);
}

/* False when it waits for better times: a full disk, a busy store. What the store does not take for
 * another reason is dropped and counted. */
static bool store_batch(struct review_engine *engine, struct batch *batch)
{
    static struct log_gate gate;
    struct err err = {0};
    int64_t suppressed = 0;
    struct control_op op = {.fn = open_items, .arg = batch, .is_bulk = true};
    enum err_code rc = control_execute(engine->control, &op, &err);
    if (rc == ERR_DISK_FULL || rc == ERR_IO || rc == ERR_UNAVAILABLE) {
        put_back(engine, batch);
        return false;
    }
    if (rc) {
        atomic_fetch_add_explicit(&engine->dropped, (uint64_t)batch->count, memory_order_relaxed);
        if (log_gate_open(&gate, &suppressed))
            log_warn("review items dropped", "count=%d reason=%s suppressed=%lld", batch->count,
                     err.msg, (long long)suppressed);
    }
    batch_free(batch);
    return true;
}

static enum err_code expire(struct control *control, struct store *store, void *arg,
                            struct err *err)
{
    (void)control;
    return review_expire(store, &review_engine_actor, clock_wall_us(), arg, err);
}

static void expire_due(struct review_engine *engine)
{
    struct err err = {0};
    bool has_due = false;
    int count = REVIEW_BATCH_MAX;
    enum err_code rc =
        review_has_due(control_read_begin(engine->control), clock_wall_us(), &has_due, &err);
    control_read_end(engine->control);
    while (!rc && has_due && count == REVIEW_BATCH_MAX) {
        struct control_op op = {.fn = expire, .arg = &count};
        rc = control_execute(engine->control, &op, &err);
    }
    if (rc)
        log_warn("review items not expired", "reason=%s", err.msg);
}

void review_engine_run(struct review_engine *engine)
{
    struct batch *batch;
    while ((batch = take_batch(engine)) && store_batch(engine, batch))
        ;
    expire_due(engine);
}

static void watch_items(struct review_engine *engine)
{
    struct err err = {0};
    struct store *store = control_read_begin(engine->control);
    if (review_watch_look(engine->watch, store, clock_wall_us(), &err))
        log_warn("review items not watched", "reason=%s", err.msg);
    control_read_end(engine->control);
}

static void run_task(void *arg)
{
    struct review_engine *engine = arg;
    review_engine_run(engine);
    if (engine->tick_count++ % REVIEW_WATCH_TICKS == 0)
        watch_items(engine);
}

void review_engine_schedule(struct review_engine *engine, struct ticker *ticker)
{
    engine->task = ticker_add(ticker, "review", REVIEW_TICK_MS, run_task, engine);
    engine->ticker = ticker;
}

/* ---- life ---- */

struct review_engine *review_engine_new(struct control *control, struct alerts *alerts)
{
    struct review_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        abort();
    engine->control = control;
    engine->watch = review_watch_new(alerts);
    pthread_mutex_init(&engine->lock, NULL);
    return engine;
}

uint64_t review_engine_dropped(const struct review_engine *engine)
{
    return atomic_load_explicit(&engine->dropped, memory_order_relaxed);
}

void review_engine_free(struct review_engine *engine)
{
    struct batch *batch;
    if (!engine)
        return;
    while ((batch = take_batch(engine)))
        batch_free(batch);
    if (engine->snapshot)
        snapshot_unref(engine->snapshot);
    review_watch_free(engine->watch);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}
