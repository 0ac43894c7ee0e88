/* request_record.h - an answered request becomes its record. */
#ifndef SLIPWAY_SERVE_REQUEST_RECORD_H
#define SLIPWAY_SERVE_REQUEST_RECORD_H

#include "serve/pipeline.h"

/* The record of `req` as if it were answered with `status` now; it borrows from the request. The
 * version has a schema. `places` [RECORD_OUTPUTS_MAX] lives as long as the record. */
void request_record_fill(const struct request *req, int status, int64_t now_ns,
                         struct tensor *places, struct record *record);

/* Hand the record of `req`, answered with `status` just now, to its thread's queue. The version has
 * a schema. */
void request_record(const struct request *req, int status, int64_t now_ns);

#endif
