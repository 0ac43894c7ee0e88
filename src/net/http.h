/* http.h - HTTP/1.1 request and response values, and the exchange that joins them.
 *
 * An exchange belongs to one loop thread for life. Its request's texts point into the connection's
 * input or into the exchange's arena and stay valid until http_reply() returns.
 */
#ifndef SLIPWAY_NET_HTTP_H
#define SLIPWAY_NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    HTTP_HEADERS_MAX = 100,
    HTTP_TARGET_BYTES_MAX = 8 * 1024,
};

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER,
};

struct http_header {
    struct str name; /* as sent; compare without case */
    struct str value;
};

/* Headers the data path reads on every request, found while parsing; ptr NULL when absent. */
struct http_known_headers {
    struct str host, content_type, content_encoding, accept_encoding, authorization, origin,
        x_request_id, traceparent, inference_header_content_length, sec_fetch_site;
};

struct http_request {
    enum http_method method;
    struct str target; /* as sent: path and query */
    struct str path;   /* before '?', still percent-encoded */
    struct str query;  /* behind '?', or empty */
    int header_count;
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_known_headers known;
    struct str body; /* whole and inflated */
};

/* Whom a client's certificate names, which the handshake has verified; the most specific first:
 * "sha256:<64 hex digits>" of the certificate itself, "uri:..." and "dns:..." as it has them,
 * "cn:..." when it has exactly one. */
enum { HTTP_CERTIFICATE_NAMES_MAX = 16, HTTP_CERTIFICATE_NAME_BYTES_MAX = 255 };
struct http_certificate {
    int64_t expires_us; /* wall time */
    int name_count;
    const char *names[HTTP_CERTIFICATE_NAMES_MAX];
};

/* Who is on the other end, as far as the socket says. */
struct http_peer {
    bool is_unix; /* uid, gid, pid are the kernel's word (SO_PEERCRED) */
    bool is_tls;
    bool is_loopback; /* 127.0.0.0/8 or ::1, or unix */
    bool is_http2;    /* several exchanges at a time; replies may have trailers */
    uid_t uid;
    gid_t gid;
    pid_t pid;
    char address[64];                           /* "127.0.0.1:51234", "[::1]:51234", "unix" */
    const struct http_certificate *certificate; /* of a TLS client that has shown one; or NULL */
};

struct http_response {
    int status;               /* 200 when the handler leaves it alone */
    const char *content_type; /* a literal or arena text; NULL leaves the header out */
    struct buf headers;       /* extra lines, each "Name: value\r\n"; see http_add_header */
    struct buf body;
    struct buf trailers; /* lines as in headers, sent behind the body; HTTP/1 leaves them out */
    bool is_closing;     /* send "Connection: close" and close after it */
};

struct http_conn;

struct http_exchange {
    struct http_request request;
    struct http_response response;
    struct arena *arena;    /* this exchange's memory, bounded by request_memory_bytes_max */
    struct http_conn *conn; /* net/ only */
    const void *self;       /* net/ only: where net has made it; a copy of it stands elsewhere */
    void *thread;           /* what http_server_config.thread_new returned for this loop thread */
    const struct http_peer *peer;
    int64_t start_ns; /* clock_monotonic_ns() when the head was complete */
    void *user;       /* the handler's own, NULL at first */
    void *conn_user;  /* in/out: the handler's cache for this connection, NULL at first */

    /* Streams. Over HTTP/2, when admission said is_streamed, the handler is called when the head is
     * there; over HTTP/1 it makes a WebSocket with http_upgrade. `receive`, which it sets, is
     * called when request.body, what was not taken yet (of a WebSocket one message), has grown or
     * nothing will follow (is_request_over). Not after http_reply. */
    void (*receive)(struct http_exchange *x);
    bool is_request_over;

    /* Set by a handler that answers later: called on the loop thread if the client goes away
     * first (for which it is watched then). The handler must still call http_reply(), which then
     * sends nothing. */
    void (*cancel)(struct http_exchange *x);
};

/* A header by name without case; ptr NULL when absent. The first, when sent twice. */
struct str http_find_header(const struct http_request *request, const char *name);

/* The bytes of its head have moved from `from` to `to`: let its texts follow. */
void http_request_move(struct http_request *request, const char *from, const char *to);

/* Add a response header. Bytes below 0x20 in the value are dropped, so no value can forge one. */
void http_add_header(struct http_response *response, const char *name, struct str value);

/* The exchange is answered: write response, recycle everything. Call exactly once per exchange, on
 * its loop thread, from inside the handler or later. `x` is gone afterwards. */
void http_reply(struct http_exchange *x);

/* From the handler: the exchange becomes a WebSocket. ERR_UNSUPPORTED and ERR_INVALID say what the
 * request lacks; it is answered as any other then. */
enum err_code http_upgrade(struct http_exchange *x, struct err *err);

/* Streams: the first bytes of request.body were used (of a WebSocket all). */
void http_take(struct http_exchange *x, size_t bytes);

/* Streams: what is in the response goes out, more follows; http_reply ends it. The body's bytes
 * that left are gone from it; headers count the first time only. A WebSocket's message each. */
void http_send(struct http_exchange *x);

/* Bytes of the response that the client has not taken yet. */
size_t http_unsent(const struct http_exchange *x);

/* The file descriptor that came with the request over a Unix socket, by HTTP/1; the caller's from
 * here on. -1: none did. */
int http_take_fd(struct http_exchange *x);

/* Write the response now, but leave the exchange's memory alone: somebody else still uses it. From
 * a handler that answers later only; http_reply() follows, on the same thread, and sends nothing.
 * The exchange's peer may be gone from here on. */
void http_answer(struct http_exchange *x);

/* Compress the response's body now, if its client wants that, and not when it is sent: large ones,
 * on a thread that has time. Nothing is added to the body afterwards. Exchanges that net has not
 * made are left as they are. */
void http_pack(struct http_exchange *x);

/* Percent-decode `in` into the arena. ERR_INVALID on a bad escape, a NUL or bytes that are not
 * UTF-8; ERR_LIMIT when the arena is full. '+' stays '+'. */
enum err_code http_decode_path(struct str in, struct arena *arena, struct str *out,
                               struct err *err);

/* The decoded value of `name` in a query; false when absent. '+' becomes a space. */
bool http_query_find(struct str query, const char *name, struct arena *arena, struct str *out);

const char *http_method_name(enum http_method method);
const char *http_status_text(int status); /* "Not Found" */

#endif
