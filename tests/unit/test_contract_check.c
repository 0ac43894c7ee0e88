/* test_contract_check.c - rows against a contract: what passes, what does not, and in which words.
 */
#include "contract/check.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/check.h"
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

/* --- policies --------------------------------------------------------------------------------- */

#define SCORE(policy)                                                                              \
    CONTRACT_TEXT("  - name: x\n"                                                                  \
                  "    logicalType: number\n"                                                      \
                  "    required: true\n"                                                           \
                  "    logicalTypeOptions: {minimum: 0, exclusiveMaximum: 10}\n"                   \
                  "    customProperties:\n"                                                        \
                  "    - {property: slipwayPolicy, value: " policy "}\n")

static void a_clipped_value_moves_to_the_nearest_bound(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, SCORE("{outOfRange: clip}"), 3);
    rows_put_matrix(&f.rows, (const float[]){-5, 12, 9.5F});
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.values[0] == 0);
    assert_true(f.rows.values[1] == nextafterf(10, 0)); /* 10 itself is outside */
    assert_true(f.rows.values[2] == 9.5F);
    assert_int_equal(f.rows.violation_count[RULE_RANGE], 2);
    assert_string_equal(f.rows.first.expected, "a number in [0, 10)");
    assert_null(f.rows.is_suspect);
    end(&f);
}

static void a_quarantined_row_is_flagged_and_scored(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, SCORE("{outOfRange: quarantine, missing: quarantine}"), 4);
    rows_put_matrix(&f.rows, (const float[]){1, 12, NAN, 2});
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    const uint8_t expected[4] = {0, 1, 1, 0};
    assert_memory_equal(f.rows.is_suspect, expected, 4);
    assert_true(f.rows.values[1] == 12);
    end(&f);
}

static void a_warning_counts_and_changes_nothing(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, SCORE("{outOfRange: warn}"), 1);
    rows_put_f64(&f.rows, 0, field(&f, "x"), 12);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.has_violation && f.rows.values[0] == 12);
    assert_int_equal(f.rows.violation_count[RULE_RANGE], 1);
    end(&f);
}

static void an_unknown_category_can_reject(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f,
          CONTRACT_TEXT(COLOUR
                        "    customProperties:\n"
                        "    - {property: slipwayPolicy, value: {unknownCategory: reject}}\n"),
          1);
    rows_put_str(&f.rows, 0, field(&f, "colour"),
                 STR_LIT("a\x01very long name of a colour that "
                         "nobody has ever seen in any shop at all"));
    expect_rejected(&f,
                    "row 0: field 'colour': expected one of 'red', 'green', 'blue', got 'a?very "
                    "long name of a colour that nobody has ever seen in any sh...'");
    end(&f);
}

static void a_long_list_is_cut_short(void **state)
{
    struct fixture f;
    char text[8192] = CONTRACT_TEXT("  - name: c\n"
                                    "    logicalType: string\n"
                                    "    quality:\n"
                                    "    - metric: invalidValues\n"
                                    "      arguments: {validValues: [");
    (void)state;
    for (int i = 0; i < 200; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sname%03d", i ? ", " : "", i);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "]}\n");
    begin(&f, text, 1);
    rows_put_str(&f.rows, 0, field(&f, "c"), STR_LIT("x"));
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    /* "one of " and 14 names with quotes and commas take 7 + 14 * 11 - 2 = 159 bytes, under 160. */
    assert_non_null(strstr(f.rows.first.expected, "'name014' and 185 more"));
    end(&f);
}

/* --- missing ---------------------------------------------------------------------------------- */

#define MARKED                                                                                     \
    CONTRACT_TEXT("  - name: t\n"                                                                  \
                  "    logicalType: number\n"                                                      \
                  "    required: true\n"                                                           \
                  "    customProperties: [{property: missingMarkers, value: [-200, none]}]\n"      \
                  "  - name: c\n"                                                                  \
                  "    logicalType: string\n"                                                      \
                  "    quality:\n"                                                                 \
                  "    - {metric: invalidValues, arguments: {validValues: [a, UNK]}}\n"            \
                  "    customProperties: [{property: missingMarkers, value: [UNK, none]}]\n")

