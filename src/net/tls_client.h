/* tls_client.h - the client's side of TLS: whom it trusts, what it shows. */
#ifndef SLIPWAY_NET_TLS_CLIENT_H
#define SLIPWAY_NET_TLS_CLIENT_H

#include <openssl/types.h>

#include "base/err.h"
#include "net/http_client.h"

/* TLS 1.2 and later; the server's certificate is verified. Free with SSL_CTX_free. */
enum err_code tls_client_new(const struct http_tls_client *config, SSL_CTX **context,
                             struct err *err);

/* A connection on socket `fd` to `host`, whose name or address the certificate must have. The
 * caller calls SSL_connect and frees it. */
enum err_code tls_client_open(SSL_CTX *context, int fd, const char *host, SSL **connection,
                              struct err *err);

/* Why it failed; `where` is for the message. ERR_UNAVAILABLE. */
enum err_code tls_client_failed(const SSL *connection, const char *where, struct err *err);

#endif
