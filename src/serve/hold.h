/* hold.h - predictions whose answer waits for a person.
 *
 *     data thread: predict -> hold_choose: which rows -> [none: encode, reply]
 *     fast pool:              hold_store: items durable -> reply 202 with where to ask
 *     later:                  the caller asks, or a webhook tells: decided, expired or rejected
 *
 * Nobody is told 202 before his items are on the disk.
 */
#ifndef SLIPWAY_SERVE_HOLD_H
#define SLIPWAY_SERVE_HOLD_H

#include "review/review.h"
#include "serve/control.h"
#include "serve/pipeline.h"

#define HOLD_PATH "/api/review/held/"

/* Set req->held when a rule in mode hold takes one of its rows. No lock, no heap. */
enum err_code hold_choose(struct request *req, struct err *err);

/* Make the items of req->held durable and write the reply's body: rows that are held with their
 * item, the others with their answer. Not on a data or the control thread. The same request again
 * (same id, inputs and actor) gets the items it has; ERR_CONFLICT when the id was used for others.
 * The actor is noted: only he is told what became of them. */
enum err_code hold_store(struct control *control, const struct request *req,
                         const struct actor *actor, struct err *err);

#endif