static void a_missing_marker_is_missing_in_every_form(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, MARKED, 4);
    rows_put_f64(&f.rows, 0, field(&f, "t"), -200);
    rows_put_csv(&f.rows, 1, field(&f, "t"), STR_LIT("none"));
    rows_put_csv(&f.rows, 2, field(&f, "t"), STR_LIT(" -200.0 "));
    rows_put_csv(&f.rows, 3, field(&f, "t"), STR_LIT(""));
    f.rows.report = NULL;
    expect_rejected(&f, "row 0: field 't': expected a number (required), got a missing marker");
    end(&f);
    begin(&f, MARKED, 1);
    rows_put_csv(&f.rows, 0, field(&f, "t"), STR_LIT(""));
    expect_rejected(&f, "row 0: field 't': expected a number (required), got null");
    end(&f);
}

/* A number among the markers of a text is text, never a category's code. */
static void markers_of_texts_are_texts(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f,
          CONTRACT_TEXT("  - name: c\n"
                        "    logicalType: string\n"
                        "    quality: [{metric: invalidValues, arguments: {validValues: [a, b]}}]\n"
                        "    customProperties: [{property: missingMarkers, value: [1]}]\n"
                        "  - name: id\n"
                        "    logicalType: integer\n"
                        "    primaryKey: true\n"
                        "    customProperties: [{property: missingMarkers, value: [-1]}]\n"),
          3);
    rows_put_str(&f.rows, 0, field(&f, "c"), STR_LIT("b"));
    rows_put_str(&f.rows, 1, field(&f, "c"), STR_LIT("1"));
    rows_put_i64(&f.rows, 2, field(&f, "id"), -1);
    rows_put_csv(&f.rows, 0, field(&f, "id"), STR_LIT("7"));
    rows_put_csv(&f.rows, 1, field(&f, "id"), STR_LIT("-1"));
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.values[0] == 1);
    assert_int_equal(cell_state(f.rows.values[1]), CELL_MARKER);
    assert_true(str_equal_c(f.rows.texts[0], "7"));
    assert_null(f.rows.texts[1].ptr);
    assert_null(f.rows.texts[2].ptr);
    end(&f);
}

static void a_marker_that_is_a_category_stays_a_category(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, MARKED, 2);
    for (int row = 0; row < 2; row++)
        rows_put_f64(&f.rows, row, field(&f, "t"), 1);
    rows_put_str(&f.rows, 0, field(&f, "c"), STR_LIT("UNK"));
    rows_put_str(&f.rows, 1, field(&f, "c"), STR_LIT("none"));
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.values[1] == 1);
    assert_true(isnan(f.rows.values[3]));
    assert_int_equal(cell_state(f.rows.values[3]), CELL_MARKER);
    assert_false(f.rows.has_violation);
    end(&f);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void the_edges_of_float32_are_numbers(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT(COUNT), 4);
    /* -0 equals the minimum 0; 2^24 + 1 becomes 2^24; FLT_MAX is the largest of all. */
    rows_put_f64(&f.rows, 0, field(&f, "count"), -0.0);
    rows_put_f64(&f.rows, 1, field(&f, "count"), 16777217);
    rows_put_f64(&f.rows, 2, field(&f, "count"), (double)FLT_MAX);
    rows_put_f64(&f.rows, 3, field(&f, "count"), 5000001);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.values[1] == 16777216.0F);
    end(&f);
    begin(&f,
          CONTRACT_TEXT("  - {name: x, logicalType: number, logicalTypeOptions: "
                        "{exclusiveMinimum: 0}}\n"),
          1);
    rows_put_f64(&f.rows, 0, field(&f, "x"), 1e-40); /* subnormal */
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    rows_put_f64(&f.rows, 0, field(&f, "x"), 0);
    expect_rejected(&f, "row 0: field 'x': expected a number > 0, got 0");
    end(&f);
}

/* Around every power of two the vector pass and plain arithmetic must agree. */
static void fractions_are_found_at_every_size(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT("  - {name: n, logicalType: integer}\n"), 1);
    for (int exponent = -3; exponent < 40; exponent++) {
        for (int step = -6; step <= 6; step++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                float x = (float)sign * (ldexpf(1, exponent) + 0.25F * (float)step);
                arena_reset(f.arena);
                assert_int_equal(rows_begin(&f.rows, f.contract, 1, f.arena, &f.err), ERR_OK);
                rows_put_matrix(&f.rows, &x);
                enum err_code expected = x == truncf(x) ? ERR_OK : ERR_VIOLATION;
                assert_int_equal(rows_check(&f.rows, &f.err), expected);
            }
        }
    }
    end(&f);
}

