/* test_guard.c - whose events count, what E is, and when there is a verdict. */
#include "rollout/guard.h"

#include <math.h>

#include "base/check.h"
#include "test.h"

static const struct guard_rule by_ratio = {
    .worse_than = 1, .alpha = 0.01, .no_worse_than = 2, .beta = 0.05};

struct bed {
    struct exposure exposure;
    struct guard guard;
    uint64_t next_key;
};

/* Hashes far apart, as SipHash gives them. */
static uint64_t key_of(uint64_t number)
{
    return (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

static void expose(struct bed *bed, int side, int count, bool has_keys)
{
    bed->exposure.requests[side] += count;
    if (!has_keys)
        return;
    bed->exposure.keyed_requests[side] += count;
    for (int i = 0; i < count; i++)
        key_sketch_add(&bed->exposure.keys[side], key_of(bed->next_key++));
}

static void setup(struct bed *bed, const struct guard_rule *rule, int stable_keys, int canary_keys)
{
    *bed = (struct bed){0};
    expose(bed, SIDE_STABLE, stable_keys, true);
    expose(bed, SIDE_CANARY, canary_keys, true);
    guard_init(&bed->guard, rule);
}

static void teardown(struct bed *bed)
{
    guard_done(&bed->guard);
    exposure_done(&bed->exposure);
}

/* "cs": one event of the canary, then one of the stable side, each of a key of its own. */
static struct guard_reading play(struct bed *bed, double theta, const char *events)
{
    struct guard_reading reading;
    for (const char *p = events; *p; p++) {
        uint64_t key = key_of(bed->next_key++);
        guard_event(&bed->guard, &bed->exposure, theta, *p == 'c' ? SIDE_CANARY : SIDE_STABLE,
                    &key);
    }
    guard_read(&bed->guard, &bed->exposure, &reading);
    return reading;
}

static void near(double value, double expected)
{
    if (fabs(value - expected) > 1e-9 * fabs(expected))
        fail_msg("%.12g is not %.12g", value, expected);
}

/* One canary event at theta 0.1: p(r) = 0.1 r / (0.1 r + 0.9); the mean over the grid of p(r)/0.1
 * is (1.4286 + 1.8182 + 2.5 + 3.5714 + 5.2632 + 7.6923 + 9.1743 + 9.9108) / 8 = 5.16985. The others
 * by the same sum, worked out in Python. */
static void e_is_the_mean_of_the_likelihood_ratios(void **state)
{
    static const struct guard_rule lenient = {.worse_than = 1.25, .alpha = 0.01};
    struct bed bed;
    (void)state;
    setup(&bed, &by_ratio, 100, 20);
    near(play(&bed, 0.1, "c").e_fail, 5.169845263357079);
    near(play(&bed, 0.1, "cc").e_fail, 302.0908970690256);
    teardown(&bed);
    setup(&bed, &by_ratio, 100, 20);
    near(play(&bed, 0.1, "ccscscc").e_fail, 478.9972657251996);
    teardown(&bed);
    setup(&bed, &lenient, 100, 20);
    near(play(&bed, 0.1, "ccccs").e_fail, 136.39515698306954);
    teardown(&bed);
}

/* 1 / (0.01 * 0.9) = 111.1; three events of theta 0.1 already have E = 302, but five are asked. */
static void a_verdict_needs_five_events(void **state)
{
    struct bed bed;
    (void)state;
    setup(&bed, &by_ratio, 100, 20);
    struct guard_reading reading = play(&bed, 0.1, "cccc");
    near(reading.fail_at, 111.1111111111111);
    assert_true(reading.e_fail > reading.fail_at);
    assert_int_equal(reading.verdict, VERDICT_WAIT);
    reading = play(&bed, 0.1, "c");
    assert_int_equal(reading.verdict, VERDICT_FAIL);
    assert_true(reading.is_by_key);
    assert_int_equal(reading.counted[SIDE_CANARY], 5);
    teardown(&bed);
}

static void a_key_that_fails_again_counts_once(void **state)
{
    struct bed bed;
    struct guard_reading reading;
    const uint64_t key = 42;
    (void)state;
    setup(&bed, &by_ratio, 100, 20);
    for (int i = 0; i < 100; i++)
        guard_event(&bed.guard, &bed.exposure, 0.1, SIDE_CANARY, &key);
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.verdict, VERDICT_WAIT);
    assert_int_equal(reading.counted[SIDE_CANARY], 1);
    assert_int_equal(reading.events[SIDE_CANARY], 100);
    near(reading.e_fail, 5.169845263357079);
    teardown(&bed);
}

/* 49 keys make no verdict while they may become more. After 1000 requests they are few: each
 * request counts, and the bound is 10 / 0.01. */
static void few_keys_count_requests_and_only_hold(void **state)
{
    struct bed bed;
    struct guard_reading reading;
    (void)state;
    setup(&bed, &by_ratio, 44, 5);
    reading = play(&bed, 0.1, "ccccc");
    assert_true(reading.is_by_key);
    assert_int_equal(reading.verdict, VERDICT_WAIT);
    bed.exposure.requests[SIDE_STABLE] += 856;
    bed.exposure.keyed_requests[SIDE_STABLE] += 856;
    bed.exposure.requests[SIDE_CANARY] += 95;
    bed.exposure.keyed_requests[SIDE_CANARY] += 95; /* 1000 requests, a tenth of them canary */
    reading = play(&bed, 0.1, "ccccc");
    assert_false(reading.is_by_key);
    near(reading.fail_at, 1000);
    assert_int_equal(reading.verdict, VERDICT_FAIL);
    teardown(&bed);
}

static void the_fiftieth_key_makes_a_verdict_possible(void **state)
{
    struct bed bed;
    struct guard_reading reading;
    (void)state;
    setup(&bed, &by_ratio, 44, 5);
    assert_int_equal(play(&bed, 0.1, "ccccc").verdict, VERDICT_WAIT);
    expose(&bed, SIDE_STABLE, 1, true);
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.verdict, VERDICT_FAIL);
    assert_true(reading.is_by_key);
    teardown(&bed);
}

