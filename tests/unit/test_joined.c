/* test_joined.c - batches of texts, several tensors and optional inputs, joined and taken apart. */
#include "serve/joined.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "test.h"

enum { ARENA_BYTES = 1024 * 1024, TASKS = 3, WIDTH = 2 };

/* Gives the texts back in capital letters, and each row's number within the call as INT64 [-1,1];
 * the second input is optional. */
static int call_count, last_rows;
static bool had_second;

static struct str capitals(struct str text, struct arena *arena)
{
    char *copy = arena_copy(arena, text.ptr, text.len);
    assert(copy);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)(copy[i] - ('a' <= copy[i] && copy[i] <= 'z' ? 'a' - 'A' : 0));
    return (struct str){copy, text.len};
}

static enum err_code predict(const void *state, struct runtime_call *call, struct err *err)
{
    const struct tensor *in = &call->in[0];
    int64_t rows = in->shape[0];
    const struct str *texts = in->data;
    (void)state, (void)err;
    call_count++;
    last_rows = (int)rows;
    had_second = call->in[1].data != NULL;
    struct str *out = arena_alloc(call->arena, (size_t)rows * WIDTH * sizeof(*out));
    int64_t *numbers = arena_alloc(call->arena, (size_t)rows * sizeof(*numbers));
    for (int64_t i = 0; i < rows * WIDTH; i++)
        out[i] = capitals(texts[i], call->arena);
    for (int64_t i = 0; i < rows; i++)
        numbers[i] = i;
    call->out[0] =
        (struct tensor){.dtype = DTYPE_BYTES, .rank = 2, .shape = {rows, WIDTH}, .data = out};
    call->out[1] =
        (struct tensor){.dtype = DTYPE_I64, .rank = 2, .shape = {rows, 1}, .data = numbers};
    call->out_count = 2;
    if (call->aside)
        call->aside[0] = call->out[1];
    return ERR_OK;
}

static const struct runtime_ops ops = {.name = "capitals", .predict = predict};
static const struct signature_tensor tensors[2] = {{.rank = 2, .shape = {-1, WIDTH}},
                                                   {.rank = 1, .shape = {-1}}};
static const struct signature signature = {.input_count = 2,
                                           .inputs = tensors,
                                           .output_count = 2,
                                           .outputs = tensors,
                                           .aside_count = 1,
                                           .asides = tensors,
                                           .batch_rows_max = 64,
                                           .place = RUNTIME_LANE};
static struct loaded loaded = {.ops = &ops, .signature = &signature};

struct asked {
    struct lane_task task;
    struct tensor in[2], out[2], aside[1];
    struct arena *arena;
};

static struct asked asked[TASKS];
static struct batch batch;
static struct audience audience;
static struct arena *scratch;

static void ask(int index, struct str *texts, int rows, float *second)
{
    struct asked *a = &asked[index];
    *a = (struct asked){.arena = arena_new(ARENA_BYTES)};
    a->in[0] =
        (struct tensor){.dtype = DTYPE_BYTES, .rank = 2, .shape = {rows, WIDTH}, .data = texts};
    a->in[1] = (struct tensor){.dtype = DTYPE_F32, .rank = 1, .shape = {rows}, .data = second};
    a->task.call =
        (struct runtime_call){.in = a->in,
                              .in_count = 2,
                              .arena = a->arena,
                              .out = a->out,
                              .deadline_ns = clock_monotonic_ns() + INT64_C(60000000000)};
    a->task.rows = rows;
    lane_task_describe(&a->task, &signature);
    if (index)
        asked[index - 1].task.next_in_batch = &a->task;
    else
        batch = (struct batch){.first = &a->task};
    batch.count++;
    batch.rows += rows;
}

static int setup(void **state)
{
    (void)state;
    call_count = 0;
    scratch = arena_new(JOINED_BYTES_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < batch.count; i++)
        arena_free(asked[i].arena);
    arena_free(scratch);
    return 0;
}

static void expect_text(const struct asked *a, int index, const char *text)
{
    const struct str *texts = a->out[0].data;
    assert_int_equal(texts[index].len, strlen(text));
    assert_memory_equal(texts[index].ptr, text, strlen(text));
}

