/* bulk.h - steps of a large request, beside its data thread.
 *
 * Thousands of rows take milliseconds to read, check, and write; on the data thread all its other
 * connections would wait for them. A large request does these steps on the bulk threads, and
 * comes back to its data thread for what only that may do: choose the version, count, reply.
 *
 *     data thread:  choose_version          observe          reply
 *     bulk:      decode         check_contract, predict   encode
 */
#ifndef SLIPWAY_SERVE_BULK_H
#define SLIPWAY_SERVE_BULK_H

#include "serve/pipeline.h"

/* Bytes of a body that take about as long as INLINE_NS_MAX (hand_over.h) to read. */
enum { BULK_BODY_BYTES_MIN = 128 * 1024 };

/* Is the request large, and can it wait? */
static inline bool request_is_bulk(const struct request *req)
{
    return req->exchange->request.body.len >= BULK_BODY_BYTES_MIN && req->owner &&
           req->thread->bulk;
}

typedef enum err_code bulk_steps_fn(struct request *req, struct err *err);

/* Run `steps` there: the owner hears of it, and pipeline_resume goes on behind them. False when too
 * much waits, or holds memory, already: then they are best run here. */
bool bulk_run(struct request *req, bulk_steps_fn *steps);

#endif
