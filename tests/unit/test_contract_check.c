/* test_contract_check.c - rows against a contract: what passes, what does not, and in which words.
 */
#include "contract/check.h"

#include <math.h>

#include "test.h"

#include "contract_text.h"

#define RADIUS                                                                                     \
    "  - name: mean_radius\n"                                                                      \
    "    logicalType: number\n"                                                                    \
    "    required: true\n"                                                                         \
    "    logicalTypeOptions: {minimum: 6.981, maximum: 28.11}\n"                                   \
    "    customProperties:\n"                                                                      \
    "    - {property: unit, value: mm}\n"
#define COUNT                                                                                      \
    "  - name: count\n"                                                                            \
    "    logicalType: integer\n"                                                                   \
    "    logicalTypeOptions: {minimum: 0}\n"
#define COLOUR                                                                                     \
    "  - name: colour\n"                                                                           \
    "    logicalType: string\n"                                                                    \
    "    required: true\n"                                                                         \
    "    quality:\n"                                                                               \
    "    - metric: invalidValues\n"                                                                \
    "      arguments: {validValues: [red, green, blue]}\n"
#define FLAG "  - {name: flag, logicalType: boolean}\n"
#define KEY "  - {name: id, logicalType: integer, primaryKey: true, required: true}\n"
#define DAY "  - {name: day, logicalType: date}\n"
#define PLATE                                                                                      \
    "  - name: plate\n"                                                                            \
    "    logicalType: string\n"                                                                    \
    "    logicalTypeOptions: {pattern: '^[A-Z]{2}-[0-9]+$', maxLength: 8}\n"
#define ALL CONTRACT_TEXT(RADIUS COUNT COLOUR FLAG KEY DAY PLATE)

struct fixture {
    struct contract *contract;
    struct arena *arena;
    struct rows rows;
    struct err err;
};

static void begin(struct fixture *f, const char *text, int64_t count)
{
    *f = (struct fixture){.contract = contract_of(text), .arena = arena_new(1 << 20)};
    assert_int_equal(rows_begin(&f->rows, f->contract, count, f->arena, &f->err), ERR_OK);
}

static void end(struct fixture *f)
{
    arena_free(f->arena);
    contract_free(f->contract);
}

static const struct contract_field *field(struct fixture *f, const char *name)
{
    const struct contract_field *found = contract_field_find(f->contract, str_of(name));
    assert_non_null(found);
    return found;
}

static void put_good_row(struct fixture *f, int64_t row)
{
    rows_put_f64(&f->rows, row, field(f, "mean_radius"), 17.99);
    rows_put_f64(&f->rows, row, field(f, "count"), 3);
    rows_put_str(&f->rows, row, field(f, "colour"), STR_LIT("green"));
    rows_put_bool(&f->rows, row, field(f, "flag"), true);
    rows_put_i64(&f->rows, row, field(f, "id"), INT64_C(9007199254740993));
    rows_put_str(&f->rows, row, field(f, "day"), STR_LIT("2024-02-29"));
    rows_put_str(&f->rows, row, field(f, "plate"), STR_LIT("HH-1234"));
}

static void expect_rejected(struct fixture *f, const char *message)
{
    assert_int_equal(rows_check(&f->rows, &f->err), ERR_VIOLATION);
    assert_string_equal(f->err.msg, message);
}

static void a_good_row_becomes_numbers_and_texts(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 2);
    put_good_row(&f, 0);
    put_good_row(&f, 1);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_false(f.rows.has_violation);
    assert_int_equal(f.contract->value_count, 4);
    const float expected[4] = {17.99F, 3, 1, 1};
    assert_memory_equal(f.rows.values, expected, sizeof(expected));
    assert_memory_equal(f.rows.values + 4, expected, sizeof(expected));
    /* Keys keep the digits that a double would lose. */
    assert_true(str_equal_c(f.rows.texts[0], "9007199254740993"));
    assert_ptr_equal(rows_features(&f.rows), f.rows.values);
    end(&f);
}