/* The texts given back must outlive the batch's own memory. */
static void texts_come_back_to_their_requests(void **state)
{
    (void)state;
    bool was_split = true;
    struct str one[] = {STR_LIT("a"), STR_LIT("")},
               two[] = {STR_LIT("bc"), STR_LIT("d"), STR_LIT("e"), STR_LIT("fgh")};
    struct str three[] = {STR_LIT("i"), STR_LIT("j")};
    ask(0, one, 1, NULL);
    ask(1, two, 2, NULL);
    ask(2, three, 1, NULL);
    joined_run(&loaded, &batch, &audience, scratch, &was_split);
    memset(arena_alloc(scratch, 4096), 'x', 4096);
    assert_false(was_split);
    assert_int_equal(call_count, 1);
    assert_int_equal(last_rows, 4);
    assert_false(had_second);
    expect_text(&asked[0], 0, "A");
    expect_text(&asked[0], 1, "");
    expect_text(&asked[1], 0, "BC");
    expect_text(&asked[1], 3, "FGH");
    expect_text(&asked[2], 1, "J");
}

/* Rows 0, 1..2 and 3 of the call. */
static void each_output_is_taken_apart_by_rows(void **state)
{
    (void)state;
    bool was_split = true;
    float second[] = {1, 2};
    struct str texts[] = {STR_LIT("a"), STR_LIT("b"), STR_LIT("c"), STR_LIT("d")};
    static const int first_row[TASKS] = {0, 1, 3}, rows[TASKS] = {1, 2, 1};
    for (int i = 0; i < TASKS; i++)
        ask(i, texts, rows[i], second);
    joined_run(&loaded, &batch, &audience, scratch, &was_split);
    assert_true(had_second);
    for (int i = 0; i < TASKS; i++) {
        const struct tensor *numbers = &asked[i].out[1];
        assert_int_equal(asked[i].task.rc, ERR_OK);
        assert_int_equal(asked[i].task.call.out_count, 2);
        assert_int_equal(numbers->rank, 2);
        assert_int_equal(numbers->shape[0], rows[i]);
        for (int row = 0; row < rows[i]; row++)
            assert_int_equal(((const int64_t *)numbers->data)[row], first_row[i] + row);
    }
}

/* A graph asks its nodes without; others may ask for the same version. */
static void asides_are_for_those_who_keep_them(void **state)
{
    (void)state;
    struct str texts[] = {STR_LIT("a"), STR_LIT("b")};
    bool was_split = true;
    for (int i = 0; i < TASKS; i++)
        ask(i, texts, 1, NULL);
    asked[1].task.call.aside = asked[1].aside;
    joined_run(&loaded, &batch, &audience, scratch, &was_split);
    assert_false(was_split);
    assert_int_equal(call_count, 1);
    assert_int_equal(asked[1].aside[0].shape[0], 1);
    assert_int_equal(*(const int64_t *)asked[1].aside[0].data, 1);
    assert_null(asked[0].aside[0].data);
}

/* A request alone has its outputs where the model has put them. */
static void one_request_is_not_copied(void **state)
{
    (void)state;
    bool was_split = true;
    struct str texts[] = {STR_LIT("a"), STR_LIT("b")};
    ask(0, texts, 1, NULL);
    joined_run(&loaded, &batch, &audience, scratch, &was_split);
    assert_int_equal(call_count, 1);
    assert_int_equal(arena_bytes(scratch), 0);
    expect_text(&asked[0], 1, "B");
}

/* No room for the answer in its own memory: that request fails, the other does not. */
static void an_answer_that_does_not_fit_fails_alone(void **state)
{
    (void)state;
    bool was_split = true;
    struct str texts[] = {STR_LIT("a"), STR_LIT("b")};
    ask(0, texts, 1, NULL);
    ask(1, texts, 1, NULL);
    arena_free(asked[0].arena);
    asked[0].arena = asked[0].task.call.arena = arena_new(16);
    joined_run(&loaded, &batch, &audience, scratch, &was_split);
    assert_int_equal(asked[0].task.rc, ERR_LIMIT);
    assert_int_equal(asked[1].task.rc, ERR_OK);
    expect_text(&asked[1], 0, "A");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_come_back_to_their_requests),       TEST(each_output_is_taken_apart_by_rows),
        TEST(asides_are_for_those_who_keep_them),      TEST(one_request_is_not_copied),
        TEST(an_answer_that_does_not_fit_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
