/* test_contract_compare.c - what callers notice when one contract follows another. */
#include "contract/compare.h"

#include "base/check.h"
#include "test.h"

#include "contract_text.h"

#define X(rest) CONTRACT_TEXT("  - name: x\n" rest)
#define NUMBER "    logicalType: number\n"
#define UNIT(u) "    customProperties: [{property: unit, value: " u "}]\n"
#define RANGE(r) "    logicalTypeOptions: {" r "}\n"
#define SOFT "    customProperties: [{property: slipwayInferred, value: true}]\n"
#define MARKERS(m) "    customProperties: [{property: missingMarkers, value: [" m "]}]\n"
#define LIST(type, values)                                                                         \
    "    logicalType: " type "\n"                                                                  \
    "    quality: [{metric: invalidValues, arguments: {validValues: [" values "]}}]\n"
#define REJECT                                                                                     \
    "    customProperties: [{property: slipwayPolicy, value: {unknownCategory: reject}}]\n"
#define TEXT(options) "    logicalType: string\n    logicalTypeOptions: {" options "}\n"
#define KEEP "  - {name: keep, logicalType: number}\n"
#define ANSWER(classes)                                                                            \
    "  - name: answer\n" LIST(                                                                     \
        "string", classes) "    customProperties: [{property: slipwayRole, value: prediction}]\n"

static void expect_changes(const char *before, const char *after, const char *expected)
{
    struct contract *a = contract_of(before), *b = contract_of(after);
    struct arena *arena = arena_new(1 << 20);
    struct contract_comparison comparison;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(contract_compare(a, b, arena, &comparison, &err), ERR_OK);
    contract_comparison_text(&out, &comparison);
    assert_string_equal(buf_c(&out), expected);
    buf_done(&out);
    arena_free(arena);
    contract_free(a);
    contract_free(b);
}

static void the_same_contract_is_compatible_without_changes(void **state)
{
    (void)state;
    expect_changes(X(NUMBER), X(NUMBER), "compatible\n");
}

static void a_change_of_unit_is_always_breaking(void **state)
{
    (void)state;
    expect_changes(X(NUMBER UNIT("mm")), X(NUMBER UNIT("cm")),
                   "not compatible\nbreaking  x: unit changed from 'mm' to 'cm'\n");
    expect_changes(X(NUMBER UNIT("mm")), X(NUMBER),
                   "not compatible\nbreaking  x: unit changed from 'mm' to not stated\n");
    expect_changes(X(NUMBER), X(NUMBER UNIT("mm")),
                   "compatible\nsafe      x: unit changed from not stated to 'mm'\n");
}

static void fields_come_go_and_become_required(void **state)
{
    (void)state;
    expect_changes(X(NUMBER KEEP), CONTRACT_TEXT(KEEP),
                   "not compatible\nbreaking  x: removed (was a feature)\n");
    expect_changes(CONTRACT_TEXT(KEEP), CONTRACT_TEXT(KEEP "  - {name: x, logicalType: number}\n"),
                   "compatible\nsafe      x: added (optional feature)\n");
    expect_changes(CONTRACT_TEXT(KEEP),
                   CONTRACT_TEXT(KEEP "  - {name: x, logicalType: number, "
                                      "required: true}\n"),
                   "not compatible\nbreaking  x: added (required feature)\n");
    expect_changes(X(NUMBER), X(NUMBER "    required: true\n"),
                   "not compatible\n"
                   "breaking  x: a missing value was accepted and is now rejected\n");
    expect_changes(X(NUMBER "    required: true\n"), X(NUMBER),
                   "compatible\nsafe      x: a missing value was rejected and is now accepted\n");
}

static void types_may_widen_only(void **state)
{
    (void)state;
    expect_changes(X("    logicalType: integer\n"), X(NUMBER),
                   "compatible\nsafe      x: type changed from integer to number\n");
    expect_changes(X(NUMBER), X("    logicalType: integer\n"),
                   "not compatible\nbreaking  x: type changed from number to integer\n");
}

static void hard_ranges_may_widen_and_soft_ones_may_do_anything(void **state)
{
    (void)state;
    expect_changes(X(NUMBER RANGE("minimum: 0")), X(NUMBER RANGE("minimum: 1")),
                   "not compatible\nbreaking  x: range changed from [0, inf] (reject) to [1, inf] "
                   "(reject)\n");
    expect_changes(X(NUMBER RANGE("minimum: 0")), X(NUMBER RANGE("minimum: -1")),
                   "compatible\nsafe      x: range changed from [0, inf] (reject) to [-1, inf] "
                   "(reject)\n");
    expect_changes(X(NUMBER RANGE("minimum: 0") SOFT), X(NUMBER RANGE("minimum: 1") SOFT),
                   "compatible\nsafe      x: range changed from [0, inf] (quarantine) to [1, inf] "
                   "(quarantine)\n");
    /* The same bound, but what it flagged it refuses now. */
    expect_changes(X(NUMBER RANGE("minimum: 0") SOFT), X(NUMBER RANGE("minimum: 0")),
                   "not compatible\nbreaking  x: range changed from [0, inf] (quarantine) to [0, "
                   "inf] (reject)\n");
    expect_changes(X(NUMBER RANGE("minimum: 0")), X(NUMBER RANGE("exclusiveMinimum: 0")),
                   "not compatible\nbreaking  x: range changed from [0, inf] (reject) to (0, inf] "
                   "(reject)\n");
}

