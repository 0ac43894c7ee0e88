/* hand_over.h - a prediction leaves its data thread for the lane of its version, and comes back.
 *
 *     data thread: predict step -> request_hand_over -> (other requests)        -> resume -> reply
 *     lane:                            queue -> batch -> predict -> message -----^
 *
 * Meanwhile the request holds its snapshot, so version and settings stay; its arena is the lane's.
 * At the deadline the caller is told so although the lane may still be at work: expire() answers,
 * and release() follows when the lane has let go of the memory.
 */
#ifndef SLIPWAY_SERVE_HAND_OVER_H
#define SLIPWAY_SERVE_HAND_OVER_H

#include "serve/pipeline.h"

/* Calls that take longer than this keep other requests of a data thread waiting too long. */
enum { INLINE_NS_MAX = 200 * 1000 };

/* Does its predict belong into the lane? */
static inline bool request_is_for_lane(const struct request *req)
{
    const struct loaded *loaded = req->loaded;
    return loaded->signature->place == RUNTIME_LANE ||
           cost_ns(&loaded->cost, req->row_count) > INLINE_NS_MAX;
}

/* Can it wait? In-process requests cannot: they are computed where they are. */
static inline bool request_can_wait(const struct request *req)
{
    return req->owner && req->loaded->lane && req->thread->waiting;
}

/* ERR_OK: it waits, and req->owner hears of it. ERR_UNAVAILABLE: too many do already. ERR_TIMEOUT:
 * it is late before it begins. ERR_INVALID: its timeout or priority cannot be read. */
enum err_code request_hand_over(struct request *req, struct err *err);

/* What a runtime that waits passes on: the request's parameters, and, to another server, its id and
 * trace. */
void request_tell_runtime(const struct request *req, struct runtime_call *call);

/* Keep the snapshot until the request's memory is let go; once, however often it is asked for. */
enum err_code request_hold_snapshot(struct request *req, struct err *err);

/* The client has left: what is queued is not computed any more, what runs is told. The owner hears
 * of it when the lane has let go. */
void request_cancel(struct request *req);

#endif
