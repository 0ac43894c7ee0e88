/* test_judge.c - counts of a window to verdicts and causes. */
#include "monitor/judge.h"

#include "base/check.h"
#include "monitor/cause.h"

#include "monitor_fixture.h"

static struct watched w;
static uint64_t slots[4096];
static struct judgement out[WATCHED_COLUMNS];

/* Every column as in training: `each` rows per tenth of the baseline. */
static void begin(int base_rows, int missing, int each)
{
    watched_begin(&w, base_rows, missing);
    memset(slots, 0, sizeof(slots));
    for (int i = 0; i < WATCHED_NUMBERS; i++)
        for (int bin = 0; bin < 10; bin++)
            slots[sketch_first_slot(w.sketch, i) + SLOT_BINS + bin] = (uint64_t)each;
    uint64_t *plan = slots + sketch_first_slot(w.sketch, WATCHED_PLAN) + SLOT_BINS;
    plan[0] = (uint64_t)(5 * each);
    plan[1] = (uint64_t)(3 * each);
    plan[2] = (uint64_t)(2 * each);
}

static uint64_t *column(int i)
{
    return slots + sketch_first_slot(w.sketch, i);
}

static void judge(void)
{
    judge_window(w.baseline, w.sketch, slots, out);
}

static void the_same_distribution_is_ok(void **state)
{
    (void)state;
    begin(1000, 0, 50);
    judge();
    for (int i = 0; i < WATCHED_ANSWER; i++) {
        assert_int_equal(out[i].verdict, MONITOR_OK);
        assert_true(out[i].psi_nats == 0 && out[i].rows == 500);
    }
    assert_int_equal(out[WATCHED_ANSWER].verdict, MONITOR_WAIT); /* nothing is learnt */
    assert_non_null(strstr(out[WATCHED_ANSWER].wait, "still learnt"));
    assert_int_equal(judge_worst(out, WATCHED_COLUMNS), MONITOR_OK);
    watched_end(&w);
}

/* 40 x 5, 60 x 5 of 500: 5 * 0.02 * (ln 1.2 - ln 0.8) = 0.0405 before correction; a warning needs
 * 0.1. */
static void a_small_shift_is_not_worth_a_word(void **state)
{
    (void)state;
    begin(1000, 0, 50);
    for (int bin = 0; bin < 10; bin++)
        column(0)[SLOT_BINS + bin] = bin < 5 ? 40 : 60;
    judge();
    assert_int_equal(out[0].verdict, MONITOR_OK);
    assert_true(out[0].psi_nats > 0.01 && out[0].psi_nats < 0.0405);
    watched_end(&w);
}

/* 70 x 5, 30 x 5: 5 * 0.04 * (ln 1.4 - ln 0.6) = 0.1695, less 9 (1/500 + 1/10000) = 0.0189: a
 * warning; 90 x 5, 10 x 5: 5 * 0.08 * (ln 1.8 - ln 0.2) = 0.8789, an alert. Half a row in each bin
 * takes off a little. */
static void large_shifts_are_told_by_their_size(void **state)
{
    (void)state;
    begin(1000, 0, 50);
    for (int bin = 0; bin < 10; bin++) {
        column(0)[SLOT_BINS + bin] = bin < 5 ? 70 : 30;
        column(1)[SLOT_BINS + bin] = bin < 5 ? 90 : 10;
    }
    judge();
    assert_int_equal(out[0].verdict, MONITOR_WARN);
    assert_int_equal(out[0].rule, JUDGE_DRIFT);
    assert_float_equal(out[0].psi_nats, 0.1506, 0.004);
    assert_int_equal(out[1].verdict, MONITOR_ALERT);
    assert_int_equal(judge_worst(out, WATCHED_COLUMNS), MONITOR_ALERT);
    assert_false(judge_is_upstream(out, WATCHED_COLUMNS)); /* 2 of 21 */
    watched_end(&w);
}

/* With few rows the same shape is noise: 7 and 3 of 10 in each bin. */
static void few_rows_are_not_believed(void **state)
{
    (void)state;
    begin(1000, 0, 5);
    for (int bin = 0; bin < 10; bin++)
        column(0)[SLOT_BINS + bin] = bin < 5 ? 7 : 3;
    judge();
    assert_int_equal(out[0].verdict, MONITOR_OK);
    watched_end(&w);
}

/* Whatever its value, a row moves one count by one. */
static void one_extreme_row_changes_no_verdict(void **state)
{
    (void)state;
    begin(1000, 0, 50);
    for (int bin = 0; bin < 10; bin++)
        column(1)[SLOT_BINS + bin] = bin < 5 ? 90 : 10;
    column(0)[SLOT_BINS + 9]++;   /* 1e9, in the outer bin */
    column(0)[SLOT_INFINITE] = 1; /* even that */
    column(1)[SLOT_BINS + 9]++;
    judge();
    assert_int_equal(out[0].verdict, MONITOR_OK);
    assert_int_equal(out[1].verdict, MONITOR_ALERT);
    watched_end(&w);
}

