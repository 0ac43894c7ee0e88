/* test_predicted.c - answered rows read from records, their ids, and who hears of outcomes. */
#include "monitor/outcome.h"

#include <math.h>
#include <string.h>

#include "test.h"

static const struct str colours[] = {STR_LIT("red"), STR_LIT("blue")};
static const struct str classes[] = {STR_LIT("stays"), STR_LIT("leaves")};
static const struct record_column values[] = {
    {.name = "age", .is_whole = true},
    {.name = "colour", .category_count = 2, .categories = colours, .is_segment = true},
};
static const struct record_column texts[] = {
    {.name = "customer", .is_key = true},
    {.name = "country", .is_segment = true},
};
static const struct record_output outputs[] = {{"probability", DTYPE_F32, 1}};

static struct record_schema binary_schema(void)
{
    return (struct record_schema){
        .model = "churn",
        .version = 3,
        .value_count = 2,
        .text_count = 2,
        .output_count = 1,
        .values = values,
        .texts = texts,
        .outputs = outputs,
        .class_count = 2,
        .is_probability = true,
        .class_names = classes,
        .decision_threshold = 0.5,
    };
}

static void a_row_is_read_with_its_key_answer_and_segments(void **state)
{
    struct record_schema schema = binary_schema();
    float cells[] = {41, 1, 17, NAN}, probabilities[] = {0.25f, 0.75f};
    struct str words[] = {STR_LIT("C1"), STR_LIT("PT"), STR_LIT("C2"), {0}};
    struct tensor out = {.dtype = DTYPE_F32, .rank = 1, .shape = {2}, .data = probabilities};
    const struct record record = {
        .schema = &schema,
        .request_id = STR_LIT("req-7"),
        .at_us = 1000,
        .status = 200,
        .arm = ARM_CANARY,
        .rollout = 9,
        .has_key = true,
        .key_hash = 77,
        .row_count = 2,
        .values = cells,
        .texts = words,
        .output_count = 1,
        .outputs = &out,
    };
    struct arena *arena = arena_new(1 << 20);
    struct predicted p;
    struct err err = {0};
    (void)state;
    assert_int_equal(predicted_read(&record, 1, arena, &p, &err), ERR_OK);
    assert_true(str_equal_c(p.id, "req-7-1"));
    assert_string_equal(p.model, "churn");
    assert_int_equal(p.version, 3);
    assert_int_equal(p.arm, ARM_CANARY);
    assert_int_equal(p.rollout, 9);
    assert_true(p.has_key && p.key_hash == 77);
    assert_true(str_equal_c(p.key, "C2"));
    assert_true(p.is_class && p.class_index == 1 && p.class_count == 2);
    assert_true(str_equal_c(p.answer, "leaves"));
    assert_float_equal(p.probabilities[1], 0.75, 0);
    assert_float_equal(p.probabilities[0], 0.25, 0);
    assert_int_equal(p.segment_count, 2);
    assert_true(str_equal_c(p.segments[0].name, "colour") && p.segments[0].value.len == 0);
    assert_true(str_equal_c(p.segments[1].name, "country") && p.segments[1].value.len == 0);
    assert_int_equal(predicted_read(&record, 0, arena, &p, &err), ERR_OK);
    assert_true(str_equal_c(p.segments[0].value, "blue"));
    assert_true(str_equal_c(p.segments[1].value, "PT"));
    assert_true(str_equal_c(p.answer, "stays"));
    arena_free(arena);
}

static void a_failed_request_has_no_answer(void **state)
{
    struct record_schema schema = binary_schema();
    const struct record record = {
        .schema = &schema, .request_id = STR_LIT("r"), .status = 422, .row_count = 1};
    struct arena *arena = arena_new(1 << 16);
    struct predicted p = {.version = -1};
    struct err err = {0};
    (void)state;
    assert_int_equal(predicted_read(&record, 0, arena, &p, &err), ERR_NOT_FOUND);
    assert_int_equal(p.version, -1);
    arena_free(arena);
}

static void an_id_is_a_request_and_a_row(void **state)
{
    static const char *const wrong[] = {"", "-", "-1", "abc", "abc-", "a-b", "a-+1", "a--", "a- 1"};
    struct str request;
    int64_t row;
    (void)state;
    assert_true(predicted_id_split(STR_LIT("a-b-12"), &request, &row));
    assert_true(str_equal_c(request, "a-b") && row == 12);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(predicted_id_split(str_of(wrong[i]), &request, &row));
}

static void count_wrong(void *arg, const struct outcome *outcome)
{
    *(int *)arg += outcome->is_wrong;
}

static void sinks_hear_what_counts(void **state)
{
    int wrong = 0, again = 0;
    struct predicted p = {0};
    const struct outcome list[] = {
        {.predicted = &p, .result = OUTCOME_ACCEPTED, .is_wrong = true},
        {.predicted = &p, .result = OUTCOME_DUPLICATE, .is_wrong = true},
        {.predicted = &p, .result = OUTCOME_CORRECTED, .is_wrong = true},
        {.result = OUTCOME_ORPHAN, .is_wrong = true},
    };
    struct outcomes *outcomes = outcomes_new();
    (void)state;
    outcomes_add_sink(outcomes, &(struct outcome_sink){"one", &wrong, count_wrong});
    outcomes_add_sink(outcomes, &(struct outcome_sink){"two", &again, count_wrong});
    outcomes_publish(outcomes, list, 4);
    outcomes_publish(NULL, list, 4);
    assert_int_equal(wrong, 2);
    assert_int_equal(again, 2);
    outcomes_free(outcomes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_read_with_its_key_answer_and_segments),
        cmocka_unit_test(a_failed_request_has_no_answer),
        cmocka_unit_test(an_id_is_a_request_and_a_row),
        cmocka_unit_test(sinks_hear_what_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
