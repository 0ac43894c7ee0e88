/* grpc_infer.h - one ModelInferRequest through the pipeline. */
#ifndef SLIPWAY_API_GRPC_INFER_H
#define SLIPWAY_API_GRPC_INFER_H

#include "api/api.h"

/* Predict what the message asks for, in timeout_us (0: as long as its settings say); the reply is a
 * ModelInferResponse with its prefix. */
enum err_code grpc_predict(struct call *call, struct str message, int64_t timeout_us,
                           struct err *err);

#endif