/* 10 % missing in the baseline. 15 % of 1000: the corrected PSI does not see it, the rule does. */
static void missing_values_have_their_own_rule(void **state)
{
    (void)state;
    begin(900, 1000, 85);
    for (int i = 0; i < WATCHED_NUMBERS; i++)
        column(i)[SLOT_NULL] = 94; /* 94 of 944: 10 % */
    column(0)[SLOT_NULL] = 0;
    column(0)[SLOT_ABSENT] = 150;
    column(1)[SLOT_NULL] = 400; /* 32 % */
    judge();
    assert_int_equal(out[0].verdict, MONITOR_WARN);
    assert_int_equal(out[0].rule, JUDGE_MISSING);
    assert_true(out[0].psi_nats < 0.1);
    assert_float_equal(out[0].missing_share, 0.15, 1e-9);
    assert_float_equal(out[0].base_missing_share, 0.1, 1e-9);
    assert_int_equal(out[1].verdict, MONITOR_ALERT);
    assert_int_equal(out[2].verdict, MONITOR_OK);
    watched_end(&w);
}

/* 10 x 8 rows are no baseline; 10 x 50 are one, but not for the long run. */
static void a_small_baseline_says_so(void **state)
{
    (void)state;
    begin(8, 0, 50);
    judge();
    assert_int_equal(out[0].verdict, MONITOR_WAIT);
    assert_non_null(strstr(out[0].wait, "fewer than 100 rows"));
    assert_int_equal(judge_worst(out, WATCHED_COLUMNS), MONITOR_WAIT);
    watched_end(&w);
    begin(50, 0, 50);
    judge();
    assert_int_equal(out[0].verdict, MONITOR_OK);
    assert_non_null(strstr(judge_long_run_refusal(&w.baseline->columns[0]), "5000 rows"));
    struct e_detector detectors[WATCHED_COLUMNS] = {0};
    judge_long_run(w.baseline, w.sketch, slots, detectors, out);
    assert_true(isnan(out[0].log_e) && detectors[0].log_cusum == 0);
    watched_end(&w);
}

static void no_rows_are_no_verdict(void **state)
{
    (void)state;
    begin(1000, 0, 0);
    judge();
    assert_int_equal(out[0].verdict, MONITOR_WAIT);
    assert_string_equal(out[0].wait, "no rows yet");
    assert_true(isnan(out[0].psi_nats));
    watched_end(&w);
}

/* 62 and 38 in each bin: corrected PSI 5 * 0.024 (ln 1.24 - ln 0.76) - 0.0189 = 0.04, never a
 * warning. By the formula of sequential_log_e each such window gives 4.05 (kappa 100); the alarm is
 * ln 21000 = 9.95, so the third one is certain. */
static void the_long_run_finds_what_windows_do_not(void **state)
{
    struct e_detector detectors[WATCHED_COLUMNS] = {0};
    int at = 0;
    (void)state;
    begin(1000, 0, 50);
    for (int bin = 0; bin < 10; bin++)
        column(0)[SLOT_BINS + bin] = bin < 5 ? 62 : 38;
    for (int i = 1; i <= 200 && !at; i++) {
        judge();
        assert_int_equal(out[0].verdict, MONITOR_OK);
        judge_long_run(w.baseline, w.sketch, slots, detectors, out);
        at = out[0].verdict == MONITOR_WARN ? i : 0;
        assert_int_equal(out[1].verdict, MONITOR_OK); /* as in training */
        assert_true(detectors[1].log_cusum <= 0);
    }
    assert_int_equal(at, 3);
    assert_int_equal(out[0].rule, JUDGE_LONG_RUN);
    assert_int_equal(detectors[0].windows, at);
    assert_float_equal(judge_long_run_alarm(w.baseline), log(1000.0 * WATCHED_COLUMNS), 1e-9);
    watched_end(&w);
}

static void many_at_once_are_one_upstream(void **state)
{
    (void)state;
    begin(1000, 0, 50);
    for (int i = 0; i < 8; i++) /* 8 of 21 */
        for (int bin = 0; bin < 10; bin++)
            column(i)[SLOT_BINS + bin] = bin < 5 ? 90 : 10;
    judge();
    assert_true(judge_is_upstream(out, WATCHED_COLUMNS));
    watched_end(&w);
}

/* ---- causes ---- */

static const char *cause_of(int i, const float *values, int count)
{
    static char text[CAUSE_BYTES];
    judge();
    assert_true(out[i].verdict >= MONITOR_WARN);
    cause_describe(&w.baseline->columns[i], column(i), &out[i], values, count, " since 14:02",
                   text);
    return text;
}

static void fill(float *values, int count, double factor)
{
    for (int i = 0; i < count; i++)
        values[i] = (float)(factor * 10 * (1 - rand_unit(&w.rand)));
}

