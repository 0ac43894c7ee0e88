/* test_shadow_score.c - a record asked again of a version whose contract reads it otherwise. */
#include "serve/shadow_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* The shadow's contract has the fields in another order and the plans in other codes. */
static const char contract_text[] =
    "apiVersion: v3.1.0\nkind: DataContract\nid: churn\nversion: 1.0.0\nstatus: active\n"
    "schema:\n"
    "  - name: subscriber\n"
    "    logicalType: object\n"
    "    properties:\n"
    "      - name: plan\n"
    "        logicalType: string\n"
    "        quality:\n"
    "          - {type: library, metric: invalidValues, mustBe: 0,\n"
    "             arguments: {validValues: [pro, basic]}}\n"
    "        customProperties:\n"
    "          - {property: slipwayPolicy, value: {unknownCategory: reject}}\n"
    "      - name: tenure\n"
    "        logicalType: integer\n"
    "        logicalTypeOptions: {minimum: 0, maximum: 600}\n";

/* A model that answers class 1 with probability tenure / 100, and says what it was asked. */
static float asked[8];

static enum err_code fake_predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct tensor *in = call->in;
    const float *features = in[0].data;
    float *answers = arena_alloc(call->arena, (size_t)in[0].shape[0] * sizeof(*answers));
    (void)model, (void)err;
    for (int64_t row = 0; row < in[0].shape[0]; row++)
        answers[row] = features[2 * row + 1] / 100;
    memcpy(asked, features, (size_t)in[0].shape[0] * 2 * sizeof(*features));
    call->out[0] = (struct tensor){.name = "probability",
                                   .dtype = DTYPE_F32,
                                   .rank = 1,
                                   .shape = {in[0].shape[0]},
                                   .data = answers};
    call->out_count = 1;
    return ERR_OK;
}

static const struct signature_tensor input = {.name = "input", .dtype = DTYPE_F32, .rank = 2};
static const struct signature_tensor output = {
    .name = "probability", .dtype = DTYPE_F32, .rank = 1};
static const struct signature signature = {
    .input_count = 1,
    .output_count = 1,
    .inputs = &input,
    .outputs = &output,
    .feature_count = 2,
    .class_count = 2,
    .is_probability = true,
};
static const struct runtime_ops fake_ops = {.name = "fake", .predict = fake_predict};

static const struct str plans[] = {{"basic", 5}, {"family", 6}, {"pro", 3}};
static const struct record_column columns[] = {
    {.name = "tenure", .is_whole = true},
    {.name = "plan", .category_count = 3, .categories = plans},
};
static const struct record_output record_output = {"probability", DTYPE_F32, 1};
static const struct record_schema schema = {
    .model = "churn",
    .version = 1,
    .value_count = 2,
    .values = columns,
    .output_count = 1,
    .outputs = &record_output,
    .class_count = 2,
    .is_probability = true,
    .decision_threshold = 0.5,
};

struct fixture {
    struct loaded shadow;
    struct shadow_map *map;
    struct arena *arena;
    struct compare *compare;
    struct shadow_times times;
};

static void begin(struct fixture *f)
{
    struct err err = {0};
    *f = (struct fixture){.shadow = {.ops = &fake_ops, .signature = &signature}};
    if (contract_parse(str_of(contract_text), &f->shadow.contract, &err))
        fail_msg("%s", err.msg);
    f->map = shadow_map_new(&schema, &f->shadow);
    f->arena = arena_new(1 << 20);
    f->compare = calloc(1, sizeof(*f->compare));
    compare_init(f->compare, 2, NULL);
}

static void end(struct fixture *f)
{
    shadow_map_free(f->map);
    contract_free(f->shadow.contract);
    arena_free(f->arena);
    free(f->compare);
}

static void score(struct fixture *f, const float *values, int64_t rows, float *answers)
{
    struct tensor out = {.dtype = DTYPE_F32, .rank = 1, .shape = {rows}, .data = answers};
    const struct record record = {
        .schema = &schema,
        .request_id = STR_LIT("r"),
        .status = 200,
        .row_count = rows,
        .values = values,
        .output_count = 1,
        .outputs = &out,
    };
    shadow_score(f->map, &record, NULL, f->arena, f->compare, &f->times);
}

static int64_t differing_row;
static double differing_share;

static void note_difference(void *arg, const struct record *record, int64_t row, double share)
{
    ++*(int *)arg;
    assert_true(str_equal_c(record->request_id, "r"));
    differing_row = row;
    differing_share = share;
}

/* The second row flips, as in the test below. */
static void who_watches_hears_of_rows_that_differ(void **state)
{
    (void)state;
    struct fixture f;
    int count = 0;
    const struct shadow_watch watch = {.differs = note_difference, .arg = &count};
    const float values[] = {30, 2, 70, 0};
    float answers[] = {0.3f, 0.2f};
    begin(&f);
    shadow_map_watch(f.map, &watch, 0.25);
    score(&f, values, 2, answers);
    assert_int_equal(count, 1);
    assert_int_equal(differing_row, 1);
    assert_float_equal(differing_share, 0.25, 0);
    end(&f);
}

