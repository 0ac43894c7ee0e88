/* test_record_answer.c - what a record's outputs mean, by hand-made records. */
#include "monitor/record_answer.h"

#include "test.h"

static const struct str names[] = {{"benign", 6}, {"malignant", 9}, {"unclear", 7}};

static struct record record_of(const struct record_schema *schema, struct tensor *output,
                               int64_t rows)
{
    return (struct record){
        .schema = schema, .status = 200, .row_count = rows, .output_count = 1, .outputs = output};
}

static void a_binary_answer_is_class_1_from_the_threshold_on(void **state)
{
    (void)state;
    float data[] = {0.29f, 0.3f, 0.9f};
    const struct record_schema schema = {
        .class_count = 2, .is_probability = true, .class_names = names, .decision_threshold = 0.3f};
    struct tensor output = {.dtype = DTYPE_F32, .rank = 1, .shape = {3}, .data = data};
    struct record record = record_of(&schema, &output, 3);
    struct record_answer answer;
    assert_true(record_answer_read(&record, 0, &answer));
    assert_true(answer.is_class && answer.has_score);
    assert_int_equal(answer.class_index, 0);
    assert_float_equal(answer.score, 0.71, 1e-6); /* 1 - 0.29 */
    assert_true(record_answer_read(&record, 1, &answer));
    assert_int_equal(answer.class_index, 1);
    assert_float_equal(answer.score, 0.3, 1e-6);
    assert_true(str_equal_c(record_class_name(&schema, 1), "malignant"));
    assert_null(record_class_name(&schema, 3).ptr);
}

static void several_classes_answer_the_first_most_probable(void **state)
{
    (void)state;
    float data[] = {0.2f, 0.4f, 0.4f, 0.5f, 0.3f, 0.2f};
    const struct record_schema schema = {.class_count = 3, .is_probability = true};
    struct tensor output = {.dtype = DTYPE_F32, .rank = 2, .shape = {2, 3}, .data = data};
    struct record record = record_of(&schema, &output, 2);
    struct record_answer answer;
    assert_true(record_answer_read(&record, 0, &answer));
    assert_int_equal(answer.class_index, 1);
    assert_float_equal(answer.score, 0.4, 1e-6);
    assert_true(record_answer_read(&record, 1, &answer));
    assert_int_equal(answer.class_index, 0);
    assert_float_equal(record_answer_probability(&record, 1, 2), 0.2, 1e-6);
}

static void a_number_is_the_answer_itself(void **state)
{
    (void)state;
    float data[] = {-3.5f};
    const struct record_schema schema = {.class_count = 1};
    struct tensor output = {.dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = data};
    struct record record = record_of(&schema, &output, 1);
    struct record_answer answer;
    assert_true(record_answer_read(&record, 0, &answer));
    assert_false(answer.is_class);
    assert_float_equal(answer.value, -3.5, 0);
}

static void what_cannot_be_read_is_no_answer(void **state)
{
    (void)state;
    float data[] = {0.2f, 0.8f, 7};
    const struct record_schema three = {.class_count = 3, .is_probability = true};
    const struct record_schema labels = {.class_count = 2, .is_probability = false};
    struct tensor output = {.dtype = DTYPE_F32, .rank = 2, .shape = {1, 2}, .data = data};
    struct record record = record_of(&three, &output, 1);
    struct record_answer answer;
    assert_false(record_answer_read(&record, 0, &answer)); /* two columns for three classes */
    assert_false(record_answer_read(&record, 1, &answer)); /* a row that is not there */
    record.output_count = 0;
    assert_false(record_answer_read(&record, 0, &answer)); /* refused: nothing was answered */
    struct tensor label = {.dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = data + 2};
    struct record labelled = record_of(&labels, &label, 1);
    assert_false(record_answer_read(&labelled, 0, &answer)); /* class 7 of two */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binary_answer_is_class_1_from_the_threshold_on),
        cmocka_unit_test(several_classes_answer_the_first_most_probable),
        cmocka_unit_test(a_number_is_the_answer_itself),
        cmocka_unit_test(what_cannot_be_read_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
