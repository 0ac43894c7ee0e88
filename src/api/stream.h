/* stream.h - a call with many messages, of gRPC or on a WebSocket: one at a time, in order.
 *
 *     receive -> [whole message?] -> take: answers, or sets is_busy and goes on later
 *                     ^                                         |
 *                     +------------ stream_resume ---------+
 *
 * A client that does not take its answers is not listened to meanwhile. The stream lives in its
 * call's arena; everything happens on the data thread.
 */
#ifndef SLIPWAY_API_STREAM_H
#define SLIPWAY_API_STREAM_H

#include "api/api.h"

struct stream;

struct stream_ops {
    /* The next message at the beginning of request.body, and how many bytes it takes; 0: it is not
     * whole yet. */
    enum err_code (*next)(struct stream *stream, struct str *message, size_t *taken,
                          struct err *err);

    /* A message. It writes answers to the response, or sets stream->is_busy to go on later (the
     * message's bytes are gone then). An error ends the stream. */
    enum err_code (*take)(struct stream *stream, struct str message, struct err *err);

    /* The client left while it was busy: have stream_resume called, now or soon. */
    void (*cancel)(struct stream *stream);

    /* The stream is over; its memory is about to go. (optional) */
    void (*end)(struct stream *stream);
};

struct stream {
    struct call *call;
    const struct stream_ops *ops;
    size_t message_bytes_max;
    struct arena *scratch; /* of a message that is unpacked; the call's, if nobody says otherwise */
    bool is_busy;          /* a message is being answered later */
    bool is_inside;        /* the code below is running: who leaves now is noticed at its end */
    bool is_gone;          /* the client is */
};

/* From the handler: messages come to ops->take from now on. */
void stream_begin(struct stream *stream, struct call *call);

/* Send what the response has, from outside of take. The stream may be gone afterwards. */
void stream_send(struct stream *stream);

/* What was busy is done; what it wrote is sent. An error ends the stream. */
void stream_resume(struct stream *stream, enum err_code rc, const struct err *err);

#endif
