/* lane.h - the threads of one version: where predictions run that take long or wait.
 *
 *     data thread: lane_submit --inbox (lock-free)--> lane thread: batcher -> predict -> done()
 *
 * Each version in memory has a lane of its own, so no request waits for another one's model. It
 * costs nothing until the first request: threads (at most the settings' instances) are started by
 * the process's starter, because a data thread starts none, and end when they are idle.
 *
 * lane_submit never blocks. What waits is bounded three ways: by the settings' queue of the model,
 * by the memory that waiting requests of all lanes may hold, and by each request's deadline.
 */
#ifndef SLIPWAY_SERVE_LANE_H
#define SLIPWAY_SERVE_LANE_H

#include "base/histogram.h"
#include "serve/batcher.h"

enum { LANE_IDLE_MS = 10 * 1000, LANE_SIZES = LOADED_SIZES };

struct lane;
struct lanes;

/* What lanes share: the starter of their threads, the memory that waits. `bytes_max` is of all
 * waiting and running requests together; `core_count` is what `instances: auto` may use; a thread
 * without work ends after `idle_ms`, usually LANE_IDLE_MS. */
struct lanes *lanes_new(size_t bytes_max, int core_count, int idle_ms);
void lanes_free(struct lanes *lanes); /* after all lanes; NULL is allowed */

/* Bytes that waiting requests hold now; some more, ERR_UNAVAILABLE past the limit; and back. */
size_t lanes_waiting_bytes(const struct lanes *lanes);
enum err_code lanes_take_bytes(struct lanes *lanes, size_t bytes, struct err *err);
void lanes_give_bytes(struct lanes *lanes, size_t bytes);

/* For `loaded`, which outlives it. No thread is started. */
struct lane *lane_new(struct lanes *lanes, struct loaded *loaded);

/* Ends its threads; nothing may wait in it. Never on a data thread. NULL is allowed. */
void lane_free(struct lane *lane);

/* Hand the task over; done() is called for it once. ERR_UNAVAILABLE when too much waits already,
 * ERR_TIMEOUT when its deadline is over: then done() is not called. */
enum err_code lane_submit(struct lane *lane, struct lane_task *task, struct err *err);

/* How many calls of the model may run at once under these settings. */
int lane_instances(const struct lane *lane, const struct serving *serving);

/* What it has counted; consistent enough for a scrape. Any thread. */
struct lane_stats {
    int waiting, threads; /* now */
    uint64_t batches[CLOSE_COUNT];
    uint64_t sizes[LANE_SIZES]; /* batches by rows: 1, 2, 3..4, 5..8, ... , more */
    uint64_t requests, rows;    /* in batches */
    uint64_t refused, late, cancelled, failed, split;
    uint64_t predicted_ns, off_ns; /* sums; off: of the absolute differences */
    int64_t base_ns, row_ns_x1000; /* the cost now */
    struct histogram_sum queue, compute;
};
void lane_read(struct lane *lane, struct lane_stats *stats);

/* Only how many batches of each size there were, and how long they took. */
void lane_read_sizes(const struct lane *lane, uint64_t counts[LANE_SIZES],
                     uint64_t infer_ns[LANE_SIZES]);

/* Upper bound of a size's rows; 0: no bound. */
int lane_size_bound(int size);

#endif
