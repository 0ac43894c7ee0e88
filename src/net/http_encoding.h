/* http_encoding.h - gzip and deflate (zlib) of bodies, with limits. Inside net/ only. */
#ifndef SLIPWAY_NET_HTTP_ENCODING_H
#define SLIPWAY_NET_HTTP_ENCODING_H

#include "base/buf.h"
#include "base/err.h"

enum http_coding { HTTP_CODING_IDENTITY, HTTP_CODING_GZIP, HTTP_CODING_DEFLATE };

/* A body may unpack to INFLATE_FREE_BYTES, and past that to INFLATE_RATIO_MAX times its size. */
enum { INFLATE_RATIO_MAX = 200, INFLATE_FREE_BYTES = 1024 * 1024 };

/* Replies beyond this are sent as they are: packing one would hold up the loop for too long. */
enum { COMPRESS_BYTES_MAX = 1024 * 1024 };

/* Unpack a whole body, appending to `out`, whose bytes_max is the limit. ERR_LIMIT past it or the
 * ratio, ERR_INVALID when the bytes are broken, end early or go on behind the end. Several gzip
 * members are one body. Deflate is also taken without its zlib wrapper, as some clients send it. */
enum err_code http_inflate(enum http_coding coding, struct str body, struct buf *out,
                           struct err *err);

/* What an Accept-Encoding header (RFC 9110, 12.5.3) prefers among gzip, deflate and identity:
 * the highest weight; of equals the first named; identity when nothing else is asked for. */
enum http_coding http_choose_coding(struct str accept_encoding);

/* Pack `body` into `out`; false when it would not become smaller or is too large for a loop. */
bool http_deflate(enum http_coding coding, struct str body, struct buf *out);

#endif
