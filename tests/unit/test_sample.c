/* test_sample.c - two samples: small cases by counting, others against scipy 1.10.1. */
#include "monitor/sample.h"

#include <math.h>

#include "base/check.h"
#include "test.h"

static const double low[3] = {1, 2, 3}, high[3] = {4, 5, 6};

static void sorting_leaves_what_is_no_number_out(void **state)
{
    double x[5] = {3, NAN, 1, NAN, 2};
    (void)state;
    assert_int_equal(sample_sort(x, 5), 3);
    assert_true(x[0] == 1 && x[1] == 2 && x[2] == 3);
}

/* {1, 2, 3}: mean 2, variance 2/3; quartiles 1.5 and 2.5 */
static void moments_of_one_sample(void **state)
{
    (void)state;
    assert_float_equal(sample_mean(low, 3), 2, 1e-12);
    assert_float_equal(sample_std(low, 3), sqrt(2.0 / 3), 1e-12);
    assert_float_equal(sample_iqr(low, 3), 1, 1e-12);
    assert_float_equal(sample_quantile(low, 3, 0.75), 2.5, 1e-12);
    assert_true(isnan(sample_quantile(low, 0, 0.5)) && isnan(sample_quantile(low, 3, 1.1)));
}

/* Apart by 3 everywhere: distance 1, W1 3, energy sqrt(2 * (1/9 + 4/9 + 1 + 4/9 + 1/9)). Of the 20
 * ways to mix two threes, 2 leave them wholly apart. */
static void samples_that_do_not_meet(void **state)
{
    (void)state;
    struct ks ks = sample_ks(low, 3, high, 3);
    assert_true(ks.distance == 1 && ks.location == 3 && ks.sign == 1);
    assert_float_equal(sample_ks_p_exact(1, 3, 3), 0.1, 1e-12);
    assert_float_equal(sample_wasserstein(low, 3, high, 3), 3, 1e-12);
    assert_float_equal(sample_energy(low, 3, high, 3), sqrt(2 * 19.0 / 9), 1e-12);
    struct mann_whitney test = sample_mann_whitney(low, 3, high, 3);
    assert_true(test.u == 0 && test.auc == 1);
    assert_int_equal(sample_ks(high, 3, low, 3).sign, -1);
}

static void a_sample_does_not_differ_from_itself(void **state)
{
    (void)state;
    assert_true(sample_ks(low, 3, low, 3).distance == 0);
    assert_true(sample_ks_p_exact(0, 3, 3) == 1 && sample_ks_p(0, 3, 3) == 1);
    assert_true(sample_wasserstein(low, 3, low, 3) == 0);
    struct mann_whitney test = sample_mann_whitney(low, 3, low, 3);
    assert_true(test.u == 4.5 && test.auc == 0.5 && test.p == 1);
}

/* scipy.stats.kstwo.sf(d, n) */
static void one_sample_tail_agrees_with_scipy(void **state)
{
    static const struct {
        double d;
        int64_t n;
        double p;
    } cases[] = {
        {0.3, 10, 0.27053557479999946},    {0.13, 120, 0.03150247611454803},
        {0.12, 900, 9.45627515582139e-12}, {0.9, 20, 2.0006866455078037e-20},
        {0.06, 50, 0.9889221625382869},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(fabs(sample_ks_p_one(cases[i].d, cases[i].n) - cases[i].p) <=
                    1e-7 * cases[i].p);
    assert_true(sample_ks_p_one(0, 5) == 1 && sample_ks_p_one(1, 5) == 0);
}

/* One more row of 1e9 moves the integral of |F - G| without bound, but neither ranks nor KS. */
static void ranks_do_not_see_how_far_a_value_is(void **state)
{
    const double near[4] = {4, 5, 6, 7}, far[4] = {4, 5, 6, 1e9};
    (void)state;
    assert_true(sample_ks(low, 3, near, 4).distance == sample_ks(low, 3, far, 4).distance);
    assert_true(sample_mann_whitney(low, 3, near, 4).p == sample_mann_whitney(low, 3, far, 4).p);
    assert_true(sample_cramer_von_mises(low, 3, near, 4).t ==
                sample_cramer_von_mises(low, 3, far, 4).t);
    assert_true(sample_wasserstein(low, 3, far, 4) > 1e8);
}

/* One row each, at distance 1, sigma 1: (1 + 1) / 1 - 2 e^(-1/2); no pairs for the unbiased one */
static void kernels_of_single_rows(void **state)
{
    const double x[2] = {0, 0}, y[2] = {1, 0};
    (void)state;
    struct mmd got = sample_mmd(x, 1, y, 1, 2, 1);
    assert_float_equal(got.biased, 2 - 2 * exp(-0.5), 1e-12);
    assert_true(isnan(got.unbiased));
}

static void nothing_has_no_distance(void **state)
{
    (void)state;
    assert_true(isnan(sample_ks(low, 0, high, 3).distance));
    assert_true(isnan(sample_wasserstein(low, 3, high, 0)));
    assert_true(isnan(sample_energy(low, 0, high, 0)));
    assert_true(isnan(sample_mann_whitney(low, 0, high, 3).p));
    assert_true(isnan(sample_cramer_von_mises(low, 0, high, 3).p));
    assert_true(isnan(sample_ks_p_exact(0.5, 100000, 100000))); /* too many paths */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorting_leaves_what_is_no_number_out),
        cmocka_unit_test(moments_of_one_sample),
        cmocka_unit_test(samples_that_do_not_meet),
        cmocka_unit_test(a_sample_does_not_differ_from_itself),
        cmocka_unit_test(one_sample_tail_agrees_with_scipy),
        cmocka_unit_test(ranks_do_not_see_how_far_a_value_is),
        cmocka_unit_test(kernels_of_single_rows),
        cmocka_unit_test(nothing_has_no_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
