/* test_quality.c - metrics against scikit-learn and friends, by hand, and where there is no answer.
 */
#include "monitor/quality.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rand.h"
#include "test.h"

enum { ARENA_BYTES_MAX = 256 * 1024 * 1024, FILE_BYTES_MAX = 4 * 1024 * 1024 };

static struct arena *arena;
static yyjson_val *cases;

static int set_up(void **state)
{
    (void)state;
    struct buf file;
    struct err err = {0};
    arena = arena_new(ARENA_BYTES_MAX);
    assert_int_equal(file_read("tests/golden/quality/cases.json", FILE_BYTES_MAX, &file, &err), 0);
    assert_int_equal(json_read(buf_view(&file), arena, &cases, &err), 0);
    buf_done(&file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static const double *doubles(yyjson_val *object, const char *key)
{
    yyjson_val *list = yyjson_obj_get(object, key), *item;
    double *out = list ? arena_calloc(arena, yyjson_arr_size(list), sizeof(*out)) : NULL;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, item) out[i] = yyjson_get_num(item);
    return out;
}

static const int32_t *classes(yyjson_val *object, const char *key)
{
    yyjson_val *list = yyjson_obj_get(object, key), *item;
    int32_t *out = list ? arena_calloc(arena, yyjson_arr_size(list), sizeof(*out)) : NULL;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, item) out[i] = (int32_t)yyjson_get_sint(item);
    return out;
}

static const int64_t *groups(yyjson_val *object)
{
    yyjson_val *list = yyjson_obj_get(object, "group"), *item;
    int64_t *out = list ? arena_calloc(arena, yyjson_arr_size(list), sizeof(*out)) : NULL;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, item) out[i] = yyjson_get_sint(item);
    return out;
}

static struct quality_rows rows_of(yyjson_val *object)
{
    yyjson_val *first = yyjson_obj_get(object, "truth");
    if (!first)
        first = yyjson_obj_get(object, "truth_number");
    return (struct quality_rows){
        .count = (int64_t)yyjson_arr_size(first),
        .class_count = (int)yyjson_get_sint(yyjson_obj_get(object, "class_count")),
        .truth = classes(object, "truth"),
        .predicted = classes(object, "predicted"),
        .probability = doubles(object, "probability"),
        .truth_number = doubles(object, "truth_number"),
        .predicted_number = doubles(object, "predicted_number"),
        .group = groups(object),
        .weight = doubles(object, "weight"),
    };
}

static void check_near(const char *what, double got, yyjson_val *expected, double tolerance)
{
    if (!yyjson_is_num(expected))
        return;
    if (!(fabs(got - yyjson_get_num(expected)) <= tolerance))
        fail_msg("%s: got %.12g, expected %.12g +- %g", what, got, yyjson_get_num(expected),
                 tolerance);
}

/* Every metric of the case, value and interval. */
static void check_all(yyjson_val *object, const struct quality got[QUALITY_COUNT])
{
    yyjson_val *expected = yyjson_obj_get(object, "expected"), *key, *entry;
    size_t i, count;
    int measured = 0;
    yyjson_obj_foreach(expected, i, count, key, entry)
    {
        enum quality_metric m = quality_find(json_str(key));
        double tolerance = yyjson_get_num(yyjson_obj_get(entry, "tolerance"));
        assert_int_not_equal(m, QUALITY_COUNT);
        assert_true(got[m].is_measured);
        assert_null(got[m].missing);
        check_near(quality_name(m), got[m].value, yyjson_obj_get(entry, "value"), 1e-7);
        check_near(quality_name(m), got[m].low, yyjson_obj_get(entry, "low"), tolerance);
        check_near(quality_name(m), got[m].high, yyjson_obj_get(entry, "high"), tolerance);
        assert_true(got[m].low <= got[m].value && got[m].value <= got[m].high);
        measured++;
    }
    assert_true(measured >= 2);
}

static void agrees(const char *name)
{
    yyjson_val *object = yyjson_obj_get(cases, name);
    struct quality_rows rows = rows_of(object);
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_non_null(object);
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    check_all(object, got);
}

static void two_classes_agree(void **state)
{
    (void)state;
    agrees("binary");
}

static void weighted_rows_agree(void **state)
{
    (void)state;
    agrees("weighted");
}

static void several_classes_agree(void **state)
{
    (void)state;
    agrees("several");
}

static void numbers_agree(void **state)
{
    (void)state;
    agrees("numbers");
}

static void rankings_agree(void **state)
{
    (void)state;
    agrees("ranking");
}

