/* audience.h - who still waits for a running batch: once all have left, its call is cancelled.
 *
 *     lane thread: audience_begin    predict(is_cancelled = &audience->has_left)    audience_end
 *     data threads:         lane_task_leave   ...   the last one to leave sets has_left
 *
 * An audience outlives its batches and serves one after another. A member may leave at any time, so
 * also when its batch is over and the next one runs: each batch has its turn, by which latecomers
 * are known. No locks.
 */
#ifndef SLIPWAY_SERVE_AUDIENCE_H
#define SLIPWAY_SERVE_AUDIENCE_H

#include "serve/batcher.h"

/* Zeroed is new. */
struct audience {
    _Atomic uint64_t state; /* turn << 32 | members that have not left */
    _Atomic bool has_left;  /* all of them have */
};

/* The batch's tasks are its members; those that have left before count as gone. */
void audience_begin(struct audience *audience, const struct batch *batch);

/* Before the tasks' done() is called. */
void audience_end(struct audience *audience);

/* Nobody waits for the task's answer any more. By its submitter, between lane_submit and the end of
 * the request; the task's version is held as long. */
void lane_task_leave(struct lane_task *task);

#endif
