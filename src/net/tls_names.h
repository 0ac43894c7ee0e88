/* tls_names.h - whom a certificate names, in the form that keys are bound to. Inside net/ only. */
#ifndef SLIPWAY_NET_TLS_NAMES_H
#define SLIPWAY_NET_TLS_NAMES_H

#include <openssl/types.h>

#include "net/http.h"

/* Names with bytes below 0x20, too long ones, and those past HTTP_CERTIFICATE_NAMES_MAX are left
 * out. Free with tls_names_free. */
struct http_certificate *tls_names_of(const X509 *certificate);
void tls_names_free(struct http_certificate *names); /* NULL is allowed */

/* notAfter as wall time; 0 when it cannot be read: it has ended. */
int64_t tls_expires_us(const X509 *certificate);

#endif
