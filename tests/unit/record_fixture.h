/* record_fixture.h - a schema and records of it for tests: two numbers, a category, a key, a note;
 * a probability. */
#ifndef SLIPWAY_TESTS_UNIT_RECORD_FIXTURE_H
#define SLIPWAY_TESTS_UNIT_RECORD_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "monitor/record.h"
#include "test.h"

static const struct str fixture_plans[] = {{"basic", 5}, {"plus", 4}, {"family", 6}};
static const struct str fixture_classes[] = {{"stays", 5}, {"leaves", 6}};
static const struct record_column fixture_values[] = {
    {.name = "monthly_fee", .classification = ""},
    {.name = "visits", .classification = "", .is_whole = true},
    {.name = "plan", .classification = "", .category_count = 3, .categories = fixture_plans},
};
static const struct record_column fixture_texts[] = {
    {.name = "customer_id", .classification = "pii", .is_key = true},
    {.name = "note", .classification = ""},
};
static const struct record_output fixture_outputs[] = {
    {.name = "probability", .dtype = DTYPE_F32, .width = 1}};
static const struct record_schema fixture_schema = {
    .serial = 1,
    .model = "churn",
    .version = 7,
    .value_count = 3,
    .text_count = 2,
    .output_count = 1,
    .values = fixture_values,
    .texts = fixture_texts,
    .outputs = fixture_outputs,
    .class_count = 2,
    .is_probability = true,
    .class_names = fixture_classes,
    .decision_threshold = 0.5,
};

enum { FIXTURE_ROWS_MAX = 8 };

/* One request with `rows` rows, all made from its number. */
struct fixture_record {
    struct record record;
    char id[40], texts[FIXTURE_ROWS_MAX][2][32];
    float values[FIXTURE_ROWS_MAX * 3], probabilities[FIXTURE_ROWS_MAX];
    struct str strs[FIXTURE_ROWS_MAX * 2];
    uint8_t suspects[FIXTURE_ROWS_MAX];
    struct tensor output;
};

static inline void fixture_fill_row(struct fixture_record *f, int number, int row)
{
    f->values[row * 3 + 0] = (float)number + 0.25f * (float)row;
    f->values[row * 3 + 1] = (float)(number % 100);
    f->values[row * 3 + 2] = (float)(number % 3);
    f->probabilities[row] = (float)(number % 1000) / 1000.0f;
    f->suspects[row] = (uint8_t)((number + row) % 2);
    int key = snprintf(f->texts[row][0], sizeof(f->texts[row][0]), "c-%d", number % 50);
    int note = snprintf(f->texts[row][1], sizeof(f->texts[row][1]), "note %d/%d", number, row);
    f->strs[row * 2] = (struct str){f->texts[row][0], (size_t)key};
    f->strs[row * 2 + 1] =
        (struct str){row % 2 ? NULL : f->texts[row][1], row % 2 ? 0 : (size_t)note};
}

static inline const struct record *fixture_record_make(struct fixture_record *f, int number,
                                                       int rows)
{
    for (int row = 0; row < rows; row++)
        fixture_fill_row(f, number, row);
    int id = snprintf(f->id, sizeof(f->id), "request-%d", number);
    f->output = (struct tensor){.name = "probability",
                                .dtype = DTYPE_F32,
                                .rank = 1,
                                .shape = {rows},
                                .data = f->probabilities};
    f->record = (struct record){
        .schema = &fixture_schema,
        .request_id = {f->id, (size_t)id},
        .at_us = 1700000000000000 + (int64_t)number * 1000,
        .latency_us = 100 + number,
        .status = 200,
        .arm = number % 2 ? ARM_CANARY : ARM_STABLE,
        .rollout = 3,
        .has_key = true,
        .key_hash = (uint64_t)number * 77,
        .share = 1,
        .row_count = rows,
        .values = f->values,
        .texts = f->strs,
        .is_suspect = f->suspects,
        .violation_count = number % 4,
        .violated_rules = 1u << (number % 4),
        .output_count = 1,
        .outputs = &f->output,
    };
    return &f->record;
}

/* Everything but the schema's address, which is another one after a file was read. */
static inline void fixture_assert_equal(const struct record *a, const struct record *b)
{
    size_t rows = (size_t)a->row_count;
    assert_true(str_equal(a->request_id, b->request_id));
    assert_true(str_equal(a->traceparent, b->traceparent));
    assert_int_equal(a->latency_us, b->latency_us);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->arm, b->arm);
    assert_int_equal(a->rollout, b->rollout);
    assert_int_equal(a->has_key, b->has_key);
    assert_int_equal(a->key_hash, b->key_hash);
    assert_int_equal(a->row_count, b->row_count);
    assert_int_equal(a->violation_count, b->violation_count);
    assert_int_equal(a->violated_rules, b->violated_rules);
    assert_memory_equal(a->values, b->values, rows * 3 * sizeof(float));
    for (size_t i = 0; i < rows * 2; i++) {
        assert_int_equal(a->texts[i].ptr == NULL, b->texts[i].ptr == NULL);
        assert_true(str_equal(a->texts[i], b->texts[i]));
    }
    assert_memory_equal(a->is_suspect, b->is_suspect, rows);
    assert_int_equal(a->output_count, b->output_count);
    assert_int_equal(a->outputs[0].dtype, DTYPE_F32);
    assert_int_equal(a->outputs[0].shape[0], b->outputs[0].shape[0]);
    assert_memory_equal(a->outputs[0].data, b->outputs[0].data, rows * sizeof(float));
}

/* The record is the one that was made from `number`. */
static inline void fixture_assert_is(const struct record *record, int number)
{
    struct fixture_record expected;
    fixture_record_make(&expected, number, (int)record->row_count);
    fixture_assert_equal(record, &expected.record);
    assert_int_equal(record->at_us, expected.record.at_us);
}

#endif
