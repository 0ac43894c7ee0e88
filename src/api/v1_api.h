/* v1_api.h - replies that KServe's V1 protocol, TensorFlow Serving and MLflow have in common. */
#ifndef SLIPWAY_API_V1_API_H
#define SLIPWAY_API_V1_API_H

#include "serve/pipeline.h"

/* One value a row: what the only output says, or an object of all outputs by name. */
void v1_put_predictions(struct buf *out, const struct request *req);

/* ERR_LIMIT when the reply did not fit. */
enum err_code v1_finish(struct request *req, struct err *err);

#endif
