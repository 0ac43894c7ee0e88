/* test_sequential.c - corrections for many tests, and tests that may be looked at often. */
#include "monitor/sequential.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/rand.h"
#include "monitor/calibration.h"
#include "monitor/label_noise.h"
#include "monitor/multiple.h"
#include "monitor/outlier.h"
#include "monitor/sketch_bound.h"
#include "test.h"

/* q = 0.05 and four p: Bonferroni 0.0125; Holm 0.0125, 0.01667, 0.025; BH 0.0125, 0.025, 0.0375,
 * 0.05; BY is BH at 0.05 / 2.08333 = 0.024: 0.006, 0.012, ... */
static void procedures_reject_what_they_should(void **state)
{
    const double p[4] = {0.04, 0.001, 0.030, 0.016};
    bool rejected[4];
    (void)state;
    assert_int_equal(multiple_bonferroni(p, 4, 0.05, rejected), 1);
    assert_true(rejected[1] && !rejected[0] && !rejected[2] && !rejected[3]);
    assert_int_equal(multiple_holm(p, 4, 0.05, rejected), 2);
    assert_true(rejected[1] && rejected[3] && !rejected[2]);
    assert_int_equal(multiple_bh(p, 4, 0.05, rejected), 4); /* 0.04 <= 0.05 carries the others */
    assert_int_equal(multiple_by(p, 4, 0.05, rejected), 1);
    assert_float_equal(multiple_by_constant(4), 25.0 / 12, 1e-12);
}

/* What was not tested does not count: two p of three, so BH compares with q/2 and q. */
static void a_missing_p_is_no_test(void **state)
{
    const double p[3] = {NAN, 0.02, 0.5};
    double adjusted[3];
    bool rejected[3];
    (void)state;
    assert_int_equal(multiple_bh(p, 3, 0.05, rejected), 1);
    assert_true(!rejected[0] && rejected[1] && !rejected[2]);
    multiple_bh_adjust(p, 3, adjusted);
    assert_true(isnan(adjusted[0]));
    assert_float_equal(adjusted[1], 0.04, 1e-12);
    assert_int_equal(multiple_bh(p, 1, 0.05, NULL), 0);
    assert_int_equal(multiple_bh(p, 0, 0.05, NULL), 0);
}

/* alpha 0.1, three e: 30 >= 3/(0.1*1) fails alone, but 20 >= 3/(0.1*2) = 15 carries both. */
static void e_values_are_rejected_together(void **state)
{
    const double e[3] = {20, 1, 29};
    bool rejected[3];
    (void)state;
    assert_int_equal(multiple_ebh(e, 3, 0.1, rejected), 2);
    assert_true(rejected[0] && !rejected[1] && rejected[2]);
}

/* One value of 0 seen with two fair categories and kappa 2: Dirichlet(1, 1) gives it 1/2, so does
 * the reference: e = 1. Two of the same: 2/3 * 1/2 = 1/3 against 1/4. */
static void e_values_of_small_counts(void **state)
{
    const double fair[2] = {0.5, 0.5};
    (void)state;
    assert_float_equal(sequential_log_e(fair, (const double[2]){1, 0}, 2, 2), 0, 1e-12);
    assert_float_equal(sequential_log_e(fair, (const double[2]){2, 0}, 2, 2), log(4.0 / 3), 1e-12);
    assert_float_equal(sequential_log_e(fair, (const double[2]){0, 0}, 2, 2), 0, 1e-12);
}

/* The mean of e over all outcomes of three tosses is 1: sum of C(3, k) / 8 * e(k). */
static void an_e_value_is_one_on_average(void **state)
{
    const double fair[2] = {0.5, 0.5}, ways[4] = {1, 3, 3, 1};
    double mean = 0;
    (void)state;
    for (int k = 0; k <= 3; k++)
        mean += ways[k] / 8 * exp(sequential_log_e(fair, (const double[2]){k, 3 - k}, 2, 7));
    assert_float_equal(mean, 1, 1e-12);
}

/* M: -1, then max(-1, 0) + 2 = 2, then 2.5; R: e^-1, (e^-1 + 1) e^2, ... */
static void detectors_forget_what_was_quiet(void **state)
{
    struct e_detector d;
    (void)state;
    e_detector_init(&d);
    e_detector_add(&d, -1);
    assert_float_equal(d.log_cusum, -1, 1e-12);
    assert_float_equal(d.log_sr, -1, 1e-12);
    e_detector_add(&d, 2);
    assert_float_equal(d.log_cusum, 2, 1e-12);
    assert_float_equal(d.log_sr, 2 + log(1 + exp(-1)), 1e-12);
    assert_int_equal(d.windows, 1);
    e_detector_add(&d, 0.5);
    assert_float_equal(d.log_cusum, 2.5, 1e-12);
    assert_int_equal(d.windows, 2);
}

