/* test_choose.c - shares become thresholds; keys stay where they are when the share grows. */
#include "rollout/choose.h"

#include <stdio.h>

#include "base/check.h"
#include "test.h"

enum { KEYS = 100000 };

/* floor(weight * 2^64 / 10^6), worked out in Python. */
static void a_share_is_a_part_of_all_hashes(void **state)
{
    (void)state;
    assert_true(choose_threshold(0) == 0);
    assert_true(choose_threshold(1) == UINT64_C(18446744073709));
    assert_true(choose_threshold(10000) == UINT64_C(184467440737095516));
    assert_true(choose_threshold(123456) == UINT64_C(2277361236363886404));
    assert_true(choose_threshold(500000) == UINT64_C(9223372036854775808));
    assert_true(choose_threshold(WEIGHT_ONE) == UINT64_MAX);
}

static void nothing_and_everything_have_no_exceptions(void **state)
{
    const struct choose none = {.threshold = choose_threshold(0)};
    const struct choose all = {.threshold = choose_threshold(WEIGHT_ONE)};
    (void)state;
    assert_false(choose_is_canary(&none, 0));
    assert_true(choose_is_canary(&all, UINT64_MAX));
}

static uint64_t hash_of(const struct choose *choose, int i)
{
    char key[16];
    int len = snprintf(key, sizeof(key), "customer-%d", i);
    return choose_hash(choose, (struct str){key, (size_t)len});
}

/* 100,000 keys at 1 %: 1000 +- 4 * sqrt(100000 * 0.01 * 0.99) = 126. */
static void the_canary_has_its_share_of_keys_and_only_grows(void **state)
{
    struct choose choose = {.salt = {1, 2}};
    const struct choose other = {.salt = {3, 4}, .threshold = choose_threshold(10000)};
    int small = 0, both = 0, shared = 0;
    (void)state;
    for (int i = 0; i < KEYS; i++) {
        uint64_t hash = hash_of(&choose, i);
        choose.threshold = choose_threshold(10000);
        bool is_early = choose_is_canary(&choose, hash);
        choose.threshold = choose_threshold(100000);
        small += is_early;
        both += is_early && choose_is_canary(&choose, hash);
        shared += is_early && choose_is_canary(&other, hash_of(&other, i));
    }
    assert_in_range(small, 1000 - 126, 1000 + 126);
    assert_int_equal(both, small);
    assert_in_range(shared, 0, 30); /* another salt: 1 % of them, 10 +- 4 * sqrt(10) */
}

static void a_request_without_a_key_is_drawn(void **state)
{
    const struct choose choose = {.threshold = choose_threshold(250000)};
    struct rand rand;
    int canary = 0;
    (void)state;
    rand_seed(&rand, 7);
    for (int i = 0; i < KEYS; i++)
        canary += choose_draw(&choose, &rand);
    assert_in_range(canary, 25000 - 548, 25000 + 548); /* 4 * sqrt(100000 * 0.25 * 0.75) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_is_a_part_of_all_hashes),
        cmocka_unit_test(nothing_and_everything_have_no_exceptions),
        cmocka_unit_test(the_canary_has_its_share_of_keys_and_only_grows),
        cmocka_unit_test(a_request_without_a_key_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
