/* rollout_api.h - what the files of the rollout API share. */
#ifndef SLIPWAY_API_ROLLOUT_API_H
#define SLIPWAY_API_ROLLOUT_API_H

#include "api/api.h"
#include "rollout/rollout_store.h"

/* The row, its steps and checks, and (when `view` is not NULL) what its guards have seen. */
void rollout_write(struct json_writer *w, const struct rollout *rollout,
                   const struct rollout_spec *spec, const struct rollout_view *view);

/* The members of a plan into the open object: what each guard will notice, and when, at the rate
 * of requests that `stable` has had since the server started, or at `rate` a second (> 0). */
void rollout_plan_write(struct json_writer *w, const struct node *node, const struct loaded *stable,
                        const struct rollout_spec *spec, double rate);

#endif
