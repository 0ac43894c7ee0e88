/* lane_json.h - what a version's lane has counted, as JSON: the answer to "why is it (not)
 * batching?".
 */
#ifndef SLIPWAY_SERVE_LANE_JSON_H
#define SLIPWAY_SERVE_LANE_JSON_H

#include "base/json.h"
#include "serve/snapshot.h"

/* One object for each version of the endpoint that has a lane, in an open array. */
void lane_json_write(struct json_writer *w, const struct endpoint *endpoint);

#endif