static void paired_differences_agree(void **state)
{
    (void)state;
    yyjson_val *object = yyjson_obj_get(cases, "paired");
    struct quality_rows a = rows_of(object), b = a;
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    b.predicted = classes(yyjson_obj_get(object, "other"), "predicted");
    b.probability = doubles(yyjson_obj_get(object, "other"), "probability");
    assert_int_equal(quality_compare(&a, &b, NULL, arena, got, &err), ERR_OK);
    check_all(object, got);
    struct quality back[QUALITY_COUNT];
    assert_int_equal(quality_compare(&b, &a, NULL, arena, back, &err), ERR_OK);
    assert_float_equal(back[QUALITY_AUC].value, -got[QUALITY_AUC].value, 1e-12);
    assert_float_equal(back[QUALITY_ACCURACY].low, -got[QUALITY_ACCURACY].high, 1e-12);
}

/* ---- by hand ---- */

/* Scores .9 .8 .8 .1 of truths 1 1 0 0: pairs (.9,.8) 1, (.9,.1) 1, (.8,.8) 1/2, (.8,.1) 1: 3.5
 * / 4. Answers at 0.5: 1 1 1 0: 3 of 4 right, precision 2/3, recall 2/2. */
static void four_rows_match_hand_computation(void **state)
{
    (void)state;
    static const int32_t truth[] = {1, 1, 0, 0}, predicted[] = {1, 1, 1, 0};
    static const double p[] = {0.9, 0.8, 0.8, 0.1};
    struct quality_rows rows = {4, 2, truth, predicted, p, NULL, NULL, NULL, NULL};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    int64_t confusion[4] = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_float_equal(got[QUALITY_AUC].value, 0.875, 1e-12);
    assert_float_equal(got[QUALITY_ACCURACY].value, 0.75, 1e-12);
    assert_float_equal(got[QUALITY_PRECISION].value, 2.0 / 3, 1e-12);
    assert_int_equal(got[QUALITY_PRECISION].n, 3);
    assert_float_equal(got[QUALITY_RECALL].value, 1, 1e-12);
    assert_int_equal(got[QUALITY_RECALL].n, 2);
    /* (.1^2 + .2^2 + .8^2 + .1^2) / 4 */
    assert_float_equal(got[QUALITY_BRIER].value, 0.175, 1e-12);
    quality_confusion(&rows, confusion);
    assert_int_equal(confusion[0], 1);
    assert_int_equal(confusion[1], 1);
    assert_int_equal(confusion[2], 0);
    assert_int_equal(confusion[3], 2);
}

/* Four rows say nothing about F1: its interval is the whole range, and says why. */
static void too_few_rows_have_the_whole_range_as_interval(void **state)
{
    (void)state;
    static const int32_t truth[] = {1, 1, 0, 0}, predicted[] = {1, 1, 1, 0};
    struct quality_rows rows = {
        .count = 4, .class_count = 2, .truth = truth, .predicted = predicted};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_float_equal(got[QUALITY_F1].value, 0.8, 1e-12);
    assert_true(got[QUALITY_F1].low == 0 && got[QUALITY_F1].high == 1);
    assert_string_equal(got[QUALITY_F1].missing, "fewer than 10 rows for an interval");
    assert_false(got[QUALITY_AUC].is_measured);
    assert_false(got[QUALITY_MAE].is_measured);
}

static void what_the_rows_cannot_give_has_no_value_and_says_why(void **state)
{
    (void)state;
    static const int32_t truth[] = {0, 0, 0}, predicted[] = {0, 0, 0};
    static const double p[] = {0.1, 0.2, 0.3};
    struct quality_rows rows = {3, 2, truth, predicted, p, NULL, NULL, NULL, NULL};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_true(isnan(got[QUALITY_AUC].value) && isnan(got[QUALITY_RECALL].value));
    assert_string_equal(got[QUALITY_RECALL].missing, "no row is of the positive class");
    assert_string_equal(got[QUALITY_PRECISION].missing,
                        "no row was answered with the positive class");
    assert_true(isnan(got[QUALITY_CALIBRATION_SLOPE].value));
    assert_true(isnan(got[QUALITY_CALIBRATION_INTERCEPT].value));
    rows.count = 0;
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_string_equal(got[QUALITY_ACCURACY].missing, "no rows");
}

/* 20 rows of each class in perfect order: m = 20 pairs, all right, (0.05 / 2)^(1/20) = 0.8315667.
 * F1 and the slope: perfect in every resample; classes that are separated have no slope. */
static void a_perfect_model_is_not_certain(void **state)
{
    (void)state;
    int32_t truth[40];
    double p[40];
    struct quality_rows rows = {40, 2, truth, truth, p, NULL, NULL, NULL, NULL};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    for (int i = 0; i < 40; i++) {
        truth[i] = i >= 20;
        p[i] = 0.2 + 0.015 * i;
    }
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_float_equal(got[QUALITY_AUC].value, 1, 0);
    assert_float_equal(got[QUALITY_AUC].low, 0.8315667, 1e-6);
    assert_float_equal(got[QUALITY_AUC].high, 1, 0);
    assert_float_equal(got[QUALITY_F1].low, 0.8315667, 1e-6);
    assert_float_equal(got[QUALITY_AVERAGE_PRECISION].low, 0.8315667, 1e-6);
    assert_true(isnan(got[QUALITY_CALIBRATION_SLOPE].value));
    assert_non_null(got[QUALITY_CALIBRATION_SLOPE].missing);
}

