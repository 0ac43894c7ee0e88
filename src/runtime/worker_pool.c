/* worker_pool.c - the callers' side of a version's workers. */
#include "runtime/worker_pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/worker_pool_own.h"

enum {
    PAUSE_MS_MIN = 100,
    PAUSE_MS_MAX = 30 * 1000,
    LOOK_MS = 20,      /* between looks whether the client is still there */
    END_WAIT_MS = 200, /* for the keeper to hear how a process ended */
    GRACE_MS = 500,    /* an interrupted call has to end within, once it is a hang */
};

#define MS_NS INT64_C(1000000)

int64_t keeper_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void slot_set(struct slot *slot, enum slot_state state, int64_t until_ns)
{
    slot->state = state;
    slot->since_ns = keeper_now_ns();
    slot->until_ns = until_ns;
}

/* ---- failures ---- */

static _Atomic uint64_t failure_count; /* of all pools */

uint64_t pool_failures(void)
{
    return failure_count;
}

void pool_failed(struct worker_pool *pool, const char *how)
{
    int64_t pause_ms = PAUSE_MS_MIN;
    for (int i = 0; i < pool->failures && pause_ms < PAUSE_MS_MAX; i++)
        pause_ms *= 2;
    if (pause_ms > PAUSE_MS_MAX)
        pause_ms = PAUSE_MS_MAX;
    pool->failures++;
    failure_count++;
    pool->not_before_ns = keeper_now_ns() + pause_ms * MS_NS;
    snprintf(pool->last_end, sizeof(pool->last_end), "%s", how);
    bool has_problem = pool->failures >= WORKER_FAILURES_MAX;
    log_warn("model's worker ended", "model=%s how=%s failures=%d restart_ms=%lld", pool->label,
             how, pool->failures, (long long)pause_ms);
    if (has_problem && !atomic_exchange(&pool->has_problem, true))
        log_error("model not ready: its worker keeps ending", "model=%s", pool->label);
}

void pool_works(struct worker_pool *pool)
{
    pool->failures = 0;
    if (atomic_exchange(&pool->has_problem, false))
        log_info("model ready again", "model=%s", pool->label);
}

const char *worker_pool_problem(struct worker_pool *pool)
{
    return atomic_load(&pool->has_problem) ? "its worker process keeps ending; slipway model logs "
                                             "shows what it printed"
                                           : NULL;
}

/* ---- waiting ---- */

static struct timespec time_at(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void wait_until(struct worker_pool *pool, int64_t ns)
{
    struct timespec at = time_at(ns);
    pthread_cond_timedwait(&pool->changed, &pool->lock, &at);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- taking and giving ---- */

static struct slot *find_idle(struct worker_pool *pool)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (pool->slots[i].state == SLOT_IDLE && !pool->slots[i].has_ended)
            return &pool->slots[i];
    return NULL;
}

static int count_of(const struct worker_pool *pool, enum slot_state state)
{
    int count = 0;
    for (int i = 0; i < WORKERS_MAX; i++)
        count += pool->slots[i].state == state;
    return count;
}

/* All are busy, none is coming: one more, as long as callers come at once. */
static void want_more(struct worker_pool *pool)
{
    int coming = count_of(pool, SLOT_STARTING) + count_of(pool, SLOT_CHECKED);
    int there = WORKERS_MAX - count_of(pool, SLOT_EMPTY) - count_of(pool, SLOT_ENDING);
    if (coming >= pool->waiting || there >= WORKERS_MAX || pool->wanted > there)
        return;
    pool->wanted = there + 1;
    keeper_wake();
}

static enum err_code refuse_call(struct worker_pool *pool, struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "its worker process keeps ending: %s", pool->last_end);
    return err_hint(err, "it is started again by itself; slipway model logs shows what it printed");
}

static enum err_code take(struct worker_pool *pool, const struct runtime_call *call,
                          int64_t deadline_ns, struct slot **slot, struct err *err)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&pool->lock);
    pool->waiting++;
    while (!(*slot = find_idle(pool)) && !rc) {
        int64_t now = keeper_now_ns();
        bool is_lost = pool->failures >= WORKER_FAILURES_MAX &&
                       count_of(pool, SLOT_BUSY) + count_of(pool, SLOT_ABANDONED) == 0;
        if (is_lost)
            rc = refuse_call(pool, err);
        else if (call->is_cancelled && atomic_load(call->is_cancelled))
            rc = err_set(err, ERR_CANCELLED, "the client has left");
        else if (now >= deadline_ns)
            rc = err_set(err, ERR_TIMEOUT, "no worker of the model was free in time");
        else {
            want_more(pool);
            wait_until(pool, call->is_cancelled ? earlier(deadline_ns, now + LOOK_MS * MS_NS)
                                                : deadline_ns);
        }
    }
    pool->waiting--;
    if (!rc)
        slot_set(*slot, SLOT_BUSY, 0);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

