/* oip_fill.h - OIP tensors -> rows of a contract, or plain features. */
#ifndef SLIPWAY_API_OIP_FILL_H
#define SLIPWAY_API_OIP_FILL_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* One tensor with all features, or one tensor per field: fills req->rows or req->features and
 * row_count. */
enum err_code oip_fill(const struct oip_request *oip, struct request *req, struct err *err);

/* Which outputs to compute: req->wanted, NULL (the usual ones) unless the caller named some.
 * oip_api.c */
enum err_code oip_choose_outputs(struct request *req, const struct oip_request *oip,
                                 struct err *err);

/* The datatype one field's own tensor has in metadata. */
enum dtype oip_field_dtype(const struct contract_field *field);

#endif
