/* test_contract_fit.c - a contract beside a model: order of features, kinds, classes. */
#include "contract/fit.h"

#include "base/check.h"
#include "test.h"

#include "contract_text.h"

#define ABC                                                                                        \
    "  - {name: a, logicalType: number}\n"                                                         \
    "  - {name: b, logicalType: integer}\n"                                                        \
    "  - name: c\n"                                                                                \
    "    logicalType: string\n"                                                                    \
    "    quality: [{metric: invalidValues, arguments: {validValues: [x, y, z]}}]\n"
#define CLASSES                                                                                    \
    "  - name: answer\n"                                                                           \
    "    logicalType: string\n"                                                                    \
    "    quality: [{metric: invalidValues, arguments: {validValues: [no, yes]}}]\n"                \
    "    customProperties: [{property: slipwayRole, value: prediction}]\n"

static void expect_fit(const char *text, const struct contract_fit *model, const int *expected)
{
    struct contract *c = contract_of(text);
    struct err err = {0};
    int order[8] = {0};
    assert_int_equal(contract_fit(c, model, order, &err), ERR_OK);
    assert_memory_equal(order, expected, (size_t)model->feature_count * sizeof(int));
    contract_free(c);
}

static void expect_misfit(const char *text, const struct contract_fit *model, const char *message,
                          const char *hint)
{
    struct contract *c = contract_of(text);
    struct err err = {0};
    int order[8] = {0};
    assert_int_equal(contract_fit(c, model, order, &err), ERR_INVALID);
    assert_string_equal(err.msg, message);
    assert_string_equal(err.hint, hint);
    contract_free(c);
}

static void features_are_matched_by_name_in_the_models_order(void **state)
{
    const char *const names[] = {"c", "a", "b"};
    const struct contract_fit model = {
        .feature_count = 3, .feature_names = names, .class_count = 2};
    (void)state;
    expect_fit(CONTRACT_TEXT(ABC), &model, (const int[]){2, 0, 1});
    /* Fields that are no features do not count. */
    expect_fit(CONTRACT_TEXT("  - {name: id, logicalType: string, primaryKey: true}\n" ABC CLASSES),
               &model, (const int[]){2, 0, 1});
}

static void without_names_the_position_counts(void **state)
{
    const struct contract_fit model = {.feature_count = 3, .class_count = 1};
    const struct contract_fit wider = {.feature_count = 4, .class_count = 1};
    (void)state;
    expect_fit(CONTRACT_TEXT(ABC), &model, (const int[]){0, 1, 2});
    expect_misfit(CONTRACT_TEXT(ABC), &wider, "the model takes 4 features, the contract has 3", "");
}

static void a_feature_on_one_side_only_is_named(void **state)
{
    const char *const missing[] = {"a", "bb", "c"};
    const char *const fewer[] = {"a", "c"};
    const char *const twice[] = {"a", "a", "b"};
    struct contract_fit model = {.feature_count = 3, .feature_names = missing, .class_count = 1};
    (void)state;
    expect_misfit(CONTRACT_TEXT(ABC), &model, "the model has feature 'bb', the contract has not",
                  "the contract has a field 'b'");
    model.feature_names = twice;
    expect_misfit(CONTRACT_TEXT(ABC), &model, "the model has two features named 'a'", "");
    model.feature_names = fewer;
    model.feature_count = 2;
    expect_misfit(CONTRACT_TEXT(ABC), &model, "the contract has feature 'b', the model has not",
                  "remove the field or give it the slipwayRole segment");
}

static void free_text_is_no_feature(void **state)
{
    const struct contract_fit model = {.feature_count = 1, .class_count = 1};
    (void)state;
    expect_misfit(CONTRACT_TEXT("  - {name: a, logicalType: number}\n"
                                "  - {name: note, logicalType: string}\n"),
                  &model,
                  "field 'note' is a feature of type string without a list of values, but the "
                  "model takes numbers",
                  "list its categories in code order as validValues, or give it the slipwayRole "
                  "segment");
}

static void categorical_features_need_their_categories(void **state)
{
    const bool kinds[] = {false, true, false};
    const bool text_kinds[] = {false, false, true};
    const int counts[] = {0, 4, 0}, text_counts[] = {0, 0, 4};
    struct contract_fit model = {
        .feature_count = 3, .is_categorical = kinds, .category_counts = counts, .class_count = 1};
    (void)state;
    expect_misfit(CONTRACT_TEXT(ABC), &model,
                  "field 'b' is of type integer in the contract, but the model splits it by "
                  "category",
                  "make it a string with validValues in code order");
    model.is_categorical = text_kinds;
    model.category_counts = text_counts;
    expect_misfit(CONTRACT_TEXT(ABC), &model,
                  "field 'c' has 3 categories in the contract, but the model knows 4",
                  "validValues must list all categories of the training, in code order");
    model.category_counts = (const int[]){0, 0, 2};
    expect_fit(CONTRACT_TEXT(ABC), &model, (const int[]){0, 1, 2});
}

static void whole_numbers_within_the_models_codes_are_codes(void **state)
{
    const struct contract_fit model = {.feature_count = 1,
                                       .is_categorical = (const bool[]){true},
                                       .category_counts = (const int[]){4},
                                       .class_count = 1};
    (void)state;
    expect_fit(CONTRACT_TEXT("  - {name: b, logicalType: integer, logicalTypeOptions: {minimum: 0, "
                             "maximum: 3}}\n"),
               &model, (const int[]){0});
    expect_misfit(CONTRACT_TEXT("  - {name: b, logicalType: integer, logicalTypeOptions: {minimum: "
                                "1, maximum: 4}}\n"),
                  &model,
                  "field 'b' is of type integer in the contract, but the model splits it by "
                  "category",
                  "make it a string with validValues in code order");
}

static void class_names_and_classes_are_as_many(void **state)
{
    struct contract_fit model = {.feature_count = 3, .class_count = 3};
    (void)state;
    expect_misfit(CONTRACT_TEXT(ABC CLASSES), &model,
                  "field 'answer' names 2 classes, but the model has 3", "");
    model.class_count = 1;
    expect_misfit(CONTRACT_TEXT(ABC CLASSES), &model,
                  "field 'answer' names 2 classes, but the model returns a number",
                  "if it is a classifier and its file is YAML, say so there: classes: 2");
    model.class_count = 2;
    expect_fit(CONTRACT_TEXT(ABC CLASSES), &model, (const int[]){0, 1, 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_matched_by_name_in_the_models_order),
        cmocka_unit_test(without_names_the_position_counts),
        cmocka_unit_test(a_feature_on_one_side_only_is_named),
        cmocka_unit_test(free_text_is_no_feature),
        cmocka_unit_test(categorical_features_need_their_categories),
        cmocka_unit_test(whole_numbers_within_the_models_codes_are_codes),
        cmocka_unit_test(class_names_and_classes_are_as_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
