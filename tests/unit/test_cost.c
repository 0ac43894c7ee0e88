/* test_cost.c - the line that is fitted through timed calls. */
#include "base/check.h"
#include "runtime/cost.h"
#include "test.h"

/* 2 ms and 10 us a row. */
static int64_t real_ns(int64_t rows)
{
    return 2000000 + rows * 10000;
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct cost cost = {0};
    assert_int_equal(cost_ns(&cost, 1000), 0);
}

/* One size: in proportion, 2.01 ms a row. */
static void one_size_is_taken_in_proportion(void **state)
{
    (void)state;
    struct cost cost = {0};
    for (int i = 0; i < 5; i++)
        cost_add(&cost, 1, real_ns(1));
    assert_in_range(cost_ns(&cost, 1), 2009999, 2010001);
    assert_in_range(cost_ns(&cost, 10), 20099990, 20100010);
}

static void two_sizes_give_base_and_slope(void **state)
{
    (void)state;
    struct cost cost = {0};
    for (int i = 0; i < 4; i++) {
        cost_add(&cost, 1, real_ns(1));
        cost_add(&cost, 64, real_ns(64));
    }
    for (int64_t rows = 1; rows <= 1000; rows *= 10)
        assert_in_range(cost_ns(&cost, rows), real_ns(rows) - 10, real_ns(rows) + 10);
}

/* The slope that large calls have told is not forgotten while only small ones come. */
static void the_slope_outlives_a_time_of_one_size(void **state)
{
    (void)state;
    struct cost cost = {0};
    cost_add(&cost, 1, real_ns(1));
    cost_add(&cost, 64, real_ns(64));
    for (int i = 0; i < 1000; i++)
        cost_add(&cost, 1, real_ns(1));
    assert_in_range(cost_ns(&cost, 64), real_ns(64) - 30000, real_ns(64) + 30000);
}

/* Twice as slow from now on: after 200 calls the older ones weigh (31/32)^200 = 0.2 %. */
static void what_changes_is_learnt_again(void **state)
{
    (void)state;
    struct cost cost = {0};
    for (int i = 0; i < 100; i++)
        cost_add(&cost, 1 + i % 8, real_ns(1 + i % 8));
    for (int i = 0; i < 200; i++)
        cost_add(&cost, 1 + i % 8, 2 * real_ns(1 + i % 8));
    assert_in_range(cost_ns(&cost, 8), 2 * real_ns(8) * 99 / 100, 2 * real_ns(8) * 101 / 100);
}

/* Counted as 4 times: (31 + 4) / 32 = 1.094 of what it was. */
static void one_call_that_was_interrupted_moves_little(void **state)
{
    (void)state;
    struct cost cost = {0};
    for (int i = 0; i < 200; i++)
        cost_add(&cost, 1, 1000);
    cost_add(&cost, 1, 1000 * 1000);
    assert_in_range(cost_ns(&cost, 1), 1090, 1100);
}

/* 50 times as slow from now on. */
static void but_a_lasting_change_is_believed(void **state)
{
    (void)state;
    struct cost cost = {0};
    for (int i = 0; i < 200; i++)
        cost_add(&cost, 1, 1000);
    for (int i = 0; i < 300; i++)
        cost_add(&cost, 1, 50000);
    assert_in_range(cost_ns(&cost, 1), 49000, 50000);
}

/* More rows in less time: noise. The cost stays flat and never falls below nothing. */
static void a_falling_line_is_not_believed(void **state)
{
    (void)state;
    struct cost cost = {0};
    cost_add(&cost, 1, 3000);
    cost_add(&cost, 100, 1000);
    assert_true(cost_ns(&cost, 1000) >= cost_ns(&cost, 1));
    assert_true(cost_ns(&cost, 1) > 0);
    cost_add(&cost, 0, 5);
    cost_add(&cost, 5, -1);
    assert_true(cost_ns(&cost, 1) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(one_size_is_taken_in_proportion),
        cmocka_unit_test(two_sizes_give_base_and_slope),
        cmocka_unit_test(the_slope_outlives_a_time_of_one_size),
        cmocka_unit_test(what_changes_is_learnt_again),
        cmocka_unit_test(one_call_that_was_interrupted_moves_little),
        cmocka_unit_test(but_a_lasting_change_is_believed),
        cmocka_unit_test(a_falling_line_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