/* All rows in the lowest bin: a tenth of (0, 10] is (0, 1]. */
static void a_unit_is_recognised(void **state)
{
    static const double factors[] = {0.1, 10, 0.001, 1000, 25.4, 0.453592, -1};
    float values[128];
    (void)state;
    begin(1000, 0, 50);
    for (size_t i = 0; i < ARRAY_LEN(factors); i++) {
        fill(values, 128, factors[i]);
        double share, found = cause_find_factor(&w.baseline->columns[0], values, 128, &share);
        if (found != factors[i] || share != 1)
            fail_msg("%g was taken for %g", factors[i], found);
    }
    fill(values, 128, 0.1);
    memset(column(0), 0, (SLOT_BINS + 10) * sizeof(uint64_t));
    column(0)[SLOT_BINS] = 500;
    assert_string_equal(cause_of(0, values, 128),
                        "100 % of rows x0.1 of the baseline since 14:02; unit change? (mm as cm?)");
    double share;
    assert_true(cause_find_factor(&w.baseline->columns[0], values, 20, &share) == 0); /* too few */
    watched_end(&w);
}

/* 48 of 128 values times 1000, the others as they were: 38 %. */
static void a_part_of_the_rows_may_have_another_unit(void **state)
{
    float values[128];
    double share;
    (void)state;
    begin(1000, 0, 50);
    fill(values, 128, 1);
    fill(values, 48, 1000);
    for (int i = 0; i < 48; i++)
        values[i] = fmaxf(values[i], 500); /* none of them by chance among the others */
    assert_true(cause_find_factor(&w.baseline->columns[0], values, 128, &share) == 1000);
    assert_true(share == 0.375);
    uint64_t *slots_of_0 = column(0) + SLOT_BINS;
    slots_of_0[9] = 350;
    assert_string_equal(cause_of(0, values, 128),
                        "38 % of rows x1000 of the baseline since 14:02; unit change? (kg as g, m "
                        "as mm, s as ms?)");
    watched_end(&w);
}

/* In two of ten bins: no unit does that. The median of (0, 2] is 1 against 5, over 2.89. */
static void a_shift_is_told_by_its_median(void **state)
{
    float values[101];
    (void)state;
    begin(1000, 0, 50);
    for (int i = 0; i < 101; i++)
        values[i] = 4 + 0.01f * (float)i; /* 4 .. 5, the middle 4.5 */
    memset(column(0), 0, (SLOT_BINS + 10) * sizeof(uint64_t));
    column(0)[SLOT_BINS + 4] = 500;
    assert_string_equal(cause_of(0, values, 101),
                        "median 4.5, 5 in the baseline (-0.17 standard deviations)");
    for (int i = 0; i < 101; i++)
        values[i] = 4.25f;
    assert_string_equal(cause_of(0, values, 101), "every row has the value 4.25; stuck?");
    assert_string_equal(cause_of(0, values, 0),
                        "100.0 % of rows in (4, 5], 10.0 % in the baseline");
    watched_end(&w);
}

static void categories_and_gaps_are_named(void **state)
{
    (void)state;
    begin(1000, 0, 50);
    uint64_t *plan = column(WATCHED_PLAN) + SLOT_BINS;
    plan[0] = 50, plan[1] = 400, plan[2] = 50;
    assert_string_equal(cause_of(WATCHED_PLAN, NULL, 0),
                        "'a' in 80.0 % of rows, 30.0 % in the baseline");
    plan[0] = 150, plan[1] = 90, plan[2] = 60;
    column(WATCHED_PLAN)[SLOT_UNSEEN] = 200;
    assert_string_equal(cause_of(WATCHED_PLAN, NULL, 0),
                        "a category that the contract does not list in 40.0 % of rows");
    column(0)[SLOT_ABSENT] = 125;
    assert_string_equal(cause_of(0, NULL, 0), "missing in 20.0 % of rows, 0.0 % in the baseline; "
                                              "mostly no such field");
    watched_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_distribution_is_ok),
        cmocka_unit_test(a_small_shift_is_not_worth_a_word),
        cmocka_unit_test(large_shifts_are_told_by_their_size),
        cmocka_unit_test(few_rows_are_not_believed),
        cmocka_unit_test(one_extreme_row_changes_no_verdict),
        cmocka_unit_test(missing_values_have_their_own_rule),
        cmocka_unit_test(a_small_baseline_says_so),
        cmocka_unit_test(no_rows_are_no_verdict),
        cmocka_unit_test(the_long_run_finds_what_windows_do_not),
        cmocka_unit_test(many_at_once_are_one_upstream),
        cmocka_unit_test(a_unit_is_recognised),
        cmocka_unit_test(a_part_of_the_rows_may_have_another_unit),
        cmocka_unit_test(a_shift_is_told_by_its_median),
        cmocka_unit_test(categories_and_gaps_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
