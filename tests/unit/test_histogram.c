/* test_histogram.c - bucket arithmetic, quantiles and their error, sums over threads. */
#include "base/histogram.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/rand.h"
#include "test.h"

static struct histogram histogram;
static struct histogram_sum sum;

static void clear(void)
{
    histogram = (struct histogram){0};
    sum = (struct histogram_sum){0};
}

static void every_value_is_in_its_bucket(void **state)
{
    (void)state;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t start = histogram_bucket_start(i), next = histogram_bucket_start(i + 1);
        assert_true(start < next);
        assert_int_equal(histogram_bucket(start), i);
        assert_int_equal(histogram_bucket(next - 1), i);
        assert_true(start < 16 || (next - start) * 16 <= start); /* to 1/16 of itself */
    }
    assert_int_equal(histogram_bucket_start(HISTOGRAM_BUCKETS), UINT64_C(1) << 40);
}

static void what_is_too_long_or_negative_counts_at_the_end(void **state)
{
    (void)state;
    clear();
    histogram_record(&histogram, INT64_MAX);
    histogram_record(&histogram, -5);
    histogram_add_to(&histogram, &sum);
    assert_int_equal(sum.count, 2);
    assert_int_equal(sum.counts[HISTOGRAM_BUCKETS - 1], 1);
    assert_int_equal(sum.counts[0], 1);
    assert_true(sum.sum_ns == INT64_MAX);
}

/* The values 1..100000 us: the q-quantile is q * 100000 us. */
static void quantiles_are_right_to_a_thirtysecond(void **state)
{
    (void)state;
    static const double qs[] = {0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    clear();
    assert_int_equal(histogram_quantile(&sum, 0.5), 0);
    for (int64_t us = 1; us <= 100000; us++)
        histogram_record(&histogram, us * 1000);
    histogram_add_to(&histogram, &sum);
    assert_int_equal(sum.count, 100000);
    assert_true(sum.sum_ns == UINT64_C(5000050000) * 1000);
    for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
        double expected = qs[i] * 1e8, got = (double)histogram_quantile(&sum, qs[i]);
        assert_true(fabs(got - expected) <= expected / 32 + 1);
    }
}

static void counts_up_to_a_bound_only_grow(void **state)
{
    (void)state;
    struct rand rand;
    clear();
    rand_seed(&rand, 5);
    for (int i = 0; i < 10000; i++)
        histogram_record(&histogram, (int64_t)exp(rand_unit(&rand) * 25));
    histogram_add_to(&histogram, &sum);
    uint64_t last = 0;
    for (uint64_t bound = 1; bound < UINT64_C(1) << 41; bound += bound / 7 + 1) {
        uint64_t count = histogram_count_to(&sum, bound);
        assert_true(count >= last);
        last = count;
    }
    assert_int_equal(last, 10000);
}

/* 1000 values at 1 ms: all within a bound of 1.04 ms, none within one of 0.96 ms. */
static void a_bound_is_right_to_a_thirtysecond(void **state)
{
    (void)state;
    clear();
    for (int i = 0; i < 1000; i++)
        histogram_record(&histogram, 1000000);
    histogram_add_to(&histogram, &sum);
    assert_int_equal(histogram_count_to(&sum, 1040000), 1000);
    assert_int_equal(histogram_count_to(&sum, 960000), 0);
}

enum { RECORDS = 200000 };

static void *record_many(void *arg)
{
    struct histogram *own = arg;
    for (int i = 0; i < RECORDS; i++)
        histogram_record(own, i);
    return NULL;
}

/* Two writers with a histogram each, and a reader who adds them up while they write. */
static void threads_are_added_up_while_they_record(void **state)
{
    static struct histogram own[2];
    (void)state;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, &own[i]), 0);
    uint64_t last = 0;
    for (int round = 0; round < 100; round++) {
        clear();
        histogram_add_to(&own[0], &sum);
        histogram_add_to(&own[1], &sum);
        assert_true(sum.count >= last);
        last = sum.count;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    clear();
    histogram_add_to(&own[0], &sum);
    histogram_add_to(&own[1], &sum);
    assert_int_equal(sum.count, 2 * RECORDS);
    /* twice the sum of 0..199999 */
    assert_true(sum.sum_ns == UINT64_C(199999) * 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_in_its_bucket),
        cmocka_unit_test(what_is_too_long_or_negative_counts_at_the_end),
        cmocka_unit_test(quantiles_are_right_to_a_thirtysecond),
        cmocka_unit_test(counts_up_to_a_bound_only_grow),
        cmocka_unit_test(a_bound_is_right_to_a_thirtysecond),
        cmocka_unit_test(threads_are_added_up_while_they_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
