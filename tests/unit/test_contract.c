/* test_contract.c - reading contracts: what a document means, and what is wrong with a broken one.
 */
#include "contract/contract.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "contract/check.h"
#include "guard_page.h"
#include "test.h"

#include "contract_text.h"

static void expect_error(const char *text, const char *message, const char *hint)
{
    struct contract *contract = NULL;
    struct err err = {0};
    assert_int_equal(contract_parse(str_of(text), &contract, &err), ERR_INVALID);
    assert_null(contract);
    assert_string_equal(err.msg, message);
    if (hint)
        assert_string_equal(err.hint, hint);
}

static const struct contract_field *field(const struct contract *c, const char *name)
{
    return map_find(&c->field_by_name, str_of(name));
}

/* --- meaning ---------------------------------------------------------------------------------- */

static void a_smallest_contract_has_the_defaults(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT("  - {name: x, logicalType: number}\n"));
    const struct contract_field *x = field(c, "x");
    assert_string_equal(c->id, "test");
    assert_string_equal(c->owner, "");
    assert_string_equal(c->compatibility, "backward");
    assert_true(c->decision_threshold == 0.5);
    assert_int_equal(x->role, ROLE_FEATURE);
    assert_false(x->is_required);
    assert_string_equal(x->unit, "");
    assert_int_equal(x->policy[RULE_TYPE], POLICY_REJECT);
    assert_int_equal(x->policy[RULE_MISSING], POLICY_REJECT);
    assert_int_equal(x->policy[RULE_RANGE], POLICY_REJECT);
    assert_true(c->low[0] == -FLT_MAX && c->high[0] == FLT_MAX);
    assert_null(c->prediction);
    contract_free(c);
}

static void json_and_yaml_are_the_same_contract(void **state)
{
    (void)state;
    struct contract *c = contract_of(
        "{\"apiVersion\": \"v3.1.0\", \"kind\": \"DataContract\", \"id\": \"test\", \"version\": "
        "\"1.0.0\", \"status\": \"active\", \"schema\": [{\"name\": \"row\", \"properties\": "
        "[{\"name\": \"x\", \"logicalType\": \"integer\", \"logicalTypeOptions\": {\"minimum\": "
        "1}}]}]}");
    assert_int_equal(c->input_count, 1);
    assert_true(c->low[0] == 1);
    contract_free(c);
}

static void roles_decide_where_a_field_lives(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT(
        "  - {name: when, logicalType: timestamp}\n"
        "  - {name: id, logicalType: integer, primaryKey: true}\n"
        "  - {name: x, logicalType: number}\n"
        "  - name: shop\n"
        "    logicalType: string\n"
        "    customProperties: [{property: slipwayRole, value: segment}]\n"
        "  - {name: y, logicalType: boolean}\n"
        "  - name: answer\n"
        "    logicalType: string\n"
        "    quality:\n"
        "    - {metric: invalidValues, arguments: {validValues: [benign, malignant]}, mustBe: 0}\n"
        "    customProperties: [{property: slipwayRole, value: prediction}]\n"
        "  - name: p\n"
        "    logicalType: number\n"
        "    customProperties: [{property: slipwayRole, value: score}]\n"));
    assert_int_equal(c->input_count, 5);
    assert_int_equal(c->text_count, 3);
    assert_int_equal(c->value_count, 2);
    assert_int_equal(c->feature_count, 2);
    assert_true(c->is_feature_prefix);
    assert_int_equal(field(c, "when")->role, ROLE_TIMESTAMP);
    assert_int_equal(field(c, "id")->role, ROLE_KEY);
    assert_true(field(c, "id")->is_text);
    assert_int_equal(field(c, "p")->column, -1);
    assert_ptr_equal(c->prediction, field(c, "answer"));
    assert_ptr_equal(c->score, field(c, "p"));
    assert_int_equal(c->prediction->category_count, 2);
    assert_true(str_equal_c(c->prediction->categories[1], "malignant"));
    assert_null(contract_field_find(c, STR_LIT("answer")));
    contract_free(c);
}

