/* http_client.c - connect, write, read until the reply is whole; all by a deadline. */
#include "net/http_client.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/tls_client.h"
#include "net/wire.h"

enum { READ_BYTES = 64 * 1024, WRITE_BYTES = 256 * 1024 };

/* An early reply (413, 401) makes the server stop reading: then the reply is what counts. */
static enum err_code write_all(struct wire *wire, const struct http_call *call, struct str bytes,
                               bool is_body, struct err *err)
{
    size_t at = 0, done;
    while (at < bytes.len) {
        size_t part = bytes.len - at < WRITE_BYTES ? bytes.len - at : WRITE_BYTES;
        const struct iovec piece = {(char *)(uintptr_t)bytes.ptr + at, part};
        enum err_code rc = wire_write(wire, &piece, 1, &done, err);
        if (rc)
            return is_body && rc == ERR_UNAVAILABLE ? ERR_OK : rc;
        at += done;
        if (is_body && call->progress && done)
            call->progress(call->progress_arg, at, bytes.len);
    }
    return ERR_OK;
}

static enum err_code read_reply(struct wire *wire, struct http_reply *reply, struct err *err)
{
    char *bytes = malloc(READ_BYTES);
    bool is_end = false;
    enum err_code rc = ERR_OK;
    if (!bytes)
        abort();
    while (!rc && !reply->is_done && !is_end) {
        size_t got;
        rc = wire_read(wire, bytes, READ_BYTES, &got, &is_end, err);
        if (!rc && got)
            rc = http_reply_put(reply, bytes, got, err);
    }
    free(bytes);
    return rc || reply->is_done ? rc : http_reply_end(reply, err);
}

static void write_head(const struct http_call *call, const struct wire_place *place,
                       struct buf *out)
{
    buf_text(out, call->method);
    buf_char(out, ' ');
    buf_str(out, call->target);
    buf_lit(out, " HTTP/1.1\r\nHost: ");
    if (call->unix_path)
        buf_lit(out, "localhost");
    else
        buf_str(out, place->authority);
    buf_lit(out, "\r\nConnection: close\r\n");
    if (call->body.len || strcmp(call->method, "GET") != 0) {
        buf_lit(out, "Content-Length: ");
        buf_u64(out, call->body.len);
        buf_lit(out, "\r\n");
    }
    for (int i = 0; i < call->header_count; i++) {
        buf_str(out, call->headers[i].name);
        buf_lit(out, ": ");
        buf_str(out, call->headers[i].value);
        buf_lit(out, "\r\n");
    }
    buf_lit(out, "\r\n");
}

static enum err_code parse_url(const struct http_call *call, struct wire_place *place,
                               struct err *err)
{
    enum err_code rc = wire_place_parse(call->url, place, err);
    if (rc || place->base.len == 0)
        return rc;
    err_set(err, ERR_INVALID, "'%s' is not a server's URL", call->url);
    return err_hint(err, "write http://host:port or https://host:port");
}

static enum err_code open_wire(const struct http_call *call, struct wire *wire,
                               const struct wire_place *place, SSL_CTX **tls, struct err *err)
{
    if (call->unix_path)
        return wire_open_unix(wire, call->unix_path, err);
    enum err_code rc = place->is_tls ? tls_client_new(&call->tls, tls, err) : ERR_OK;
    return rc ? rc : wire_open(wire, place, *tls, err);
}

static enum err_code exchange(struct wire *wire, const struct http_call *call,
                              const struct wire_place *place, struct http_reply *reply,
                              struct err *err)
{
    struct buf head;
    buf_init(&head, 2 * 1024 * 1024);
    write_head(call, place, &head);
    enum err_code rc = head.is_full ? err_set(err, ERR_LIMIT, "the request's headers are too long")
                                    : write_all(wire, call, buf_view(&head), false, err);
    buf_done(&head);
    if (!rc)
        rc = write_all(wire, call, call->body, true, err);
    return rc ? rc : read_reply(wire, reply, err);
}

enum err_code http_call_run(const struct http_call *call, struct arena *arena,
                            struct http_result *result, struct err *err)
{
    struct wire_place place = {0};
    SSL_CTX *tls = NULL;
    struct wire wire = {
        .fd = -1,
        .where = call->unix_path ? call->unix_path : call->url,
        .deadline_ns = clock_monotonic_ns() + call->timeout_ms * 1000000,
        .may_connect = call->may_connect,
        .is_cancelled = call->is_cancelled,
    };
    struct http_reply reply;
    *result = (struct http_result){0};
    buf_init(&result->body, call->reply_bytes_max);
    http_reply_begin(&reply, wire.where, strcmp(call->method, "HEAD") == 0, result);
    enum err_code rc = call->unix_path ? ERR_OK : parse_url(call, &place, err);
    if (!rc)
        rc = open_wire(call, &wire, &place, &tls, err);
    if (!rc)
        rc = exchange(&wire, call, &place, &reply, err);
    if (!rc)
        http_reply_headers(&reply, arena);
    if (rc)
        buf_done(&result->body);
    wire_close(&wire);
    SSL_CTX_free(tls);
    http_reply_done(&reply);
    return rc;
}
