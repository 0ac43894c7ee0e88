/* remote_request.h - a call as the body of an Open Inference Protocol request.
 *
 *     +-----------------+---------------+---------------+
 *     | JSON            | input 0 bytes | input 1 bytes |   the bytes with the binary tensor
 *     +-----------------+---------------+---------------+   extension alone
 *
 * Large tensors are sent from where they lie; everything else is put together in `text`.
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_REQUEST_H
#define SLIPWAY_RUNTIME_REMOTE_REQUEST_H

#include "runtime/remote_settings.h"

struct remote_request {
    struct buf *text;         /* the caller's; cleared first */
    const struct str *pieces; /* out: [piece_count] of the body, in the call's arena or in text */
    int piece_count;
    size_t json_bytes; /* out */
    bool is_binary;    /* out: there are bytes behind the JSON */
};

/* `timeout_us` is what the other server is given. */
enum err_code remote_request_write(const struct remote_settings *settings,
                                   const struct runtime_call *call, int64_t timeout_us,
                                   struct remote_request *request, struct err *err);

#endif
