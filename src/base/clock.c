/* clock.c - the kernel's clocks, or the times a test has set. */
#include "base/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

/* Negative: the machine's clock. */
static _Atomic int64_t monotonic_for_test_us = -1;
static _Atomic int64_t wall_for_test_us = -1;

static _Thread_local int64_t recent_ns;

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    assert(rc == 0);
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
    int64_t set_us = atomic_load_explicit(&monotonic_for_test_us, memory_order_relaxed);
    recent_ns = set_us >= 0 ? set_us * 1000 : read_ns(CLOCK_MONOTONIC);
    return recent_ns;
}

int64_t clock_recent_ns(void)
{
    return recent_ns;
}

int64_t clock_monotonic_us(void)
{
    return clock_monotonic_ns() / 1000;
}

int64_t clock_wall_us(void)
{
    int64_t set_us = atomic_load_explicit(&wall_for_test_us, memory_order_relaxed);
    return set_us >= 0 ? set_us : read_ns(CLOCK_REALTIME) / 1000;
}

void clock_set_for_test(int64_t monotonic_us, int64_t wall_us)
{
    atomic_store_explicit(&monotonic_for_test_us, monotonic_us, memory_order_relaxed);
    atomic_store_explicit(&wall_for_test_us, wall_us, memory_order_relaxed);
}

/* `value` as `width` digits, zeros in front; gives the place behind them. */
static char *put_padded(char *p, int value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + width;
}

static char *put_fields(char *p, const int *values, const int *widths, const char *separators)
{
    for (int i = 0; separators[i]; i++) {
        p = put_padded(p, values[i], widths[i]);
        *p++ = separators[i];
    }
    return p;
}

char *clock_format(int64_t wall_us, char *out)
{
    static const int widths[] = {4, 2, 2, 2, 2, 2, 6};
    int64_t micros = wall_us % CLOCK_SECOND_US;
    time_t seconds = (time_t)(wall_us / CLOCK_SECOND_US);
    struct tm tm;
    if (micros < 0) {
        micros += CLOCK_SECOND_US;
        seconds--;
    }
    /* RFC 3339 has four digits for the year; a time outside them is written as its nearest end. */
    if (!gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900)
        return memcpy(out, "9999-12-31T23:59:59.999999Z", 28);
    if (tm.tm_year < -1900)
        return memcpy(out, "0000-01-01T00:00:00.000000Z", 28);
    const int values[] = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                          tm.tm_min,         tm.tm_sec,     (int)micros};
    *put_fields(out, values, widths, "--T::.Z") = '\0';
    return out;
}

static bool take_number(struct str text, size_t at, size_t count, int *value)
{
    *value = 0;
    for (size_t i = at; i < at + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *value = *value * 10 + (text.ptr[i] - '0');
    }
    return true;
}

/* ".123456" -> microseconds; further digits are cut. */
static bool take_fraction(struct str text, int64_t *micros)
{
    int64_t unit = CLOCK_SECOND_US / 10;
    *micros = 0;
    if (text.len == 0)
        return true;
    if (text.len < 2 || text.ptr[0] != '.')
        return false;
    for (size_t i = 1; i < text.len; i++, unit /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *micros += (text.ptr[i] - '0') * unit;
    }
    return true;
}

bool clock_parse(struct str text, int64_t *wall_us)
{
    static const struct {
        char before;
        size_t at, count;
        int min, max;
    } parts[] = {{0, 0, 4, 0, 9999},  {'-', 5, 2, 1, 12},  {'-', 8, 2, 1, 31},
                 {'T', 11, 2, 0, 23}, {':', 14, 2, 0, 59}, {':', 17, 2, 0, 59}};
    int values[6];
    int64_t micros;
    if (text.len < 20 || text.ptr[text.len - 1] != 'Z')
        return false;
    for (size_t i = 0; i < 6; i++)
        if (!take_number(text, parts[i].at, parts[i].count, &values[i]) ||
            values[i] < parts[i].min || values[i] > parts[i].max ||
            (parts[i].before && text.ptr[parts[i].at - 1] != parts[i].before))
            return false;
    if (!take_fraction((struct str){text.ptr + 19, text.len - 20}, &micros))
        return false;
    struct tm tm = {.tm_year = values[0] - 1900,
                    .tm_mon = values[1] - 1,
                    .tm_mday = values[2],
                    .tm_hour = values[3],
                    .tm_min = values[4],
                    .tm_sec = values[5]};
    time_t seconds = timegm(&tm);
    if (tm.tm_mday != values[2]) /* the 31st of a month that has none */
        return false;
    *wall_us = (int64_t)seconds * CLOCK_SECOND_US + micros;
    return true;
}