/* Exclusive bounds become the next float32 inside; those of integers the next whole number. */
static void bounds_are_the_extreme_values_allowed(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT(
        "  - {name: a, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0, maximum: "
        "0.1}}\n"
        "  - {name: b, logicalType: integer, logicalTypeOptions: {minimum: 0.5, "
        "exclusiveMaximum: 7}}\n"
        "  - {name: c, logicalType: boolean}\n"
        "  - {name: d, logicalType: number, logicalTypeOptions: {minimum: -1e300}}\n"));
    assert_true(c->low[0] == nextafterf(0, 1) && c->high[0] == 0.1F);
    assert_true(c->low[1] == 1 && c->high[1] == 6);
    assert_true(c->low[2] == 0 && c->high[2] == 1);
    assert_true(c->low[3] == -FLT_MAX);
    assert_true(c->is_whole[1] && !c->is_whole[0]);
    contract_free(c);
}

static void policies_follow_the_rules_origin_unless_given(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT(
        "  - name: a\n"
        "    logicalType: number\n"
        "    logicalTypeOptions: {minimum: 0}\n"
        "    customProperties: [{property: slipwayInferred, value: true}]\n"
        "  - name: b\n"
        "    logicalType: number\n"
        "    logicalTypeOptions: {minimum: 0}\n"
        "    customProperties:\n"
        "    - {property: slipwayPolicy, value: {outOfRange: clip, missing: warn, drift: warn}}\n"
        "  - name: c\n"
        "    logicalType: string\n"
        "    quality: [{metric: invalidValues, arguments: {validValues: [x]}}]\n"));
    assert_true(field(c, "a")->is_range_inferred);
    assert_int_equal(field(c, "a")->policy[RULE_RANGE], POLICY_QUARANTINE);
    assert_int_equal(field(c, "b")->policy[RULE_RANGE], POLICY_CLIP);
    assert_int_equal(field(c, "b")->policy[RULE_MISSING], POLICY_WARN);
    assert_int_equal(field(c, "c")->policy[RULE_CATEGORY], POLICY_OTHER);
    contract_free(c);
}

static void categories_keep_their_order_and_may_look_like_numbers(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT(
        "  - name: grade\n"
        "    logicalType: string\n"
        "    quality: [{metric: invalidValues, arguments: {validValues: [3, '1', no]}}]\n"
        "  - name: size\n"
        "    logicalType: integer\n"
        "    quality: [{metric: invalidValues, arguments: {validValues: [9, 4]}}]\n"));
    const struct contract_field *grade = field(c, "grade"), *size = field(c, "size");
    assert_true(grade->is_coded);
    assert_int_equal(grade->category_count, 3);
    assert_true(str_equal_c(grade->categories[0], "3"));
    assert_true(str_equal_c(grade->categories[2], "no"));
    assert_false(size->is_coded);
    assert_int_equal(size->category_count, 0);
    assert_int_equal(size->listed_count, 2);
    assert_true(size->listed[0] == 4 && size->listed[1] == 9);
    contract_free(c);
}

static void profiles_have_counts_per_bin(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT(
        "  - name: x\n"
        "    logicalType: number\n"
        "    customProperties:\n"
        "    - {property: slipwayReference, value: {kind: numeric, n: 10, edges: [0.1, 2], "
        "counts: [1, 2, 3], missing: 4, mean: 1.5, std: 0.5}}\n"
        "  - name: s\n"
        "    logicalType: string\n"
        "    quality: [{metric: invalidValues, arguments: {validValues: [a, b, c]}}]\n"
        "    customProperties:\n"
        "    - {property: slipwayReference, value: {kind: categorical, n: 9, top: [[c, 5]], "
        "other: 3, missing: 1}}\n"));
    const struct contract_profile *x = &field(c, "x")->profile, *s = &field(c, "s")->profile;
    assert_true(field(c, "x")->has_profile);
    assert_int_equal(x->bin_count, 3);
    assert_true(x->edges[0] == (double)0.1F); /* as float32, because values are */
    assert_int_equal(x->counts[2], 3);
    assert_int_equal(x->row_count, 10);
    assert_true(x->mean == 1.5);
    assert_int_equal(s->bin_count, 2);
    assert_int_equal(s->category_bins[2], 0);
    assert_int_equal(s->category_bins[0], 1);
    assert_int_equal(s->counts[1], 3);
    contract_free(c);
}