static void fields_are_found_by_name_and_categories_by_text(void **state)
{
    (void)state;
    struct fixture f;
    const float values[] = {30, 2, 70, 0}; /* tenure 30 pro; tenure 70 basic */
    float answers[] = {0.3f, 0.2f};        /* the second flips: 0.7 now */
    begin(&f);
    score(&f, values, 2, answers);
    assert_float_equal(asked[0], 0, 0); /* pro is the shadow's code 0 */
    assert_float_equal(asked[1], 30, 0);
    assert_float_equal(asked[2], 1, 0); /* basic is code 1 */
    assert_float_equal(asked[3], 70, 0);
    assert_int_equal(f.compare->rows, 2);
    assert_int_equal(f.compare->differ, 1);
    assert_int_equal(f.compare->flips[0][1], 1);
    assert_float_equal(f.compare->change_max, 0.5, 1e-6); /* 0.2 -> 0.7 */
    end(&f);
}

static void slices_are_the_categories_of_a_row(void **state)
{
    (void)state;
    struct fixture f;
    const float values[] = {30, 2, 70, 2};
    float answers[] = {0.3f, 0.2f};
    begin(&f);
    score(&f, values, 2, answers);
    assert_int_equal(f.compare->slice_count, 1);
    assert_string_equal(f.compare->slices[0].name, "plan=pro");
    assert_int_equal(f.compare->slices[0].rows, 2);
    assert_int_equal(f.compare->slices[0].differ, 1);
    end(&f);
}

static void rows_that_the_shadow_refuses_are_counted_and_not_scored(void **state)
{
    (void)state;
    struct fixture f;
    const float family[] = {30, 1}; /* the shadow's contract has no such plan */
    float answers[] = {0.3f};
    begin(&f);
    score(&f, family, 1, answers);
    assert_int_equal(f.compare->rows, 0);
    assert_int_equal(f.compare->refused, 1);
    assert_int_equal(f.compare->errors, 0);
    end(&f);
}

static void missing_cells_stay_missing(void **state)
{
    (void)state;
    struct fixture f;
    const float values[] = {30, cell_of(CELL_NULL)};
    float answers[] = {0.3f};
    begin(&f);
    score(&f, values, 1, answers);
    assert_true(isnan(asked[0]));
    assert_string_equal(f.compare->slices[0].name, "plan=(missing)");
    end(&f);
}

static const struct record_schema of_shadow = {
    .model = "churn",
    .version = 2,
    .output_count = 1,
    .outputs = &record_output,
    .class_count = 2,
    .is_probability = true,
    .decision_threshold = 0.5,
};

/* Row 1 of two: the caller's tenure 70 and "pro" (code 0 of the shadow): class 1 with 0.70. */
static bool tell(struct fixture *f, const struct record_schema *kept, int class_count,
                 struct predicted *told)
{
    static const float values[] = {5, 0, 70, 2};
    const struct record record = {
        .schema = kept, .request_id = STR_LIT("r"), .row_count = 2, .values = values};
    const struct predicted stable = {.id = STR_LIT("r-1"),
                                     .model = "churn",
                                     .version = 1,
                                     .at_us = 9,
                                     .key = STR_LIT("k"),
                                     .is_class = true,
                                     .class_count = class_count};
    f->shadow.number = 2;
    f->shadow.record_schema = &of_shadow;
    return shadow_predict(&f->shadow, &record, 1, &stable, f->arena, told);
}

static void a_kept_row_is_asked_again(void **state)
{
    (void)state;
    struct fixture f;
    struct predicted told;
    begin(&f);
    assert_true(tell(&f, &schema, 2, &told));
    assert_true(asked[0] == 0 && asked[1] == 70);
    assert_true(str_equal_c(told.id, "r-1") && str_equal_c(told.key, "k"));
    assert_int_equal(told.version, 2);
    assert_int_equal(told.arm, ARM_SHADOW);
    assert_int_equal(told.at_us, 9);
    assert_int_equal(told.class_index, 1);
    assert_float_equal(told.probabilities[1], 0.7, 1e-6);
    end(&f);
}

static void what_was_not_kept_or_has_other_classes_is_not_told(void **state)
{
    (void)state;
    struct fixture f;
    struct predicted told = {.version = 77};
    const struct record_column hidden[] = {
        {.name = "tenure", .is_whole = true, .kept_as = KEPT_AS_NOTHING},
        {.name = "plan", .category_count = 3, .categories = plans},
    };
    struct record_schema redacted = schema;
    redacted.values = hidden;
    begin(&f);
    assert_false(tell(&f, &redacted, 2, &told));
    assert_false(tell(&f, &schema, 3, &told));
    assert_int_equal(told.version, 77);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_watches_hears_of_rows_that_differ),
        cmocka_unit_test(fields_are_found_by_name_and_categories_by_text),
        cmocka_unit_test(slices_are_the_categories_of_a_row),
        cmocka_unit_test(rows_that_the_shadow_refuses_are_counted_and_not_scored),
        cmocka_unit_test(missing_cells_stay_missing),
        cmocka_unit_test(a_kept_row_is_asked_again),
        cmocka_unit_test(what_was_not_kept_or_has_other_classes_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
