/* oip_fill.h - OIP tensors -> rows of a contract, or plain features. */
#ifndef SLIPWAY_API_OIP_FILL_H
#define SLIPWAY_API_OIP_FILL_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* One tensor with all features, or one tensor per field: fills req->rows or req->features and
 * row_count. */
enum err_code oip_fill(const struct oip_request *oip, struct request *req, struct err *err);

/* Does a version take one numeric tensor (its contract is all numbers, or it has none)? */
bool oip_takes_matrix(const struct loaded *loaded);

/* The datatype one field's own tensor has in metadata. */
enum dtype oip_field_dtype(const struct contract_field *field);

#endif
