/* wire.h - the client's side of one connection: TCP, TLS or a Unix socket, all by a deadline.
 *
 * Nothing here blocks past wire->deadline_ns, or for long once *wire->is_cancelled is true. No
 * redirects, no proxies: the address is the caller's own word.
 */
#ifndef SLIPWAY_NET_WIRE_H
#define SLIPWAY_NET_WIRE_H

#include <openssl/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/str.h"
#include "net/resolve.h"

/* A server's URL taken apart; `authority` and `base` borrow it. */
struct wire_place {
    bool is_tls;
    char host[RESOLVE_HOST_BYTES], port[RESOLVE_PORT_BYTES];
    struct str authority; /* for the Host header */
    struct str base;      /* the path it begins with, without a slash at its end; "" when none */
};

/* "http://127.0.0.1:8080", "https://host:8443/base". ERR_INVALID. */
enum err_code wire_place_parse(const char *url, struct wire_place *place, struct err *err);

struct wire {
    const char *where; /* for messages */
    int fd;            /* -1: not open */
    SSL *ssl;
    int64_t deadline_ns; /* of whatever is done next, by clock_monotonic_ns */
    bool (*may_connect)(const struct sockaddr *address); /* (optional) asked for the very address */
    const _Atomic bool *is_cancelled;                    /* (optional) */
};

/* `tls` (tls_client.h) is for places that are TLS. ERR_UNAVAILABLE when nobody answers there. After
 * a failure the wire may be half open: wire_close. */
enum err_code wire_open(struct wire *wire, const struct wire_place *place, SSL_CTX *tls,
                        struct err *err);
enum err_code wire_open_unix(struct wire *wire, const char *path, struct err *err);
void wire_close(struct wire *wire);

/* Has the other side said nothing since, and not closed? */
bool wire_is_quiet(const struct wire *wire);

/* Some of the pieces, in order; *done bytes were taken, 0 when the call has to be made again with
 * the same pieces. ERR_UNAVAILABLE: the other side has closed. */
enum err_code wire_write(struct wire *wire, const struct iovec *pieces, int count, size_t *done,
                         struct err *err);

/* *got 0: call again, or, with *is_end, the other side has closed. */
enum err_code wire_read(struct wire *wire, char *bytes, size_t size, size_t *got, bool *is_end,
                        struct err *err);

/* Wait until it can be read. */
enum err_code wire_wait(const struct wire *wire, struct err *err);

#endif