static void infinity_is_no_number_of_a_field(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTRACT_TEXT("  - {name: x, logicalType: number}\n"), 2);
    rows_put_matrix(&f.rows, (const float[]){1, -INFINITY});
    expect_rejected(&f, "row 1: field 'x': expected a finite number that fits float32 (up to "
                        "3.4e38), got -inf");
    end(&f);
}

static void a_list_of_numbers_keeps_the_numbers(void **state)
{
    struct fixture f;
    const char *text =
        CONTRACT_TEXT("  - name: n\n"
                      "    logicalType: integer\n"
                      "    quality:\n"
                      "    - {metric: invalidValues, arguments: {validValues: [9, 1, "
                      "4]}}\n");
    (void)state;
    begin(&f, text, 3);
    rows_put_matrix(&f.rows, (const float[]){9, 1, NAN});
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.values[0] == 9 && f.rows.values[1] == 1);
    end(&f);
    begin(&f, text, 1);
    rows_put_f64(&f.rows, 0, field(&f, "n"), 5);
    expect_rejected(&f, "row 0: field 'n': expected one of 1, 4, 9, got 5");
    end(&f);
}

/* --- types ------------------------------------------------------------------------------------ */

static void wrong_types_are_told_apart(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 1);
    rows_put_str(&f.rows, 0, field(&f, "mean_radius"), STR_LIT("17.99"));
    expect_rejected(&f, "row 0: field 'mean_radius': expected a number, got '17.99'");
    end(&f);
    begin(&f, ALL, 1);
    rows_put_bool(&f.rows, 0, field(&f, "count"), true);
    rows_put_f64(&f.rows, 0, field(&f, "mean_radius"), 10);
    expect_rejected(&f, "row 0: field 'count': expected a whole number, got true");
    end(&f);
    begin(&f, CONTRACT_TEXT(COLOUR), 1);
    rows_put_f64(&f.rows, 0, field(&f, "colour"), 1);
    expect_rejected(&f, "row 0: field 'colour': expected one of 'red', 'green', 'blue', got 1");
    end(&f);
    begin(&f, CONTRACT_TEXT(FLAG), 1);
    rows_put_f64(&f.rows, 0, field(&f, "flag"), 2);
    expect_rejected(&f, "row 0: field 'flag': expected true or false, got 2");
    end(&f);
    begin(&f, CONTRACT_TEXT(FLAG), 1);
    rows_put_wrong(&f.rows, 0, field(&f, "flag"), "a list");
    expect_rejected(&f, "row 0: field 'flag': expected true or false, got a list");
    end(&f);
}

