/* grpc_stream.h - a call of gRPC with many messages: one at a time, in order.
 *
 *     receive -> [whole message?] -> take: answers, or sets is_busy and goes on later
 *                     ^                                         |
 *                     +------------ grpc_stream_resume ---------+
 *
 * A client that does not take its answers is not listened to meanwhile. The stream lives in its
 * call's arena; everything happens on the data thread.
 */
#ifndef SLIPWAY_API_GRPC_STREAM_H
#define SLIPWAY_API_GRPC_STREAM_H

#include "api/grpc.h"

struct grpc_stream;

struct grpc_stream_ops {
    /* A message. It writes answers to the response, or sets stream->is_busy to go on later (the
     * message's bytes are gone then). An error ends the stream. */
    enum err_code (*take)(struct grpc_stream *stream, struct str message, struct err *err);

    /* The client left while it was busy: have grpc_stream_resume called, now or soon. */
    void (*cancel)(struct grpc_stream *stream);

    /* The stream is over; its memory is about to go. (optional) */
    void (*end)(struct grpc_stream *stream);
};

struct grpc_stream {
    struct call *call;
    const struct grpc_stream_ops *ops;
    size_t message_bytes_max;
    bool is_busy;   /* a message is being answered later */
    bool is_inside; /* the code below is running: who leaves now is noticed at its end */
    bool is_gone;   /* the client is */
};

/* From the handler: messages come to ops->take from now on. */
void grpc_stream_begin(struct grpc_stream *stream, struct call *call);

/* Send what the response has, from outside of take. The stream may be gone afterwards. */
void grpc_stream_send(struct grpc_stream *stream);

/* What was busy is done; what it wrote is sent. An error ends the stream. */
void grpc_stream_resume(struct grpc_stream *stream, enum err_code rc, const struct err *err);

#endif
