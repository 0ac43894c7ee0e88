/* test_ood.c - how unlike the training data a row is, by arithmetic and Student's t of scipy. */
#include <math.h>

#include "contract/check.h"
#include "monitor/ood.h"
#include "monitor/record_schema.h"
#include "review/condition.h"
#include "review/rules.h"
#include "test.h"

#include "contract_text.h"

enum { X, GRADE, PLAN, COLUMNS, ARENA_BYTES = 1 << 20 };

/* 999 rows: x has mean 10 and deviation 2; grade was 1, 2 or 3; plan was b 600, a 300 and others 99
 * times. x was missing 9 times, the others never. */
static const char document[] = CONTRACT_TEXT(
    "  - name: x\n    logicalType: number\n    customProperties:\n"
    "    - property: slipwayReference\n"
    "      value: {kind: numeric, n: 999, edges: [10], counts: [495, 495], missing: 9, mean: 10, "
    "std: 2}\n"
    "  - name: grade\n    logicalType: integer\n    quality:\n"
    "    - metric: invalidValues\n      arguments: {validValues: [1, 2, 3]}\n"
    "    customProperties:\n    - property: slipwayReference\n"
    "      value: {kind: numeric, n: 999, edges: [1, 2], counts: [333, 333, 333], missing: 0, "
    "mean: 2, std: 0.8}\n"
    "  - name: plan\n    logicalType: string\n    quality:\n"
    "    - metric: invalidValues\n      arguments: {validValues: [a, b, c, d]}\n"
    "    customProperties:\n    - property: slipwayReference\n"
    "      value: {kind: categorical, n: 999, top: [[b, 600], [a, 300]], other: 99, missing: 0}\n");

struct watched {
    struct contract *contract;
    struct arena *arena;
    const struct record_schema *schema;
};

static struct watched begin(const char *text)
{
    static const struct signature signature = {.class_count = 1, .feature_count = COLUMNS};
    struct watched w = {.contract = contract_of(text), .arena = arena_new(ARENA_BYTES)};
    struct loaded loaded = {
        .model = "churn", .number = 1, .contract = w.contract, .signature = &signature};
    struct record_schema *schema = record_schema_new(&loaded, REDACT_KEEP, w.arena);
    schema->serial = 1;
    w.schema = schema;
    return w;
}

static void end(struct watched *w)
{
    arena_free(w->arena);
    contract_free(w->contract);
}

static double ood(const struct watched *w, float x, float grade, float plan)
{
    const float values[COLUMNS] = {x, grade, plan};
    struct record record = {.schema = w->schema, .row_count = 1, .values = values};
    return ood_of_row(&record, 0);
}

/* scipy.stats.t: 2 sf(3, 3) = 0.0576688856, 2 sf(10, 3) = 0.00212839906, 2 sf(100, 3) =
 * 2.20452192e-06, 2 sf(5000, 3) = 1.76425e-11; three columns. */
static void numbers_by_their_deviations(void **state)
{
    struct watched w = begin(document);
    (void)state;
    assert_float_equal(ood(&w, 10, 1, 1), 1, 0);
    assert_float_equal(ood(&w, 16, 1, 1), 1 / (3 * 0.0576688856), 1e-6);
    assert_float_equal(ood(&w, -10, 1, 1), 1 / (3 * 0.00212839906), 1e-4);
    assert_float_equal(ood(&w, 210, 1, 1), 1 / (3 * 2.20452192e-06), 1);
    assert_float_equal(ood(&w, 1e30f, 1, 1), OOD_MAX, 0);
    end(&w);
}

/* Each share counts the row itself: c and d stand for the 99 others, (99 + 1) / (999 + 1); a is as
 * rare as itself and the others, (300 + 99 + 1) / 1000; x is missing (9 + 1) / 1000. */
