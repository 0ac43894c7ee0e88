/* oip_fill.h - OIP tensors -> rows of a contract, plain features, or the model's tensors. */
#ifndef SLIPWAY_API_OIP_FILL_H
#define SLIPWAY_API_OIP_FILL_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* One tensor with all features, one tensor per field, or without a contract the tensors that the
 * model takes: fills req->rows, req->features or req->in, and row_count. */
enum err_code oip_fill(struct oip_request *oip, struct request *req, struct err *err);

/* Which outputs to compute: req->wanted, NULL (the usual ones) unless the caller named some.
 * oip_api.c */
enum err_code oip_choose_outputs(struct request *req, const struct oip_request *oip,
                                 struct err *err);

/* The parameters of a request that was decoded as an OIP request, as JSON without those that are
 * ours. oip_api.c */
struct str oip_parameters(const struct request *req);

/* A parameter as text; ptr NULL when there is none, or it is none that a text can stand for.
 * Numbers in the arena. oip_api.c */
struct str oip_parameter_text(const struct oip_request *oip, const char *name, struct arena *arena);

/* The datatype one field's own tensor has in metadata. */
enum dtype oip_field_dtype(const struct contract_field *field);

#endif
