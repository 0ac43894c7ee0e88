/* http_reply.h - an HTTP/1.1 reply as a client reads it, by llhttp: Content-Length, chunked, or
 * until the connection ends; interim replies (1xx) are passed over.
 */
#ifndef SLIPWAY_NET_HTTP_REPLY_H
#define SLIPWAY_NET_HTTP_REPLY_H

#include <llhttp.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/http.h"

enum {
    HTTP_REPLY_HEAD_BYTES_MAX = 256 * 1024, /* names and values of all headers */
    HTTP_REPLY_INTERIM_MAX = 16,            /* 1xx before the reply itself */
};

struct http_result {
    int status;
    struct str content_type; /* in the arena given to http_reply_headers */
    int header_count;
    struct http_header headers[HTTP_HEADERS_MAX];
    struct buf body; /* the caller has begun it, with its limit */
};

struct http_reply {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    const char *where; /* for messages */
    struct http_result *result;
    struct buf head; /* "name\0value\0" pairs */
    int interim_count;
    bool is_in_value, is_interim, is_head;
    bool is_done;      /* out: it is whole */
    bool is_last;      /* out: the connection is of no more use */
    bool has_begun;    /* out: at least one byte of it has come */
    bool is_too_large; /* of what Content-Length says */
};

/* `is_head`: it answers HEAD, so it has the length of a body and no body. */
void http_reply_begin(struct http_reply *reply, const char *where, bool is_head,
                      struct http_result *result);
void http_reply_done(struct http_reply *reply);

/* More bytes. ERR_LIMIT past a limit, ERR_INVALID when they are not HTTP. */
enum err_code http_reply_put(struct http_reply *reply, const char *bytes, size_t size,
                             struct err *err);

/* The other side has closed. ERR_UNAVAILABLE when the reply is not whole. */
enum err_code http_reply_end(struct http_reply *reply, struct err *err);

/* The headers into the arena and into the result. */
void http_reply_headers(struct http_reply *reply, struct arena *arena);

#endif
