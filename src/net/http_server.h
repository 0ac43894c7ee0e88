/* http_server.h - N loop threads, each with its own SO_REUSEPORT listeners, and their graceful end.
 *
 *     accept -> [tls] -> llhttp -> admit(head) -> body, inflated -> handle(exchange) -> http_reply
 *
 * Requests that arrive together are handled together and their replies leave in one write. While
 * an exchange is unanswered, its connection reads no further; others go on.
 *
 * What the limits say is enforced here, before bytes are kept: a request past one is answered with
 * the status and text that `refuse` gives, and the connection is closed.
 */
#ifndef SLIPWAY_NET_HTTP_SERVER_H
#define SLIPWAY_NET_HTTP_SERVER_H

#include "base/err.h"
#include "net/http.h"
#include "net/listeners.h"
#include "net/loop.h"

enum { HTTP_THREADS_MAX = 64, HTTP_LISTEN_MAX = 16 };

struct http_limits {
    size_t head_bytes_max;     /* request line and headers together -> 431 */
    size_t body_bytes_max;     /* default for routes that say nothing else -> 413 */
    size_t inflated_bytes_max; /* of a compressed body -> 413 */
    int chunks_max;            /* non-empty chunks of one body -> 413 */
    int connections_max;       /* per loop thread; past it: accepted and closed at once, counted */
    int streams_max;           /* HTTP/2: unanswered requests of one connection */
    int pipeline_max;          /* requests handled from one read before others get their turn */
    size_t output_bytes_max;   /* unsent replies per connection before it reads no further */
    size_t memory_bytes_max;   /* arena of one exchange */
    size_t compress_bytes_min; /* replies below this are never compressed */
    int64_t head_timeout_ms, body_timeout_ms, idle_timeout_ms,
        write_timeout_ms;   /* -> 408 or close */
    int64_t tls_timeout_ms; /* of a handshake */
};

/* What net could not parse or accept: api/problem.c turns it into a body. */
struct http_refusal {
    int status;          /* 400, 408, 413, 415, 431, 501, 505 */
    const char *message; /* what, expected, got */
    const char *hint;
};

/* What a head alone decides, before any byte of the body is taken (and before 100-continue). */
struct http_admission {
    size_t body_bytes_max; /* in: the default; out: this route's */
    bool is_refused;       /* out: answer now; x->response is filled; the connection closes */
    bool is_streamed;      /* out: call handle now; it takes the body as it comes. HTTP/2 only */
};

/* PEM files. */
struct http_tls {
    const char *cert_path, *key_path; /* the server's own */
    const char *client_ca_path;       /* roots of clients' certificates; NULL: none are asked for */
    const char *client_crl_path;      /* what their issuers have revoked; NULL: nothing */
    bool is_client_optional;          /* a client without a certificate is welcome too */
};

struct http_server_config {
    const char *const *listen; /* [listen_count] "127.0.0.1:8080", "[::]:8443", "0.0.0.0:80" */
    int listen_count;
    const char *unix_path; /* NULL: none. Mode 0600, replaced when stale, removed at the end */
    struct inherited *inherited; /* sockets that are open already; NULL: none. The caller's */
    struct http_tls tls;         /* cert_path NULL: plain TCP. Unix sockets are plain */
    struct str tls_tickets; /* what http_server_tickets wrote in the process before; or empty */
    int thread_count;       /* 1..HTTP_THREADS_MAX */
    struct http_limits limits;

    void *context; /* handed to the functions below */
    void *(*thread_new)(void *context, int thread_index, struct loop *loop);
    void (*thread_free)(void *thread);
    void (*admit)(struct http_exchange *x, struct http_admission *admission);
    void (*handle)(struct http_exchange *x); /* answers with http_reply, now or later */
    void (*refuse)(const struct http_refusal *refusal, const struct http_request *request,
                   struct http_response *response);
    void (*conn_user_free)(void *conn_user); /* (optional) */
};

/* Counters of all threads, summed now. */
struct http_stats {
    uint64_t accepted, refused, open, requests, bytes_in, bytes_out, timeouts, parse_errors,
        tls_errors;
    uint64_t tls_handshakes, tls_resumed; /* full ones; shortened ones */
    int64_t tls_expires_us;               /* of the certificate, wall time; 0: plain TCP */
};

struct http_server;

/* Bind everything, then start the threads. ERR_IO names the address that could not be bound and
 * why ("already in use: is another slipway running?"). */
enum err_code http_server_start(const struct http_server_config *config,
                                struct http_server **server, struct err *err);

/* The port the first TCP listener got (for "127.0.0.1:0"). */
int http_server_port(const struct http_server *server);

/* What lets clients resume their sessions in the process after this one: secret lines of text.
 * Nothing over plain TCP. */
void http_server_tickets(const struct http_server *server, struct buf *out);

/* What it listens on, to be handed to the process after this one. Returns how many. */
struct http_socket {
    const char *listen; /* as configured; "": the Unix socket */
    int fd;             /* the server's */
    bool is_ours;       /* its file is */
};
int http_server_sockets(const struct http_server *server,
                        struct http_socket sockets[LISTENERS_MAX]);

int http_server_thread_count(const struct http_server *server);
struct loop *http_server_loop(const struct http_server *server, int thread_index);
void http_server_stats(struct http_server *server, struct http_stats *stats);

/* Read the files of `tls` again (SIGHUP). On failure the old ones stay. Any thread. */
enum err_code http_server_reload_tls(struct http_server *server, struct err *err);

/* Somebody else accepts from the same sockets: stop accepting here, and ask clients to come back
 * there (replies say Connection: close, HTTP/2 GOAWAY). Nothing idle is closed, because its client
 * may be sending at this moment: http_server_stop does so, a while later. */
void http_server_retire(struct http_server *server);

/* Stop accepting, let running exchanges finish (replies say Connection: close), close the idle at
 * once and the rest after `timeout_ms`. Returns when all threads have ended; frees the server. */
void http_server_stop(struct http_server *server, int64_t timeout_ms);

#endif
