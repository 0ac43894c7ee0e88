/* test_drift.c - distances over bin counts and tests of tables, worked out by hand. */
#include "monitor/drift.h"

#include <math.h>

#include "base/check.h"
#include "monitor/binning.h"
#include "monitor/contingency.h"
#include "test.h"

static const double flat[4] = {25, 25, 25, 25};
static const double tilted[4] = {20, 30, 25, 25};

/* 0.05 * ln(0.25/0.20) + 0.05 * ln(0.30/0.25) = 0.05 * (0.223144 + 0.182322) */
static void psi_is_the_sum_over_bins(void **state)
{
    (void)state;
    assert_float_equal(drift_psi_nats_floored(flat, tilted, 4, 1e-4), 0.0202733, 1e-7);
    assert_true(drift_psi_nats_floored(flat, flat, 4, 1e-4) == 0);
}

/* (20 + 1/2) / (100 + 2) = 0.200980, (30 + 1/2) / 102 = 0.299020, 25.5 / 102 = 0.25:
 * 0.049020 * ln(0.25 / 0.200980) + 0.049020 * ln(0.299020 / 0.25) = 0.049020 * (0.218257 +
 * 0.179048)
 */
static void smoothed_psi_adds_half_a_row_to_each_bin(void **state)
{
    (void)state;
    assert_float_equal(drift_psi_nats(flat, tilted, 4), 0.0194757, 1e-6);
    const double nobody[4] = {0, 0, 100, 0}; /* finite, however empty the bins */
    assert_true(isfinite(drift_psi_nats(flat, nobody, 4)));
}

/* Three degrees of freedom, 1/100 + 1/100: 0.06 by chance, more than the 0.0195 that is there. */
static void what_chance_explains_is_taken_off(void **state)
{
    (void)state;
    assert_float_equal(drift_psi_chance(4, 100, 100), 0.06, 1e-12);
    assert_true(drift_psi_corrected_nats(flat, tilted, 4) == 0);
    const double far[4] = {5, 5, 20, 70};
    assert_float_equal(drift_psi_corrected_nats(flat, far, 4), drift_psi_nats(flat, far, 4) - 0.06,
                       1e-12);
    /* chi-square with 3 degrees of freedom, 1 %: 11.344867 (any table) */
    assert_float_equal(drift_psi_critical(4, 100, 100, 0.01), 0.22689734, 1e-7);
}

/* Disjoint halves: one bit, distance 1; the largest difference of a share is 1/2. */
static void disjoint_distributions_are_as_far_as_can_be(void **state)
{
    const double left[4] = {50, 50, 0, 0}, right[4] = {0, 0, 50, 50};
    (void)state;
    assert_float_equal(drift_js_divergence_base2(left, right, 4), 1, 1e-12);
    assert_float_equal(drift_js_distance_base2(left, right, 4), 1, 1e-12);
    assert_float_equal(drift_js_distance_natural(left, right, 4), sqrt(M_LN2), 1e-12);
    assert_float_equal(drift_hellinger(left, right, 4), 1, 1e-12);
    assert_float_equal(drift_total_variation(left, right, 4), 1, 1e-12);
    assert_float_equal(drift_l_infinity(left, right, 4), 0.5, 1e-12);
    assert_true(isinf(drift_kl_nats(left, right, 4)));
    assert_float_equal(drift_normalized_abs_difference(left, right, 4), 0.25, 1e-12); /* 50/200 */
}

/* 2/4 ln((2/4)/(1/4)) + 2/4 ln((2/4)/(3/4)) = 0.5 (0.693147 - 0.405465); sum |p - q| / 2 = 1/4 */
static void distances_of_two_coins(void **state)
{
    const double fair[2] = {2, 2}, bent[2] = {1, 3};
    (void)state;
    assert_float_equal(drift_kl_nats(fair, bent, 2), 0.143841, 1e-6);
    assert_float_equal(drift_total_variation(fair, bent, 2), 0.25, 1e-12);
    /* affinity (sqrt(1/8) + sqrt(3/8)) = 0.965926; sqrt(1 - it) */
    assert_float_equal(drift_hellinger(fair, bent, 2), 0.184592, 1e-6);
}

static void no_rows_give_no_number(void **state)
{
    const double none[4] = {0};
    (void)state;
    assert_true(isnan(drift_psi_nats(flat, none, 4)) && isnan(drift_psi_nats(none, flat, 4)));
    assert_true(isnan(drift_psi_corrected_nats(flat, none, 4)));
    assert_true(isnan(drift_js_divergence_base2(flat, none, 4)));
    assert_true(isnan(drift_chi2(flat, none, 4).p) && isnan(drift_psi_nats(flat, flat, 1)));
}

/* Columns 25/20 and 25/30: expected 22.5 and 27.5; 2 * 2.5^2/22.5 + 2 * 2.5^2/27.5 = 1.010101 */
static void two_sample_chi_square_of_full_bins(void **state)
{
    (void)state;
    struct drift_chi2 r = drift_chi2(flat, tilted, 4);
    assert_float_equal(r.statistic, 1.010101, 1e-6);
    assert_int_equal(r.dof, 3);
    assert_int_equal(r.bins, 4);
    assert_float_equal(r.p, 0.7988078, 1e-7); /* scipy: chi2.sf(1.010101, 3) */
}

/* Bins {1, 9}, {2, 8} and the empty one have less than 5 expected on the smaller side, so they join
 * their neighbours: base {30, 70}, live {5, 5}. */
