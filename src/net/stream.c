/* stream.c - what handlers of streams call, whichever protocol carries them. */
#include <string.h>

#include "base/check.h"
#include "net/conn.h"

void http_take(struct http_exchange *x, size_t bytes)
{
    struct box *box = CONTAINER_OF(x, struct box, x);
    assert(bytes <= box->message.body.len);
    if (bytes == 0)
        return;
    if (box->stream.id)
        h2_take(box, bytes);
    else
        ws_take(box);
}

void http_send(struct http_exchange *x)
{
    struct box *box = CONTAINER_OF(x, struct box, x);
    assert(!box->is_answered);
    if (!x->conn)
        buf_clear(&x->response.body); /* nobody is there */
    else if (box->stream.id)
        h2_send(box);
    else
        ws_send(box);
}

size_t http_unsent(const struct http_exchange *x)
{
    const struct box *box = (const struct box *)x; /* its first member */
    if (box->stream.id || !x->conn)
        return box->stream.unsent;
    return x->conn->out.len + x->conn->writing.len;
}
