/* stream_call.c - calls within a stream, one after another. */
#include "api/stream_call.h"

#include "api/caller.h"
#include "base/check.h"
#include "base/clock.h"

struct stream_calls {
    struct stream stream;
    const struct stream_calls_ops *ops;
    struct http_exchange x;    /* of the message that is being answered */
    struct str message;        /* in its arena */
    bool is_said, is_answered; /* the answer is written; its message's memory is free, too */
};

static struct stream_calls *calls_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct stream_calls, stream);
}

static void new_exchange(struct stream_calls *calls, const struct http_exchange *outer)
{
    const struct options *o = calls->stream.call->node->options;
    calls->x = *outer;
    calls->x.conn = NULL;
    calls->x.receive = calls->x.cancel = NULL;
    calls->x.arena = arena_new(o->request_memory_bytes_max);
    buf_init(&calls->x.response.headers, outer->response.headers.bytes_max);
    buf_init(&calls->x.response.trailers, outer->response.trailers.bytes_max);
    buf_init(&calls->x.response.body, outer->response.body.bytes_max);
}

static void clear_exchange(struct stream_calls *calls)
{
    struct http_response *response = &calls->x.response;
    arena_reset(calls->x.arena);
    buf_clear(&response->headers);
    buf_clear(&response->trailers);
    buf_clear(&response->body);
    response->body.is_full = false;
    response->status = 200;
    calls->x.cancel = NULL;
}

static void say(struct stream_calls *calls, const struct call *call)
{
    struct http_response *outer = &calls->stream.call->x->response;
    calls->ops->answer(call, &outer->body);
    calls->is_said = true;
}

/* With is_held the message is late: its lane still has its memory, and this is called again when it
 * has let go. */
static void answer(struct call *call)
{
    struct stream_calls *calls = calls_of(call->stream);
    const struct buf *body = &calls->stream.call->x->response.body;
    struct err err = {0};
    if (!calls->is_said)
        say(calls, call);
    if (call->is_held) {
        stream_send(&calls->stream);
        return;
    }
    enum err_code rc = ERR_OK;
    if (body->is_full)
        rc = err_set(&err, ERR_LIMIT, "the reply is larger than %zu bytes", body->bytes_max);
    calls->is_answered = true;
    clear_exchange(calls);
    if (calls->stream.is_busy)
        stream_resume(&calls->stream, rc, &err);
}

static enum err_code handle(struct stream_calls *calls, struct call *call, struct str message,
                            struct err *err)
{
    enum err_code rc = caller_authenticate(call, err); /* the key may be gone since the last one */
    return rc ? rc : calls->ops->handle(call, message, err);
}

/* Its model has been brought into memory. */
static enum err_code handle_again(struct call *call, struct err *err)
{
    struct stream_calls *calls = calls_of(call->stream);
    return calls->ops->handle(call, calls->message, err);
}

static enum err_code next(struct stream *stream, struct str *message, size_t *taken,
                          struct err *err)
{
    return calls_of(stream)->ops->next(stream, message, taken, err);
}

static enum err_code take(struct stream *stream, struct str message, struct err *err)
{
    struct stream_calls *calls = calls_of(stream);
    const char *copy = arena_copy(calls->x.arena, message.ptr, message.len);
    struct call *call = copy ? call_within(stream->call, &calls->x) : NULL;
    if (!call)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    call->stream = stream;
    call->reply = answer;
    call->again = handle_again;
    calls->message = (struct str){copy, message.len};
    calls->is_said = calls->is_answered = false;
    calls->x.start_ns = clock_monotonic_ns();
    call->rc = handle(calls, call, calls->message, &call->err);
    if (!call->is_waiting)
        call_finish(call);
    stream->is_busy = !calls->is_answered;
    return ERR_OK;
}

static void cancel(struct stream *stream)
{
    struct stream_calls *calls = calls_of(stream);
    if (calls->x.cancel)
        calls->x.cancel(&calls->x);
}

static void end(struct stream *stream)
{
    struct stream_calls *calls = calls_of(stream);
    struct http_response *response = &calls->x.response;
    if (calls->x.conn_user != stream->call->x->conn_user)
        caller_conn_free(calls->x.conn_user); /* of a key that was asked for later */
    arena_free(calls->x.arena);
    buf_done(&response->headers);
    buf_done(&response->trailers);
    buf_done(&response->body);
}

enum err_code stream_calls_begin(struct call *call, const struct stream_calls_ops *how,
                                 struct err *err)
{
    static const struct stream_ops ops = {next, take, cancel, end};
    struct stream_calls *calls = arena_calloc(call->arena, 1, sizeof(*calls));
    if (!calls)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    calls->ops = how;
    calls->stream.ops = &ops;
    calls->stream.message_bytes_max = call->node->options->http_body_bytes_max;
    stream_begin(&calls->stream, call);
    new_exchange(calls, call->x);
    calls->stream.scratch = calls->x.arena;
    return ERR_OK;
}
