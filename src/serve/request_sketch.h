/* request_sketch.h - an answered request is counted by what watches its version. */
#ifndef SLIPWAY_SERVE_REQUEST_SKETCH_H
#define SLIPWAY_SERVE_REQUEST_SKETCH_H

#include "serve/pipeline.h"

/* Count the rows and answers of `req`, predicted just now. Its version has a sketch. */
void request_sketch(const struct request *req);

#endif
