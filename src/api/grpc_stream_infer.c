/* grpc_stream_infer.c - inference.GRPCInferenceService/ModelStreamInfer: predictions on one stream.
 *
 * Each message is a request of its own: own id, own record, own version of a rollout. The pipeline
 * sees an exchange that lives in the stream, with an arena that is emptied after each message. An
 * error answers its message; the stream goes on.
 */
#include <stdlib.h>

#include "api/caller.h"
#include "api/grpc_infer.h"
#include "api/grpc_stream.h"
#include "api/grpc_tensor.h"
#include "api/handlers.h"
#include "base/check.h"
#include "base/clock.h"

struct infer_stream {
    struct grpc_stream stream;
    struct http_exchange x;    /* of the message that is being answered */
    bool is_said, is_answered; /* the answer is written; its message's memory is free, too */
};

static struct infer_stream *infer_of(struct grpc_stream *stream)
{
    return CONTAINER_OF(stream, struct infer_stream, stream);
}

static void new_exchange(struct infer_stream *infer, const struct http_exchange *outer)
{
    const struct options *o = infer->stream.call->node->options;
    infer->x = *outer;
    infer->x.conn = NULL;
    infer->x.receive = infer->x.cancel = NULL;
    infer->x.arena = arena_new(o->request_memory_bytes_max);
    buf_init(&infer->x.response.headers, outer->response.headers.bytes_max);
    buf_init(&infer->x.response.trailers, outer->response.trailers.bytes_max);
    buf_init(&infer->x.response.body, outer->response.body.bytes_max);
}

static void clear_exchange(struct infer_stream *infer)
{
    struct http_response *response = &infer->x.response;
    arena_reset(infer->x.arena);
    buf_clear(&response->headers);
    buf_clear(&response->trailers);
    buf_clear(&response->body);
    response->body.is_full = false;
    response->status = 200;
    infer->x.cancel = NULL;
}

static void put_answer(struct buf *out, const struct call *call)
{
    const struct buf *body = &call->x->response.body;
    const struct grpc_infer *request = call->decoded;
    struct str id = request ? request->oip.id : (struct str){0};
    if (!call->rc) {
        pb_put_bytes(out, 2,
                     (struct str){body->data + GRPC_PREFIX_BYTES, body->len - GRPC_PREFIX_BYTES});
        return;
    }
    char text[ERR_MSG_BYTES + ERR_HINT_BYTES + 4];
    snprintf(text, sizeof(text), "%s%s%s", call->err.msg, call->err.hint[0] ? "; " : "",
             call->err.hint);
    pb_put_text(out, 1, text);
    size_t mark = pb_begin(out, 2); /* by its id the caller knows which one failed */
    if (id.ptr)
        pb_put_bytes(out, 3, id);
    pb_end(out, mark);
}

static void say(struct infer_stream *infer, const struct call *call)
{
    struct http_response *outer = &infer->stream.call->x->response;
    size_t mark = grpc_begin(outer);
    put_answer(&outer->body, call);
    grpc_end(outer, mark);
    infer->is_said = true;
}

/* With is_held the message is late: its lane still has its memory, and this is called again when it
 * has let go. */
static void answer(struct call *call)
{
    struct infer_stream *infer = infer_of(call->stream);
    const struct buf *body = &infer->stream.call->x->response.body;
    struct err err = {0};
    if (!infer->is_said)
        say(infer, call);
    if (call->is_held) {
        grpc_stream_send(&infer->stream);
        return;
    }
    enum err_code rc = ERR_OK;
    if (body->is_full)
        rc = err_set(&err, ERR_LIMIT, "the reply is larger than %zu bytes", body->bytes_max);
    infer->is_answered = true;
    clear_exchange(infer);
    if (infer->stream.is_busy)
        grpc_stream_resume(&infer->stream, rc, &err);
}

static enum err_code predict(struct call *call, struct str message, struct err *err)
{
    enum err_code rc = caller_authenticate(call, err); /* the key may be gone since the last one */
    return rc ? rc : grpc_predict(call, message, 0, err);
}

static enum err_code take(struct grpc_stream *stream, struct str message, struct err *err)
{
    struct infer_stream *infer = infer_of(stream);
    const char *copy = arena_copy(infer->x.arena, message.ptr, message.len);
    struct call *call = copy ? call_within(stream->call, &infer->x) : NULL;
    if (!call)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    call->stream = stream;
    call->reply = answer;
    infer->is_said = infer->is_answered = false;
    infer->x.start_ns = clock_monotonic_ns();
    call->rc = predict(call, (struct str){copy, message.len}, &call->err);
    if (!call->is_waiting)
        call_finish(call);
    stream->is_busy = !infer->is_answered;
    return ERR_OK;
}

static void cancel(struct grpc_stream *stream)
{
    struct infer_stream *infer = infer_of(stream);
    if (infer->x.cancel)
        infer->x.cancel(&infer->x);
}

static void end(struct grpc_stream *stream)
{
    struct infer_stream *infer = infer_of(stream);
    struct http_response *response = &infer->x.response;
    if (infer->x.conn_user != stream->call->x->conn_user)
        caller_conn_free(infer->x.conn_user); /* of a key that was asked for later */
    arena_free(infer->x.arena);
    buf_done(&response->headers);
    buf_done(&response->trailers);
    buf_done(&response->body);
}

enum err_code grpc_model_stream_infer(struct call *call, struct err *err)
{
    static const struct grpc_stream_ops ops = {take, cancel, end};
    struct infer_stream *infer = arena_calloc(call->arena, 1, sizeof(*infer));
    if (!infer)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    infer->stream.ops = &ops;
    infer->stream.message_bytes_max = call->node->options->http_body_bytes_max;
    grpc_stream_begin(&infer->stream, call);
    new_exchange(infer, call->x);
    return ERR_OK;
}