/* The process is gone: say how, in the place of what the socket said. Who only closed its socket
 * is not waited for long. */
static void explain_end(struct worker_pool *pool, struct slot *slot, struct err *err)
{
    int64_t until = keeper_now_ns() + END_WAIT_MS * MS_NS;
    while (!slot->has_ended && keeper_now_ns() < until)
        wait_until(pool, until);
    if (slot->has_ended)
        err_set(err, ERR_UPSTREAM, "the model's worker process %s", slot->end);
    err_hint(err, "slipway model logs shows what it printed last");
}

static void abandon(struct slot *slot, int64_t hang_after_ms)
{
    int64_t grace = keeper_now_ns() + GRACE_MS * MS_NS;
    int64_t hang = slot->since_ns + hang_after_ms * MS_NS;
    worker_interrupt(&slot->worker);
    slot_set(slot, SLOT_ABANDONED, hang > grace ? hang : grace);
    keeper_wake();
}

static void give(struct worker_pool *pool, struct slot *slot, enum worker_left left,
                 enum err_code rc, struct err *err)
{
    pthread_mutex_lock(&pool->lock);
    if (left == WORKER_IDLE && !slot->has_ended) {
        if (pool->failures && !rc)
            pool_works(pool);
        slot_set(slot, SLOT_IDLE, 0);
    } else if (left == WORKER_AT_IT && !slot->has_ended) {
        abandon(slot, pool->plan->settings->hang_after_ms);
    } else {
        if (slot->worker.is_gone)
            explain_end(pool, slot, err);
        worker_kill(&slot->worker);
        slot_set(slot, SLOT_ENDING, 0);
        keeper_wake();
    }
    if (pool->waiting)
        pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

enum err_code worker_pool_call(struct worker_pool *pool, struct runtime_call *call, struct err *err)
{
    struct slot *slot = NULL;
    enum worker_left left = WORKER_IDLE;
    int64_t now_ns = clock_monotonic_ns(); /* a test may have set this clock */
    if (call->deadline_ns == 0)
        call->deadline_ns = now_ns + pool->plan->settings->hang_after_ms * MS_NS;
    enum err_code rc = take(pool, call, keeper_now_ns() + call->deadline_ns - now_ns, &slot, err);
    if (rc)
        return rc;
    rc = worker_call(&slot->worker, pool->plan, call, &left, err);
    give(pool, slot, left, rc, err);
    return rc;
}

/* ---- opening, closing, looking ---- */

static struct worker_pool *pool_new(const struct worker_plan *plan, const char *label,
                                    struct arena *arena)
{
    struct worker_pool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t monotonic;
    if (!pool)
        abort();
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->plan = plan;
    pool->label = label;
    pool->arena = arena;
    pool->wanted = 1;
    pool->is_opening = true;
    worker_log_init(&pool->log, label);
    return pool;
}

enum err_code worker_pool_open(const struct worker_plan *plan, const char *label,
                               struct arena *arena, struct worker_pool **out, struct err *err)
{
    struct worker_pool *pool = pool_new(plan, label, arena);
    keeper_add(pool);
    pthread_mutex_lock(&pool->lock);
    while (pool->is_opening)
        pthread_cond_wait(&pool->changed, &pool->lock);
    bool is_open = pool->is_open;
    if (!is_open)
        *err = pool->open_err;
    pthread_mutex_unlock(&pool->lock);
    if (is_open)
        *out = pool;
    else
        worker_pool_close(pool);
    return is_open ? ERR_OK : err->code;
}

void worker_pool_close(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_closing = true;
    pthread_mutex_unlock(&pool->lock);
    keeper_wake();
}

void worker_pool_log(struct worker_pool *pool, struct buf *out)
{
    worker_log_read(&pool->log, out);
}

const char *worker_pool_interpreter(struct worker_pool *pool)
{
    return pool->interpreter;
}

size_t worker_pool_memory_bytes(struct worker_pool *pool)
{
    size_t bytes = 0;
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < WORKERS_MAX; i++)
        if (pool->slots[i].state != SLOT_EMPTY && pool->slots[i].worker.pid)
            bytes += worker_memory_bytes(&pool->slots[i].worker);
    pthread_mutex_unlock(&pool->lock);
    return bytes;
}

unsigned worker_pool_sandbox(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned parts = pool->sandbox;
    pthread_mutex_unlock(&pool->lock);
    return parts;
}
