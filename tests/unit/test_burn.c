/* test_burn.c - counts in windows from five minutes to three days, by a clock one can set. */
#include "monitor/burn.h"

#include "test.h"

#define MINUTE INT64_C(60000000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* The first minute of an hour, so that all slots begin together: 2026-01-31T09:00:00Z. */
static const int64_t start = INT64_C(1769850000) * 1000000;

static int setup(void **state)
{
    *state = burn_new();
    return 0;
}

static int teardown(void **state)
{
    burn_free(*state);
    return 0;
}

static void add(struct burn *burn, int64_t at, uint64_t requests, uint64_t errors)
{
    const struct burn_sums sums = {.counts = {[BURN_REQUESTS] = requests, [BURN_ERRORS] = errors}};
    burn_add(burn, at, &sums);
}

static uint64_t requests(const struct burn *burn, int64_t now, int64_t window)
{
    struct burn_sums sums;
    burn_window(burn, now, window, &sums);
    return sums.counts[BURN_REQUESTS];
}

/* 14.4 times an objective of 99.9 % is 1.44 % of answers. */
static void the_rate_is_in_multiples_of_the_budget(void **state)
{
    (void)state;
    assert_float_equal(burn_rate(144, 10000, 0.999), 14.4, 1e-9);
    assert_float_equal(burn_rate(1, 100, 0.99), 1, 1e-9);
    assert_float_equal(burn_rate(0, 0, 0.999), 0, 0);
}

static void each_window_sees_what_is_in_it(void **state)
{
    struct burn *burn = *state;
    const int64_t now = start + 3 * DAY;
    add(burn, now - 2 * DAY, 1, 0);
    add(burn, now - 5 * HOUR, 10, 0);
    add(burn, now - 20 * MINUTE, 100, 0);
    add(burn, now - 3 * MINUTE, 1000, 0);
    add(burn, now, 10000, 0);
    assert_int_equal(requests(burn, now, 5 * MINUTE), 11000);
    assert_int_equal(requests(burn, now, 30 * MINUTE), 11100);
    assert_int_equal(requests(burn, now, HOUR), 11100);
    assert_int_equal(requests(burn, now, 6 * HOUR), 11110);
    assert_int_equal(requests(burn, now, 3 * DAY), 11111);
}

/* In the slot of minute 0; a window of 5 minutes holds the slots of minutes 0 to 5. */
static void what_is_old_leaves_the_window(void **state)
{
    struct burn *burn = *state;
    add(burn, start, 7, 0);
    assert_int_equal(requests(burn, start + 5 * MINUTE, 5 * MINUTE), 7);
    assert_int_equal(requests(burn, start + 6 * MINUTE, 5 * MINUTE), 0);
    assert_int_equal(requests(burn, start + 60 * MINUTE, HOUR), 7);
    assert_int_equal(requests(burn, start + 61 * MINUTE, HOUR), 0);
    assert_int_equal(requests(burn, start + 72 * HOUR, 3 * DAY), 7);
    assert_int_equal(requests(burn, start + 73 * HOUR, 3 * DAY), 0);
}

static void a_ring_that_comes_round_is_empty(void **state)
{
    struct burn *burn = *state;
    for (int i = 0; i < 10 * 24 * 60; i++)
        add(burn, start + i * MINUTE, 1, 0);
    const int64_t now = start + (10 * 24 * 60 - 1) * MINUTE;
    assert_int_equal(requests(burn, now, 5 * MINUTE), 6);
    assert_int_equal(requests(burn, now, HOUR), 61);
    assert_int_equal(requests(burn, now, 6 * HOUR), 73 * 5);
    assert_int_equal(requests(burn, now, 3 * DAY), 73 * 60);
    add(burn, now + 100 * DAY, 2, 0);
    assert_int_equal(requests(burn, now + 100 * DAY, 3 * DAY), 2);
}

static void a_clock_that_steps_back_a_little_counts_on(void **state)
{
    struct burn *burn = *state;
    add(burn, start + 30 * MINUTE, 5, 0);
    add(burn, start, 6, 0);
    assert_int_equal(requests(burn, start, 5 * MINUTE), 11);
}

static void a_clock_that_jumps_back_begins_anew(void **state)
{
    struct burn *burn = *state;
    add(burn, start + DAY, 5, 0);
    add(burn, start, 6, 0);
    assert_int_equal(requests(burn, start, 3 * DAY), 6);
}

static void counts_stop_at_their_end(void **state)
{
    struct burn *burn = *state;
    add(burn, start, UINT64_C(5000000000), 0);
    add(burn, start, UINT64_C(5000000000), 0);
    assert_int_equal(requests(burn, start, HOUR), UINT32_MAX);
}

static void saved_text_reads_back(void **state)
{
    struct burn *burn = *state, *again = burn_new();
    struct buf text;
    struct burn_sums sums;
    add(burn, start - 2 * DAY, 3, 1);
    add(burn, start, 30, 10);
    buf_init(&text, 64 * 1024);
    burn_save(burn, &text);
    assert_true(burn_load(again, buf_view(&text)));
    burn_window(again, start, 3 * DAY, &sums);
    assert_int_equal(sums.counts[BURN_REQUESTS], 33);
    assert_int_equal(sums.counts[BURN_ERRORS], 11);
    assert_int_equal(requests(again, start, 5 * MINUTE), 30);
    buf_done(&text);
    burn_free(again);
}

static void other_text_is_refused_and_leaves_nothing(void **state)
{
    struct burn *burn = *state;
    static const char *const wrong[] = {"", "1", "2 5 0", "1 5 x", "1 5 1 2 3", "1 -5"};
    struct buf text;
    add(burn, start, 9, 0);
    buf_init(&text, 64 * 1024);
    burn_save(burn, &text);
    buf_lit(&text, " 0");
    assert_false(burn_load(burn, buf_view(&text)));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(burn_load(burn, str_of(wrong[i])));
        assert_int_equal(requests(burn, start, 3 * DAY), 0);
    }
    buf_done(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_rate_is_in_multiples_of_the_budget),
        TEST(each_window_sees_what_is_in_it),
        TEST(what_is_old_leaves_the_window),
        TEST(a_ring_that_comes_round_is_empty),
        TEST(a_clock_that_steps_back_a_little_counts_on),
        TEST(a_clock_that_jumps_back_begins_anew),
        TEST(counts_stop_at_their_end),
        TEST(saved_text_reads_back),
        TEST(other_text_is_refused_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
