/* stream_call.h - each message of a stream as a call of its own: own id, own record, own version of
 * a rollout. The pipeline sees an exchange that lives in the stream, with an arena that is emptied
 * after each message. An error answers its message; the stream goes on. */
#ifndef SLIPWAY_API_STREAM_CALL_H
#define SLIPWAY_API_STREAM_CALL_H

#include "api/stream.h"

struct stream_calls_ops {
    enum err_code (*next)(struct stream *stream, struct str *message, size_t *taken,
                          struct err *err);

    /* Handle the message; `call` is its own and has the stream's route and parameters. */
    enum err_code (*handle)(struct call *call, struct str message, struct err *err);

    /* Append one message to the stream's response: what the call has come to. */
    void (*answer)(const struct call *call, struct buf *out);
};

/* From the handler of the stream's route. */
enum err_code stream_calls_begin(struct call *call, const struct stream_calls_ops *ops,
                                 struct err *err);

#endif
