/* str.h - text as (pointer, length), and numbers to and from text, locale-free.
 *
 * A struct str borrows its bytes; whoever made it says how long they live. It need not end in a
 * NUL and may contain any byte.
 */
#ifndef SLIPWAY_BASE_STR_H
#define SLIPWAY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* bytes */
};

/* For printf: printf("%.*s", STR_ARG(s)). Lengths past INT_MAX never get here: all texts from
 * outside are shorter than that by their limits. */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""
#define STR_LIT(literal) ((struct str){"" literal, sizeof(literal) - 1})

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_equal_c(struct str a, const char *text)
{
    return str_equal(a, str_of(text));
}

/* ASCII case ignored, as HTTP header names and option values need. */
bool str_equal_nocase(struct str a, struct str b);

bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);

/* Does the pattern stand for this text? '*' is any bytes, also none; every other byte is itself. */
bool str_matches(const char *pattern, const char *text);

/* Without spaces and tabs at both ends. */
struct str str_trim(struct str s);

/* The part before the next `separator`; *rest moves behind it. False when *rest was used up (an
 * empty last part counts as a part). Begin with *rest = the whole, rest->ptr not NULL. */
bool str_split(struct str *rest, char separator, struct str *part);

/* Whole text as a number; false (and *out untouched) on empty, trailing bytes or overflow.
 * str_to_f64 takes decimal and exponent forms ("5", "-.5", "1e-7", "+3."), also "inf", "infinity",
 * "-inf" and "nan" in any case; it rounds correctly, and what is too large for a double fails. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
bool str_to_f64(struct str s, double *out);

/* Bytes with an optional suffix K, M, G (powers of 1024): "64K". */
bool str_to_size(struct str s, uint64_t *out);

/* A span of time in microseconds: a whole number >= 0 and its unit, ms s m h d: "30s", "3d". */
bool str_to_span_us(struct str s, int64_t *out);

/* Shortest decimal text that reads back as the same float / double: 0.5, 12345.678, 1e-7, 3.0 (NaN
 * and infinities become null, the JSON habit). No NUL; the bytes written are returned; `out` has
 * STR_NUMBER_BYTES. */
enum { STR_NUMBER_BYTES = 32 };
size_t str_from_f32(float value, char *out);
size_t str_from_f64(double value, char *out);
size_t str_from_i64(int64_t value, char *out);
size_t str_from_u64(uint64_t value, char *out);

/* Lower-case hex of bytes[0..size) into out[0..2*size), no NUL; and back (false on a bad digit). */
void str_hex(const void *bytes, size_t size, char *out);
bool str_unhex(struct str hex, void *bytes, size_t size);

/* Valid UTF-8 without overlong forms or surrogates (RFC 3629)? */
bool str_is_utf8(struct str s);

/* Bytes of the valid multi-byte UTF-8 sequence at `text`, where `room` bytes are readable; 0 when
 * there is none (ASCII is no multi-byte sequence). */
size_t str_utf8_sequence(const char *text, size_t room);

/* A name of a model, alias, key or field chosen by people, safe in paths, URLs and logs:
 * [A-Za-z0-9][A-Za-z0-9._-]{0,63}. The one function that decides. */
enum { STR_NAME_BYTES_MAX = 64 };
bool str_is_name(struct str s);

#endif
