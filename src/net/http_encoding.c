/* http_encoding.c - zlib streams over whole bodies, and the q-values of Accept-Encoding. */
#include "net/http_encoding.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/check.h"

/* zlib's windowBits: 15 is the largest window; +16 means gzip, negative no wrapper at all. */
enum { WINDOW_ZLIB = 15, WINDOW_GZIP = 15 + 16, WINDOW_RAW = -15 };
enum { STEP_BYTES = 16 * 1024, MEMORY_LEVEL = 8, Q_ONE = 1000 };

/* ---- Accept-Encoding ---- */

/* "q=0.5" among parameters, in thousandths; without one 1000; unreadable counts as 0. */
static int q_of(struct str params)
{
    struct str part;
    while (str_split(&params, ';', &part)) {
        double q;
        part = str_trim(part);
        if (part.len < 2 || (part.ptr[0] | 0x20) != 'q' || part.ptr[1] != '=')
            continue;
        struct str number = {part.ptr + 2, part.len - 2};
        return str_to_f64(number, &q) && q >= 0 && q <= 1 ? (int)(q * Q_ONE + 0.5) : 0;
    }
    return Q_ONE;
}

/* "gzip;q=0.5" -> name and weight; false when there is no name. */
static bool read_item(struct str item, struct str *name, int *q)
{
    struct str rest = item;
    if (!item.len || !str_split(&rest, ';', name))
        return false;
    *q = name->len == item.len ? Q_ONE : q_of(rest);
    *name = str_trim(*name);
    return name->len > 0;
}

/* What an Accept-Encoding says; -1: nothing. */
struct weights {
    int gzip, deflate, identity, star;
    bool is_deflate_first;
};

static void note_item(struct weights *w, struct str name, int q)
{
    if (str_equal_nocase(name, STR_LIT("gzip")) || str_equal_nocase(name, STR_LIT("x-gzip")))
        w->gzip = q;
    else if (str_equal_nocase(name, STR_LIT("identity")))
        w->identity = q;
    else if (str_equal_c(name, "*"))
        w->star = q;
    else if (str_equal_nocase(name, STR_LIT("deflate"))) {
        w->deflate = q;
        w->is_deflate_first = w->gzip < 0;
    }
}

enum http_coding http_choose_coding(struct str accept_encoding)
{
    struct weights w = {-1, -1, -1, -1, false};
    struct str item, name;
    int q;
    if (accept_encoding.len == 0)
        return HTTP_CODING_IDENTITY;
    while (str_split(&accept_encoding, ',', &item))
        if (read_item(item, &name, &q))
            note_item(&w, name, q);
    if (w.gzip < 0)
        w.gzip = w.star;
    int packed = w.gzip > w.deflate ? w.gzip : w.deflate;
    if (packed <= 0 || packed < w.identity)
        return HTTP_CODING_IDENTITY;
    if (w.gzip == w.deflate)
        return w.is_deflate_first ? HTTP_CODING_DEFLATE : HTTP_CODING_GZIP;
    return w.gzip > w.deflate ? HTTP_CODING_GZIP : HTTP_CODING_DEFLATE;
}

/* ---- unpacking ---- */

static enum err_code refuse_size(struct err *err, size_t bytes_max)
{
    err_set(err, ERR_LIMIT, "the compressed body unpacks to more than %zu bytes", bytes_max);
    return err_hint(err, "send less at a time");
}

static enum err_code check_ratio(size_t in_bytes, size_t out_bytes, struct err *err)
{
    if (out_bytes <= INFLATE_FREE_BYTES || out_bytes / INFLATE_RATIO_MAX <= in_bytes)
        return ERR_OK;
    err_set(err, ERR_LIMIT, "the compressed body unpacks to more than %d times its size",
            INFLATE_RATIO_MAX);
    return err_hint(err, "send it uncompressed");
}

static enum err_code refuse_damaged(struct err *err, const char *what)
{
    err_set(err, ERR_INVALID, "the compressed body is %s", what);
    return err_hint(err, "does Content-Encoding name how it was compressed?");
}

static enum err_code inflate_step(z_stream *z, size_t in_bytes, struct buf *out, int *rc,
                                  struct err *err)
{
    unsigned char step[STEP_BYTES];
    z->next_out = step;
    z->avail_out = sizeof(step);
    *rc = inflate(z, Z_NO_FLUSH);
    buf_append(out, step, sizeof(step) - z->avail_out);
    if (out->is_full)
        return refuse_size(err, out->bytes_max);
    if (*rc == Z_BUF_ERROR)
        return refuse_damaged(err, "cut short");
    if (*rc != Z_OK && *rc != Z_STREAM_END)
        return refuse_damaged(err, "damaged");
    return check_ratio(in_bytes, out->len, err);
}

static enum err_code inflate_members(z_stream *z, int window, struct str in, struct buf *out,
                                     struct err *err)
{
    for (;;) {
        int rc;
        if (inflate_step(z, in.len, out, &rc, err))
            return err->code;
        if (rc != Z_STREAM_END)
            continue;
        if (z->avail_in == 0)
            return ERR_OK;
        if (window != WINDOW_GZIP || inflateReset(z) != Z_OK)
            return refuse_damaged(err, "followed by other bytes");
    }
}

static enum err_code inflate_all(int window, struct str in, struct buf *out, struct err *err)
{
    assert(in.len <= UINT_MAX);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    if (inflateInit2(&z, window) != Z_OK)
        abort();
    enum err_code rc = inflate_members(&z, window, in, out, err);
    inflateEnd(&z);
    return rc;
}

/* RFC 1950: method 8 in the low bits, and the first two bytes a multiple of 31. */
static bool has_zlib_header(struct str in)
{
    const unsigned char *b = (const unsigned char *)in.ptr;
    return in.len >= 2 && (b[0] & 0x0f) == 8 && (b[0] << 8 | b[1]) % 31 == 0;
}

enum err_code http_inflate(enum http_coding coding, struct str in, struct buf *out, struct err *err)
{
    assert(coding != HTTP_CODING_IDENTITY);
    if (coding == HTTP_CODING_GZIP)
        return inflate_all(WINDOW_GZIP, in, out, err);
    return inflate_all(has_zlib_header(in) ? WINDOW_ZLIB : WINDOW_RAW, in, out, err);
}

/* ---- packing ---- */

bool http_deflate(enum http_coding coding, struct str in, struct buf *out)
{
    assert(coding != HTTP_CODING_IDENTITY);
    if (in.len > COMPRESS_BYTES_MAX)
        return false;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    int window = coding == HTTP_CODING_GZIP ? WINDOW_GZIP : WINDOW_ZLIB;
    if (!buf_reserve(out, in.len))
        return false;
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, window, MEMORY_LEVEL, Z_DEFAULT_STRATEGY))
        abort();
    z.next_out = (Bytef *)out->data + out->len;
    z.avail_out = (uInt)in.len;
    bool is_smaller = deflate(&z, Z_FINISH) == Z_STREAM_END;
    out->len += is_smaller ? z.total_out : 0;
    deflateEnd(&z);
    return is_smaller;
}
