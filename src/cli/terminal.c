/* terminal.c - what standard output and error are, and text as a terminal shows it. */
#include "cli/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

bool terminal_is_interactive(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

void terminal_init(struct terminal *terminal)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool may_color = !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
    terminal->is_out_tty = isatty(STDOUT_FILENO) == 1;
    terminal->is_err_tty = isatty(STDERR_FILENO) == 1;
    terminal->has_out_color = terminal->is_out_tty && may_color;
    terminal->has_err_color = terminal->is_err_tty && may_color;
}

/* ---- width ---- */

struct range {
    uint32_t first, last;
};

/* Letters that stand on the one before, and marks without a shape. */
static const struct range zero_width[] = {
    {0x0300, 0x036f},   {0x0483, 0x0489},   {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x0900, 0x0902},   {0x093c, 0x093c},   {0x0941, 0x0948}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},
    {0x0e47, 0x0e4e},   {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x2060, 0x2064},
    {0x20d0, 0x20f0},   {0x302a, 0x302d},   {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff},
    {0x1f3fb, 0x1f3ff}, {0xe0100, 0xe01ef},
};

/* East Asian Width W and F (Unicode Standard Annex 11), and emoji shown as pictures. */
static const struct range double_width[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26a1, 0x26a1},   {0x26bd, 0x26be},
    {0x2705, 0x2705},   {0x270a, 0x270b},   {0x274c, 0x274c},   {0x2753, 0x2755},
    {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
    {0xa000, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

static bool is_within(const struct range *ranges, size_t count, uint32_t point)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (point > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && point >= ranges[low].first;
}

static uint32_t decode(const char *bytes, size_t length)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = (uint8_t)bytes[0] & masks[length];
    for (size_t i = 1; i < length; i++)
        point = point << 6 | ((uint8_t)bytes[i] & 0x3f);
    return point;
}

static int point_width(uint32_t point)
{
    if (is_within(zero_width, ARRAY_LEN(zero_width), point))
        return 0;
    return is_within(double_width, ARRAY_LEN(double_width), point) ? 2 : 1;
}

int terminal_width(struct str text)
{
    int width = 0;
    for (size_t i = 0; i < text.len;) {
        size_t length = str_utf8_sequence(text.ptr + i, text.len - i);
        width += length ? point_width(decode(text.ptr + i, length)) : 1;
        i += length ? length : 1;
    }
    return width;
}

/* ---- safe text ---- */

/* C1 control codes, and the marks that turn the direction of text around. */
static bool is_control(uint32_t point)
{
    return point < 0xa0 || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0x2028 || point == 0x2029;
}

void terminal_append(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        uint8_t c = (uint8_t)text.ptr[i];
        size_t length = c < 0x80 ? 0 : str_utf8_sequence(text.ptr + i, text.len - i);
        if (length && !is_control(decode(text.ptr + i, length)))
            buf_append(out, text.ptr + i, length);
        else if (c == '\n' || c == '\t' || c == '\r')
            buf_char(out, ' ');
        else
            buf_char(out, c < 0x20 || c >= 0x7f ? '?' : (char)c);
        i += length ? length : 1;
    }
}

void terminal_append_tinted(struct buf *out, struct str text, enum tint tint, bool has_color)
{
    static const char *const codes[] = {
        [TINT_NONE] = "",        [TINT_BOLD] = "\033[1m",   [TINT_DIM] = "\033[2m",
        [TINT_RED] = "\033[31m", [TINT_GREEN] = "\033[32m", [TINT_YELLOW] = "\033[33m",
    };
    bool is_tinted = has_color && tint != TINT_NONE;
    if (is_tinted)
        buf_text(out, codes[tint]);
    terminal_append(out, text);
    if (is_tinted)
        buf_lit(out, "\033[0m");
}

/* ---- times and sizes ---- */

static bool digits_at(struct str text, size_t at, size_t count, int *value)
{
    int64_t number;
    if (at + count > text.len || !str_to_i64((struct str){text.ptr + at, count}, &number))
        return false;
    *value = (int)number;
    return true;
}

static bool parse_time(struct str text, time_t *seconds)
{
    struct tm tm = {0};
    bool is_time = text.len >= 20 && text.ptr[text.len - 1] == 'Z' &&
                   digits_at(text, 0, 4, &tm.tm_year) && digits_at(text, 5, 2, &tm.tm_mon) &&
                   digits_at(text, 8, 2, &tm.tm_mday) && digits_at(text, 11, 2, &tm.tm_hour) &&
                   digits_at(text, 14, 2, &tm.tm_min) && digits_at(text, 17, 2, &tm.tm_sec);
    if (!is_time)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *seconds = timegm(&tm);
    return true;
}

const char *terminal_time(struct str rfc3339, char *out)
{
    time_t seconds;
    struct tm tm;
    if (parse_time(rfc3339, &seconds) && localtime_r(&seconds, &tm))
        strftime(out, TERMINAL_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
    else
        snprintf(out, TERMINAL_TIME_BYTES, "%.*s", STR_ARG(rfc3339));
    return out;
}

const char *terminal_zone(char *out)
{
    struct tm tm;
    time_t now = (time_t)(clock_wall_us() / CLOCK_SECOND_US);
    if (!localtime_r(&now, &tm) || strftime(out, TERMINAL_TIME_BYTES, "%Z", &tm) == 0)
        snprintf(out, TERMINAL_TIME_BYTES, "local time");
    return out;
}

const char *terminal_size(uint64_t bytes, char *out)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, TERMINAL_SIZE_BYTES, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

const char *terminal_duration(int64_t seconds, char *out)
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(units) && seconds < units[i].seconds)
        i++;
    int64_t rest = seconds % units[i].seconds;
    if (i + 1 < ARRAY_LEN(units))
        snprintf(out, TERMINAL_SIZE_BYTES, "%lld%s %lld%s", (long long)(seconds / units[i].seconds),
                 units[i].unit, (long long)(rest / units[i + 1].seconds), units[i + 1].unit);
    else
        snprintf(out, TERMINAL_SIZE_BYTES, "%lld%s", (long long)seconds, units[i].unit);
    return out;
}