static void dates_must_exist(void **state)
{
    static const struct {
        const char *text;
        bool is_date;
    } cases[] = {
        {"2024-02-29", true},  {"2023-02-29", false}, {"1900-02-29", false},  {"2000-02-29", true},
        {"2024-13-01", false}, {"2024-1-01", false},  {"2024-01-011", false}, {"today", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        begin(&f, CONTRACT_TEXT(FLAG DAY), 1);
        rows_put_str(&f.rows, 0, field(&f, "day"), str_of(cases[i].text));
        assert_int_equal(rows_check(&f.rows, &f.err), cases[i].is_date ? ERR_OK : ERR_VIOLATION);
        end(&f);
    }
}

static void timestamps_follow_rfc_3339_or_their_format(void **state)
{
    static const char *const good[] = {"2026-01-31T09:30:00Z", "2026-01-31 09:30:00.123456+02:00",
                                       "2026-01-31t09:30:60z", "2026-01-31T09:30:00"};
    static const char *const bad[] = {"2026-01-31", "2026-01-31T24:00:00Z", "2026-01-31T09:30Z",
                                      "2026-01-31T09:30:00.Z", "2026-01-31T09:30:00Zulu"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
        struct fixture f;
        bool is_good = i < ARRAY_LEN(good);
        begin(&f, CONTRACT_TEXT(FLAG "  - {name: t, logicalType: timestamp}\n"), 1);
        rows_put_str(&f.rows, 0, field(&f, "t"),
                     str_of(is_good ? good[i] : bad[i - ARRAY_LEN(good)]));
        assert_int_equal(rows_check(&f.rows, &f.err), is_good ? ERR_OK : ERR_VIOLATION);
        end(&f);
    }
    struct fixture f;
    begin(&f,
          CONTRACT_TEXT(FLAG "  - {name: t, logicalType: timestamp, logicalTypeOptions: {format: "
                             "\"dd.MM.yyyy 'at' H:mm\"}}\n"),
          2);
    rows_put_str(&f.rows, 0, field(&f, "t"), STR_LIT("31.01.2026 at 9:30"));
    rows_put_str(&f.rows, 1, field(&f, "t"), STR_LIT("31/01/2026 at 9:30"));
    expect_rejected(&f, "row 1: field 't': expected a timestamp in the form dd.MM.yyyy 'at' H:mm, "
                        "got '31/01/2026 at 9:30'");
    end(&f);
}

static void texts_obey_pattern_length_and_encoding(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"HH-12", NULL},
        {"hh-12", "row 0: field 'plate': expected text that matches ^[A-Z]{2}-[0-9]+$, got "
                  "'hh-12'"},
        {"HH-12\n", "row 0: field 'plate': expected text that matches ^[A-Z]{2}-[0-9]+$, got "
                    "'HH-12?'"},
        {"HH-1234567", "row 0: field 'plate': expected text of at most 8 characters, got "
                       "'HH-1234567'"},
        {"HH-\xff", "row 0: field 'plate': expected text, got 'HH-?'"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        begin(&f, CONTRACT_TEXT(FLAG PLATE), 1);
        rows_put_str(&f.rows, 0, field(&f, "plate"), str_of(cases[i].text));
        if (cases[i].message)
            expect_rejected(&f, cases[i].message);
        else
            assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
        end(&f);
    }
}

/* (a+)+$ against aaa...b takes 2^n steps; the match limit ends it. */
static void a_pattern_that_backtracks_forever_is_given_up(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f,
          CONTRACT_TEXT(FLAG "  - name: s\n"
                             "    logicalType: string\n"
                             "    logicalTypeOptions: {pattern: '^(a+)+$'}\n"
                             "    customProperties: [{property: slipwayPolicy, value: {pattern: "
                             "warn}}]\n"),
          1);
    rows_put_str(&f.rows, 0, field(&f, "s"), STR_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
    expect_rejected(&f, "row 0: field 's': expected text whose match with the pattern ends within "
                        "the match limit, got 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'");
    end(&f);
}

static void csv_text_is_read_by_the_type_of_its_field(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 1);
    rows_put_csv(&f.rows, 0, field(&f, "mean_radius"), STR_LIT(" 1.5e1 "));
    rows_put_csv(&f.rows, 0, field(&f, "count"), STR_LIT("3.0"));
    rows_put_csv(&f.rows, 0, field(&f, "colour"), STR_LIT("blue"));
    rows_put_csv(&f.rows, 0, field(&f, "flag"), STR_LIT("TRUE"));
    rows_put_csv(&f.rows, 0, field(&f, "id"), STR_LIT("007"));
    rows_put_csv(&f.rows, 0, field(&f, "day"), STR_LIT(""));
    rows_put_csv(&f.rows, 0, field(&f, "plate"), STR_LIT("AB-1"));
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    const float expected[4] = {15, 3, 2, 1};
    assert_memory_equal(f.rows.values, expected, sizeof(expected));
    assert_true(str_equal_c(f.rows.texts[0], "007"));
    assert_null(f.rows.texts[1].ptr);
    end(&f);
    begin(&f, CONTRACT_TEXT(COUNT), 1);
    rows_put_csv(&f.rows, 0, field(&f, "count"), STR_LIT("12 apples"));
    expect_rejected(&f, "row 0: field 'count': expected a whole number, got '12 apples'");
    end(&f);
}

/* --- codes, shapes, order --------------------------------------------------------------------- */

