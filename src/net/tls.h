/* tls.h - OpenSSL behind a connection: memory in, memory out. Inside net/ only. */
#ifndef SLIPWAY_NET_TLS_H
#define SLIPWAY_NET_TLS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/http_server.h"
#include "net/tls_ticket.h"

struct tls_context; /* certificates and keys; shared by the connections made with it */
struct tls;         /* one connection */

/* TLS 1.2 and later, server side, ALPN h2 and http/1.1. ERR_INVALID says what is wrong with which
 * file. `tickets` outlives the context. */
enum err_code tls_context_new(const struct http_tls *config, struct tls_tickets *tickets,
                              struct tls_context **context, struct err *err);
void tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);               /* NULL is allowed */
int64_t tls_context_expires_us(const struct tls_context *context); /* its certificate; wall time */

struct tls *tls_new(struct tls_context *context);
void tls_free(struct tls *tls); /* NULL is allowed */

/* Bytes from the socket. */
void tls_put(struct tls *tls, const void *bytes, size_t size);

/* Decrypted bytes: > 0; 0: more is needed; -1: closed by the peer; -2: not TLS, or broken. */
int tls_read(struct tls *tls, void *bytes, int size);

/* After -2: why, in words. */
const char *tls_problem(const struct tls *tls, char *text, size_t size);

/* Encrypt; false when the connection is broken. */
bool tls_write(struct tls *tls, const void *bytes, size_t size);

/* Move what must go to the socket into `out`. */
void tls_take(struct tls *tls, struct buf *out);

bool tls_is_ready(const struct tls *tls); /* the handshake is done */

/* Of a connection that is ready: did it go on with an earlier session? What its client has shown,
 * NULL for nothing; lives as long as `tls`. */
bool tls_is_resumed(const struct tls *tls);
const struct http_certificate *tls_certificate(struct tls *tls);

void tls_close(struct tls *tls); /* say goodbye: then tls_take */

#endif