static void categories_may_be_added_at_the_end(void **state)
{
    (void)state;
    expect_changes(X(LIST("string", "a, b")), X(LIST("string", "a, b, c")),
                   "compatible\nsafe      x: 1 categories added\n");
    expect_changes(X(LIST("string", "a, b, c")), X(LIST("string", "a, b")),
                   "not compatible\nbreaking  x: 1 categories removed: 'c'\n");
    expect_changes(X(LIST("string", "a, c")), X(LIST("string", "a, b, c")),
                   "not compatible\n"
                   "breaking  x: codes of 1 categories changed: 'c' was 1 and is 2\n"
                   "safe      x: 1 categories added\n");
    expect_changes(X(LIST("string", "a")), X(LIST("string", "a") REJECT),
                   "not compatible\nbreaking  x: policy for unknown values changed from other to "
                   "reject\n");
    expect_changes(X(LIST("integer", "1, 2")), X(LIST("integer", "1, 3")),
                   "not compatible\nbreaking  x: 1 of the listed values removed\n"
                   "safe      x: 1 values added to the list\n");
}

static void texts_may_not_get_stricter(void **state)
{
    (void)state;
    expect_changes(X(TEXT("pattern: a") KEEP), X(TEXT("pattern: b") KEEP),
                   "not compatible\nbreaking  x: pattern changed from 'a' to 'b'\n");
    expect_changes(X(TEXT("pattern: a") KEEP), X(TEXT("maxLength: 9") KEEP),
                   "not compatible\nbreaking  x: length limits changed from 0..-1 to 0..9\n"
                   "safe      x: pattern changed from 'a' to none\n");
    expect_changes(X(TEXT("maxLength: 9") KEEP), X(TEXT("maxLength: 10") KEEP),
                   "compatible\nsafe      x: length limits changed from 0..9 to 0..10\n");
}

static void markers_of_missing_values_stay_markers(void **state)
{
    (void)state;
    expect_changes(X(NUMBER MARKERS("-200, NA")), X(NUMBER),
                   "not compatible\nbreaking  x: 'NA' no longer means missing\n"
                   "breaking  x: -200 no longer means missing\n");
    expect_changes(X(NUMBER), X(NUMBER MARKERS("-200")),
                   "compatible\nsafe      x: -200 now means missing\n");
}

static void the_order_of_features_matters_to_callers_by_position(void **state)
{
    (void)state;
    expect_changes(X(NUMBER KEEP), CONTRACT_TEXT(KEEP "  - name: x\n" NUMBER),
                   "not compatible\nbreaking  keep: features are in another order: callers who "
                   "send columns by position would be misread\n");
}

static void class_names_keep_their_meaning(void **state)
{
    (void)state;
    expect_changes(X(NUMBER ANSWER("no, yes")), X(NUMBER ANSWER("yes, no")),
                   "not compatible\n"
                   "breaking  answer: codes of 2 classes changed: 'no' was 0 and is 1, ...\n");
}

static void the_owner_and_the_threshold_are_safe_changes(void **state)
{
    (void)state;
    expect_changes(X(NUMBER),
                   X(NUMBER) "team: {members: [{username: me, role: owner}]}\n"
                             "customProperties: [{property: slipwayDecisionThreshold, "
                             "value: 0.4}]\n",
                   "compatible\nsafe      owner changed from nobody to 'me'\n"
                   "safe      decision threshold changed from 0.5 to 0.4\n");
}

static void the_json_form_has_the_same(void **state)
{
    struct contract *a = contract_of(X(NUMBER UNIT("mm"))), *b = contract_of(X(NUMBER UNIT("cm")));
    struct arena *arena = arena_new(1 << 20);
    struct contract_comparison comparison;
    struct err err = {0};
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    assert_int_equal(contract_compare(a, b, arena, &comparison, &err), ERR_OK);
    struct json_writer w = {.out = &out};
    contract_comparison_write(&w, &comparison);
    assert_string_equal(buf_c(&out),
                        "{\"compatible\":false,\"changes\":[{\"kind\":\"breaking\",\"field\":\"x\","
                        "\"text\":\"unit changed from 'mm' to 'cm'\"}]}");
    buf_done(&out);
    arena_free(arena);
    contract_free(a);
    contract_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_contract_is_compatible_without_changes),
        cmocka_unit_test(a_change_of_unit_is_always_breaking),
        cmocka_unit_test(fields_come_go_and_become_required),
        cmocka_unit_test(types_may_widen_only),
        cmocka_unit_test(hard_ranges_may_widen_and_soft_ones_may_do_anything),
        cmocka_unit_test(categories_may_be_added_at_the_end),
        cmocka_unit_test(texts_may_not_get_stricter),
        cmocka_unit_test(markers_of_missing_values_stay_markers),
        cmocka_unit_test(the_order_of_features_matters_to_callers_by_position),
        cmocka_unit_test(class_names_keep_their_meaning),
        cmocka_unit_test(the_owner_and_the_threshold_are_safe_changes),
        cmocka_unit_test(the_json_form_has_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
