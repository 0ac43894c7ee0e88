/* oip_reply.h - the outputs of a request as an OIP reply, JSON or binary. */
#ifndef SLIPWAY_API_OIP_REPLY_H
#define SLIPWAY_API_OIP_REPLY_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* Write req->out as the request asks for it: req->exchange->response. */
enum err_code oip_reply(const struct oip_request *oip, struct request *req, struct err *err);

/* What is sent: req->out, or copies in which texts stand for the outputs that were asked for as
 * classes. ERR_INVALID when the model's settings refuse a NaN in it, or a text cannot be said. */
enum err_code oip_choose_tensors(const struct oip_request *oip, const struct request *req,
                                 const struct tensor **sent, struct err *err);

#endif
