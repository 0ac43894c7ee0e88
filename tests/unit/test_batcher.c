/* test_batcher.c - which requests make the next batch, and why it is closed. Times are in
 * milliseconds from 0; nothing is run. */
#include "base/check.h"
#include "serve/batcher.h"
#include "test.h"

enum { MS = 1000 * 1000, TASKS_MAX = 64, WIDTH = 4 };

static const struct signature_tensor rows_of_any_width = {.rank = 2, .shape = {-1, -1}};
static const struct signature signature = {.input_count = 1,
                                           .inputs = &rows_of_any_width,
                                           .output_count = 1,
                                           .outputs = &rows_of_any_width,
                                           .batch_rows_max = 1024};

struct fixture {
    struct batcher batcher;
    struct cost cost;
    struct batch_rule rule;
    struct lane_task tasks[TASKS_MAX];
    struct tensor inputs[TASKS_MAX];
    float data[WIDTH];
    int count;
};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    f.rule = (struct batch_rule){.cost = &f.cost, .rows_max = 8};
    return 0;
}

static struct lane_task *make(int64_t rows, int priority, int64_t queued_ms, int64_t deadline_ms)
{
    struct tensor *in = &f.inputs[f.count];
    struct lane_task *task = &f.tasks[f.count++];
    *in = (struct tensor){.dtype = DTYPE_F32, .rank = 2, .shape = {rows, WIDTH}, .data = f.data};
    task->call.in = in;
    task->call.in_count = 1;
    task->call.deadline_ns = deadline_ms * MS;
    task->rows = rows;
    task->priority = priority;
    task->queued_ns = queued_ms * MS;
    return task;
}

static struct lane_task *put(struct lane_task *task)
{
    lane_task_describe(task, &signature);
    batcher_put(&f.batcher, task);
    return task;
}

static struct lane_task *put_new(int64_t rows, int priority, int64_t queued_ms, int64_t deadline_ms)
{
    return put(make(rows, priority, queued_ms, deadline_ms));
}

/* The batch at a time; its tasks must be these, in this order, NULL behind the last. */
static void expect_batch(int64_t now_ms, enum batch_close close, struct lane_task *const *tasks)
{
    struct batch batch;
    assert_int_equal(batcher_take(&f.batcher, &f.rule, now_ms * MS, &batch), 0);
    int count = 0;
    for (const struct lane_task *task = batch.first; task; task = task->next_in_batch)
        assert_ptr_equal(task, tasks[count++]);
    assert_null(tasks[count]);
    assert_int_equal(batch.count, count);
    assert_string_equal(batch_close_name(batch.close), batch_close_name(close));
}

#define EXPECT_BATCH(now_ms, close, ...)                                                           \
    expect_batch(now_ms, close, (struct lane_task *const[]){__VA_ARGS__, NULL})

static void set_cost(int64_t base_ms, int64_t row_ms)
{
    for (int i = 0; i < 3; i++) {
        cost_add(&f.cost, 1, (base_ms + row_ms) * MS);
        cost_add(&f.cost, 10, (base_ms + 10 * row_ms) * MS);
    }
}

static void the_earliest_deadline_leads_within_a_priority(void **state)
{
    (void)state;
    f.rule.rows_max = 1;
    struct lane_task *late = put_new(1, 5, 0, 900), *early = put_new(1, 5, 1, 500);
    struct lane_task *urgent = put_new(1, 1, 2, 950), *same = put_new(1, 5, 3, 500);
    EXPECT_BATCH(5, CLOSE_SINGLE, urgent);
    EXPECT_BATCH(5, CLOSE_SINGLE, early);
    EXPECT_BATCH(5, CLOSE_SINGLE, same);
    EXPECT_BATCH(5, CLOSE_SINGLE, late);
    struct batch batch;
    assert_int_equal(batcher_take(&f.batcher, &f.rule, 5 * MS, &batch), 0);
    assert_int_equal(batch.count, 0);
}

static void what_is_there_is_joined_without_waiting(void **state)
{
    (void)state;
    struct lane_task *a = put_new(2, 5, 0, 900), *b = put_new(3, 5, 1, 901);
    struct batch batch;
    assert_int_equal(batcher_take(&f.batcher, &f.rule, 2 * MS, &batch), 0);
    assert_ptr_equal(batch.first, a);
    assert_ptr_equal(a->next_in_batch, b);
    assert_int_equal(batch.rows, 5);
    assert_int_equal(batch.close, CLOSE_IDLE);
    assert_int_equal(batch.earliest_ns, INT64_C(900) * MS);
    assert_int_equal(batch.latest_ns, INT64_C(901) * MS);
    assert_int_equal(f.batcher.count, 0);
}