/* At n = 1, sigma2 = tau2 = 1: L = sqrt(1/2) exp(s^2 / 4). */
static void msprt_of_one_value(void **state)
{
    (void)state;
    assert_float_equal(sequential_msprt_log(2, 1, 1, 1), 0.5 * log(0.5) + 1, 1e-12);
    /* the width is where L reaches 1/alpha */
    double width = sequential_mixture_width(50, 1, 0.3, 0.05);
    assert_float_equal(sequential_msprt_log(50 * width, 50, 1, 0.3), log(20), 1e-9);
    assert_true(isnan(sequential_mixture_width(0, 1, 1, 0.05)));
    assert_true(sequential_stitched_width(1, 1, 0.05) > sequential_stitched_width(2, 1, 0.05));
}

/* A confidence sequence may leave the mean out at any of 2000 looks in at most 5 % of runs: 99 %
 * limit of Binomial(400, 0.05) is 31. */
static void a_confidence_sequence_holds_at_every_look(void **state)
{
    struct rand rand;
    int missed = 0;
    (void)state;
    rand_seed(&rand, 7);
    for (int run = 0; run < 400; run++) {
        double sum = 0;
        bool is_out = false;
        for (int n = 1; n <= 2000; n++) {
            sum += rand_u64(&rand) & 1 ? 1 : -1; /* sigma 1 */
            is_out |= fabs(sum / n) > sequential_mixture_width(n, 1, 0.1, 0.05);
        }
        missed += is_out;
    }
    assert_true(missed <= 31);
}

/* z = 1, k = 1/2: 0.5, 1, 1.5 > 1.2 at the third; Page-Hinkley of 0, 1: mean 1/2, 0.5 - delta */
static void streams_that_rise_are_found(void **state)
{
    struct cusum c = {0};
    struct page_hinkley ph = {0};
    (void)state;
    assert_false(cusum_add(&c, 1, 0.5, 1.2));
    assert_false(cusum_add(&c, 1, 0.5, 1.2));
    assert_true(cusum_add(&c, 1, 0.5, 1.2));
    assert_true(c.down == 0);
    assert_false(page_hinkley_add(&ph, 0, 0.1, 0.35));
    assert_true(page_hinkley_add(&ph, 1, 0.1, 0.35));
    assert_float_equal(ph.statistic, 0.4, 1e-12);
    /* 1/(1/100 + 1/100) = 50; L = ln(2 ln 200 / 0.002) = 8.575; sqrt(2/50*.25*L) + 2/150 L */
    assert_float_equal(adwin_cut(100, 100, 0.25, 0.002), 0.4071687, 1e-7);
}

/* 1, 3, 2: the last two pool to 2.5; with weights 1, 1, 3 to (3 + 6) / 4 */
static void isotonic_fit_pools_violators(void **state)
{
    double y[3] = {1, 3, 2};
    const double weight[3] = {1, 1, 3};
    (void)state;
    double fitted[3];
    calibration_isotonic(y, weight, 3, fitted);
    assert_true(fitted[0] == 1 && fitted[1] == 2.25 && fitted[2] == 2.25);
    calibration_isotonic(y, NULL, 3, y);
    assert_true(y[0] == 1 && y[1] == 2.5 && y[2] == 2.5);
    /* bins {0.1, 0.3}, {0.8}: (|0.4 - 1| + |0.8 - 1|) / 3 */
    const double p[3] = {0.1, 0.3, 0.8}, label[3] = {0, 1, 1};
    assert_float_equal(calibration_error(p, label, 3, 2), 0.8 / 3, 1e-12);
    assert_true(isnan(calibration_error(p, label, 0, 2)));
}

/* Rows of 0.9 and 0.6 answered 1, of 0.2 answered 0: TP 1.5, FP 0.5, FN 0.2, TN 0.8. AUC: steps of
 * 0.1, 0.4, 0.8 over heights 0.45, 1.2, 1.6 of 1.7 * 1.3. */
