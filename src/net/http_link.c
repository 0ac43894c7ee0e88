/* http_link.c - a call over a connection that is there, or over a new one. */
#include "net/http_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { READ_BYTES = 64 * 1024, HEAD_BYTES_MAX = 64 * 1024 };

void http_link_init(struct http_link *link, const struct http_site *site)
{
    *link = (struct http_link){.site = site, .wire = {.fd = -1, .where = site->where}};
    buf_init(&link->reply, site->reply_bytes_max);
}

static void close_wire(struct http_link *link)
{
    wire_close(&link->wire);
}

void http_link_close(struct http_link *link)
{
    close_wire(link);
    buf_done(&link->reply);
    free(link->bytes);
    link->bytes = NULL;
}

/* ---- there ---- */

static enum err_code open_wire(struct http_link *link, const struct http_link_call *call,
                               struct err *err)
{
    const struct http_site *site = link->site;
    int64_t until_ns = clock_monotonic_ns() + site->connect_ns_max;
    bool is_short = until_ns < call->deadline_ns;
    link->wire.deadline_ns = is_short ? until_ns : call->deadline_ns;
    enum err_code rc = wire_open(&link->wire, &site->place, site->tls, err);
    link->wire.deadline_ns = call->deadline_ns;
    if (rc != ERR_TIMEOUT || !is_short)
        return rc;
    return err_set(err, ERR_UNAVAILABLE, "%s took no connection within %lld ms", site->where,
                   (long long)(site->connect_ns_max / 1000000));
}

static size_t body_bytes(const struct http_link_call *call)
{
    size_t bytes = 0;
    for (int i = 0; i < call->body_count; i++)
        bytes += call->body[i].len;
    return bytes;
}

static void write_head(const struct http_link *link, const struct http_link_call *call,
                       struct buf *out)
{
    const struct wire_place *place = &link->site->place;
    buf_text(out, call->method);
    buf_char(out, ' ');
    buf_str(out, place->base);
    buf_str(out, call->target);
    buf_lit(out, " HTTP/1.1\r\nHost: ");
    buf_str(out, place->authority);
    buf_lit(out, "\r\nUser-Agent: slipway\r\n");
    if (call->body_count) {
        buf_lit(out, "Content-Length: ");
        buf_u64(out, body_bytes(call));
        buf_lit(out, "\r\n");
    }
    buf_str(out, call->headers);
    buf_lit(out, "\r\n");
}

/* Away with what has been sent. */
static void advance(struct iovec **at, int *left, size_t done)
{
    while (*left && done >= (*at)->iov_len) {
        done -= (*at)->iov_len;
        ++*at;
        --*left;
    }
    if (*left) {
        (*at)->iov_base = (char *)(*at)->iov_base + done;
        (*at)->iov_len -= done;
    }
}

/* A server that refuses a request answers before it has read all of it, and stops reading: then the
 * reply is what counts. */
static enum err_code send_pieces(struct http_link *link, struct iovec *at, int left,
                                 struct err *err)
{
    bool has_sent = false;
    while (left) {
        size_t done;
        int count = left < HTTP_LINK_PIECES_MAX ? left : HTTP_LINK_PIECES_MAX;
        enum err_code rc = wire_write(&link->wire, at, count, &done, err);
        if (rc)
            return has_sent && rc == ERR_UNAVAILABLE ? ERR_OK : rc;
        has_sent = has_sent || done;
        advance(&at, &left, done);
    }
    return ERR_OK;
}

static enum err_code send_call(struct http_link *link, const struct http_link_call *call,
                               struct arena *arena, struct err *err)
{
    struct buf head;
    size_t count = 1 + (size_t)call->body_count;
    struct iovec *pieces = arena_calloc(arena, count, sizeof(*pieces));
    if (!pieces)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    buf_init(&head, HEAD_BYTES_MAX);
    write_head(link, call, &head);
    pieces[0] = (struct iovec){head.data, head.len};
    for (int i = 0; i < call->body_count; i++)
        pieces[i + 1] = (struct iovec){(char *)(uintptr_t)call->body[i].ptr, call->body[i].len};
    enum err_code rc = head.is_full ? err_set(err, ERR_LIMIT, "the request's headers are too long")
                                    : send_pieces(link, pieces, (int)count, err);
    buf_done(&head);
    return rc;
}

/* ---- and back ---- */

static enum err_code read_reply(struct http_link *link, struct http_reply *reply, struct err *err)
{
    bool is_end = false;
    enum err_code rc = wire_wait(&link->wire, err);
    if (!link->bytes)
        link->bytes = malloc(READ_BYTES);
    if (!link->bytes)
        abort();
    while (!rc && !reply->is_done && !is_end) {
        size_t got;
        rc = wire_read(&link->wire, link->bytes, READ_BYTES, &got, &is_end, err);
        if (!rc && got)
            rc = http_reply_put(reply, link->bytes, got, err);
    }
    return rc || reply->is_done ? rc : http_reply_end(reply, err);
}

static enum err_code exchange(struct http_link *link, const struct http_link_call *call,
                              struct arena *arena, struct http_reply *reply, struct err *err)
{
    enum err_code rc = send_call(link, call, arena, err);
    if (!rc)
        rc = read_reply(link, reply, err);
    if (!rc)
        http_reply_headers(reply, arena);
    if (rc || reply->is_last)
        close_wire(link);
    return rc;
}

/* The memory of a reply that was much larger than usual is given back. */
static void clear_reply(struct http_link *link)
{
    if (link->reply.capacity > HTTP_LINK_KEEP_BYTES)
        buf_done(&link->reply);
    buf_clear(&link->reply);
}

enum err_code http_link_run(struct http_link *link, const struct http_link_call *call,
                            struct arena *arena, struct http_result *result, bool *was_reached,
                            struct err *err)
{
    bool is_kept, has_begun;
    enum err_code rc;
    *was_reached = false;
    link->wire.is_cancelled = call->is_cancelled;
    link->wire.deadline_ns = call->deadline_ns;
    if (link->wire.fd >= 0 && !wire_is_quiet(&link->wire))
        close_wire(link);
    do {
        struct http_reply reply;
        is_kept = link->wire.fd >= 0;
        rc = is_kept ? ERR_OK : open_wire(link, call, err);
        if (rc) {
            close_wire(link);
            return rc;
        }
        *was_reached = true;
        clear_reply(link);
        result->body = link->reply;
        http_reply_begin(&reply, link->site->where, false, result);
        rc = exchange(link, call, arena, &reply, err);
        link->reply = result->body;
        has_begun = reply.has_begun;
        http_reply_done(&reply);
    } while (rc == ERR_UNAVAILABLE && is_kept && !has_begun);
    return rc;
}
