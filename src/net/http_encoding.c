/* http_encoding.c - zlib around whole bodies; Accept-Encoding read as RFC 9110 says. */
#include "net/http_encoding.h"

#include <string.h>
#include <zlib.h>

#include "base/check.h"

/* windowBits: 15 is the largest window, +16 asks for the gzip wrapper instead of zlib's. */
enum { WINDOW_ZLIB = 15, WINDOW_GZIP = 15 + 16, STEP_BYTES = 64 * 1024, LEVEL = 1, MEMORY = 8 };

static int window_of(enum http_coding coding)
{
    return coding == HTTP_CODING_GZIP ? WINDOW_GZIP : WINDOW_ZLIB;
}

static enum err_code too_large(const struct buf *out, struct err *err)
{
    return err_set(err, ERR_LIMIT, "the unpacked body is larger than %zu bytes", out->bytes_max);
}

static enum err_code not_valid(struct err *err)
{
    err_set(err, ERR_INVALID, "the body is not what its Content-Encoding says, or it ends early");
    return err_hint(err, "deflate means the zlib format (RFC 1950), gzip RFC 1952");
}

/* Room for one more step of output, at most up to the limit; NULL past it. */
static char *next_room(struct buf *out, size_t *room)
{
    size_t left = out->bytes_max - out->len;
    *room = left < STEP_BYTES ? left : STEP_BYTES;
    if (*room == 0 || !buf_reserve(out, *room))
        return NULL;
    return out->data + out->len;
}

static enum err_code inflate_all(z_stream *z, enum http_coding coding, struct buf *out,
                                 struct err *err)
{
    for (;;) {
        size_t room;
        char *to = next_room(out, &room);
        unsigned char probe;
        z->next_out = to ? (unsigned char *)to : &probe;
        z->avail_out = to ? (unsigned)room : 1;
        int rc = inflate(z, Z_NO_FLUSH);
        if (!to && z->avail_out == 0)
            return too_large(out, err);
        if (to)
            out->len += room - z->avail_out;
        if (rc == Z_STREAM_END) {
            if (z->avail_in == 0)
                return ERR_OK;
            if (coding != HTTP_CODING_GZIP || inflateReset(z) != Z_OK)
                return not_valid(err);
        } else if (rc != Z_OK || (z->avail_in == 0 && z->avail_out != 0)) {
            return not_valid(err);
        }
    }
}

enum err_code http_inflate(enum http_coding coding, struct str body, struct buf *out,
                           struct err *err)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)body.ptr, .avail_in = (unsigned)body.len};
    if (body.len == 0)
        return not_valid(err);
    if (inflateInit2(&z, window_of(coding)) != Z_OK)
        return err_set(err, ERR_INTERNAL, "zlib could not start");
    enum err_code rc = inflate_all(&z, coding, out, err);
    inflateEnd(&z);
    return rc;
}

/* ---- Accept-Encoding ---- */

/* "gzip;q=0.5" -> name and weight in thousandths; a broken weight counts as 0. */
static struct str read_weight(struct str item, int *weight)
{
    struct str name, rest = item;
    double q = 1;
    *weight = 1000;
    if (!str_split(&rest, ';', &name))
        return item;
    rest = str_trim(rest);
    if (name.len != item.len && rest.len > 2 && (rest.ptr[0] | 0x20) == 'q' && rest.ptr[1] == '=') {
        struct str digits = {rest.ptr + 2, rest.len - 2};
        *weight = str_to_f64(digits, &q) && q >= 0 && q <= 1 ? (int)(q * 1000) : 0;
    }
    return str_trim(name);
}

enum http_coding http_choose_coding(struct str accept)
{
    struct str item;
    int best = 0, weight, identity = 1;
    enum http_coding coding = HTTP_CODING_IDENTITY;
    if (!accept.ptr || accept.len == 0)
        return HTTP_CODING_IDENTITY;
    while (str_split(&accept, ',', &item)) {
        struct str name = read_weight(str_trim(item), &weight);
        enum http_coding named = HTTP_CODING_IDENTITY;
        if (str_equal_nocase(name, STR_LIT("gzip")) || str_equal_nocase(name, STR_LIT("x-gzip")))
            named = HTTP_CODING_GZIP;
        else if (str_equal_nocase(name, STR_LIT("deflate")))
            named = HTTP_CODING_DEFLATE;
        else if (str_equal_nocase(name, STR_LIT("identity")))
            identity = weight;
        if (named != HTTP_CODING_IDENTITY && weight > best) {
            best = weight;
            coding = named;
        }
    }
    return best >= identity ? coding : HTTP_CODING_IDENTITY;
}

bool http_deflate(enum http_coding coding, struct str body, struct buf *out)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)body.ptr, .avail_in = (unsigned)body.len};
    assert(coding != HTTP_CODING_IDENTITY);
    if (body.len > UINT32_MAX || !buf_reserve(out, body.len))
        return false;
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, window_of(coding), MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    z.next_out = (unsigned char *)out->data + out->len;
    z.avail_out = (unsigned)body.len;
    int rc = deflate(&z, Z_FINISH);
    size_t bytes = body.len - z.avail_out;
    deflateEnd(&z);
    if (rc != Z_STREAM_END)
        return false;
    out->len += bytes;
    return true;
}
