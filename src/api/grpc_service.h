/* grpc_service.h - what the methods of inference.GRPCInferenceService have in common. */
#ifndef SLIPWAY_API_GRPC_SERVICE_H
#define SLIPWAY_API_GRPC_SERVICE_H

#include "api/api.h"

/* The texts in fields 1 and 2, which name a model and a version; empty when they are absent. */
enum err_code grpc_read_names(struct call *call, struct str names[2], struct err *err);

/* The version whose description is asked for: one that is not in memory is brought there, and the
 * call waits (call->is_waiting). */
enum err_code grpc_find_in_memory(struct call *call, const struct endpoint **endpoint,
                                  struct loaded **loaded, struct err *err);

/* A number as text, as versions are written. */
void grpc_put_number(struct buf *out, uint32_t number, int64_t value);

#endif
