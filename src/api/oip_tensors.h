/* oip_tensors.h - the inputs of a request as the tensors of a model that has no contract. */
#ifndef SLIPWAY_API_OIP_TENSORS_H
#define SLIPWAY_API_OIP_TENSORS_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* Every input by its name, checked for datatype, shape and batch against the signature: fills
 * req->in and row_count (1 without a batch dimension). Errors have the words that Triton's clients
 * look for. */
enum err_code oip_fill_tensors(const struct oip_request *oip, struct request *req, struct err *err);

/* More rows than one request may have, or the model takes at once. */
enum err_code oip_check_rows(const struct request *req, int64_t count, struct err *err);

/* A raw request, whose body is the one input: give it the model's name, datatype and shape. At most
 * one dimension may vary, or the batch; BYTES are one element. */
enum err_code oip_name_raw(struct oip_request *oip, const struct request *req, struct err *err);

#endif
