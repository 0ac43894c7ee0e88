/* test_feed.c - a contract's rows as the tensors of models with other inputs than one matrix. */
#include "runtime/feed.h"

#include <math.h>

#include "base/check.h"
#include "test.h"

#include "contract_text.h"

#define FIELDS                                                                                     \
    "  - {name: age, logicalType: integer}\n"                                                      \
    "  - {name: rate, logicalType: number}\n"                                                      \
    "  - name: plan\n"                                                                             \
    "    logicalType: string\n"                                                                    \
    "    quality: [{metric: invalidValues, arguments: {validValues: [basic, pro]}}]\n"             \
    "  - {name: note, logicalType: string}\n"

#define NUMBERS                                                                                    \
    "  - {name: age, logicalType: integer}\n"                                                      \
    "  - name: region\n"                                                                           \
    "    logicalType: integer\n"                                                                   \
    "    customProperties: [{property: slipwayRole, value: segment}]\n"                            \
    "  - {name: rate, logicalType: number}\n"

static struct arena *arena;
static struct contract *contract;
static struct feed *feed;
static struct err err;

static enum err_code fit(const char *text, const struct signature_tensor *inputs, int count)
{
    static struct signature signature;
    signature = (struct signature){
        .inputs = inputs, .input_count = count, .class_count = 1, .batch_rows_max = 8};
    contract_free(contract);
    contract = contract_of(text);
    arena_reset(arena);
    return feed_fit(contract, &signature, arena, &feed, &err);
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    contract_free(contract);
    contract = NULL;
    arena_free(arena);
    return 0;
}

static const struct signature_tensor columns[] = {
    {.name = "rate", .dtype = DTYPE_F64, .rank = 2, .shape = {-1, 1}},
    {.name = "plan", .dtype = DTYPE_BYTES, .rank = 1, .shape = {-1}},
    {.name = "extra", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}, .is_optional = true},
    {.name = "note", .dtype = DTYPE_BYTES, .rank = 2, .shape = {-1, 1}},
    {.name = "age", .dtype = DTYPE_U8, .rank = 1, .shape = {-1}},
};

/* values hold age, rate and the code of plan; texts hold note */
static void each_field_feeds_the_input_of_its_name(void **state)
{
    const float values[] = {30, 0.5f, 1, 255, NAN, NAN};
    const struct str texts[] = {{"hello", 5}, {NULL, 0}};
    struct tensor in[5];
    (void)state;
    assert_int_equal(fit(CONTRACT_TEXT(FIELDS), columns, 5), ERR_OK);
    assert_int_equal(feed_tensors(feed, values, texts, 2, arena, in, &err), ERR_OK);
    const double *rate = in[0].data;
    const struct str *plan = in[1].data, *note = in[3].data;
    const uint8_t *age = in[4].data;
    assert_true(rate[0] == 0.5 && isnan(rate[1]));
    assert_true(in[0].rank == 2 && in[0].shape[0] == 2 && in[0].shape[1] == 1);
    assert_true(str_equal_c(plan[0], "pro") && plan[1].len == 0 && plan[1].ptr);
    assert_null(in[2].data);
    assert_true(str_equal_c(note[0], "hello") && note[1].len == 0 && note[1].ptr);
    assert_true(age[0] == 30 && age[1] == 255);
}

static void a_value_the_datatype_lacks_names_row_and_field(void **state)
{
    const float values[] = {30, 0, 0, 256, 0, 0};
    const float missing[] = {NAN, 0, 0};
    struct tensor in[5];
    (void)state;
    assert_int_equal(fit(CONTRACT_TEXT(FIELDS), columns, 5), ERR_OK);
    assert_int_equal(feed_tensors(feed, values, NULL, 2, arena, in, &err), ERR_INVALID);
    assert_string_equal(err.msg, "row 1: field 'age': 256 does not fit the model's datatype UINT8");
    assert_int_equal(feed_tensors(feed, missing, NULL, 1, arena, in, &err), ERR_INVALID);
    assert_string_equal(
        err.msg, "row 0: field 'age' is missing, which the model's datatype UINT8 cannot say");
}

/* values hold age, region, rate; region is no feature */
static void a_matrix_of_another_datatype_takes_the_features(void **state)
{
    static const struct signature_tensor matrix = {
        .name = "X", .dtype = DTYPE_F64, .rank = 2, .shape = {-1, 2}};
    static const struct signature_tensor wide = {
        .name = "X", .dtype = DTYPE_F64, .rank = 2, .shape = {-1, 3}};
    const float values[] = {30, 7, 0.5f, 31, 7, 1.5f};
    const double expected[] = {30, 0.5, 31, 1.5};
    struct tensor in[1];
    (void)state;
    assert_int_equal(fit(CONTRACT_TEXT(NUMBERS), &matrix, 1), ERR_OK);
    assert_int_equal(feed_tensors(feed, values, NULL, 2, arena, in, &err), ERR_OK);
    assert_int_equal(in[0].shape[1], 2);
    assert_memory_equal(in[0].data, expected, sizeof(expected));
    assert_int_equal(fit(CONTRACT_TEXT(NUMBERS), &wide, 1), ERR_INVALID);
    assert_string_equal(err.msg, "the model takes 3 features, the contract has 2");
}

static void a_contract_that_does_not_fit_is_refused(void **state)
{
    static const struct signature_tensor box[] = {
        {.name = "age", .dtype = DTYPE_F32, .rank = 3, .shape = {-1, 2, 2}},
        {.name = "rate", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}}};
    static const struct signature_tensor text[] = {
        {.name = "age", .dtype = DTYPE_BYTES, .rank = 1, .shape = {-1}},
        {.name = "rate", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}}};
    (void)state;
    assert_int_equal(fit(CONTRACT_TEXT(FIELDS), columns, 4), ERR_INVALID);
    assert_string_equal(err.msg, "the contract has feature 'age', the model has no such input");
    assert_int_equal(fit(CONTRACT_TEXT(NUMBERS), columns, 5), ERR_INVALID);
    assert_string_equal(err.msg,
                        "the model has the input 'plan', the contract has no feature of that name");
    assert_int_equal(fit(CONTRACT_TEXT(NUMBERS), box, 2), ERR_INVALID);
    assert_non_null(strstr(err.msg, "input 'age' is no column of rows"));
    assert_int_equal(fit(CONTRACT_TEXT(NUMBERS), text, 2), ERR_INVALID);
    assert_string_equal(
        err.msg, "field 'age' is of type integer in the contract, but the model takes BYTES");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_field_feeds_the_input_of_its_name),
        TEST(a_value_the_datatype_lacks_names_row_and_field),
        TEST(a_matrix_of_another_datatype_takes_the_features),
        TEST(a_contract_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
