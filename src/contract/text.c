/* text.c - lengths, dates and booleans of cells of text. */
#include "contract/text.h"

int64_t text_length(struct str text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len; count++) {
        size_t size = str_utf8_sequence(text.ptr + i, text.len - i);
        i += size ? size : 1;
    }
    return count;
}

bool text_to_bool(struct str text, bool *out)
{
    if (str_equal_nocase(text, STR_LIT("true")) || str_equal_c(text, "1"))
        *out = true;
    else if (str_equal_nocase(text, STR_LIT("false")) || str_equal_c(text, "0"))
        *out = false;
    else
        return false;
    return true;
}

/* --- dates ------------------------------------------------------------------------------------ */

struct moment {
    int year, month, day, hour, minute, second;
};

/* Takes `count` digits off the front. */
static bool take_digits(struct str *rest, size_t count, int *out)
{
    int value = 0;
    if (rest->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9')
            return false;
        if (i < 9)
            value = value * 10 + (rest->ptr[i] - '0');
    }
    rest->ptr += count;
    rest->len -= count;
    *out = value;
    return true;
}

static bool take_char(struct str *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    rest->ptr++;
    rest->len--;
    return true;
}

/* "Z", "+02:00", "-0530" */
static bool take_offset(struct str *rest)
{
    int hours, minutes;
    if (take_char(rest, 'Z') || take_char(rest, 'z'))
        return true;
    if (!take_char(rest, '+') && !take_char(rest, '-'))
        return false;
    if (!take_digits(rest, 2, &hours))
        return false;
    take_char(rest, ':');
    return take_digits(rest, 2, &minutes) && hours <= 23 && minutes <= 59;
}

static bool exists(const struct moment *m)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (m->year % 4 == 0 && m->year % 100 != 0) || m->year % 400 == 0;
    if (m->month < 1 || m->month > 12 || m->day < 1 || m->day > days[m->month - 1])
        return false;
    if (m->month == 2 && m->day == 29 && !is_leap)
        return false;
    return m->hour <= 23 && m->minute <= 59 && m->second <= 60;
}

/* One run of a format letter. A single M, d, H, m or s takes one digit or two. */
static bool take_letter(char letter, size_t run, struct str *text, struct moment *m)
{
    int fraction;
    int *part = letter == 'y' || letter == 'u' ? &m->year
                : letter == 'M'                ? &m->month
                : letter == 'd'                ? &m->day
                : letter == 'H'                ? &m->hour
                : letter == 'm'                ? &m->minute
                : letter == 's'                ? &m->second
                : letter == 'S'                ? &fraction
                                               : NULL;
    if (letter == 'X' || letter == 'Z')
        return take_offset(text);
    if (!part)
        return false;
    if (run == 1 && letter != 'S')
        return take_digits(text, 2, part) || take_digits(text, 1, part);
    return take_digits(text, run, part);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool matches_format(struct str text, const char *format)
{
    struct moment m = {.year = 2000, .month = 1, .day = 1};
    while (*format) {
        size_t run = 1;
        if (*format == '\'') {
            for (format++; *format && *format != '\''; format++)
                if (!take_char(&text, *format))
                    return false;
            format += *format == '\'';
            continue;
        }
        if (!is_letter(*format)) {
            if (!take_char(&text, *format++))
                return false;
            continue;
        }
        while (format[run] == *format)
            run++;
        if (!take_letter(*format, run, &text, &m))
            return false;
        format += run;
    }
    return text.len == 0 && exists(&m);
}

bool text_is_date(struct str text, const char *format)
{
    return matches_format(text, format ? format : "yyyy-MM-dd");
}

static bool is_rfc3339(struct str text)
{
    struct moment m = {0};
    int fraction;
    if (!take_digits(&text, 4, &m.year) || !take_char(&text, '-') ||
        !take_digits(&text, 2, &m.month) || !take_char(&text, '-') ||
        !take_digits(&text, 2, &m.day))
        return false;
    if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' '))
        return false;
    if (!take_digits(&text, 2, &m.hour) || !take_char(&text, ':') ||
        !take_digits(&text, 2, &m.minute) || !take_char(&text, ':') ||
        !take_digits(&text, 2, &m.second))
        return false;
    if (take_char(&text, '.')) {
        if (!take_digits(&text, 1, &fraction))
            return false;
        while (take_digits(&text, 1, &fraction))
            continue;
    }
    return (text.len == 0 || take_offset(&text)) && text.len == 0 && exists(&m);
}

bool text_is_timestamp(struct str text, const char *format)
{
    return format ? matches_format(text, format) : is_rfc3339(text);
}
