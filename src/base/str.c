/* str.c - text comparisons, splitting, UTF-8, names, and numbers read from text. */
#include "base/str.h"

#include <endian.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal((struct str){s.ptr, prefix.len}, prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
    if (suffix.len == 0)
        return true;
    return s.len >= suffix.len && memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0;
}

bool str_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

struct str str_trim(struct str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* rest->ptr becomes NULL once the last part has been given. */
bool str_split(struct str *rest, char separator, struct str *part)
{
    if (!rest->ptr)
        return false;
    const char *at = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (!at) {
        *part = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    size_t len = (size_t)(at - rest->ptr);
    *part = (struct str){rest->ptr, len};
    *rest = (struct str){at + 1, rest->len - len - 1};
    return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    uint64_t magnitude;
    bool negative = s.len && s.ptr[0] == '-';
    if (negative)
        s = (struct str){s.ptr + 1, s.len - 1};
    if (!str_to_u64(s, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool str_to_size(struct str s, uint64_t *out)
{
    int shift = 0;
    switch (s.len ? s.ptr[s.len - 1] : '\0') {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
    case 'm':
        shift = 20;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    default:
        break;
    }
    uint64_t value;
    if (shift)
        s.len--;
    if (!str_to_u64(s, &value) || value > UINT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}

bool str_to_span_us(struct str s, int64_t *out)
{
    static const struct {
        struct str suffix;
        int64_t us;
    } units[] = {{STR_LIT("ms"), 1000},
                 {STR_LIT("s"), 1000 * 1000},
                 {STR_LIT("m"), INT64_C(60) * 1000 * 1000},
                 {STR_LIT("h"), INT64_C(3600) * 1000 * 1000},
                 {STR_LIT("d"), INT64_C(86400) * 1000 * 1000}};
    int64_t value;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!str_ends_with(s, units[i].suffix))
            continue;
        struct str digits = {s.ptr, s.len - units[i].suffix.len};
        if (!str_to_i64(digits, &value) || value < 0 ||
            __builtin_mul_overflow(value, units[i].us, &value))
            return false;
        *out = value;
        return true;
    }
    return false;
}

/* A decimal number taken apart: sign, up to 19 significant digits, power of ten. Digits that were
 * left out need no mark: 19 of them are more than a double holds exactly, so the slow way is taken.
 */
struct decimal {
    bool negative;
    uint64_t digits;
    int digit_count; /* significant digits kept in `digits` */
    int64_t exponent;
};

static void decimal_add_digit(struct decimal *d, char c, bool after_point)
{
    if (d->digit_count < 19) {
        d->digits = d->digits * 10 + (uint64_t)(c - '0');
        d->digit_count += d->digits != 0;
        d->exponent -= after_point;
    } else {
        d->exponent += !after_point;
    }
}

/* [+-] digits [. digits] [(e|E) [+-] digits], at least one digit before the exponent. */
static bool decimal_parse(struct str s, struct decimal *d)
{
    const char *p = s.ptr, *end = s.ptr + s.len;
    bool after_point = false;
    int digits = 0;
    *d = (struct decimal){0};
    if (p < end && (*p == '-' || *p == '+'))
        d->negative = *p++ == '-';
    for (; p < end && (is_digit(*p) || (*p == '.' && !after_point)); p++) {
        if (*p == '.') {
            after_point = true;
            continue;
        }
        decimal_add_digit(d, *p, after_point);
        digits++;
    }
    if (digits == 0)
        return false;
    if (p == end)
        return true;
    if (*p != 'e' && *p != 'E')
        return false;
    p++;
    bool minus = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    int64_t exponent = 0;
    if (p == end)
        return false;
    for (; p < end && is_digit(*p); p++)
        exponent = exponent < 1000000 ? exponent * 10 + (*p - '0') : exponent;
    d->exponent += minus ? -exponent : exponent;
    return p == end;
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    assert(c_locale != (locale_t)0);
}

/* Texts past this are refused: 767 digits decide any double, and no honest number is longer. */
enum { NUMBER_TEXT_BYTES_MAX = 1024 };

static bool to_f64_by_libc(struct str s, double *out)
{
    char copy[NUMBER_TEXT_BYTES_MAX + 1];
    if (s.len > NUMBER_TEXT_BYTES_MAX)
        return false;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    pthread_once(&c_locale_once, make_c_locale);
    double value = strtod_l(copy, NULL, c_locale);
    if (isinf(value))
        return false;
    *out = value;
    return true;
}

static bool to_f64_special(struct str s, double *out)
{
    bool negative = s.len && s.ptr[0] == '-';
    if (negative)
        s = (struct str){s.ptr + 1, s.len - 1};
    if (str_equal_nocase(s, STR_LIT("inf")) || str_equal_nocase(s, STR_LIT("infinity"))) {
        *out = negative ? -INFINITY : INFINITY;
        return true;
    }
    if (!negative && str_equal_nocase(s, STR_LIT("nan"))) {
        *out = NAN;
        return true;
    }
    return false;
}

/* Both the digits and the power of ten are exact doubles, so one division or product rounds once
 * and rightly (Clinger 1990). The rest goes to the C library. */
bool str_to_f64(struct str s, double *out)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal d;
    if (!s.len)
        return false;
    if (!decimal_parse(s, &d))
        return to_f64_special(s, out);
    if (d.digits > UINT64_C(1) << 53 || d.exponent < -22 || d.exponent > 22)
        return to_f64_by_libc(s, out);
    double value = (double)d.digits;
    value = d.exponent < 0 ? value / powers[-d.exponent] : value * powers[d.exponent];
    *out = d.negative ? -value : value;
    return true;
}

/* Eight digits of four bytes at once: they are spread to a digit a byte, then each gets '0' added,
 * and those above 9 the distance to 'a' as well. */
static void hex_of_four(const unsigned char *bytes, char *out)
{
    uint32_t four;
    memcpy(&four, bytes, sizeof(four));
    uint64_t v = le32toh(four);
    v = (v | v << 16) & UINT64_C(0x0000FFFF0000FFFF);
    v = (v | v << 8) & UINT64_C(0x00FF00FF00FF00FF);
    v = (v >> 4 | v << 8) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    uint64_t is_letter = (v + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    v = htole64(v + UINT64_C(0x3030303030303030) + is_letter * ('a' - '0' - 10));
    memcpy(out, &v, sizeof(v));
}

void str_hex(const void *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    size_t i = 0;
    for (; i + 4 <= size; i += 4)
        hex_of_four(p + i, out + 2 * i);
    for (; i < size; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_unhex(struct str hex, void *bytes, size_t size)
{
    unsigned char *out = bytes;
    if (hex.len != 2 * size)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        if (hex_value(hex.ptr[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < size; i++)
        out[i] = (unsigned char)(hex_value(hex.ptr[2 * i]) << 4 | hex_value(hex.ptr[2 * i + 1]));
    return true;
}

/* Bytes of the valid UTF-8 sequence at p, which is not ASCII, or 0. Table 3-7 of the Unicode
 * standard: the first byte decides the length and the range of the second. */
size_t str_utf8_sequence(const char *text, size_t room)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xBF;
    size_t size;
    if (room == 0 || p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    size = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (room < size || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (p[i] < 0x80 || p[i] > 0xBF)
            return 0;
    }
    return size;
}

bool str_is_utf8(struct str s)
{
    size_t i = 0;
    while (i < s.len) {
        uint64_t word;
        if (s.len - i >= sizeof(word)) {
            memcpy(&word, s.ptr + i, sizeof(word));
            if (!(word & UINT64_C(0x8080808080808080))) {
                i += sizeof(word);
                continue;
            }
        }
        size_t size = (unsigned char)s.ptr[i] < 0x80 ? 1 : str_utf8_sequence(s.ptr + i, s.len - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

static bool is_alnum(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

bool str_is_name(struct str s)
{
    if (s.len == 0 || s.len > STR_NAME_BYTES_MAX || !is_alnum(s.ptr[0]))
        return false;
    for (size_t i = 1; i < s.len; i++) {
        char c = s.ptr[i];
        if (!is_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}
