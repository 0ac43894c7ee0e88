/* joined.h - a batch through its model: one call for all, or one for each. */
#ifndef SLIPWAY_SERVE_JOINED_H
#define SLIPWAY_SERVE_JOINED_H

#include "serve/audience.h"

enum {
    JOINED_BYTES_MAX = 1024 * 1024 * 1024
}; /* of one batch: inputs, what the model needs, outputs */

/* Run the batch: each task's rc, err, call.out and call.out_count are set then, its outputs live in
 * its own arena. `scratch` is reset. A batch that fails as a whole is run again one by one, so that
 * nobody pays for another one's rows; but not when its time is over. `*split` says that this has
 * happened. Who leaves meanwhile gets ERR_CANCELLED; when all have, so does the call. `audience` is
 * the caller's for one batch after another. */
void joined_run(const struct loaded *loaded, struct batch *batch, struct audience *audience,
                struct arena *scratch, bool *split);

#endif