static void quality_is_expected_from_probabilities(void **state)
{
    const double score[3] = {0.8, 0.7, 0.1}, p[3] = {0.9, 0.6, 0.2}, same[3] = {0.5, 0.5, 0.5};
    const bool is_positive[3] = {true, true, false};
    (void)state;
    struct expected_quality q = calibration_expected(score, p, is_positive, 3);
    assert_float_equal(q.tp, 1.5, 1e-12);
    assert_float_equal(q.fn, 0.2, 1e-12);
    assert_float_equal(q.accuracy, 2.3 / 3, 1e-12);
    assert_float_equal(q.precision, 0.75, 1e-12);
    assert_float_equal(q.f1, 3 / 3.7, 1e-12);
    assert_float_equal(q.auc, (0.1 * 0.45 + 0.4 * 1.2 + 0.8 * 1.6) / (1.7 * 1.3), 1e-12);
    q = calibration_expected(same, p, is_positive, 3); /* one score tells nothing apart */
    assert_float_equal(q.auc, 0.5, 1e-12);
    assert_true(isnan(calibration_expected(score, p, is_positive, 0).accuracy));
}

/* Unit covariance: the plain square. {4, 2; 2, 2}: L = {2, 0; 1, 1}; (2, 3): y = 1, 2 -> 5 */
static void distances_from_the_middle(void **state)
{
    const double s[4] = {4, 2, 2, 2}, singular[4] = {1, 1, 1, 1}, mean[2] = {0, 0};
    double lower[4] = {0};
    struct err err = {0};
    (void)state;
    assert_int_equal(outlier_factor(s, 2, lower, &err), ERR_OK);
    assert_float_equal(outlier_mahalanobis2((const double[2]){2, 3}, mean, lower, 2), 5, 1e-12);
    assert_int_equal(outlier_factor(singular, 2, lower, &err), ERR_INVALID);
    assert_int_equal(outlier_factor(s, OUTLIER_FEATURES_MAX + 1, lower, &err), ERR_LIMIT);
    assert_float_equal(outlier_energy((const double[2]){0, 0}, 2, 1), -M_LN2, 1e-12);
    assert_float_equal(outlier_energy((const double[2]){1000, 1000}, 2, 1), -1000 - M_LN2, 1e-9);
    assert_float_equal(outlier_max_softmax((const double[2]){0, log(3)}, 2), 0.75, 1e-12);
}

/* Thresholds 0.75 and 0.6; the third row, labelled 1, reaches that of 0 only. */
static void labels_that_contradict_are_found(void **state)
{
    const int32_t labels[4] = {0, 0, 1, 1};
    const double p[8] = {0.9, 0.1, 0.6, 0.4, 0.8, 0.2, 0.0, 1.0};
    double threshold[2];
    int64_t joint[4];
    int32_t guess[4];
    (void)state;
    assert_int_equal(label_noise_find(labels, p, 4, 2, threshold, joint, guess), 1);
    assert_float_equal(threshold[0], 0.75, 1e-12);
    assert_float_equal(threshold[1], 0.6, 1e-12);
    assert_int_equal(guess[1], -1); /* reaches neither */
    assert_true(joint[0] == 1 && joint[1] == 0 && joint[2] == 1 && joint[3] == 1);
}

/* Middle of a bucket to alpha; e / 0.01 = 271.8 -> 272; ln 100 = 4.6 -> 5 */
static void bounds_of_sketches(void **state)
{
    double gamma = ddsketch_gamma(0.02);
    (void)state;
    for (double x = 1e-3; x < 1e6; x *= 1.37)
        assert_true(fabs(ddsketch_value(ddsketch_bucket(x, gamma), gamma) - x) <= 0.02001 * x);
    assert_int_equal(count_min_width(0.01), 272);
    assert_int_equal(count_min_depth(0.01), 5);
    assert_float_equal(hll_error(10), 1.04 / 32, 1e-12);
    assert_float_equal(dkw_error(200, 2 * exp(-4)), 0.1, 1e-12); /* sqrt(4 / 400) */
    assert_true(kll_share_error(200) > kll_rank_error(200) && kll_rank_error(400) < 0.0071);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(procedures_reject_what_they_should),
        cmocka_unit_test(a_missing_p_is_no_test),
        cmocka_unit_test(e_values_are_rejected_together),
        cmocka_unit_test(e_values_of_small_counts),
        cmocka_unit_test(an_e_value_is_one_on_average),
        cmocka_unit_test(detectors_forget_what_was_quiet),
        cmocka_unit_test(msprt_of_one_value),
        cmocka_unit_test(a_confidence_sequence_holds_at_every_look),
        cmocka_unit_test(streams_that_rise_are_found),
        cmocka_unit_test(isotonic_fit_pools_violators),
        cmocka_unit_test(quality_is_expected_from_probabilities),
        cmocka_unit_test(distances_from_the_middle),
        cmocka_unit_test(labels_that_contradict_are_found),
        cmocka_unit_test(bounds_of_sketches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
