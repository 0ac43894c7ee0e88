/* grpc_tensor.h - ModelInferRequest as an OIP request, tensors as ModelInferResponse. */
#ifndef SLIPWAY_API_GRPC_TENSOR_H
#define SLIPWAY_API_GRPC_TENSOR_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* A request as parsed, before any model is known. */
struct grpc_infer {
    struct oip_request oip; /* first: what reads OIP requests reads these */
    struct str model, version;
    int64_t timeout_us; /* grpc-timeout; 0: none */
    bool is_raw;        /* tensors came as raw_input_contents, and the answer's go the same way */
};

/* Read the message. Texts and data live in `arena` or in the message. ERR_INVALID names the input
 * and what was expected. */
enum err_code grpc_read_infer(struct str message, struct arena *arena, struct grpc_infer *infer,
                              struct err *err);

/* Append the fields of a ModelInferResponse. */
enum err_code grpc_write_infer(struct request *req, struct buf *out, struct err *err);

/* Append a field of shape: packed whole numbers. */
void grpc_put_shape(struct buf *out, uint32_t number, const int64_t *shape, int rank);

#endif
