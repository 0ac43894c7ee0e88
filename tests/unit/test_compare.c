/* test_compare.c - two versions' answers side by side, counted by hand. */
#include "rollout/compare.h"

#include <math.h>
#include <stdio.h>

#include "test.h"

static const struct str names[] = {{"benign", 6}, {"malignant", 9}};

static struct compare_row class_row(int stable, int shadow, double delta)
{
    return (struct compare_row){
        .request_id = STR_LIT("r"),
        .stable = {.is_class = true, .class_index = stable, .value = (float)stable},
        .shadow = {.is_class = true, .class_index = shadow, .value = (float)shadow},
        .delta = delta,
    };
}

static struct compare_row number_row(float stable, float shadow)
{
    return (struct compare_row){
        .request_id = STR_LIT("r"), .stable = {.value = stable}, .shadow = {.value = shadow}};
}

static struct compare *new_compare(int class_count, const struct str *class_names)
{
    struct compare *compare = test_malloc(sizeof(*compare));
    compare_init(compare, class_count, class_names);
    return compare;
}

static void flips_are_counted_by_direction(void **state)
{
    (void)state;
    struct compare *compare = new_compare(2, names);
    struct compare_row same = class_row(0, 0, 0);
    struct compare_row up = class_row(0, 1, 0.4), down = class_row(1, 0, 0.2);
    for (int i = 0; i < 7; i++)
        compare_add(compare, &same);
    compare_add(compare, &up);
    compare_add(compare, &up);
    compare_add(compare, &down);
    assert_int_equal(compare->rows, 10);
    assert_int_equal(compare->differ, 3);
    assert_int_equal(compare->identical, 7);
    assert_int_equal(compare->flips[0][1], 2);
    assert_int_equal(compare->flips[1][0], 1);
    assert_float_equal(compare->change_max, 0.4, 1e-12);
    test_free(compare);
}

/* |1000 - 1000.5| / 1000.5 = 5.0e-4 is within 1e-3; |1000 - 1002| / 1002 = 2.0e-3 is not. */
static void a_number_differs_past_the_relative_tolerance(void **state)
{
    (void)state;
    struct compare_row near = number_row(1000, 1000.5f), far = number_row(1000, 1002);
    struct compare_row zeros = number_row(0, -0.0f), nan = number_row(1, NAN);
    struct compare_row nans = number_row(NAN, NAN);
    assert_false(compare_differs(&near));
    assert_true(compare_differs(&far));
    assert_false(compare_differs(&zeros));
    assert_true(compare_differs(&nan));
    assert_false(compare_differs(&nans));
}

static void slices_past_the_limit_are_summed(void **state)
{
    (void)state;
    struct compare *compare = new_compare(2, names);
    for (int i = 0; i < COMPARE_SLICES_MAX + 50; i++) {
        char text[32];
        struct str slice = {text, (size_t)snprintf(text, sizeof(text), "country=%d", i)};
        struct compare_row row = class_row(0, 0, 0);
        row.slices = &slice;
        row.slice_count = 1;
        compare_add(compare, &row);
    }
    assert_int_equal(compare->slice_count, COMPARE_SLICES_MAX);
    assert_int_equal(compare->slices[0].rows, 1);
    /* 127 slices of their own, 51 of the 178 in the rest. */
    assert_int_equal(compare->slices[COMPARE_SLICES_MAX - 1].rows, 51);
    test_free(compare);
}

/* Ranks of y: 1, 2, 3.5, 5, 3.5. Sums around the mean rank 3: xy 4 + 1 + 0 + 2 + 1 = 8, xx 10,
 * yy 4 + 1 + 0.25 + 4 + 0.25 = 9.5; 8 / sqrt(95) = 0.820782682. */
static void rank_correlation_shares_tied_ranks(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5}, y[] = {5, 6, 7, 8, 7};
    struct compare *compare = new_compare(1, NULL);
    assert_true(isnan(compare_rank_correlation(compare)));
    for (int i = 0; i < 5; i++) {
        struct compare_row row = number_row(x[i], y[i]);
        compare_add(compare, &row);
    }
    assert_float_equal(compare_rank_correlation(compare), 0.820782682, 1e-9);
    test_free(compare);
}

static void the_newest_examples_are_kept(void **state)
{
    (void)state;
    struct compare *compare = new_compare(2, names);
    struct buf out;
    for (int i = 0; i < 3 * COMPARE_EXAMPLES_MAX; i++) {
        struct compare_row row = class_row(0, 1, 0.5);
        row.row = i;
        compare_add(compare, &row);
    }
    buf_init(&out, 1 << 20);
    struct json_writer w = {.out = &out};
    json_begin_object(&w);
    compare_write(compare, &w);
    json_end_object(&w);
    buf_append(&out, "", 1);
    assert_non_null(strstr(out.data, "\"id\":\"r-59\",\"stable\":{\"label\":\"benign\"}"));
    assert_non_null(strstr(out.data, "\"id\":\"r-40\""));
    assert_null(strstr(out.data, "\"id\":\"r-39\""));
    assert_non_null(strstr(out.data, "\"differ_ratio\":1"));
    buf_done(&out);
    test_free(compare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips_are_counted_by_direction),
        cmocka_unit_test(a_number_differs_past_the_relative_tolerance),
        cmocka_unit_test(slices_past_the_limit_are_summed),
        cmocka_unit_test(rank_correlation_shares_tied_ranks),
        cmocka_unit_test(the_newest_examples_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