static void traffic_without_keys_counts_requests(void **state)
{
    struct bed bed = {0};
    struct guard_reading reading;
    (void)state;
    guard_init(&bed.guard, &by_ratio);
    expose(&bed, SIDE_STABLE, 900, false);
    expose(&bed, SIDE_CANARY, 100, false);
    for (int i = 0; i < 4; i++)
        guard_event(&bed.guard, &bed.exposure, 0.1, SIDE_CANARY, NULL);
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.verdict, VERDICT_WAIT);
    guard_event(&bed.guard, &bed.exposure, 0.1, SIDE_CANARY, NULL);
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.verdict, VERDICT_FAIL);
    assert_false(reading.is_by_key);
    teardown(&bed);
}

/* p(0.1, 2) = 0.2 / 1.1, so a stable event multiplies by 0.9 / (0.9 / 1.1) = 1.1: 1.1^32 = 21.1
 * and 1.1^33 = 23.2, about the bound 1 / (0.05 * 0.9) = 22.2. */
static void stable_events_show_that_the_canary_is_no_worse(void **state)
{
    struct bed bed;
    (void)state;
    setup(&bed, &by_ratio, 900, 100);
    struct guard_reading reading = play(&bed, 0.1, "ssssssssssssssssssssssssssssssss");
    near(reading.e_safe, 21.113776745352606);
    near(reading.safe_at, 22.222222222222218);
    assert_int_equal(reading.verdict, VERDICT_WAIT);
    assert_int_equal(play(&bed, 0.1, "s").verdict, VERDICT_SAFE);
    assert_int_equal(play(&bed, 0.1, "cccccccccc").verdict, VERDICT_SAFE); /* shown once */
    assert_int_equal(play(&bed, 0.1, "cccccccccccccccccccc").verdict, VERDICT_FAIL);
    teardown(&bed);
}

/* 0.5 (1/0.99)^n + 0.2 (0.999/0.99)^n + 0.15 (0.9975/0.99)^n + 0.15 (0.995/0.99)^n passes 22.2
 * between n = 339 and 340. */
static void a_canary_without_events_is_below_a_rate(void **state)
{
    struct guard_rule rule = by_ratio;
    struct bed bed;
    struct guard_reading reading;
    (void)state;
    rule.rate_below = 0.01;
    setup(&bed, &rule, 500, 339);
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.verdict, VERDICT_WAIT);
    expose(&bed, SIDE_CANARY, 1, true);
    guard_read(&bed.guard, &bed.exposure, &reading);
    near(reading.e_rate, 22.36292318161452);
    assert_int_equal(reading.verdict, VERDICT_SAFE);
    teardown(&bed);
    setup(&bed, &rule, 500, 600);
    near(play(&bed, 0.1, "c").e_rate, 9.501161769904414);
    teardown(&bed);
}

