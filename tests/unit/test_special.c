/* test_special.c - special functions and quantiles against mpmath and scipy 1.10.1. */
#include "monitor/special.h"

#include <math.h>

#include "base/check.h"
#include "test.h"

/* Fails unless `got` is within `tolerance` of `expected`, relative to it. */
static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * fabs(expected)))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* mpmath 40 digits: gammainc(a, x, regularized=True), gammainc(a, 0, x, ...) */
static void incomplete_gamma_agrees_with_mpmath(void **state)
{
    (void)state;
    assert_near(special_gamma_q(0.5, 0.1), 0.65472084601857702, 1e-13);
    assert_near(special_gamma_q(4.5, 25), 1.0772382022574716e-7, 1e-13);
    assert_near(special_gamma_q(3, 30), 4.501016648012124e-11, 1e-13);
    assert_near(special_gamma_q(10000, 10300), 0.0014704948963856813, 1e-12);
    assert_near(special_gamma_q(1e8, 100030000), 0.0013510801016019576, 1e-10);
    assert_near(special_gamma_p(0.5, 0.001), 0.035670591729679885, 1e-13);
    assert_near(special_gamma_p(10, 2), 4.6498075017263808e-5, 1e-13);
    assert_near(special_gamma_p(10000, 9700), 0.001234175584468492, 1e-12);
}

/* mpmath: betainc(a, b, 0, x, regularized=True); the last by quad of the density */
static void incomplete_beta_agrees_with_mpmath(void **state)
{
    (void)state;
    assert_near(special_beta(2, 3, 0.4), 0.5248, 1e-14);
    assert_near(special_beta(0.5, 0.5, 0.01), 0.063768560858519849, 1e-13);
    assert_near(special_beta(5000, 6000, 0.45), 0.16918840013184638, 1e-12);
    assert_near(special_beta(50, 1, 0.9), 0.0051537752073201197, 1e-13);
    assert_near(special_beta(1e6, 3e6, 0.2493), 0.00060824586092138701, 1e-10);
}

/* scipy.stats.beta.ppf; the median of a symmetric one is 1/2 */
static void beta_quantiles_agree_with_scipy(void **state)
{
    (void)state;
    assert_near(special_beta_quantile(7, 94, 0.025), 0.028605288907438704, 1e-11);
    assert_near(special_beta_quantile(8, 93, 0.975), 0.13891972845585732, 1e-11);
    assert_near(special_beta_quantile(0.5, 0.5, 0.5), 0.5, 1e-14);
    assert_near(special_beta_quantile(3, 5, 1e-9), 0.00030580421923326665, 1e-11);
}

static void normal_agrees_with_mpmath(void **state)
{
    (void)state;
    assert_near(normal_sf(8), 6.2209605742717841e-16, 1e-13);
    assert_near(normal_cdf(-8), 6.2209605742717841e-16, 1e-13);
    assert_near(normal_quantile(1e-12), -7.0344838253011319, 1e-13);
    assert_near(normal_quantile(0.001), -3.0902323061678135, 1e-13);
    assert_near(normal_quantile(0.025), -1.9599639845400542, 1e-13);
    assert_near(normal_quantile(0.4), -0.25334710313579974, 1e-13);
    assert_true(normal_quantile(0.5) == 0);
    assert_true(isinf(normal_quantile(1)) && isinf(normal_quantile(0)));
}

static void student_agrees_with_mpmath(void **state)
{
    (void)state;
    assert_near(student_sf(2, 10), 0.036694017385370183, 1e-13);
    assert_near(student_sf(-1.5, 3.7), 0.89320091539899323, 1e-13);
    assert_near(student_sf(25, 5), 9.553388921977117e-7, 1e-13);
    assert_near(student_sf(3.3, 1e6), 0.0004834410396700016, 1e-10);
    assert_near(student_quantile(0.975, 10), 2.2281388519862748, 1e-12);
    assert_near(student_quantile(0.995, 2.5), 7.1637281389487855, 1e-11);
    assert_near(student_quantile(1e-7, 4), -73.985758047768894, 1e-10);
    assert_near(student_quantile(0.9, 100000), 1.2815600314493611, 1e-11);
}