/* A truth of 0 has no relative error: |1-2|/2 and |5-4|/4 are left. */
static void mape_leaves_out_a_truth_of_zero(void **state)
{
    (void)state;
    static const double truth[] = {2, 0, 4}, answer[] = {1, 100, 5};
    struct quality_rows rows = {.count = 3, .truth_number = truth, .predicted_number = answer};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_float_equal(got[QUALITY_MAPE].value, 0.375, 1e-12);
    assert_int_equal(got[QUALITY_MAPE].n, 2);
    assert_int_equal(got[QUALITY_MAPE].skipped, 1);
}

/* A group without a relevant item is neither 0 nor 1: the other one's relevant item is second of
 * two, AP 1/2, NDCG (1 / log2 3) / 1 = 0.63093. */
static void a_group_without_a_relevant_item_is_skipped(void **state)
{
    (void)state;
    static const int64_t group[] = {1, 1, 2, 2};
    static const double truth[] = {0, 1, 0, 0}, score[] = {0.9, 0.1, 0.5, 0.4};
    struct quality_rows rows = {
        .count = 4, .truth_number = truth, .predicted_number = score, .group = group};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_float_equal(got[QUALITY_MAP].value, 0.5, 1e-12);
    assert_float_equal(got[QUALITY_NDCG].value, 0.63092975, 1e-7);
    assert_int_equal(got[QUALITY_NDCG].n, 1);
    assert_int_equal(got[QUALITY_NDCG].skipped, 1);
    assert_false(got[QUALITY_MAE].is_measured);
}

/* Group 1: the relevant item is third: 1/3. Group 2: three items share the first places, one of
 * them is relevant: (1 + 1/2 + 1/3) / 3 = 11/18. Group 3: two of three: first with 2/3, else
 * second: 2/3 + 1/3 x 1/2 = 5/6. Their mean is (6 + 11 + 15) / 54 = 32/54. */
static void the_first_relevant_place_counts_and_ties_share_it(void **state)
{
    (void)state;
    static const int64_t group[] = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4};
    static const double truth[] = {0, 0, 2, 1, 0, 0, 1, 0, 1, 0};
    static const double score[] = {3, 2, 1, 5, 5, 5, 0, 0, 0, 9};
    struct quality_rows rows = {
        .count = 10, .truth_number = truth, .predicted_number = score, .group = group};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_OK);
    assert_float_equal(got[QUALITY_MRR].value, 32.0 / 54, 1e-12);
    assert_int_equal(got[QUALITY_MRR].n, 3);
    assert_int_equal(got[QUALITY_MRR].skipped, 1);
}

static void wrong_rows_are_named(void **state)
{
    (void)state;
    static const int32_t truth[] = {0, 1}, predicted[] = {0, 2};
    static const double p[] = {0.5, 1.5};
    struct quality_rows rows = {
        .count = 2, .class_count = 2, .truth = truth, .predicted = predicted};
    struct quality got[QUALITY_COUNT];
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_INVALID);
    assert_string_equal(err.msg, "row 1: answer: expected a class below 2, got 2");
    rows.predicted = truth;
    rows.probability = p;
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_INVALID);
    assert_string_equal(err.msg, "row 1: probability: expected a number in [0, 1], got 1.5");
    rows = (struct quality_rows){.count = QUALITY_ROWS_MAX + 1};
    assert_int_equal(quality_measure(&rows, NULL, arena, got, &err), ERR_LIMIT);
}

/* The same seed draws the same rows. */
static void intervals_are_repeatable(void **state)
{
    (void)state;
    struct quality_rows rows = rows_of(yyjson_obj_get(cases, "numbers"));
    struct quality a[QUALITY_COUNT], b[QUALITY_COUNT], c[QUALITY_COUNT];
    struct quality_options other = {.seed = 7};
    struct err err = {0};
    assert_int_equal(quality_measure(&rows, NULL, arena, a, &err), ERR_OK);
    assert_int_equal(quality_measure(&rows, NULL, arena, b, &err), ERR_OK);
    assert_int_equal(quality_measure(&rows, &other, arena, c, &err), ERR_OK);
    assert_true(a[QUALITY_MAE].low == b[QUALITY_MAE].low);
    assert_true(a[QUALITY_MAE].low != c[QUALITY_MAE].low);
}

