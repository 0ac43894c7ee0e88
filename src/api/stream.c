/* stream.c - messages of a stream, one after another. */
#include "api/stream.h"

enum { UNSENT_BYTES_MAX = 1024 * 1024 };

static struct stream *stream_of(const struct http_exchange *x)
{
    const struct call *call = x->user;
    return call->stream;
}

static void end(struct stream *stream, enum err_code rc)
{
    struct call *call = stream->call;
    struct http_exchange *x = call->x;
    if (stream->ops->end)
        stream->ops->end(stream);
    if (stream->is_gone) {
        http_reply(x);
        return;
    }
    call->rc = rc;
    call_finish(call);
}

/* Answer the next whole message; false when there is none, or it cannot be. */
static bool step(struct stream *stream, enum err_code *rc, struct err *err)
{
    struct http_exchange *x = stream->call->x;
    struct str message;
    size_t taken = 0;
    if (stream->is_gone || stream->is_busy || http_unsent(x) > UNSENT_BYTES_MAX)
        return false;
    *rc = stream->ops->next(stream, &message, &taken, err);
    if (*rc || taken == 0)
        return false;
    *rc = stream->ops->take(stream, message, err);
    if (*rc)
        return false;
    http_take(x, taken);
    if (x->response.body.len && !stream->is_gone)
        http_send(x);
    return true;
}

/* Is there nothing left to be answered, and nothing to come? */
static bool is_over(const struct stream *stream)
{
    const struct http_exchange *x = stream->call->x;
    return x->is_request_over && !stream->is_busy && http_unsent(x) <= UNSENT_BYTES_MAX;
}

static void pump(struct stream *stream)
{
    struct call *call = stream->call;
    enum err_code rc = ERR_OK;
    if (stream->is_inside)
        return;
    stream->is_inside = true;
    while (step(stream, &rc, &call->err)) {
    }
    stream->is_inside = false;
    if (stream->is_gone && !stream->is_busy) {
        end(stream, ERR_CANCELLED);
    } else if (rc) {
        end(stream, rc);
    } else if (is_over(stream)) {
        if (call->x->request.body.len)
            rc = err_set(&call->err, ERR_INVALID, "the call ended inside a message");
        end(stream, rc);
    } else if (!stream->is_busy && call->x->request.body.len == 0 &&
               atomic_load_explicit(&call->node->is_draining, memory_order_relaxed)) {
        end(stream, err_set(&call->err, ERR_UNAVAILABLE, "the server is stopping"));
    }
}

static void receive(struct http_exchange *x)
{
    pump(stream_of(x));
}

static void cancel(struct http_exchange *x)
{
    struct stream *stream = stream_of(x);
    stream->is_gone = true;
    if (stream->is_inside)
        return;
    if (stream->is_busy)
        stream->ops->cancel(stream);
    else
        end(stream, ERR_CANCELLED);
}

void stream_begin(struct stream *stream, struct call *call)
{
    stream->call = call;
    stream->scratch = call->arena;
    call->stream = stream;
    call->is_waiting = true;
    call->x->receive = receive;
    call->x->cancel = cancel;
}

void stream_send(struct stream *stream)
{
    stream->is_inside = true;
    http_send(stream->call->x);
    stream->is_inside = false;
    if (!stream->is_gone)
        return;
    if (stream->is_busy)
        stream->ops->cancel(stream);
    else
        end(stream, ERR_CANCELLED);
}

void stream_resume(struct stream *stream, enum err_code rc, const struct err *err)
{
    struct http_exchange *x = stream->call->x;
    stream->is_busy = false;
    if (rc && !stream->is_gone) {
        stream->call->err = *err;
        end(stream, rc);
        return;
    }
    stream->is_inside = true;
    if (x->response.body.len && !stream->is_gone)
        http_send(x);
    stream->is_inside = false;
    pump(stream);
}
