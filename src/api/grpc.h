/* grpc.h - gRPC's messages and statuses over HTTP/2, whatever the method.
 *
 *     POST /inference.GRPCInferenceService/ModelInfer     content-type: application/grpc
 *     body:  [flag u8][size u32, big-endian][message] ...
 *     reply: the same, then trailers: grpc-status, grpc-message
 *
 * A handler of a unary method reads grpc_message() and writes between grpc_begin() and grpc_end().
 * Statuses are written by dispatch: an error is a reply without a message.
 *
 * Source: grpc/doc/PROTOCOL-HTTP2.md.
 */
#ifndef SLIPWAY_API_GRPC_H
#define SLIPWAY_API_GRPC_H

#include "api/api.h"
#include "base/protobuf.h"
#include "net/http_encoding.h"

enum {
    GRPC_PREFIX_BYTES = 5,
    GRPC_TIMEOUT_DIGITS_MAX = 8,
    GRPC_MESSAGE_BYTES_MAX = 2048, /* of an error's text in the trailers, percent-encoded */
};

/* The next message at the beginning of `bytes`: *taken says how much of them it is, 0 when it is
 * not whole yet. Unpacked into the arena if it is compressed. ERR_LIMIT: longer than bytes_max. */
enum err_code grpc_next(const struct http_request *request, struct str bytes, size_t bytes_max,
                        struct arena *arena, struct str *message, size_t *taken, struct err *err);

/* The same for a stream: its ops->next. */
struct stream;
enum err_code grpc_stream_next(struct stream *stream, struct str *message, size_t *taken,
                               struct err *err);

/* The one message of a unary call. */
enum err_code grpc_message(struct call *call, struct str *message, struct err *err);

/* A message of the reply is what is written to the body between these two. */
size_t grpc_begin(struct buf *body);
void grpc_end(struct buf *body, size_t mark);

/* How the messages of a reply may be packed: as those of the request are, when the caller takes
 * that back. All clients say what they can unpack; only those that pack have said that they want
 * it. */
enum http_coding grpc_reply_coding(const struct http_request *request);

/* What that is called in grpc-encoding. */
struct str grpc_coding_name(enum http_coding coding);

/* Pack the message that ends the body and began at `mark`, if it has bytes_min and becomes smaller.
 * False: it stays as it is. */
bool grpc_pack(struct buf *body, size_t mark, enum http_coding coding, size_t bytes_min);

/* The one message of a unary call's reply, and the header that says so. */
void grpc_pack_reply(struct call *call);

/* The time that the caller gives, in microseconds; 0: it names none. */
enum err_code grpc_timeout(const struct http_request *request, int64_t *timeout_us,
                           struct err *err);

/* Is this a call of gRPC, whatever its path? */
bool grpc_is_call(const struct http_request *request);

/* Can it be answered as one? ERR_UNSUPPORTED over HTTP/1, and for another content type. */
enum err_code grpc_check(const struct http_exchange *x, struct err *err);

/* gRPC's number for an error. */
int grpc_status(enum err_code code);

/* The end of a reply: status OK. */
void grpc_put_ok(struct http_response *response);

/* The end of a reply, or all of it when nothing is written yet. `call` NULL: no details. */
void grpc_put_error(struct http_response *response, const struct err *err, const struct call *call);

#endif