/* ---- how often intervals are right ---- */

enum { TRIALS = 2000, TRIAL_ROWS = 200 };

struct trial {
    int32_t truth[TRIAL_ROWS], a[TRIAL_ROWS], b[TRIAL_ROWS];
    double p[TRIAL_ROWS];
};

/* Two models that answer the same rows: both right on 80 %, one alone on 6 % and 12 %, so that the
 * first is worse by 6 points. */
static void draw_answers(struct rand *rand, struct trial *t)
{
    for (int i = 0; i < TRIAL_ROWS; i++) {
        double u = rand_unit(rand);
        t->truth[i] = i % 2;
        t->a[i] = u < 0.86 ? t->truth[i] : 1 - t->truth[i];
        t->b[i] = u < 0.80 || (u >= 0.86 && u < 0.98) ? t->truth[i] : 1 - t->truth[i];
    }
}

/* Exactly at the margin the lower limit must be above it in 2.5 % of the runs; the 99.9 % limit of
 * 2000 such runs is 50 + 3.1 sqrt(2000 * 0.025 * 0.975) = 72. */
static void a_model_at_the_margin_passes_seldom(void **state)
{
    (void)state;
    static struct trial t;
    struct rand rand;
    struct err err = {0};
    int above = 0, below = 0;
    struct arena *own = arena_new(ARENA_BYTES_MAX);
    rand_seed(&rand, 17);
    for (int i = 0; i < TRIALS; i++) {
        struct quality got[QUALITY_COUNT];
        const struct quality_options options = {.resamples = 2};
        draw_answers(&rand, &t);
        struct quality_rows a = {
            .count = TRIAL_ROWS, .class_count = 2, .truth = t.truth, .predicted = t.a};
        struct quality_rows b = a;
        b.predicted = t.b;
        arena_reset(own);
        assert_int_equal(quality_compare(&a, &b, &options, own, got, &err), ERR_OK);
        above += got[QUALITY_ACCURACY].low > -0.06;
        below += got[QUALITY_ACCURACY].high < -0.06;
    }
    arena_free(own);
    assert_in_range(above, 1, 72);
    assert_in_range(below, 1, 72);
}

/* Normal scores one standard deviation apart: AUC = Phi(1 / sqrt 2) = 0.7602499. DeLong's interval
 * holds it in 95 % of the runs: of 2000 at least 1900 - 3.1 sqrt(2000 * 0.95 * 0.05) = 1869. */
static void the_area_is_in_its_interval_as_often_as_promised(void **state)
{
    (void)state;
    static struct trial t;
    struct rand rand;
    struct err err = {0};
    int held = 0;
    struct arena *own = arena_new(ARENA_BYTES_MAX);
    rand_seed(&rand, 23);
    for (int trial = 0; trial < TRIALS; trial++) {
        struct quality got[QUALITY_COUNT];
        const struct quality_options options = {.resamples = 2};
        for (int i = 0; i < TRIAL_ROWS; i++) {
            double z = sqrt(-2 * log(1 - rand_unit(&rand))) * cos(2 * M_PI * rand_unit(&rand));
            t.truth[i] = i % 2;
            t.p[i] = 1 / (1 + exp(-(z + t.truth[i])));
        }
        struct quality_rows rows = {
            .count = TRIAL_ROWS, .class_count = 2, .truth = t.truth, .probability = t.p};
        arena_reset(own);
        assert_int_equal(quality_measure(&rows, &options, own, got, &err), ERR_OK);
        held += got[QUALITY_AUC].low <= 0.7602499 && got[QUALITY_AUC].high >= 0.7602499;
    }
    arena_free(own);
    assert_in_range(held, 1869, 1960);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_classes_agree),
        cmocka_unit_test(weighted_rows_agree),
        cmocka_unit_test(several_classes_agree),
        cmocka_unit_test(numbers_agree),
        cmocka_unit_test(rankings_agree),
        cmocka_unit_test(paired_differences_agree),
        cmocka_unit_test(four_rows_match_hand_computation),
        cmocka_unit_test(too_few_rows_have_the_whole_range_as_interval),
        cmocka_unit_test(what_the_rows_cannot_give_has_no_value_and_says_why),
        cmocka_unit_test(a_perfect_model_is_not_certain),
        cmocka_unit_test(mape_leaves_out_a_truth_of_zero),
        cmocka_unit_test(a_group_without_a_relevant_item_is_skipped),
        cmocka_unit_test(the_first_relevant_place_counts_and_ties_share_it),
        cmocka_unit_test(wrong_rows_are_named),
        cmocka_unit_test(intervals_are_repeatable),
        cmocka_unit_test(a_model_at_the_margin_passes_seldom),
        cmocka_unit_test(the_area_is_in_its_interval_as_often_as_promised),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