static void codes_of_a_matrix_must_be_within_the_list(void **state)
{
    static const float bad[] = {3, -1, 0.5F};
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        begin(&f, CONTRACT_TEXT(COLOUR), 2);
        rows_put_matrix(&f.rows, (const float[]){2, bad[i]});
        assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK); /* by policy: other */
        assert_int_equal(f.rows.violation_count[RULE_CATEGORY], 1);
        assert_int_equal(cell_state(f.rows.values[1]), CELL_OTHER);
        assert_true(f.rows.values[0] == 2);
        end(&f);
    }
    begin(&f, CONTRACT_TEXT(COLOUR), 2);
    rows_put_code(&f.rows, 0, field(&f, "colour"), 1);
    rows_put_code(&f.rows, 1, field(&f, "colour"), 7);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    assert_true(f.rows.values[0] == 1);
    assert_string_equal(f.rows.first.got, "7");
    end(&f);
}

/* The payload that marks a settled cell must not come in from outside. */
static void a_callers_nan_is_missing_whatever_its_bits(void **state)
{
    struct fixture f;
    const float sly = cell_of(CELL_OTHER);
    (void)state;
    begin(&f, CONTRACT_TEXT(RADIUS), 1);
    rows_put_matrix(&f.rows, &sly);
    expect_rejected(&f, "row 0: field 'mean_radius': expected a number (required), got NaN");
    end(&f);
}

static void features_are_gathered_around_other_columns(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f,
          CONTRACT_TEXT("  - {name: a, logicalType: number}\n"
                        "  - name: s\n"
                        "    logicalType: number\n"
                        "    customProperties: [{property: slipwayRole, value: segment}]\n"
                        "  - {name: b, logicalType: number}\n"),
          2);
    rows_put_matrix(&f.rows, (const float[]){1, 2, 3, 4});
    rows_put_f64(&f.rows, 0, field(&f, "s"), 9);
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_OK);
    const float *features = rows_features(&f.rows);
    const float expected[4] = {1, 2, 3, 4};
    assert_memory_equal(features, expected, sizeof(expected));
    assert_true(f.rows.values[1] == 9 && f.rows.values[2] == 2);
    end(&f);
}

static void the_first_violation_is_that_of_the_first_row_and_field(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 3);
    for (int row = 0; row < 3; row++)
        put_good_row(&f, row);
    rows_put_unknown(&f.rows, 2, STR_LIT("zzz"));
    rows_put_str(&f.rows, 2, field(&f, "mean_radius"), STR_LIT("a"));
    rows_put_str(&f.rows, 1, field(&f, "flag"), STR_LIT("a"));
    rows_put_f64(&f.rows, 1, field(&f, "count"), -1);
    rows_put_str(&f.rows, 0, field(&f, "colour"), STR_LIT("mauve")); /* only counted */
    expect_rejected(&f, "row 1: field 'count': expected a whole number >= 0, got -1");
    assert_int_equal(f.rows.first.row, 1);
    end(&f);
}

/* A misspelt field leaves the right one missing; what was misspelt is the thing to say. */
static void an_unknown_field_is_named_before_a_missing_one(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 1);
    put_good_row(&f, 0);
    rows_put_missing(&f.rows, 0, field(&f, "mean_radius"));
    rows_put_unknown(&f.rows, 0, STR_LIT("mean_radios"));
    expect_rejected(&f, "row 0: unknown field 'mean_radios'");
    assert_string_equal(f.err.hint, "did you mean 'mean_radius'?");
    end(&f);
}

static void a_wrong_shape_is_said_of_the_whole(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ALL, 0);
    rows_put_shape(&f.rows, "4 columns", "5");
    expect_rejected(&f, "expected 4 columns, got 5");
    end(&f);
}

static void an_answer_sent_as_input_is_called_by_its_role(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f,
          CONTRACT_TEXT(FLAG "  - name: truth\n"
                             "    logicalType: boolean\n"
                             "    customProperties: [{property: slipwayRole, value: label}]\n"),
          1);
    rows_put_unknown(&f.rows, 0, STR_LIT("truth"));
    expect_rejected(&f, "row 0: unknown field 'truth'");
    assert_string_equal(f.err.hint, "it is the contract's label, not an input of the model");
    end(&f);
}

struct collected {
    int count;
    int64_t rows[8];
};

static void collect(void *arg, const struct violation *v)
{
    struct collected *all = arg;
    assert_true(all->count < 8 && *v->expected && *v->got);
    all->rows[all->count++] = v->row;
}

