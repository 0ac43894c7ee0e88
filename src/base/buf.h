/* buf.h - growable bytes with a maximum.
 *
 * Every buffer is born with its limit. Appending past it sets `is_full`, drops the bytes and lets
 * the caller check once at the end instead of after each append.
 */
#ifndef SLIPWAY_BASE_BUF_H
#define SLIPWAY_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct buf {
    char *data;           /* owned; NULL until the first byte */
    size_t len, capacity; /* bytes */
    size_t bytes_max;     /* never grows past this */
    bool is_full;         /* something was dropped: the contents are not whole */
};

/* An empty buffer that will hold up to `bytes_max`. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t bytes_max);

/* Free the memory; the buffer can be used again. */
void buf_done(struct buf *buf);

/* Forget the contents, keep the memory. */
void buf_clear(struct buf *buf);

/* Make room for `bytes` more; false (and is_full) past the limit. */
bool buf_reserve_slow(struct buf *buf, size_t bytes);

static inline bool buf_reserve(struct buf *buf, size_t bytes)
{
    return buf->capacity - buf->len >= bytes || buf_reserve_slow(buf, bytes);
}

static inline void buf_append(struct buf *buf, const void *bytes, size_t size)
{
    if (size && buf_reserve(buf, size)) {
        memcpy(buf->data + buf->len, bytes, size);
        buf->len += size;
    }
}

static inline void buf_char(struct buf *buf, char c)
{
    if (buf_reserve(buf, 1))
        buf->data[buf->len++] = c;
}

static inline void buf_str(struct buf *buf, struct str s)
{
    buf_append(buf, s.ptr, s.len);
}

#define buf_lit(buf, literal) buf_append((buf), "" literal, sizeof(literal) - 1)

static inline void buf_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

/* Appended whole or, past the limit, not at all. Numbers as str.h writes them. */
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_f32(struct buf *buf, float value);
void buf_f64(struct buf *buf, double value);
void buf_i64(struct buf *buf, int64_t value);
void buf_u64(struct buf *buf, uint64_t value);

/* `s` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json_str(struct buf *buf, struct str s);

/* The same without the quotes, for text that is put together from pieces. */
void buf_json_piece(struct buf *buf, struct str s);

/* End with a NUL that does not count, and give the text. "" when empty or full. */
const char *buf_c(struct buf *buf);

static inline struct str buf_view(const struct buf *buf)
{
    return (struct str){buf->data, buf->len};
}

#endif
