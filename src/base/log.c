/* log.c - one escaped key=value line, built in a fixed buffer and written by one write().
 *
 * The pairs format is cut at its own spaces before anything is formatted, so where a value ends is
 * decided by the caller's literal and never by the value.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"

static _Atomic int level_max = LOG_INFO;
static _Atomic uint64_t suppressed_total;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

static const char ellipsis[] = "...";

/* Text being built; past the end it keeps what fits and remembers that it is not whole. */
struct line {
    char *text;
    size_t len, capacity;
    bool is_cut;
};

static void add(struct line *line, const char *bytes, size_t size)
{
    size_t room = line->capacity - line->len;
    line->is_cut = line->is_cut || size > room;
    if (size > room)
        size = room;
    memcpy(line->text + line->len, bytes, size);
    line->len += size;
}

/* The caller's arguments, passed on by pointer so that each conversion takes its own. */
struct arguments {
    va_list list;
};

/* One conversion, "%-5.3lld": copied, so that snprintf sees nothing else. */
struct conversion {
    char text[32];
    int longs; /* 'l' counted; 'z' counts as 1 */
    char letter;
};

static struct conversion conversion_parse(const char **fmt)
{
    struct conversion c = {0};
    const char *start = *fmt, *p = start + 1;
    p += strspn(p, "-+ #0123456789.*");
    for (; *p && strchr("hlz", *p); p++)
        c.longs += *p != 'h';
    c.letter = *p;
    size_t size = (size_t)(p + 1 - start);
    assert(c.letter && strchr("diuxcspfeg%", c.letter) && size < sizeof(c.text));
    memcpy(c.text, start, size);
    *fmt = p + 1;
    return c;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* each text is one checked conversion */
#define PRINT(value)                                                                               \
    (stars == 0   ? snprintf(out, size, c->text, value)                                            \
     : stars == 1 ? snprintf(out, size, c->text, star[0], value)                                   \
                  : snprintf(out, size, c->text, star[0], star[1], value))

/* As snprintf of the one conversion; gives the length it would have had. */
static int print_one(const struct conversion *c, struct arguments *args, char *out, size_t size)
{
    int star[2] = {0}, stars = 0;
    for (const char *p = strchr(c->text, '*'); p && stars < 2; p = strchr(p + 1, '*'))
        star[stars++] = va_arg(args->list, int);
    switch (c->letter) {
    case '%':
        return snprintf(out, size, "%%");
    case 's': {
        const char *text = va_arg(args->list, const char *);
        text = text ? text : "";
        return PRINT(text);
    }
    case 'p': {
        const void *pointer = va_arg(args->list, const void *);
        return PRINT(pointer);
    }
    case 'f':
    case 'e':
    case 'g': {
        double number = va_arg(args->list, double);
        return PRINT(number);
    }
    default:
        break;
    }
    if (c->longs == 2) {
        long long number = va_arg(args->list, long long);
        return PRINT(number);
    }
    if (c->longs == 1) {
        long number = va_arg(args->list, long);
        return PRINT(number);
    }
    int number = va_arg(args->list, int);
    return PRINT(number);
}
#pragma GCC diagnostic pop

/* Formats fmt[0..fmt_size) into the line; every conversion takes its arguments even when full. */
static void add_formatted(struct line *line, const char *fmt, size_t fmt_size,
                          struct arguments *args)
{
    const char *end = fmt + fmt_size;
    while (fmt < end) {
        char text[LOG_LINE_BYTES];
        if (*fmt != '%') {
            add(line, fmt++, 1);
            continue;
        }
        struct conversion c = conversion_parse(&fmt);
        int size = print_one(&c, args, text, sizeof(text));
        assert(size >= 0);
        line->is_cut = line->is_cut || (size_t)size >= sizeof(text);
        add(line, text, strlen(text));
    }
}

/* C0 and DEL, and (in UTF-8) C1, which some terminals obey. */
static bool is_control(const char *p, size_t sequence)
{
    unsigned char c = (unsigned char)p[0];
    return sequence == 2 ? c == 0xC2 && (unsigned char)p[1] < 0xA0 : c < 0x20 || c == 0x7F;
}

static bool needs_quotes(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F)
            return true;
    }
    return value.len == 0;
}

static void add_escaped_byte(struct line *line, char c)
{
    char hex[4] = {'\\', 'x'};
    switch (c) {
    case '\n':
        add(line, "\\n", 2);
        break;
    case '\r':
        add(line, "\\r", 2);
        break;
    case '\t':
        add(line, "\\t", 2);
        break;
    default:
        str_hex(&c, 1, hex + 2);
        add(line, hex, sizeof(hex));
    }
}