static void a_number_beyond_its_bound_is_named_with_field_bounds_unit_and_value(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 2);
    put_good_row(&f, 0);
    put_good_row(&f, 1);
    rows_put_f64(&f.rows, 1, field(&f, "mean_radius"), 1799);
    expect_rejected(&f, "row 1: field 'mean_radius': expected a number in [6.981, 28.11] mm, "
                        "got 1799");
    assert_int_equal(f.rows.first.rule, RULE_RANGE);
    assert_int_equal(f.rows.violation_count[RULE_RANGE], 1);
    end(&f);
}

static void a_value_equal_to_its_bound_passes(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT(RADIUS), 2);
    rows_put_f64(&f.rows, 0, field(&f, "mean_radius"), 6.981);
    rows_put_f64(&f.rows, 1, field(&f, "mean_radius"), 28.11);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    end(&f);
}

static void what_no_float_can_hold_is_a_wrong_type(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT(COUNT), 1);
    rows_put_f64(&f.rows, 0, field(&f, "count"), 1e300);
    expect_rejected(&f, "row 0: field 'count': expected a finite number that fits float32 (up to "
                        "3.4e38), got 1e300");
    end(&f);
}

static void a_fraction_breaks_an_integer(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT(COUNT), 1);
    rows_put_f64(&f.rows, 0, field(&f, "count"), 1.5);
    expect_rejected(&f, "row 0: field 'count': expected a whole number, got 1.5");
    end(&f);
    begin(&f, CONTRACT_TEXT(COUNT), 1);
    rows_put_matrix(&f.rows, (const float[]){2.5F});
    expect_rejected(&f, "row 0: field 'count': expected a whole number, got 2.5");
    end(&f);
}

static void a_missing_value_breaks_only_required_fields(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT(RADIUS COUNT), 1);
    rows_put_f64(&f.rows, 0, field(&f, "mean_radius"), 10);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(isnan(f.rows.values[1]));
    end(&f);
    begin(&f, CONTRACT_TEXT(RADIUS COUNT), 1);
    expect_rejected(&f, "row 0: field 'mean_radius': expected a number (required), got nothing");
    end(&f);
    begin(&f, CONTRACT_TEXT(RADIUS COUNT), 1);
    rows_put_f64(&f.rows, 0, field(&f, "mean_radius"), NAN);
    expect_rejected(&f, "row 0: field 'mean_radius': expected a number (required), got NaN");
    end(&f);
}

static void an_unknown_category_becomes_missing_by_default(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT(COLOUR), 1);
    rows_put_str(&f.rows, 0, field(&f, "colour"), STR_LIT("mauve"));
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(isnan(f.rows.values[0]));
    assert_int_equal(cell_state(f.rows.values[0]), CELL_OTHER);
    assert_int_equal(f.rows.violation_count[RULE_CATEGORY], 1);
    assert_int_equal(f.rows.violation_count[RULE_MISSING], 0);
    assert_string_equal(f.rows.first.expected, "one of 'red', 'green', 'blue'");
    assert_string_equal(f.rows.first.got, "'mauve'");
    end(&f);
}

static void an_unknown_field_gets_the_nearest_name(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 1);
    put_good_row(&f, 0);
    rows_put_unknown(&f.rows, 0, STR_LIT("mean radus"));
    expect_rejected(&f, "row 0: unknown field 'mean radus'");
    assert_string_equal(f.err.hint, "did you mean 'mean_radius'?");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_row_becomes_numbers_and_texts),
        cmocka_unit_test(a_number_beyond_its_bound_is_named_with_field_bounds_unit_and_value),
        cmocka_unit_test(a_value_equal_to_its_bound_passes),
        cmocka_unit_test(what_no_float_can_hold_is_a_wrong_type),
        cmocka_unit_test(a_fraction_breaks_an_integer),
        cmocka_unit_test(a_missing_value_breaks_only_required_fields),
        cmocka_unit_test(an_unknown_category_becomes_missing_by_default),
        cmocka_unit_test(an_unknown_field_gets_the_nearest_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
