/* http_link.h - calls of one HTTP/1.1 server, one after another, over a connection that is kept.
 *
 * A connection that was kept may have been closed by the other side meanwhile; a call that finds it
 * so, before a byte of its reply has come, is made once more on a new one. Redirects are not
 * followed, proxies not used: the site is the operator's own word. A link belongs to one thread at
 * a time.
 */
#ifndef SLIPWAY_NET_HTTP_LINK_H
#define SLIPWAY_NET_HTTP_LINK_H

#include "net/http_reply.h"
#include "net/wire.h"

enum {
    HTTP_LINK_PIECES_MAX = 64,          /* handed to the kernel at a time */
    HTTP_LINK_KEEP_BYTES = 1024 * 1024, /* of the reply's memory, between calls */
};

/* Where links go; lives longer than they do. */
struct http_site {
    const char *where; /* for messages */
    struct wire_place place;
    SSL_CTX *tls;           /* NULL when the place is not TLS */
    int64_t connect_ns_max; /* of the call's time, for a new connection */
    size_t reply_bytes_max;
};

struct http_link {
    const struct http_site *site;
    struct wire wire;
    struct buf reply; /* the last reply's body */
    char *bytes;      /* what is being read; NULL until then */
};

/* A link that is not open yet. */
void http_link_init(struct http_link *link, const struct http_site *site);
void http_link_close(struct http_link *link); /* it can be used again */

struct http_link_call {
    const char *method;     /* "POST" */
    struct str target;      /* behind the site's base, percent-encoded: "/v2/models/churn/infer" */
    struct str headers;     /* whole lines, each ended by CR LF */
    const struct str *body; /* [body_count] pieces, sent as they lie in memory */
    int body_count;
    int64_t deadline_ns;              /* by clock_monotonic_ns */
    const _Atomic bool *is_cancelled; /* or NULL */
};

/* result->body lives in the link until its next call, its other texts in the arena; any status is a
 * result. *was_reached tells whether a connection was made: before that ERR_UNAVAILABLE and
 * ERR_TIMEOUT mean that nobody is there. Else ERR_UNAVAILABLE when the connection is closed too
 * early, ERR_INVALID when the reply is no HTTP, ERR_LIMIT, ERR_TIMEOUT, ERR_CANCELLED. */
enum err_code http_link_run(struct http_link *link, const struct http_link_call *call,
                            struct arena *arena, struct http_result *result, bool *was_reached,
                            struct err *err);

#endif
