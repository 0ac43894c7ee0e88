/* batcher.h - requests that wait for one version, and which of them make the next batch.
 *
 *     priority 1: [ deadline 5 ][ deadline 9 ]          the first one leads the batch; others
 *     priority 5: [ deadline 2 ][ deadline 7 ][ ... ]   that fit it join in this order
 *
 * Decides only: no threads, no clock of its own, nothing is run. Whoever owns it holds the lock.
 *
 * A batch takes what is there. It is closed because
 *     full      rows_max or the memory of a batch is reached
 *     cost      one more would make it end after the earliest deadline in it
 *     shape     all that is left has other shapes, dtypes, outputs or parameters
 *     idle      nothing is left, and waiting was not asked for
 *     delay     nothing came any more within delay_ns of its oldest request
 *     deadline  delay_ns is not over, but its earliest deadline allows no more waiting
 *     single    the model, its settings or the request itself rule out joining
 */
#ifndef SLIPWAY_SERVE_BATCHER_H
#define SLIPWAY_SERVE_BATCHER_H

#include "runtime/cost.h"
#include "runtime/loaded.h"
#include "serve/serving_file.h"

enum { BATCH_BYTES_MAX = 64 * 1024 * 1024 }; /* of the inputs of joined requests */

enum batch_close {
    CLOSE_FULL,
    CLOSE_COST,
    CLOSE_SHAPE,
    CLOSE_IDLE,
    CLOSE_DELAY,
    CLOSE_DEADLINE,
    CLOSE_SINGLE,
    CLOSE_COUNT,
};

const char *batch_close_name(enum batch_close close);

struct audience;

/* One request that waits. The memory is the request's, and stays until `done` has been called. */
struct lane_task {
    /* by whoever submits it */
    struct runtime_call call; /* in, wanted, arena, deadline_ns, parameters, out */
    const struct serving *serving;
    int64_t rows;
    int priority;
    int64_t queued_ns;
    size_t memory_bytes;                  /* held while it waits */
    void (*done)(struct lane_task *task); /* on the lane's thread, once; rc and err are set */

    /* By the submitter at any time: nobody waits for the answer any more; because it was late (set
     * first), else because the client has left. While it may be in a batch by lane_task_leave. */
    _Atomic bool is_expired, is_cancelled;

    /* the answer, when `done` is called */
    enum err_code rc;
    struct err err;
    int64_t waited_ns, infer_ns; /* until its batch was taken; what that took */

    /* the batcher's and the lane's own */
    struct lane_task *next, *previous, *next_in_batch;
    uint64_t joint_hash; /* the same for requests that may be joined; 0: this one may not */
    int output_count;    /* of the model */
    size_t in_bytes;

    /* audience.c's own */
    _Atomic(struct audience *) audience;
    uint32_t turn;
    _Atomic bool has_gone;
};

struct batcher {
    struct lane_task *first[SERVING_PRIORITY_LAST + 1], *last[SERVING_PRIORITY_LAST + 1];
    int count;
};

struct batch {
    struct lane_task *first; /* by next_in_batch, at most one when count is 0 or 1 */
    int count;
    int64_t rows;
    enum batch_close close;
    int64_t predicted_ns;
    int64_t earliest_ns, latest_ns; /* deadlines */
};

/* How the next batch may be made. */
struct batch_rule {
    const struct cost *cost;
    int64_t rows_max; /* 1: none are joined */
    int64_t delay_ns;
};

/* Fill the task's joint_hash and in_bytes: what its inputs look like. */
void lane_task_describe(struct lane_task *task, const struct signature *signature);

void batcher_put(struct batcher *batcher, struct lane_task *task);

/* Unlink those in front that nobody waits for (ERR_CANCELLED) or that are late (ERR_TIMEOUT), with
 * their rc and err set, joined by next_in_batch. Late is also who cannot be answered in time, as
 * long as there is another one to run instead. */
struct lane_task *batcher_drop(struct batcher *batcher, const struct cost *cost, int64_t now_ns);

/* Unlink the next batch. 0: *batch is it, its count 0 when nothing waits. Else nothing is taken,
 * and the result is the time at which to ask again, or earlier when more has come. */
int64_t batcher_take(struct batcher *batcher, const struct batch_rule *rule, int64_t now_ns,
                     struct batch *batch);

#endif
