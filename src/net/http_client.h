/* http_client.h - one blocking HTTP/1.1 call over TCP, TLS or a Unix socket, for the command line.
 *
 * No redirects, no proxies, no cookies: the address is the caller's own word. A server that calls
 * others says with may_connect which addresses a name may lead to; it is asked for the very address
 * that is connected to, so that a name cannot change its mind in between.
 */
#ifndef SLIPWAY_NET_HTTP_CLIENT_H
#define SLIPWAY_NET_HTTP_CLIENT_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/http_reply.h"

/* PEM files of a client of TLS. */
struct http_tls_client {
    const char *ca_path;              /* trusted roots; NULL: the system's */
    const char *cert_path, *key_path; /* its own; NULL: none, and the key in cert_path's file */
};

struct http_call {
    const char *url; /* "http://127.0.0.1:8080", "https://host:8443", or NULL with unix_path */
    const char *unix_path; /* or NULL */
    struct http_tls_client tls;
    const char *method;                /* "POST" */
    struct str target;                 /* "/api/models?x=1" */
    const struct http_header *headers; /* [header_count], sent as they are */
    int header_count;
    struct str body;
    int64_t timeout_ms;                                  /* whole call */
    bool (*may_connect)(const struct sockaddr *address); /* (optional) */
    const _Atomic bool *is_cancelled; /* (optional) once true the call fails: ERR_CANCELLED */
    size_t reply_bytes_max;
    void (*progress)(void *arg, uint64_t sent, uint64_t total); /* (optional) while uploading */
    void *progress_arg;
};

/* The result's body is freed with buf_done, its texts are in the arena.
 *
 * ERR_UNAVAILABLE when nobody answers at the address (the message names it), ERR_TIMEOUT,
 * ERR_LIMIT, ERR_INVALID for a bad URL or a reply that is not HTTP. A status >= 400 is a result. */
enum err_code http_call_run(const struct http_call *call, struct arena *arena,
                            struct http_result *result, struct err *err);

#endif
