/* gate_fixture.h - models for gates that answer with a column of the row, and a run of a gate.
 */
#ifndef SLIPWAY_TESTS_UNIT_GATE_FIXTURE_H
#define SLIPWAY_TESTS_UNIT_GATE_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rollout/gate.h"
#include "test.h"

#include "contract_text.h"

#define GATE_CONTRACT                                                                              \
    CONTRACT_TEXT("  - {name: candidate, logicalType: number, required: true,"                     \
                  " logicalTypeOptions: {minimum: 0, maximum: 1}}\n"                               \
                  "  - {name: champion, logicalType: number}\n"                                    \
                  "  - {name: age, logicalType: integer}\n"                                        \
                  "  - name: region\n"                                                             \
                  "    logicalType: string\n"                                                      \
                  "    customProperties: [{property: slipwayRole, value: segment}]\n"              \
                  "  - name: truth\n"                                                              \
                  "    logicalType: string\n"                                                      \
                  "    customProperties: [{property: slipwayRole, value: label}]\n")

enum { FAKE_FEATURES = 3 };

/* A model whose answer is a feature: 0 the candidate's column, 1 the champion's. `broken` answers
 * NaN when the age is missing. */
struct fake_model {
    int column;
    bool is_broken;
};

static inline enum err_code fake_predict(const void *model, struct runtime_call *call,
                                         struct err *err)
{
    const struct tensor *in = call->in;
    const struct fake_model *fake = model;
    const float *features = in->data;
    float *answers = arena_calloc(call->arena, (size_t)in->shape[0], sizeof(*answers));
    (void)err;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        const float *row = features + i * FAKE_FEATURES;
        answers[i] = fake->is_broken && isnan(row[2]) ? NAN : row[fake->column];
        if (!fake->is_broken && isnan(answers[i]))
            answers[i] = 0.5f;
    }
    call->out[0] = (struct tensor){
        .name = "predict", .dtype = DTYPE_F32, .rank = 1, .shape = {in->shape[0]}, .data = answers};
    call->out_count = 1;
    return ERR_OK;
}

static const struct runtime_ops fake_ops = {.name = "fake", .predict = fake_predict};
static const struct signature_tensor fake_input = {
    .name = "input", .dtype = DTYPE_F32, .rank = 2, .shape = {-1, 3}};
static const struct signature_tensor fake_output = {
    .name = "predict", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}};
static const struct signature fake_classes = {
    .input_count = 1,
    .inputs = &fake_input,
    .output_count = 1,
    .outputs = &fake_output,
    .feature_count = FAKE_FEATURES,
    .class_count = 2,
    .is_probability = true,
};
static const struct signature fake_numbers = {
    .input_count = 1,
    .inputs = &fake_input,
    .output_count = 1,
    .outputs = &fake_output,
    .feature_count = FAKE_FEATURES,
    .class_count = 1,
};

struct gate_fixture {
    struct arena *arena;
    struct contract *contract;
    struct fake_model models[2];
    struct loaded candidate, champion;
    struct model model;
    struct version version;
    struct gate_input input;
    struct gate_report *report;
    struct err err;
};

static inline void gate_fixture_init(struct gate_fixture *f)
{
    *f = (struct gate_fixture){.arena = arena_new(GATE_MEMORY_BYTES_MAX)};
    f->contract = contract_of(GATE_CONTRACT);
    f->models[1].column = 1;
    struct loaded *sides[] = {&f->candidate, &f->champion};
    for (int i = 0; i < 2; i++)
        *sides[i] = (struct loaded){.model = "m",
                                    .number = 2 - i,
                                    .ops = &fake_ops,
                                    .state = &f->models[i],
                                    .signature = &fake_classes,
                                    .contract = f->contract,
                                    .memory_bytes = 1000};
    f->model = (struct model){.name = "m", .owner = "me@example.org", .description = ""};
    f->version = (struct version){.model = "m", .number = 2, .note = "", .lineage = "{}"};
    f->input = (struct gate_input){
        .model = &f->model,
        .version = &f->version,
        .candidate = &f->candidate,
        .champion = &f->champion,
        .champion_number = 1,
        .artifact = STR_LIT("{\"learner\": 1}"),
        .contract = STR_LIT(GATE_CONTRACT),
    };
}

static inline void gate_fixture_done(struct gate_fixture *f)
{
    contract_free(f->contract);
    arena_free(f->arena);
}

/* Runs with that gate file; the code. */
static inline enum err_code gate_with(struct gate_fixture *f, const char *yaml, const char *csv)
{
    struct gate_file *file;
    enum err_code rc = gate_file_parse(str_of(yaml), f->arena, &file, &f->err);
    f->input.file = file;
    f->input.data = str_of(csv);
    return rc ? rc : gate_run(&f->input, f->arena, &f->report, &f->err);
}

/* The check, or a failed test. */
static inline const struct gate_check *check_of(const struct gate_fixture *f, const char *kind,
                                                const char *name)
{
    for (int i = 0; i < f->report->check_count; i++)
        if (strcmp(f->report->checks[i].kind, kind) == 0 &&
            strcmp(f->report->checks[i].name, name) == 0)
            return &f->report->checks[i];
    fail_msg("no check %s %s", kind, name);
    return NULL;
}

static inline bool has_check(const struct gate_fixture *f, const char *kind)
{
    for (int i = 0; i < f->report->check_count; i++)
        if (strcmp(f->report->checks[i].kind, kind) == 0)
            return true;
    return false;
}

/* `count` rows of which every `wrong`-th is answered wrongly by the candidate (0: none), and every
 * `champion_wrong`-th by the champion. */
static inline const char *rows_with(struct gate_fixture *f, int count, int wrong,
                                    int champion_wrong)
{
    struct buf text;
    buf_init(&text, 1 << 24);
    buf_lit(&text, "candidate,champion,age,region,sex,truth\n");
    for (int i = 0; i < count; i++) {
        int truth = i % 2;
        bool is_wrong = wrong && i % wrong == 0;
        bool is_champion_wrong = champion_wrong && i % champion_wrong == 0;
        buf_printf(&text, "%.2f,%.2f,%d,r%d,%s,%d\n", is_wrong == (truth == 1) ? 0.2 : 0.8,
                   is_champion_wrong == (truth == 1) ? 0.2 : 0.8, 20 + i % 50, i / 2 % 2,
                   i % 3 ? "f" : "m", truth);
    }
    const char *copy = arena_copy(f->arena, text.data, text.len);
    buf_done(&text);
    return copy;
}

#endif
