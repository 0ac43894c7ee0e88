/* http_encoding.h - gzip and deflate (zlib) of bodies, with limits. Inside net/ only. */
#ifndef SLIPWAY_NET_HTTP_ENCODING_H
#define SLIPWAY_NET_HTTP_ENCODING_H

#include "base/buf.h"
#include "base/err.h"

enum http_coding { HTTP_CODING_IDENTITY, HTTP_CODING_GZIP, HTTP_CODING_DEFLATE };

/* Unpack a whole body into `out`, whose bytes_max is the limit. ERR_LIMIT past it, ERR_INVALID when
 * the bytes are broken, end early or go on behind the end. Several gzip members are one body. */
enum err_code http_inflate(enum http_coding coding, struct str body, struct buf *out,
                           struct err *err);

/* What an Accept-Encoding header (RFC 9110, 12.5.3) prefers among gzip, deflate and identity. */
enum http_coding http_choose_coding(struct str accept_encoding);

/* Pack `body` into `out`; false when it would not become smaller. */
bool http_deflate(enum http_coding coding, struct str body, struct buf *out);

#endif