/* 8 rows at most: 3 + 4 fit, 2 more do not, and the 1 behind them does not overtake. */
static void a_full_batch_leaves_the_rest_in_order(void **state)
{
    (void)state;
    struct lane_task *a = put_new(3, 5, 0, 900), *b = put_new(4, 5, 0, 901);
    struct lane_task *c = put_new(2, 5, 0, 902), *d = put_new(1, 5, 0, 903);
    EXPECT_BATCH(1, CLOSE_FULL, a, b);
    EXPECT_BATCH(1, CLOSE_IDLE, c, d);
}

static void a_request_above_the_limit_goes_alone(void **state)
{
    (void)state;
    struct lane_task *big = put_new(100, 5, 0, 900), *small = put_new(1, 5, 0, 901);
    EXPECT_BATCH(1, CLOSE_FULL, big);
    EXPECT_BATCH(1, CLOSE_IDLE, small);
}

static void other_shapes_wait_for_their_own_batch(void **state)
{
    (void)state;
    static const bool wanted[1] = {true};
    struct lane_task *a = put_new(1, 5, 0, 900), *b = make(1, 5, 0, 901);
    f.inputs[1].shape[1] = WIDTH + 1;
    put(b);
    struct lane_task *c = put_new(1, 5, 0, 902), *d = make(1, 5, 0, 903), *e = make(1, 5, 0, 904);
    d->call.parameters = STR_LIT("{\"sequence_id\":7}");
    e->call.wanted = wanted;
    put(d);
    put(e);
    EXPECT_BATCH(1, CLOSE_SHAPE, a, c);
    EXPECT_BATCH(1, CLOSE_SHAPE, b);
    EXPECT_BATCH(1, CLOSE_SHAPE, d);
    EXPECT_BATCH(1, CLOSE_IDLE, e);
}

static void what_has_no_batch_dimension_is_never_joined(void **state)
{
    (void)state;
    const struct signature without = {.output_count = 1, .batch_rows_max = 0};
    struct lane_task *a = make(1, 5, 0, 900), *b = make(1, 5, 0, 901);
    lane_task_describe(a, &without);
    lane_task_describe(b, &without);
    batcher_put(&f.batcher, a);
    batcher_put(&f.batcher, b);
    EXPECT_BATCH(1, CLOSE_SINGLE, a);
    EXPECT_BATCH(1, CLOSE_SINGLE, b);
}

/* A runtime may say that it takes many rows although some of its shapes have none. */
static void shapes_without_rows_in_front_are_never_joined(void **state)
{
    (void)state;
    static const struct signature_tensor fixed = {.rank = 2, .shape = {1, -1}}, scalar = {0};
    const struct signature_tensor *const odd[] = {&fixed, &scalar};
    for (int i = 0; i < 4; i++) {
        struct signature without = signature;
        if (i < 2)
            without.inputs = odd[i];
        else
            without.outputs = odd[i - 2];
        struct lane_task *a = make(1, 5, 0, 900), *b = make(1, 5, 0, 901);
        lane_task_describe(a, &without);
        lane_task_describe(b, &without);
        batcher_put(&f.batcher, a);
        batcher_put(&f.batcher, b);
        EXPECT_BATCH(1, CLOSE_SINGLE, a);
        EXPECT_BATCH(1, CLOSE_SINGLE, b);
    }
}

/* 10 ms and 5 ms a row. At 70 the first deadline, 100, allows 4 rows: 10 + 4 * 5 = 30. */
static void the_cost_keeps_a_batch_within_its_earliest_deadline(void **state)
{
    (void)state;
    set_cost(10, 5);
    struct lane_task *a = put_new(1, 5, 0, 101), *b = put_new(1, 5, 0, 500);
    struct lane_task *c = put_new(1, 5, 0, 501), *d = put_new(1, 5, 0, 502);
    struct lane_task *e = put_new(1, 5, 0, 503);
    EXPECT_BATCH(70, CLOSE_COST, a, b, c, d);
    EXPECT_BATCH(70, CLOSE_IDLE, e);
}