/* Control bytes and bytes that are not UTF-8 become \n, \x1b; '"' and '\' get a backslash. */
static void add_escaped(struct line *line, struct str text, bool escape_quotes)
{
    size_t i = 0;
    while (i < text.len) {
        const char *p = text.ptr + i;
        bool is_ascii = (unsigned char)*p < 0x80;
        size_t sequence = is_ascii ? 1 : str_utf8_sequence(p, text.len - i);
        if (sequence == 0 || is_control(p, sequence)) {
            add_escaped_byte(line, *p);
            i++;
            continue;
        }
        if (escape_quotes && (*p == '"' || *p == '\\'))
            add(line, "\\", 1);
        add(line, p, sequence);
        i += sequence;
    }
}

static void add_value(struct line *line, struct str value, bool is_cut)
{
    bool quoted = needs_quotes(value);
    if (quoted)
        add(line, "\"", 1);
    add_escaped(line, value, quoted);
    if (is_cut)
        add(line, ellipsis, sizeof(ellipsis) - 1);
    if (quoted)
        add(line, "\"", 1);
}

/* fmt[0..size) is "key=%s", or words without '='. */
static void add_pair(struct line *line, const char *fmt, size_t size, struct arguments *args)
{
    char text[LOG_LINE_BYTES];
    struct line value = {text, 0, sizeof(text), false};
    const char *equals = memchr(fmt, '=', size);
    size_t key_size = equals ? (size_t)(equals + 1 - fmt) : 0;
    add(line, " ", 1);
    add(line, fmt, key_size);
    add_formatted(&value, fmt + key_size, size - key_size, args);
    if (equals)
        add_value(line, (struct str){text, value.len}, value.is_cut);
    else
        add_escaped(line, (struct str){text, value.len}, false);
}

static void add_pairs(struct line *line, const char *fmt, struct arguments *args)
{
    for (;;) {
        fmt += strspn(fmt, " ");
        size_t size = strcspn(fmt, " ");
        if (size == 0)
            return;
        add_pair(line, fmt, size, args);
        fmt += size;
    }
}

static void add_head(struct line *line, enum log_level level, const char *message)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char time[CLOCK_TEXT_BYTES];
    assert((size_t)level < ARRAY_LEN(names));
    add_escaped(line, str_of(clock_format(clock_wall_us(), time)), false);
    add(line, " ", 1);
    add(line, names[level], strlen(names[level]));
    add(line, " ", 1);
    add_escaped(line, str_of(message), false);
}

/* A line nobody can take is dropped: logging never stops the program. */
static void write_line(struct line *line)
{
    ssize_t rc;
    if (line->is_cut)
        memcpy(line->text + line->capacity - (sizeof(ellipsis) - 1), ellipsis,
               sizeof(ellipsis) - 1);
    line->text[line->len++] = '\n';
    do
        rc = write(STDERR_FILENO, line->text, line->len);
    while (rc < 0 && errno == EINTR);
}

void log_line(enum log_level level, const char *message, const char *pairs_fmt, ...)
{
    char text[LOG_LINE_BYTES];
    struct line line = {text, 0, sizeof(text) - 1, false}; /* the last byte is the newline's */
    struct arguments args;
    if (!log_is_on(level))
        return;
    int saved_errno = errno;
    add_head(&line, level, message);
    va_start(args.list, pairs_fmt);
    add_pairs(&line, pairs_fmt, &args);
    va_end(args.list);
    write_line(&line);
    errno = saved_errno;
}

bool log_gate_open(struct log_gate *gate, int64_t *suppressed)
{
    int64_t now_us = clock_monotonic_us();
    int64_t next_us = atomic_load_explicit(&gate->next_us, memory_order_relaxed);
    if (now_us < next_us ||
        !atomic_compare_exchange_strong(&gate->next_us, &next_us, now_us + CLOCK_SECOND_US)) {
        atomic_fetch_add_explicit(&gate->suppressed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&suppressed_total, 1, memory_order_relaxed);
        return false;
    }
    *suppressed = atomic_exchange_explicit(&gate->suppressed, 0, memory_order_relaxed);
    return true;
}

uint64_t log_suppressed_total(void)
{
    return atomic_load_explicit(&suppressed_total, memory_order_relaxed);
}