static void the_document_names_owner_freshness_threshold_and_compatibility(void **state)
{
    (void)state;
    const char *text = CONTRACT_TEXT("  - {name: x, logicalType: number}\n")
        /* behind the fields */
        "team:\n"
        "  members:\n"
        "  - {username: b@example.org, role: engineer}\n"
        "  - {username: a@example.org, role: owner}\n"
        "slaProperties:\n"
        "- {property: latency, value: 36, unit: h, element: row.when}\n"
        "- {property: availability, value: 99.9, unit: percent}\n"
        "customProperties:\n"
        "- {property: slipwayDecisionThreshold, value: 0.3}\n"
        "- {property: slipwayCompatibility, value: none}\n"
        "- {property: slipwayQualityFloor, value: {accuracy: 0.9}}\n"
        "- {property: slipwayRankingGroup, value: x}\n"
        "- {property: slipwayLabelDelay, value: 14d}\n"
        "- {property: somebodyElses, value: [1, 2]}\n";
    struct contract *c = contract_of(text);
    assert_string_equal(c->owner, "a@example.org");
    assert_int_equal(c->freshness_us, INT64_C(36) * 3600 * 1000000);
    assert_string_equal(c->freshness_field, "when");
    assert_true(c->decision_threshold == 0.3);
    assert_string_equal(c->compatibility, "none");
    assert_true(c->accuracy_floor == 0.9);
    assert_int_equal(c->label_delay_us, INT64_C(14) * 86400 * 1000000);
    assert_ptr_equal(c->ranking_group, field(c, "x"));
    contract_free(c);
}

static void a_walk_in_field_order_finds_every_field(void **state)
{
    (void)state;
    struct contract *c = contract_of(CONTRACT_TEXT("  - {name: a, logicalType: number}\n"
                                                   "  - {name: b, logicalType: number}\n"
                                                   "  - {name: c, logicalType: number}\n"));
    int position = 0;
    assert_ptr_equal(contract_field_next(c, &position, STR_LIT("a")), field(c, "a"));
    assert_int_equal(position, 1);
    assert_ptr_equal(contract_field_next(c, &position, STR_LIT("c")), field(c, "c"));
    assert_int_equal(position, 3);
    assert_ptr_equal(contract_field_next(c, &position, STR_LIT("b")), field(c, "b"));
    assert_null(contract_field_next(c, &position, STR_LIT("d")));
    assert_null(contract_field_next(c, &position, (struct str){NULL, 0}));
    contract_free(c);
}

/* --- errors ----------------------------------------------------------------------------------- */

#define FIELD(rest) CONTRACT_TEXT("  - name: x\n    " rest "\n")
#define AT "schema[0].properties[0]"

