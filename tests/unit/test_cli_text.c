/* test_cli_text.c - what a terminal is shown: widths, safe text, tables, times, progress. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "test.h"

static char shown[4096];

static const char *text_of(struct buf *buf)
{
    snprintf(shown, sizeof(shown), "%s", buf_c(buf));
    buf_done(buf);
    return shown;
}

static const char *safe(struct str text)
{
    struct buf out;
    buf_init(&out, sizeof(shown));
    terminal_append(&out, text);
    return text_of(&out);
}

/* Unicode: é is one column composed or with a combining accent, East Asian letters are two. */
static void widths_are_columns_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(terminal_width(STR_LIT("abc")), 3);
    assert_int_equal(terminal_width(STR_LIT("na\xc3\xafve")), 5);
    assert_int_equal(terminal_width(STR_LIT("e\xcc\x81")), 1);
    assert_int_equal(terminal_width(STR_LIT("\xe6\x97\xa5\xe6\x9c\xac")), 4);
    assert_int_equal(terminal_width(STR_LIT("\xf0\x9f\x9a\xa2")), 2); /* U+1F6A2, a ship */
    assert_int_equal(terminal_width(STR_LIT("")), 0);
}

static void text_from_elsewhere_cannot_steer_the_terminal(void **state)
{
    (void)state;
    assert_string_equal(safe(STR_LIT("a\033[31mb")), "a?[31mb");
    assert_string_equal(safe(STR_LIT("two\nlines\tand\rmore")), "two lines and more");
    assert_string_equal(safe(STR_LIT("bell\a nul\0 del\x7f")), "bell? nul? del?");
    assert_string_equal(safe(STR_LIT("\xc2\x9b"
                                     "31m")),
                        "?31m");                             /* CSI in one code point */
    assert_string_equal(safe(STR_LIT("\xe2\x80\xae")), "?"); /* U+202E turns text around */
    assert_string_equal(safe(STR_LIT("a\xff\xc3")), "a??");  /* not UTF-8 */
    assert_string_equal(safe(STR_LIT("\xc3\xa9")), "\xc3\xa9");
}

static void tables_are_aligned(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024 * 1024);
    struct buf out;
    struct table *table = table_new(arena, "NAME|N>|NOTE");
    table_add(table, TINT_NONE, "a", "1", "");
    table_add(table, TINT_NONE, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "200", "x");
    assert_int_equal(table_rows(table), 2);
    buf_init(&out, sizeof(shown));
    table_write(table, false, &out);
    assert_string_equal(text_of(&out), "NAME      N  NOTE\n"
                                       "a         1\n"
                                       "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e  200  x\n");
    arena_free(arena);
}

static void a_table_without_titles_has_no_head(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024 * 1024);
    struct buf out;
    struct table *table = table_new(arena, "|");
    table_add(table, TINT_GREEN, "ok", "a\033b");
    buf_init(&out, sizeof(shown));
    table_write(table, true, &out);
    assert_string_equal(text_of(&out), "\033[32mok\033[0m  \033[32ma?b\033[0m\n");
    arena_free(arena);
}

/* 2026-01-31T09:30:00Z in a zone one hour east of Greenwich. */
static void times_are_the_readers_own(void **state)
{
    (void)state;
    char text[TERMINAL_TIME_BYTES];
    setenv("TZ", "TST-1", 1);
    tzset();
    assert_string_equal(terminal_time(STR_LIT("2026-01-31T09:30:00.123456Z"), text),
                        "2026-01-31 10:30:00");
    assert_string_equal(terminal_zone(text), "TST");
    assert_string_equal(terminal_time(STR_LIT("never"), text), "never");
    assert_string_equal(terminal_time(STR_LIT(""), text), "");
}

static void sizes_and_durations_are_short(void **state)
{
    (void)state;
    char text[TERMINAL_SIZE_BYTES];
    assert_string_equal(terminal_size(0, text), "0 bytes");
    assert_string_equal(terminal_size(1023, text), "1023 bytes");
    assert_string_equal(terminal_size(1536, text), "1.5 KiB");
    assert_string_equal(terminal_size(UINT64_C(3) << 30, text), "3.0 GiB");
    assert_string_equal(terminal_duration(59, text), "59s");
    assert_string_equal(terminal_duration(125, text), "2m 5s");
    assert_string_equal(terminal_duration(3 * 86400 + 4 * 3600, text), "3d 4h");
}

static const char *bar(const struct progress *progress, uint64_t done, uint64_t count,
                       int64_t elapsed_us)
{
    struct buf out;
    buf_init(&out, sizeof(shown));
    progress_format(progress, done, count, elapsed_us, &out);
    return text_of(&out);
}

/* A quarter of the file in 10 s: 250 rows are 25 a second, and three times 10 s are left. */
static void a_bar_says_how_far_how_fast_and_how_long(void **state)
{
    (void)state;
    const struct progress rows = {.label = "predicting", .unit = "rows", .total = 4000};
    assert_string_equal(
        bar(&rows, 1000, 250, 10 * 1000 * 1000),
        "predicting  [######------------------]  25 %  250 rows  25 rows/s  0:30 left");
    const struct progress pipe = {.label = "predicting", .unit = "rows"};
    assert_string_equal(bar(&pipe, 1000, 250, 10 * 1000 * 1000), "predicting  250 rows  25 rows/s");
    const struct progress bytes = {.label = "uploading m", .total = 2048};
    assert_string_equal(bar(&bytes, 2048, 2048, 1000 * 1000),
                        "uploading m  [########################] 100 %  2.0 KiB/s  0:00 left");
    assert_string_equal(bar(&bytes, 0, 0, 0),
                        "uploading m  [------------------------]   0 %  0 bytes/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_are_columns_not_bytes),
        cmocka_unit_test(text_from_elsewhere_cannot_steer_the_terminal),
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(a_table_without_titles_has_no_head),
        cmocka_unit_test(times_are_the_readers_own),
        cmocka_unit_test(sizes_and_durations_are_short),
        cmocka_unit_test(a_bar_says_how_far_how_fast_and_how_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
