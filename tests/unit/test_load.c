/* test_load.c - quantiles and differences of latencies, against numbers worked out by hand. */
#include "net/load.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "test.h"

/* Latencies in tenths of microseconds, each block having the same ones. */
static void fill(struct load_group *group, const uint32_t *latencies, int64_t count, int add)
{
    group->sample_count = count * LOAD_BLOCKS;
    group->samples = calloc((size_t)group->sample_count, sizeof(*group->samples));
    for (int block = 0; block < LOAD_BLOCKS; block++)
        for (int64_t i = 0; i < count; i++)
            group->samples[block * count + i] = (struct load_sample){
                latencies[i] + (uint32_t)(block % 2 ? add : 0), (uint8_t)block};
    load_sort(group);
}

/* 1..100 us in each block: nearest rank of 0.5 is the 50th value, of 0.99 the 99th. */
static void test_quantiles_are_nearest_ranks(void **state)
{
    (void)state;
    uint32_t latencies[100];
    struct load_group group = {0};
    assert_true(isnan(load_quantile_us(&group, 0.5)));
    for (uint32_t i = 0; i < 100; i++)
        latencies[i] = (100 - i) * 10;
    fill(&group, latencies, 100, 0);
    assert_true(load_quantile_us(&group, 0.5) == 50);
    assert_true(load_quantile_us(&group, 0.99) == 99);
    assert_true(load_quantile_us(&group, 1) == 100);
    assert_true(load_quantile_us(&group, 0) == 1);
    free(group.samples);
}

/* Even blocks of b are 2 us slower than a's, odd ones 4 us: the mean of the differences is 3, their
 * standard deviation sqrt(20/19 * 1) over 20 blocks, so the half width is
 * 2.093024 * sqrt(20/19) / sqrt(20) = 0.480172. */
static void test_difference_has_the_interval_of_block_means(void **state)
{
    (void)state;
    uint32_t a[20], b[20];
    struct load_group in_a = {0}, in_b = {0};
    for (uint32_t i = 0; i < 20; i++) {
        a[i] = 1000;
        b[i] = 1020;
    }
    fill(&in_a, a, 20, 0);
    fill(&in_b, b, 20, 20);
    struct load_difference d = load_compare(&in_a, &in_b, 0.5);
    assert_true(d.value == 2); /* the median of all: half of the samples are 102, half 104 */
    assert_true(fabs(d.half_width - 0.480172) < 1e-5);
    free(in_a.samples);
    free(in_b.samples);
}

static void test_no_interval_from_too_little(void **state)
{
    (void)state;
    uint32_t a[3] = {1, 2, 3};
    struct load_group group = {0};
    fill(&group, a, 3, 0);
    struct load_difference d = load_compare(&group, &group, 0.5);
    assert_true(isnan(d.half_width));
    free(group.samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_are_nearest_ranks),
        cmocka_unit_test(test_difference_has_the_interval_of_block_means),
        cmocka_unit_test(test_no_interval_from_too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