static void thin_bins_join_their_neighbours(void **state)
{
    const double base[5] = {10, 20, 30, 40, 0}, live[5] = {1, 4, 2, 3, 0};
    (void)state;
    struct drift_chi2 joined = drift_chi2(base, live, 5);
    const double base2[2] = {60, 40}, live2[2] = {7, 3}; /* expected 10 * 67/110 = 6.1, 3.9 */
    struct drift_chi2 direct = drift_chi2(base2, live2, 2);
    assert_int_equal(joined.bins, 1); /* the second would have 3.9: it joins the first */
    assert_true(joined.p == 1 && joined.statistic == 0 && direct.p == 1);
    const double live3[5] = {4, 16, 10, 10, 0};
    joined = drift_chi2(base, live3, 5);
    assert_int_equal(joined.bins,
                     3); /* 14 * 40/140 = 4.0: joins the second; the empty one the last */
    const double base3[3] = {30, 30, 40}, live4[3] = {20, 10, 10};
    direct = drift_chi2(base3, live4, 3);
    assert_float_equal(joined.statistic, direct.statistic, 1e-12);
    assert_float_equal(joined.p, direct.p, 1e-12);
}

/* {10, 20; 20, 10}: all expected 15, chi2 = 4 * 25/15; Yates: 60 (300 - 30)^2 / 30^4 = 5.4;
 * G = 4 (10 ln(10/15) + 20 ln(20/15)); V = sqrt(6.6667/60) */
static void tables_worked_out(void **state)
{
    const double table[4] = {10, 20, 20, 10};
    (void)state;
    assert_float_equal(table_chi2(table, 2, 2).statistic, 6.666667, 1e-6);
    assert_float_equal(table_chi2_yates(table).statistic, 5.4, 1e-12);
    assert_float_equal(table_g(table, 2, 2).statistic, 6.795961, 1e-6);
    assert_float_equal(table_cramers_v(table, 2, 2), 1.0 / 3, 1e-12);
    assert_true(isnan(table_chi2((const double[4]){0, 0, 1, 2}, 2, 2).p));
    /* z^2 is the chi-square of the same table */
    struct z_test z = two_proportion_z(10, 30, 20, 30);
    assert_float_equal(z.z, -sqrt(6.666667), 1e-6);
    assert_float_equal(z.p, table_chi2(table, 2, 2).p, 1e-12);
    assert_true(two_proportion_z(0, 10, 0, 20).p == 1 && isnan(two_proportion_z(0, 0, 1, 2).p));
}

/* Tea tasting: {3, 1; 1, 3}: (1 + 16 + 16 + 1) / 70 of the tables are not likelier. */
static void fisher_counts_the_tables_not_likelier(void **state)
{
    (void)state;
    assert_float_equal(table_fisher_p((const int64_t[4]){3, 1, 1, 3}), 34.0 / 70, 1e-12);
    assert_float_equal(table_fisher_p((const int64_t[4]){4, 0, 0, 4}), 2.0 / 70, 1e-12);
}

/* phi2 = 6.6667/60 - 1/59 = 0.094162; rows and columns 2 - 1/59: sqrt(0.094162 / 0.983051) */
static void cramers_v_loses_what_chance_gives(void **state)
{
    const double table[4] = {10, 20, 20, 10}, even[4] = {10, 10, 10, 10};
    (void)state;
    assert_float_equal(table_cramers_v_corrected(table, 2, 2), 0.309493, 1e-6);
    assert_true(table_cramers_v_corrected(even, 2, 2) == 0);
}

/* 1..10 in 5: numpy.quantile([1..10], [.2, .4, .6, .8]) = 2.8, 4.6, 6.4, 8.2 */
static void quantile_edges_are_distinct(void **state)
{
    const double x[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, same[4] = {7, 7, 7, 7};
    const double probe[5] = {2.8, 2.9, NAN, -INFINITY, INFINITY};
    double edges[4], counts[5];
    (void)state;
    assert_int_equal(binning_quantile_edges(x, 10, 5, edges), 4);
    assert_float_equal(edges[0], 2.8, 1e-12);
    assert_float_equal(edges[3], 8.2, 1e-12);
    binning_count(probe, 5, edges, 4, counts); /* a value equal to an edge stays below it */
    assert_true(counts[0] == 2 && counts[1] == 1 && counts[4] == 1);
    assert_int_equal(binning_quantile_edges(same, 4, 5, edges), 1);
}

/* 16 values: Sturges log2(16) + 1 = 5. {0, 1, 2, 3} in two bins: [0, 1.5), [1.5, 3]. */
static void equal_widths_are_closed_at_the_end(void **state)
{
    const double x[5] = {0, 1, 2, 3, 3.5};
    double edges[3], counts[3];
    (void)state;
    assert_int_equal(binning_sturges(16), 5);
    assert_int_equal(binning_doane(x, 1), 1);
    binning_equal_edges(0, 3, 2, edges);
    binning_count_equal(x, 5, edges, 2, counts);
    assert_true(counts[0] == 2 && counts[1] == 2 && counts[2] == 1); /* 3.5 is outside */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(psi_is_the_sum_over_bins),
        cmocka_unit_test(smoothed_psi_adds_half_a_row_to_each_bin),
        cmocka_unit_test(what_chance_explains_is_taken_off),
        cmocka_unit_test(disjoint_distributions_are_as_far_as_can_be),
        cmocka_unit_test(distances_of_two_coins),
        cmocka_unit_test(no_rows_give_no_number),
        cmocka_unit_test(two_sample_chi_square_of_full_bins),
        cmocka_unit_test(thin_bins_join_their_neighbours),
        cmocka_unit_test(tables_worked_out),
        cmocka_unit_test(fisher_counts_the_tables_not_likelier),
        cmocka_unit_test(cramers_v_loses_what_chance_gives),
        cmocka_unit_test(quantile_edges_are_distinct),
        cmocka_unit_test(equal_widths_are_closed_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
