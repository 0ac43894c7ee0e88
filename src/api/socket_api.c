/* socket_api.c - predictions on a WebSocket: each text is a request's body, each answer a text.
 *
 *     GET /predict/{model}            Upgrade: websocket     as POST to the same path
 *     GET /v2/models/{model}/infer
 */
#include "api/handlers.h"
#include "api/stream_call.h"

/* net gives whole messages. */
static enum err_code next(struct stream *stream, struct str *message, size_t *taken,
                          struct err *err)
{
    (void)err;
    *message = stream->call->x->request.body;
    *taken = message->len;
    return ERR_OK;
}

/* An error's text is the body that POST would answer. */
static void answer(const struct call *call, struct buf *out)
{
    buf_str(out, buf_view(&call->x->response.body));
}

static enum err_code handle_rows(struct call *call, struct str message, struct err *err)
{
    call->x->request.body = message;
    return predict_rows(call, err);
}

static enum err_code handle_tensors(struct call *call, struct str message, struct err *err)
{
    call->x->request.body = message;
    return oip_infer(call, err);
}

static bool keep(struct str *text, struct arena *arena)
{
    if (!text->ptr)
        return true;
    text->ptr = arena_copy(arena, text->ptr, text->len);
    return text->ptr != NULL;
}

/* The call outlives the bytes in which its head came. */
static enum err_code keep_texts(struct call *call, struct err *err)
{
    bool is_kept = keep(&call->request_id, call->arena) && keep(&call->traceparent, call->arena);
    for (int i = 0; i < ROUTE_PARAMS_MAX; i++)
        is_kept = is_kept && keep(&call->params[i], call->arena);
    return is_kept ? ERR_OK : err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

static enum err_code begin(struct call *call, const struct stream_calls_ops *ops, struct err *err)
{
    enum err_code rc = keep_texts(call, err);
    if (!rc)
        rc = http_upgrade(call->x, err);
    if (rc == ERR_UNSUPPORTED) {
        call->x->response.status = 426;
        http_add_header(&call->x->response, "Upgrade", STR_LIT("websocket"));
    }
    return rc ? rc : stream_calls_begin(call, ops, err);
}

enum err_code socket_predict(struct call *call, struct err *err)
{
    static const struct stream_calls_ops ops = {next, handle_rows, answer};
    return begin(call, &ops, err);
}

enum err_code socket_infer(struct call *call, struct err *err)
{
    static const struct stream_calls_ops ops = {next, handle_tensors, answer};
    return begin(call, &ops, err);
}