static void an_idle_instance_waits_only_when_asked(void **state)
{
    (void)state;
    struct batch batch;
    f.rule.delay_ns = 10 * MS;
    struct lane_task *a = put_new(1, 5, 100, 900);
    assert_int_equal(batcher_take(&f.batcher, &f.rule, 100 * MS, &batch), 110 * MS);
    assert_int_equal(batch.count, 0);
    assert_int_equal(f.batcher.count, 1);
    struct lane_task *b = put_new(1, 5, 105, 905);
    assert_int_equal(batcher_take(&f.batcher, &f.rule, 105 * MS, &batch), 110 * MS);
    EXPECT_BATCH(110, CLOSE_DELAY, a, b);
}

/* Asked to wait until 110, but at 104 it must go: 4 ms and 1 ms a row, one more row, deadline 110.
 */
static void waiting_ends_in_time_for_the_deadline(void **state)
{
    (void)state;
    struct batch batch;
    set_cost(4, 1);
    f.rule.delay_ns = 10 * MS;
    struct lane_task *a = put_new(1, 5, 100, 110);
    int64_t until_ns = batcher_take(&f.batcher, &f.rule, 100 * MS, &batch);
    assert_in_range(until_ns, 104 * MS - 1000, 104 * MS + 1000);
    EXPECT_BATCH(105, CLOSE_DEADLINE, a);
}

static void a_full_batch_does_not_wait(void **state)
{
    (void)state;
    f.rule.delay_ns = 10 * MS;
    struct lane_task *a = put_new(4, 5, 0, 900), *b = put_new(4, 5, 0, 901);
    EXPECT_BATCH(1, CLOSE_FULL, a, b);
}

static void the_late_and_the_cancelled_are_dropped(void **state)
{
    (void)state;
    struct lane_task *late = put_new(1, 5, 0, 50), *gone = put_new(1, 5, 0, 60);
    struct lane_task *stays = put_new(1, 5, 0, 70);
    atomic_store(&gone->is_cancelled, true);
    struct lane_task *dropped = batcher_drop(&f.batcher, &f.cost, 50 * MS);
    assert_ptr_equal(dropped, gone);
    assert_int_equal(gone->rc, ERR_CANCELLED);
    assert_ptr_equal(gone->next_in_batch, late);
    assert_int_equal(late->rc, ERR_TIMEOUT);
    assert_non_null(strstr(late->err.msg, "Request timeout expired"));
    assert_null(late->next_in_batch);
    EXPECT_BATCH(50, CLOSE_IDLE, stays);
}

/* A call takes 20 ms: who has 10 ms left gives way, but the last one is always tried, or a wrong
 * cost would never be measured again. */
static void who_cannot_be_in_time_gives_way(void **state)
{
    (void)state;
    set_cost(20, 0);
    struct lane_task *a = put_new(1, 5, 0, 60), *b = put_new(1, 5, 0, 61);
    struct lane_task *dropped = batcher_drop(&f.batcher, &f.cost, 50 * MS);
    assert_ptr_equal(dropped, a);
    assert_null(a->next_in_batch);
    assert_int_equal(a->rc, ERR_TIMEOUT);
    EXPECT_BATCH(50, CLOSE_IDLE, b);
}

static void who_has_left_is_not_joined(void **state)
{
    (void)state;
    struct lane_task *a = put_new(1, 5, 0, 900), *gone = put_new(1, 5, 0, 901);
    struct lane_task *c = put_new(1, 5, 0, 902);
    atomic_store(&gone->is_cancelled, true);
    EXPECT_BATCH(1, CLOSE_IDLE, a, c);
    assert_ptr_equal(batcher_drop(&f.batcher, &f.cost, MS), gone);
    assert_int_equal(f.batcher.count, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_earliest_deadline_leads_within_a_priority),
        TEST(what_is_there_is_joined_without_waiting),
        TEST(a_full_batch_leaves_the_rest_in_order),
        TEST(a_request_above_the_limit_goes_alone),
        TEST(other_shapes_wait_for_their_own_batch),
        TEST(what_has_no_batch_dimension_is_never_joined),
        TEST(shapes_without_rows_in_front_are_never_joined),
        TEST(the_cost_keeps_a_batch_within_its_earliest_deadline),
        TEST(an_idle_instance_waits_only_when_asked),
        TEST(waiting_ends_in_time_for_the_deadline),
        TEST(a_full_batch_does_not_wait),
        TEST(the_late_and_the_cancelled_are_dropped),
        TEST(who_cannot_be_in_time_gives_way),
        TEST(who_has_left_is_not_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
