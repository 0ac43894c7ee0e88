/* buf.c - growing a buffer, and appending numbers and JSON strings. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { CAPACITY_MIN = 256 };

void buf_init(struct buf *buf, size_t bytes_max)
{
    *buf = (struct buf){.bytes_max = bytes_max};
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.bytes_max = buf->bytes_max};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->is_full = false;
}

bool buf_reserve_slow(struct buf *buf, size_t bytes)
{
    if (bytes > buf->bytes_max - buf->len) {
        buf->is_full = true;
        return false;
    }
    size_t need = buf->len + bytes;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity > CAPACITY_MIN / 2 ? buf->capacity : CAPACITY_MIN / 2;
    do
        capacity = capacity > buf->bytes_max / 2 ? buf->bytes_max : 2 * capacity;
    while (capacity < need);
    buf->data = realloc(buf->data, capacity + 1); /* one more: the NUL of buf_c() */
    if (!buf->data)
        abort();
    buf->capacity = capacity;
    return true;
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = buf->data ? buf->capacity - buf->len + 1 : 0;
    int size = vsnprintf(buf->data ? buf->data + buf->len : NULL, room, fmt, args);
    va_end(args);
    assert(size >= 0);
    if ((size_t)size >= room) {
        if (!buf_reserve(buf, (size_t)size))
            return;
        if (size == 0)
            return;
        va_start(args, fmt);
        vsnprintf(buf->data + buf->len, (size_t)size + 1, fmt, args);
        va_end(args);
    }
    buf->len += (size_t)size;
}

/* Numbers are written in place when there is room for the longest, which is nearly always. */
#define APPEND_NUMBER(buf, from, value)                                                            \
    do {                                                                                           \
        if ((buf)->capacity - (buf)->len >= STR_NUMBER_BYTES) {                                    \
            (buf)->len += from((value), (buf)->data + (buf)->len);                                 \
        } else {                                                                                   \
            char text[STR_NUMBER_BYTES];                                                           \
            buf_append((buf), text, from((value), text));                                          \
        }                                                                                          \
    } while (0)

void buf_f32(struct buf *buf, float value)
{
    APPEND_NUMBER(buf, str_from_f32, value);
}

void buf_f64(struct buf *buf, double value)
{
    APPEND_NUMBER(buf, str_from_f64, value);
}

void buf_i64(struct buf *buf, int64_t value)
{
    APPEND_NUMBER(buf, str_from_i64, value);
}

void buf_u64(struct buf *buf, uint64_t value)
{
    APPEND_NUMBER(buf, str_from_u64, value);
}

static bool is_plain_in_json(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void escape_ascii(struct buf *buf, char c)
{
    static const char *const names[] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
        ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t",
    };
    const char *name = (size_t)c < ARRAY_LEN(names) ? names[(size_t)c] : NULL;
    char unicode[6] = {'\\', 'u', '0', '0'};
    if (name) {
        buf_append(buf, name, 2);
        return;
    }
    str_hex(&c, 1, unicode + 4);
    buf_append(buf, unicode, sizeof(unicode));
}

/* Appends what stands at s[i], which is not plain, and returns its length in bytes. */
static size_t append_unplain(struct buf *buf, struct str s, size_t i)
{
    size_t size = 1;
    if ((unsigned char)s.ptr[i] < 0x80) {
        escape_ascii(buf, s.ptr[i]);
    } else if ((size = str_utf8_sequence(s.ptr + i, s.len - i)) > 0) {
        buf_append(buf, s.ptr + i, size);
    } else {
        buf_lit(buf, "\xEF\xBF\xBD");
        size = 1;
    }
    return size;
}

void buf_json_piece(struct buf *buf, struct str s)
{
    size_t i = 0;
    while (i < s.len) {
        size_t start = i;
        while (i < s.len && is_plain_in_json((unsigned char)s.ptr[i]))
            i++;
        buf_append(buf, s.ptr + start, i - start);
        if (i < s.len)
            i += append_unplain(buf, s, i);
    }
}

void buf_json_str(struct buf *buf, struct str s)
{
    buf_char(buf, '"');
    buf_json_piece(buf, s);
    buf_char(buf, '"');
}

const char *buf_c(struct buf *buf)
{
    if (buf->is_full || !buf->data)
        return "";
    buf->data[buf->len] = '\0';
    return buf->data;
}