/* 60 keys: the event of the 51st makes it more than half of at least 50, and a window opens. */
static void a_window_opens_when_most_keys_had_an_event(void **state)
{
    struct bed bed;
    struct guard_reading reading;
    (void)state;
    setup(&bed, &by_ratio, 54, 6);
    for (uint64_t key = 0; key < 50; key++) {
        const uint64_t hash = key_of(key);
        guard_event(&bed.guard, &bed.exposure, 0.1, SIDE_STABLE, &hash);
    }
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.window, 1);
    assert_int_equal(reading.counted[SIDE_STABLE], 50);
    const uint64_t next = key_of(50), first = key_of(0);
    guard_event(&bed.guard, &bed.exposure, 0.1, SIDE_STABLE, &next);
    guard_event(&bed.guard, &bed.exposure, 0.1, SIDE_STABLE, &first); /* counts again */
    guard_read(&bed.guard, &bed.exposure, &reading);
    assert_int_equal(reading.window, 2);
    assert_int_equal(reading.counted[SIDE_STABLE], 2);
    near(reading.fail_at, 2000); /* 1 / (0.01 * 0.1 / 2) */
    teardown(&bed);
}

static void a_dead_canary_is_harm(void **state)
{
    (void)state;
    assert_true(guard_is_harm(10, 20));
    assert_false(guard_is_harm(9, 20));  /* 45 % */
    assert_false(guard_is_harm(19, 19)); /* too few requests */
    assert_true(guard_is_harm(500, 1000));
    assert_false(guard_is_harm(499, 1000));
}

/* ---- keys ---- */

static void a_full_set_says_so_and_keeps_what_it_has(void **state)
{
    struct key_set set = {0};
    (void)state;
    for (uint64_t i = 0; i < KEY_SET_MAX; i++)
        assert_int_equal(key_set_add(&set, key_of(i)), KEY_IS_NEW);
    assert_int_equal(key_set_add(&set, key_of(KEY_SET_MAX)), KEY_SET_IS_FULL);
    assert_int_equal(key_set_add(&set, key_of(7)), KEY_IS_KNOWN);
    key_set_done(&set);
    assert_int_equal(key_set_add(&set, 0), KEY_IS_NEW); /* a hash may be 0 */
    assert_int_equal(key_set_add(&set, 0), KEY_IS_KNOWN);
    key_set_done(&set);
}

/* Exact up to 1024; beyond, within 4 standard errors: 4 * 3.1 % = 12.5 %. */
static void the_sketch_counts_distinct_keys(void **state)
{
    struct key_sketch sketch = {0};
    (void)state;
    for (int again = 0; again < 3; again++)
        for (uint64_t i = 0; i < 1000; i++)
            key_sketch_add(&sketch, key_of(i));
    assert_int_equal(key_sketch_count(&sketch), 1000);
    for (uint64_t i = 0; i < 1000000; i++)
        key_sketch_add(&sketch, key_of(i));
    int64_t count = key_sketch_count(&sketch);
    assert_in_range(count, 875000, 1125000);
    key_sketch_done(&sketch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(e_is_the_mean_of_the_likelihood_ratios),
        cmocka_unit_test(a_verdict_needs_five_events),
        cmocka_unit_test(a_key_that_fails_again_counts_once),
        cmocka_unit_test(few_keys_count_requests_and_only_hold),
        cmocka_unit_test(the_fiftieth_key_makes_a_verdict_possible),
        cmocka_unit_test(traffic_without_keys_counts_requests),
        cmocka_unit_test(stable_events_show_that_the_canary_is_no_worse),
        cmocka_unit_test(a_canary_without_events_is_below_a_rate),
        cmocka_unit_test(a_window_opens_when_most_keys_had_an_event),
        cmocka_unit_test(a_dead_canary_is_harm),
        cmocka_unit_test(a_full_set_says_so_and_keeps_what_it_has),
        cmocka_unit_test(the_sketch_counts_distinct_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
