/* worker_pool.h - the workers of one version, kept alive.
 *
 *              keeper: spawn          READY              take            give
 *     EMPTY ---------------> STARTING -----> IDLE ---------------> BUSY -----> IDLE
 *       ^                       |             ^ |  ping, pong       | its time is over
 *       |   waited for          v ended       | v                   v
 *       +-------------------- ENDING <----- CHECKED              ABANDONED --answer--> IDLE
 *
 * One thread for the whole process, the keeper, starts workers (a worker dies with the thread that
 * started it, so that must be one that stays), hears their ends and what they print, asks idle ones
 * for a sign of life, and waits for abandoned calls. Callers own a worker between take and give.
 *
 * A worker that ends by itself is started again after a pause that doubles from 100 ms to 30 s.
 * When WORKER_FAILURES_MAX in a row ended without one answer, the version is not ready, and calls
 * that find no worker fail at once, until one has answered or lived for ten seconds.
 */
#ifndef SLIPWAY_RUNTIME_WORKER_POOL_H
#define SLIPWAY_RUNTIME_WORKER_POOL_H

#include "runtime/worker.h"

enum {
    WORKERS_MAX = 64,
    WORKER_FAILURES_MAX = 3,
    WORKER_PING_MS = 5000,        /* idle for so long: is it still there? */
    WORKER_PONG_MS = 10 * 1000,   /* the sign of life must come within */
    WORKER_SPARE_MS = 300 * 1000, /* one more than the first ends when idle for so long */
};

struct worker_pool;

/* Start the first worker and wait until the model is loaded. `plan`, `label` and what they point to
 * live in `arena`, which is the pool's from now on, also when this fails. */
enum err_code worker_pool_open(const struct worker_plan *plan, const char *label,
                               struct arena *arena, struct worker_pool **pool, struct err *err);

/* One call by a worker that is free, by another one that is started when all are busy, or by the
 * first that becomes free before call->deadline_ns (0: as long as hang_after of the settings). */
enum err_code worker_pool_call(struct worker_pool *pool, struct runtime_call *call,
                               struct err *err);

/* NULL: ready. */
const char *worker_pool_problem(struct worker_pool *pool);

void worker_pool_log(struct worker_pool *pool, struct buf *out);
size_t worker_pool_memory_bytes(struct worker_pool *pool);

/* "Python 3.11.2, numpy 2.4.6": what the first worker said. */
const char *worker_pool_interpreter(struct worker_pool *pool);

/* The parts of the sandbox that hold for the workers, enum sandbox_part bits. */
unsigned worker_pool_sandbox(struct worker_pool *pool);

/* Of all versions together, since the program began. */
struct workers_stats {
    int64_t running;
    uint64_t starts, failures;
};
void workers_stats(struct workers_stats *stats);

/* End the workers, then free the pool and its arena; returns at once. No call may be on its way. */
void worker_pool_close(struct worker_pool *pool);

#endif