static void categories_and_missing_cells_by_their_share(void **state)
{
    struct watched w = begin(document);
    (void)state;
    assert_float_equal(ood(&w, 10, 1, 2), 1 / (3 * 0.1), 1e-6);
    assert_float_equal(ood(&w, 10, 1, 3), 1 / (3 * 0.1), 1e-6);
    assert_float_equal(ood(&w, 10, 1, 0), 1, 0); /* 3 x 0.4 > 1 */
    assert_float_equal(ood(&w, cell_of(CELL_ABSENT), 1, 1), 1 / (3 * 0.01), 1e-4);
    assert_float_equal(ood(&w, 10, cell_of(CELL_NULL), 1), 1 / (3 * 0.001), 1e-3);
    end(&w);
}

static void what_was_never_seen_is_as_strange_as_can_be(void **state)
{
    struct watched w = begin(document);
    (void)state;
    assert_float_equal(ood(&w, 10, 1, cell_of(CELL_OTHER)), OOD_MAX, 0);
    assert_float_equal(ood(&w, 10, 4, 1), OOD_MAX, 0);
    assert_float_equal(ood(&w, 10, 3, 1), 1, 0);
    end(&w);
}

static void without_a_profile_nothing_is_known(void **state)
{
    struct watched w = begin(CONTRACT_TEXT("  - name: x\n    logicalType: number\n"));
    const struct record failed = {.schema = w.schema};
    (void)state;
    assert_true(isnan(ood(&w, 1e30f, 0, 0)));
    assert_true(isnan(ood_of_row(&failed, 0)));
    end(&w);
}

static bool holds(const struct watched *w, const char *text, float x)
{
    const float values[COLUMNS] = {x, 1, 1};
    struct record record = {.schema = w->schema, .row_count = 1, .values = values};
    struct condition_facts facts = {.record = &record};
    struct condition *condition = NULL;
    struct err err = {0};
    if (condition_parse(str_of(text), w->arena, &condition, &err))
        fail_msg("%s: %s", text, err.msg);
    assert_true(condition_needs_training(condition));
    return condition_holds(condition, &facts);
}

/* x = -10 has 156.6, x = 16 has 5.78. */
static void a_condition_may_ask(void **state)
{
    struct watched w = begin(document), unknown = begin(CONTRACT_TEXT("  - name: x\n"
                                                                      "    logicalType: number\n"));
    (void)state;
    assert_true(holds(&w, "ood", -10));
    assert_false(holds(&w, "ood", 16));
    assert_true(holds(&w, "ood and x < 0 or ood > 1e6", -10));
    assert_true(holds(&w, "(ood)", -10));
    assert_false(holds(&w, "ood >= 157", -10));
    assert_true(holds(&w, "ood between 5 and 6", 16));
    assert_true(holds(&w, "not ood", 16));
    assert_false(holds(&unknown, "ood", -10));
    assert_true(holds(&unknown, "ood is missing", -10));
    end(&w);
    end(&unknown);
}

static void rules_need_a_profile(void **state)
{
    struct watched w = begin(document), unknown = begin(CONTRACT_TEXT("  - name: x\n"
                                                                      "    logicalType: number\n"));
    struct review_rules *rules = NULL;
    struct err err = {0};
    (void)state;
    assert_int_equal(review_rules_parse(STR_LIT("rules: [{name: odd, when: ood > 1000}]"), w.arena,
                                        &rules, &err),
                     ERR_OK);
    assert_int_equal(review_rules_check(rules, w.contract, &err), ERR_OK);
    assert_int_equal(review_rules_check(rules, unknown.contract, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "rule 'odd', when: 'ood' asks"));
    assert_non_null(strstr(err.hint, "contract infer"));
    end(&w);
    end(&unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_by_their_deviations),
        cmocka_unit_test(categories_and_missing_cells_by_their_share),
        cmocka_unit_test(what_was_never_seen_is_as_strange_as_can_be),
        cmocka_unit_test(without_a_profile_nothing_is_known),
        cmocka_unit_test(a_condition_may_ask),
        cmocka_unit_test(rules_need_a_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