static void an_error_names_the_place_what_was_expected_and_what_came(void **state)
{
    static const struct {
        const char *text, *message, *hint;
    } cases[] = {
        {FIELD("logicalType: flot"),
         AT ".logicalType: expected number, integer, boolean, string, date or timestamp, got the "
            "text 'flot'",
         NULL},
        {FIELD("logicalType: array"),
         AT ".logicalType: expected number, integer, boolean, string, date or timestamp, got the "
            "text 'array'",
         NULL},
        {FIELD("required: true"), AT ".logicalType: is required",
         "number, integer, boolean, string, date or timestamp"},
        {CONTRACT_TEXT("  - {logicalType: number}\n"), AT ".name: is required", NULL},
        {FIELD("logicalType: number\n    requird: true"), AT ": unknown key 'requird'",
         "did you mean 'required'?"},
        {FIELD("logicalType: number\n    required: yes"),
         AT ".required: expected true or false, got the text 'yes'", NULL},
        {FIELD("logicalType: number\n    logicalTypeOptions: {minimum: low}"),
         AT ".logicalTypeOptions.minimum: expected a number, got the text 'low'", NULL},
        {FIELD("logicalType: number\n    logicalTypeOptions: {minimum: 2, maximum: 1}"),
         AT ".logicalTypeOptions: no value is both above the minimum 2 and below the maximum 1",
         NULL},
        {FIELD("logicalType: number\n    logicalTypeOptions: {minimum: 2, exclusiveMinimum: 1}"),
         AT ".logicalTypeOptions.exclusiveMinimum: stands beside minimum: keep one of them", NULL},
        {FIELD("logicalType: number\n    logicalTypeOptions: {pattern: x}"),
         AT ".logicalTypeOptions: unknown key 'pattern'", NULL},
        {FIELD("logicalType: number\n    logicalTypeOptions: {multipleOf: 5}"),
         AT ".logicalTypeOptions.multipleOf: is a rule Slipway does not check",
         "remove it; an integer field already refuses fractions"},
        {FIELD("logicalType: string\n    logicalTypeOptions: {pattern: '(a'}"),
         AT ".logicalTypeOptions.pattern: at character 2: missing closing parenthesis", NULL},
        {FIELD("logicalType: string\n    quality: [{metric: invalidValues, arguments: "
               "{validValues: [a, a]}}]"),
         AT ".quality[0].arguments.validValues: 'a' is listed twice", NULL},
        {FIELD("logicalType: string\n    quality: [{metric: invalidValues, arguments: "
               "{validValues: [true]}}]"),
         AT ".quality[0].arguments.validValues[0]: expected text, got true", "put it in quotes"},
        {FIELD("logicalType: boolean\n    quality: [{metric: invalidValues, arguments: "
               "{validValues: [a]}}]"),
         AT ".quality[0].arguments.validValues: a field of type boolean cannot have them", NULL},
        {FIELD("logicalType: number\n    customProperties: [{property: slipwayRoll, value: key}]"),
         AT ".customProperties[0]: unknown property 'slipwayRoll'", "did you mean 'slipwayRole'?"},
        {FIELD("logicalType: number\n    customProperties: [{property: slipwayRole, value: kee}]"),
         AT ".customProperties[0].value: expected a role, got the text 'kee'",
         "feature, key, timestamp, segment, prediction, score or label"},
        {FIELD("logicalType: number\n    customProperties: [{property: slipwayPolicy, value: "
               "{outOfRange: other}}]"),
         AT ".customProperties[0].value.outOfRange: 'other' is not a policy for this rule", NULL},
        {FIELD("logicalType: number\n    customProperties: [{property: slipwayReference, value: "
               "{kind: numeric, n: 3, edges: [1], counts: [1, 1], missing: 0}}]"),
         AT ".customProperties[0].value: counts and missing sum to 2, but n is 3", NULL},
        {FIELD("logicalType: number\n    customProperties: [{property: slipwayReference, value: "
               "{kind: numeric, n: 0, edges: [1, 1], counts: [0, 0, 0], missing: 0}}]"),
         AT ".customProperties[0].value.edges: must ascend (as float32); index 1 does not", NULL},
        {FIELD(
             "logicalType: number\ncustomProperties: [{property: slipwayRankingGroup, value: y}]"),
         "customProperties[0].value: expected the name of an input field, got the text 'y'", NULL},
        {FIELD("logicalType: number\ncustomProperties: [{property: slipwayLabelDelay, value: 14}]"),
         "customProperties[0].value: expected a time with its unit up to 3650d, such as 14d, got "
         "the number 14",
         NULL},
        {CONTRACT_TEXT("  - {name: x, logicalType: number}\n  - {name: x, logicalType: number}\n"),
         "schema[0].properties[1].name: 'x' is already the name of properties[0]", NULL},
        {FIELD("logicalType: number\n    customProperties: [{property: slipwayRole, value: "
               "label}]"),
         "schema[0].properties: no field is an input of the model", NULL},
        {FIELD("logicalType: number") "owner: me\n", "the document: unknown key 'owner'", NULL},
        {FIELD("logicalType: number") "team: {members: [{role: owner}]}\n",
         "team.members[0].username: is required", NULL},
        {"apiVersion: v3.1.0\nkind: DataContract\nid: a\nversion: '1'\nstatus: active\n",
         "schema: expected a list with the object a row is", NULL},
        {"kind: DataContract\nid: a\nversion: '1'\nstatus: active\n",
         "apiVersion: expected v3.1.0, got nothing",
         "contracts follow the Open Data Contract Standard v3.1.0"},
        {"apiVersion: v3.1.0\nkind: DataContract\nid: a\nversion: 1.0\nstatus: active\n",
         "version: expected text, got the number 1", "put it in quotes"},
        {"[]", "the document: expected an object, got a list", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_error(cases[i].text, cases[i].message, cases[i].hint);
}

static void a_document_beyond_its_size_is_refused_unread(void **state)
{
    size_t size = CONTRACT_BYTES_MAX + 1;
    char *text = malloc(size);
    struct contract *contract = NULL;
    struct err err = {0};
    (void)state;
    memset(text, '#', size);
    assert_int_equal(contract_parse((struct str){text, size}, &contract, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "a contract may have at most 4194304 bytes, this one has 4194305");
    free(text);
}

static void a_beginning_of_a_document_is_an_error_or_a_contract(void **state)
{
    const char *text =
        CONTRACT_TEXT("  - name: x\n"
                      "    logicalType: string\n"
                      "    logicalTypeOptions: {pattern: '^a+$', maxLength: 5}\n"
                      "    customProperties: [{property: missingMarkers, value: [NA, -1]}]\n");
    (void)state;
    for (size_t len = 0; len <= strlen(text); len++) {
        struct guard guard = guard_init(text, len);
        struct contract *contract = NULL;
        struct err err = {0};
        if (contract_parse(guard.text, &contract, &err) != ERR_OK)
            assert_true(err.msg[0] != '\0' && contract == NULL);
        contract_free(contract);
        guard_done(&guard);
    }
}

/* The example of the research notes: 30 fields inferred from hotel bookings. */
static void the_published_example_parses(void **state)
{
    struct buf text;
    struct err err = {0};
    struct contract *c = NULL;
    (void)state;
    if (file_read("../shared/data/contract_example.odcs.json", CONTRACT_BYTES_MAX, &text, &err)) {
        buf_done(&text);
        print_message("skipped: ../shared/data/contract_example.odcs.json is not there\n");
        skip();
    }
    assert_int_equal(contract_parse(buf_view(&text), &c, &err), ERR_OK);
    assert_int_equal(c->field_count, 30);
    assert_int_equal(c->feature_count, 25);
    assert_string_equal(c->owner, "owner@example.org");
    assert_int_equal(c->freshness_us, INT64_C(24) * 3600 * 1000000);
    assert_int_equal(field(c, "country")->category_count, 100);
    assert_int_equal(field(c, "country")->profile.bin_count, 11);
    assert_int_equal(field(c, "lead_time")->profile.counts[9], 1684);
    assert_string_equal(contract_field_unit(field(c, "lead_time")), "d");
    assert_string_equal(contract_field_unit(field(c, "adults")), "");
    contract_free(c);
    buf_done(&text);
}

/* docs/contract.md shows one contract and what it says to a row. */
static void the_contract_of_the_manual_does_what_the_manual_says(void **state)
{
    struct buf page;
    struct err err = {0};
    struct contract *c = NULL;
    struct rows rows;
    (void)state;
    assert_int_equal(file_read("docs/contract.md", 1 << 20, &page, &err), ERR_OK);
    const char *begin = strstr(buf_c(&page), "```yaml\n") + strlen("```yaml\n");
    struct str text = {begin, (size_t)(strstr(begin, "```") - begin)};
    if (contract_parse(text, &c, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(c->feature_count, 3);
    assert_string_equal(c->owner, "revenue@example.org");
    struct arena *arena = arena_new(1 << 20);
    assert_int_equal(rows_begin(&rows, c, 1, arena, &err), ERR_OK);
    rows_put_str(&rows, 0, field(c, "booking_id"), STR_LIT("B000001"));
    rows_put_f64(&rows, 0, field(c, "lead_time"), 800);
    rows_put_f64(&rows, 0, field(c, "adr"), 900);
    rows_put_str(&rows, 0, field(c, "meal"), STR_LIT("Undefined"));
    assert_int_equal(rows_check(&rows, &err), ERR_VIOLATION);
    assert_string_equal(err.msg,
                        "row 0: field 'lead_time': expected a whole number in [0, 730] d, got 800");
    assert_non_null(strstr(page.data, err.msg));
    assert_int_equal(rows.is_suspect[0], 1);
    arena_free(arena);
    contract_free(c);
    buf_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smallest_contract_has_the_defaults),
        cmocka_unit_test(json_and_yaml_are_the_same_contract),
        cmocka_unit_test(roles_decide_where_a_field_lives),
        cmocka_unit_test(bounds_are_the_extreme_values_allowed),
        cmocka_unit_test(policies_follow_the_rules_origin_unless_given),
        cmocka_unit_test(categories_keep_their_order_and_may_look_like_numbers),
        cmocka_unit_test(profiles_have_counts_per_bin),
        cmocka_unit_test(the_document_names_owner_freshness_threshold_and_compatibility),
        cmocka_unit_test(a_walk_in_field_order_finds_every_field),
        cmocka_unit_test(an_error_names_the_place_what_was_expected_and_what_came),
        cmocka_unit_test(a_document_beyond_its_size_is_refused_unread),
        cmocka_unit_test(a_beginning_of_a_document_is_an_error_or_a_contract),
        cmocka_unit_test(the_published_example_parses),
        cmocka_unit_test(the_contract_of_the_manual_does_what_the_manual_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