/* scipy.stats.binom: pmf(3, 10, 0.2), sf(534, 1000, 0.5), cdf(2, 20, 0.3) */
static void binomial_agrees_with_scipy(void **state)
{
    (void)state;
    assert_near(binomial_pmf(3, 10, 0.2), 0.20132659199999992, 1e-13);
    assert_near(binomial_pmf(0, 3, 0.1), 0.729, 1e-13); /* 0.9^3 */
    assert_near(binomial_pmf(3, 3, 0.1), 0.001, 1e-13);
    assert_near(binomial_at_least(535, 1000, 0.5), 0.014530558937806104, 1e-12);
    assert_near(binomial_at_most(2, 20, 0.3), 0.03548313229846864, 1e-12);
    assert_true(binomial_at_least(0, 5, 0.1) == 1 && binomial_at_least(6, 5, 0.1) == 0);
    assert_true(binomial_at_most(5, 5, 0.1) == 1 && binomial_at_most(-1, 5, 0.1) == 0);
}

/* scipy.stats.binomtest(k, n).proportion_ci(0.95, "exact" and "wilson") */
static void intervals_of_shares_agree_with_scipy(void **state)
{
    (void)state;
    static const struct {
        int64_t k, n;
        struct interval exact, wilson;
    } cases[] = {
        {3,
         20,
         {0.03207093718554477, 0.37892682654529564},
         {0.05236874589621662, 0.3604188647407569}},
        {0, 50, {0, 0.07112173646420458}, {0, 0.07134759913335872}},
        {50, 50, {0.9288782635357954, 1}, {0.9286524008666412, 1}},
        {430,
         1000,
         {0.3990602533935416, 0.4613530351078066},
         {0.3996409199186558, 0.4608948262693219}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct interval exact = binomial_clopper_pearson(cases[i].k, cases[i].n, 0.05);
        struct interval wilson = binomial_wilson(cases[i].k, cases[i].n, 0.05);
        assert_near(exact.low, cases[i].exact.low, 1e-10);
        assert_near(exact.high, cases[i].exact.high, 1e-10);
        assert_near(wilson.low, cases[i].wilson.low, 1e-12);
        assert_near(wilson.high, cases[i].wilson.high, 1e-12);
    }
    struct interval nothing = binomial_clopper_pearson(0, 0, 0.05);
    assert_true(nothing.low == 0 && nothing.high == 1);
    nothing = binomial_wilson(0, 0, 0.05);
    assert_true(nothing.low == 0 && nothing.high == 1);
}

/* With two degrees of freedom sf(x) = exp(-x / 2). */
static void quantiles_undo_their_distribution(void **state)
{
    (void)state;
    static const double ps[] = {1e-10, 0.001, 0.3, 0.5, 0.9, 0.999};
    for (size_t i = 0; i < ARRAY_LEN(ps); i++) {
        assert_near(chi2_quantile(ps[i], 2), -2 * log1p(-ps[i]), 1e-11);
        assert_near(1 - chi2_sf(chi2_quantile(ps[i], 9), 9), ps[i], 1e-5);
        assert_near(special_beta(3, 40, special_beta_quantile(3, 40, ps[i])), ps[i], 1e-11);
        assert_near(normal_cdf(normal_quantile(ps[i])), ps[i], 1e-12);
    }
}

static void what_is_outside_is_not_a_number(void **state)
{
    (void)state;
    assert_true(isnan(special_gamma_q(0, 1)) && isnan(special_gamma_p(1, -1)));
    assert_true(isnan(special_beta(1, 1, 1.5)) && isnan(special_beta_quantile(-1, 1, 0.5)));
    assert_true(isnan(normal_quantile(1.1)) && isnan(normal_quantile(NAN)));
    assert_true(isnan(student_sf(1, 0)) && isnan(student_quantile(-0.1, 5)));
    assert_true(isnan(chi2_quantile(2, 3)) && isnan(chi2_sf(1, 0)) && isnan(kolmogorov_sf(NAN)));
    assert_true(isnan(binomial_at_least(1, -1, 0.5)) && isnan(binomial_pmf(1, 2, 1.5)));
}

/* The two series of the Kolmogorov distribution meet at 1.18. */
static void kolmogorov_series_meet(void **state)
{
    (void)state;
    assert_near(kolmogorov_sf(1.18), kolmogorov_sf(nextafter(1.18, 0)), 1e-12);
    assert_true(kolmogorov_sf(0) == 1 && kolmogorov_sf(40) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incomplete_gamma_agrees_with_mpmath),
        cmocka_unit_test(incomplete_beta_agrees_with_mpmath),
        cmocka_unit_test(beta_quantiles_agree_with_scipy),
        cmocka_unit_test(normal_agrees_with_mpmath),
        cmocka_unit_test(student_agrees_with_mpmath),
        cmocka_unit_test(binomial_agrees_with_scipy),
        cmocka_unit_test(intervals_of_shares_agree_with_scipy),
        cmocka_unit_test(quantiles_undo_their_distribution),
        cmocka_unit_test(what_is_outside_is_not_a_number),
        cmocka_unit_test(kolmogorov_series_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
