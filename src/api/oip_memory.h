/* oip_memory.h - tensors of a request that are in shared memory, and those of its reply that go
 * there. */
#ifndef SLIPWAY_API_OIP_MEMORY_H
#define SLIPWAY_API_OIP_MEMORY_H

#include "api/oip.h"
#include "serve/pipeline.h"

/* Copy inputs that are in regions: checked and scored are the same bytes, whatever the client does
 * meanwhile. ERR_UNSUPPORTED when its connection cannot have regions. */
enum err_code oip_memory_read(struct oip_request *oip, struct request *req, struct err *err);

/* Put an output where the request wants it. */
enum err_code oip_memory_write(const struct oip_output *output, const struct tensor *tensor,
                               const struct request *req, struct err *err);

#endif
