/* test_review_agreement.c - kappa and alpha against scikit-learn and krippendorff
 * (tests/golden/review/make.py), and the example of Krippendorff's own paper.
 */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "review/agreement.h"
#include "test.h"

enum { FILE_BYTES_MAX = 4 * 1024 * 1024, ROWS_MAX = 2000 };

static struct arena *arena;
static yyjson_val *golden;

static int read_golden(void **state)
{
    struct buf file;
    struct err err = {0};
    (void)state;
    arena = arena_new(16 * FILE_BYTES_MAX);
    assert_int_equal(file_read("tests/golden/review/agreement.json", FILE_BYTES_MAX, &file, &err),
                     0);
    assert_int_equal(json_read(buf_view(&file), arena, &golden, &err), 0);
    buf_done(&file);
    return 0;
}

static int free_golden(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static int64_t read_numbers(yyjson_val *object, const char *key, double *numbers)
{
    size_t i, count;
    yyjson_val *value;
    yyjson_arr_foreach(yyjson_obj_get(object, key), i, count, value)
    {
        assert_true(i < ROWS_MAX);
        numbers[i] = yyjson_get_num(value);
    }
    return (int64_t)count;
}

static int64_t read_labels(yyjson_val *object, const char *key, int *labels)
{
    double numbers[ROWS_MAX];
    int64_t count = read_numbers(object, key, numbers);
    for (int64_t i = 0; i < count; i++)
        labels[i] = (int)numbers[i];
    return count;
}

static void kappa_is_that_of_scikit_learn(void **state)
{
    int a[ROWS_MAX], b[ROWS_MAX];
    size_t i, count;
    yyjson_val *one;
    (void)state;
    yyjson_arr_foreach(yyjson_obj_get(golden, "kappa"), i, count, one)
    {
        int64_t rows = read_labels(one, "a", a);
        int labels = (int)yyjson_get_int(yyjson_obj_get(one, "labels"));
        assert_int_equal(read_labels(one, "b", b), rows);
        assert_float_equal(agreement_kappa(a, b, rows, labels),
                           yyjson_get_num(yyjson_obj_get(one, "kappa")), 1e-12);
    }
    assert_int_equal(count, 4);
}

static int64_t read_items(yyjson_val *one, int64_t *items)
{
    int labels[ROWS_MAX];
    int64_t count = read_labels(one, "items", labels);
    for (int64_t i = 0; i < count; i++)
        items[i] = labels[i];
    return count;
}

static void alpha_is_that_of_krippendorff(void **state)
{
    int labels[ROWS_MAX];
    double values[ROWS_MAX];
    int64_t items[ROWS_MAX];
    size_t i, count;
    yyjson_val *one;
    (void)state;
    yyjson_arr_foreach(yyjson_obj_get(golden, "alpha"), i, count, one)
    {
        int64_t rows = read_items(one, items);
        read_labels(one, "values", labels);
        assert_float_equal(agreement_alpha(labels, items, rows,
                                           (int)yyjson_get_int(yyjson_obj_get(one, "labels"))),
                           yyjson_get_num(yyjson_obj_get(one, "alpha")), 1e-12);
    }
    assert_int_equal(count, 3);
    yyjson_arr_foreach(yyjson_obj_get(golden, "alpha_numbers"), i, count, one)
    {
        int64_t rows = read_items(one, items);
        read_numbers(one, "values", values);
        assert_float_equal(agreement_alpha_numbers(values, items, rows),
                           yyjson_get_num(yyjson_obj_get(one, "alpha")), 1e-9);
    }
    assert_int_equal(count, 2);
}

/* Krippendorff (2011), section B: two observers, ten articles,
 *     0 1 0 0 0 0 0 0 1 0
 *     1 1 1 0 0 1 0 0 0 0
 * Do: 4 of 10 differ, 2 ordered pairs each: 8. De: 20 decisions, 14 zeros, 6 ones:
 * (400 - 196 - 36) / 19 = 8.8421. alpha = 1 - 8 / 8.8421 = 0.095 */
static void alpha_of_the_paper(void **state)
{
    static const int labels[] = {0, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0};
    int64_t items[20];
    (void)state;
    for (int i = 0; i < 20; i++)
        items[i] = i / 2;
    assert_float_equal(agreement_alpha(labels, items, 20, 2), 0.0952381, 1e-6);
}

/* 20 of 50 both yes, 15 both no, 5 and 10 mixed (the textbook example): po = 0.7,
 * pe = 0.5 * 0.6 + 0.5 * 0.4 = 0.5, kappa = 0.4 */
static void kappa_of_the_textbook(void **state)
{
    int a[50], b[50];
    (void)state;
    for (int i = 0; i < 50; i++) {
        a[i] = i < 25;
        b[i] = i < 20 || (i >= 25 && i < 35);
    }
    assert_float_equal(agreement_kappa(a, b, 50, 2), 0.4, 1e-12);
}

static void what_cannot_be_told_is_no_number(void **state)
{
    static const int same[] = {1, 1, 1};
    static const int64_t apart[] = {1, 2, 3}, together[] = {1, 1, 1};
    static const double numbers[] = {5, 5, 5};
    (void)state;
    assert_true(isnan(agreement_kappa(same, same, 3, 2)));
    assert_true(isnan(agreement_kappa(same, same, 0, 2)));
    assert_true(isnan(agreement_alpha(same, apart, 3, 2)));
    assert_true(isnan(agreement_alpha(same, together, 3, 2)));
    assert_true(isnan(agreement_alpha_numbers(numbers, together, 3)));
    assert_true(isnan(agreement_alpha_numbers(numbers, apart, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kappa_is_that_of_scikit_learn),
        cmocka_unit_test(alpha_is_that_of_krippendorff),
        cmocka_unit_test(alpha_of_the_paper),
        cmocka_unit_test(kappa_of_the_textbook),
        cmocka_unit_test(what_cannot_be_told_is_no_number),
    };
    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
