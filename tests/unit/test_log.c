/* test_log.c - a line an event, values that cannot forge one, gates that count what they drop. */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "test.h"

/* What is written to standard error between begin and end. */
static struct {
    int memory_fd, saved_fd;
    char text[3 * LOG_LINE_BYTES];
} capture;

static void capture_begin(void)
{
    fflush(stderr);
    capture.memory_fd = memfd_create("log", 0);
    capture.saved_fd = dup(STDERR_FILENO);
    dup2(capture.memory_fd, STDERR_FILENO);
    clock_set_for_test(0, 0);
}

static const char *capture_end(void)
{
    dup2(capture.saved_fd, STDERR_FILENO);
    ssize_t size = pread(capture.memory_fd, capture.text, sizeof(capture.text) - 1, 0);
    close(capture.memory_fd);
    close(capture.saved_fd);
    clock_set_for_test(-1, -1);
    capture.text[size > 0 ? size : 0] = '\0';
    return capture.text;
}

#define EPOCH "1970-01-01T00:00:00.000000Z "

static void a_line_has_time_level_message_and_pairs(void **state)
{
    (void)state;
    capture_begin();
    log_info("rollback done", "model=%s from=%lld to=%d", "churn", 7LL, 6);
    log_error("stopped");
    assert_string_equal(capture_end(), EPOCH "info rollback done model=churn from=7 to=6\n" EPOCH
                                             "error stopped\n");
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    capture_begin();
    log_debug("not now", "x=%d", 1);
    log_set_level(LOG_DEBUG);
    log_debug("now", "x=%d", 2);
    log_set_level(LOG_ERROR);
    log_warn("not now");
    assert_true(log_is_on(LOG_ERROR) && !log_is_on(LOG_WARN));
    log_set_level(LOG_INFO);
    assert_string_equal(capture_end(), EPOCH "debug now x=2\n");
}

static void values_cannot_forge_a_pair_or_a_line(void **state)
{
    (void)state;
    capture_begin();
    log_info("seen", "name=%s next=%d", "a b=1\n" EPOCH "error \"x\" \\", 1);
    assert_string_equal(capture_end(),
                        EPOCH "info seen name=\"a b=1\\n" EPOCH "error \\\"x\\\" \\\\\" next=1\n");
}

static void terminals_are_told_nothing(void **state)
{
    (void)state;
    capture_begin();
    log_info("seen", "a=%s b=%s c=%s d=%s", "\x1b[2J\r\t\x7f", "\xC2\x9B", "\xC3\xA4", "\xff\xC3");
    assert_string_equal(capture_end(), EPOCH "info seen a=\"\\x1b[2J\\r\\t\\x7f\" b=\"\\xc2\\x9b\" "
                                             "c=\"\xC3\xA4\" d=\"\\xff\\xc3\"\n");
}

static void empty_missing_and_pair_like_values_are_quoted(void **state)
{
    (void)state;
    const char *volatile none = NULL; /* volatile: the compiler would warn */
    capture_begin();
    log_info("seen", "a=%s b=%s c=%d d=%s", "", none, 1, "x=y");
    assert_string_equal(capture_end(), EPOCH "info seen a=\"\" b=\"\" c=1 d=\"x=y\"\n");
}

static void every_conversion_takes_its_own_argument(void **state)
{
    (void)state;
    capture_begin();
    log_info("all",
             "a=%d b=%u c=%lu d=%llx e=%zu f=%.2f g=%g h=%.*s i=%c j=%5d k=%d%% l=%s/%s m=%*d", -1,
             2U, 3UL, 0xffULL, (size_t)5, 2.345, 1e-7, 3, "abcdef", 'z', 42, 50, "x", "y", 4, 9);
    assert_string_equal(capture_end(), EPOCH "info all a=-1 b=2 c=3 d=ff e=5 f=2.35 g=1e-07 h=abc "
                                             "i=z j=\"   42\" k=50% l=x/y m=\"   9\"\n");
}

static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
    (void)state;
    char text[3 * LOG_LINE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    capture_begin();
    log_info("long", "a=%s b=%s", text, "later");
    const char *line = capture_end();
    assert_int_equal(strlen(line), LOG_LINE_BYTES);
    assert_string_equal(line + LOG_LINE_BYTES - 5, "x...\n");
}

static void a_gate_lets_one_line_a_second_through(void **state)
{
    (void)state;
    static struct log_gate gate;
    int64_t suppressed = -1;
    uint64_t before = log_suppressed_total();
    clock_set_for_test(CLOCK_SECOND_US, 0);
    assert_true(log_gate_open(&gate, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_gate_open(&gate, &suppressed));
    clock_set_for_test(2 * CLOCK_SECOND_US - 1, 0);
    assert_false(log_gate_open(&gate, &suppressed));
    clock_set_for_test(2 * CLOCK_SECOND_US, 0);
    assert_true(log_gate_open(&gate, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_int_equal(log_suppressed_total() - before, 2);
    clock_set_for_test(-1, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_message_and_pairs),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(values_cannot_forge_a_pair_or_a_line),
        cmocka_unit_test(terminals_are_told_nothing),
        cmocka_unit_test(empty_missing_and_pair_like_values_are_quoted),
        cmocka_unit_test(every_conversion_takes_its_own_argument),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(a_gate_lets_one_line_a_second_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
