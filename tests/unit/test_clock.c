/* test_clock.c - clocks that run, clocks a test sets, and RFC 3339 text. */
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

#include "test.h"

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    int64_t last = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_monotonic_us() >= last / 1000);
}

static void wall_time_is_the_machines(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL), now = clock_wall_us() / CLOCK_SECOND_US;
    assert_in_range(now, before - 1, before + 5);
}

static void a_test_sets_both_and_gives_them_back(void **state)
{
    (void)state;
    clock_set_for_test(5000000, 7);
    assert_int_equal(clock_monotonic_us(), 5000000);
    assert_int_equal(clock_monotonic_ns(), 5000000000);
    assert_int_equal(clock_recent_ns(), 5000000000);
    assert_int_equal(clock_wall_us(), 7);
    clock_set_for_test(-1, -1);
    assert_true(clock_wall_us() > 1000000 * CLOCK_SECOND_US);
}

static void assert_text(int64_t wall_us, const char *expected)
{
    char text[CLOCK_TEXT_BYTES];
    assert_ptr_equal(clock_format(wall_us, text), text);
    assert_string_equal(text, expected);
}

/* 1769851800 = date -u -d 2026-01-31T09:30:00Z +%s; 951782400 = a leap day of a century year;
 * 253402300799 = the last second of 9999. */
static void time_is_written_as_rfc_3339(void **state)
{
    (void)state;
    assert_text(0, "1970-01-01T00:00:00.000000Z");
    assert_text(INT64_C(1769851800123456), "2026-01-31T09:30:00.123456Z");
    assert_text(INT64_C(951782400) * CLOCK_SECOND_US, "2000-02-29T00:00:00.000000Z");
    assert_text(-1, "1969-12-31T23:59:59.999999Z");
    assert_text(INT64_C(253402300799) * CLOCK_SECOND_US, "9999-12-31T23:59:59.000000Z");
}

static void times_without_four_digits_stop_at_the_end(void **state)
{
    (void)state;
    assert_text(INT64_C(253402300800) * CLOCK_SECOND_US, "9999-12-31T23:59:59.999999Z");
    assert_text(INT64_MAX, "9999-12-31T23:59:59.999999Z");
    assert_text(INT64_MIN, "0000-01-01T00:00:00.000000Z");
}

static void assert_time(const char *text, int64_t expected)
{
    int64_t wall_us = -1;
    assert_true(clock_parse(str_of(text), &wall_us));
    assert_true(wall_us == expected);
}

static void rfc_3339_in_utc_is_read(void **state)
{
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0);
    assert_time("2026-01-31T09:30:00.123456Z", INT64_C(1769851800123456));
    assert_time("2026-01-31T09:30:00.5Z", INT64_C(1769851800500000));
    assert_time("2026-01-31T09:30:00.1234567Z", INT64_C(1769851800123456));
    assert_time("2000-02-29T00:00:00Z", INT64_C(951782400) * CLOCK_SECOND_US);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31T09:30:00+01:00",
        "2026-02-30T09:30:00Z",
        "2026-13-01T09:30:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31 09:30:00Z",
        "2026-01-31T09:30:00.Z",
        "2026-01-31T09:30:00.1x Z",
        "2026-01-3aT09:30:00Z",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int64_t wall_us = 7;
        assert_false(clock_parse(str_of(wrong[i]), &wall_us));
        assert_true(wall_us == 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(wall_time_is_the_machines),
        cmocka_unit_test(a_test_sets_both_and_gives_them_back),
        cmocka_unit_test(time_is_written_as_rfc_3339),
        cmocka_unit_test(times_without_four_digits_stop_at_the_end),
        cmocka_unit_test(rfc_3339_in_utc_is_read),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