static void a_listener_hears_of_every_violation(void **state)
{
    struct fixture f;
    struct collected all = {0};
    (void)state;
    begin(&f, CONTRACT_TEXT(COUNT), 4);
    f.rows.report = collect;
    f.rows.report_arg = &all;
    rows_put_matrix(&f.rows, (const float[]){-1, 2, 0.5F, -3});
    assert_int_equal(rows_check(&f.rows, &f.err), ERR_VIOLATION);
    const int64_t expected[3] = {0, 2, 3};
    assert_int_equal(all.count, 3);
    assert_memory_equal(all.rows, expected, sizeof(expected));
    end(&f);
}

static void an_arena_that_is_too_small_is_an_error(void **state)
{
    struct fixture f;
    struct rows rows;
    (void)state;
    begin(&f, ALL, 1);
    assert_int_equal(rows_begin(&rows, f.contract, INT64_C(1) << 40, f.arena, &f.err), ERR_LIMIT);
    assert_int_equal(rows_begin(&rows, f.contract, INT64_MAX, f.arena, &f.err), ERR_LIMIT);
    end(&f);
}

/* One contract, many threads: patterns keep their work space per thread. */
static void *judge_often(void *arg)
{
    const struct contract *c = arg;
    struct arena *arena = arena_new(1 << 20);
    struct err err = {0};
    struct rows rows;
    for (int i = 0; i < 200; i++) {
        arena_reset(arena);
        int position = 0;
        assert(rows_begin(&rows, c, 1, arena, &err) == ERR_OK);
        rows_put_str(&rows, 0, contract_field_next(c, &position, STR_LIT("colour")),
                     i % 2 ? STR_LIT("red") : STR_LIT("mauve"));
        rows_put_str(&rows, 0, contract_field_next(c, &position, STR_LIT("plate")),
                     i % 3 ? STR_LIT("AB-12") : STR_LIT("ab"));
        enum err_code code = rows_check(&rows, &err);
        assert(code == (i % 3 ? ERR_OK : ERR_VIOLATION));
        assert(rows.violation_count[RULE_CATEGORY] == (i % 2 ? 0 : 1));
    }
    arena_free(arena);
    return NULL;
}

static void a_contract_is_shared_between_threads(void **state)
{
    struct contract *c = contract_of(CONTRACT_TEXT(COLOUR PLATE));
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, judge_often, c), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    contract_free(c);
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
        cmocka_unit_test(a_clipped_value_moves_to_the_nearest_bound),
        cmocka_unit_test(a_quarantined_row_is_flagged_and_scored),
        cmocka_unit_test(a_warning_counts_and_changes_nothing),
        cmocka_unit_test(an_unknown_category_can_reject),
        cmocka_unit_test(a_long_list_is_cut_short),
        cmocka_unit_test(a_missing_marker_is_missing_in_every_form),
        cmocka_unit_test(markers_of_texts_are_texts),
        cmocka_unit_test(a_marker_that_is_a_category_stays_a_category),
        cmocka_unit_test(the_edges_of_float32_are_numbers),
        cmocka_unit_test(fractions_are_found_at_every_size),
        cmocka_unit_test(infinity_is_no_number_of_a_field),
        cmocka_unit_test(a_list_of_numbers_keeps_the_numbers),
        cmocka_unit_test(wrong_types_are_told_apart),
        cmocka_unit_test(dates_must_exist),
        cmocka_unit_test(timestamps_follow_rfc_3339_or_their_format),
        cmocka_unit_test(texts_obey_pattern_length_and_encoding),
        cmocka_unit_test(a_pattern_that_backtracks_forever_is_given_up),
        cmocka_unit_test(csv_text_is_read_by_the_type_of_its_field),
        cmocka_unit_test(codes_of_a_matrix_must_be_within_the_list),
        cmocka_unit_test(a_callers_nan_is_missing_whatever_its_bits),
        cmocka_unit_test(features_are_gathered_around_other_columns),
        cmocka_unit_test(the_first_violation_is_that_of_the_first_row_and_field),
        cmocka_unit_test(an_unknown_field_is_named_before_a_missing_one),
        cmocka_unit_test(a_wrong_shape_is_said_of_the_whole),
        cmocka_unit_test(an_answer_sent_as_input_is_called_by_its_role),
        cmocka_unit_test(a_listener_hears_of_every_violation),
        cmocka_unit_test(an_arena_that_is_too_small_is_an_error),
        cmocka_unit_test(a_contract_is_shared_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
