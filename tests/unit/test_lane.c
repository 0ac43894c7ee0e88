/* test_lane.c - tasks through a lane: joined, taken apart, refused, dropped, each answered once. */
#include "serve/lane.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/audience.h"
#include "test.h"

enum {
    ARENA_BYTES = 1024 * 1024,
    WAITING_BYTES_MAX = 1024 * 1024,
    TASKS_MAX = 16,
    SUBMITTERS = 4,
    ROUNDS = 500,
    POISON = 666,
};

/* A model of one column that doubles it. When it has a gate, each call first says that it has come
 * and then waits to be let through; a call that may be cancelled is let through by that too. */
struct gated {
    bool has_gate, gives_too_few, looks_at_cancel;
    sem_t has_come, may_go;
    _Atomic int calls;
    int rows[TASKS_MAX]; /* of the first calls */
};

static enum err_code predict(const void *state, struct runtime_call *call, struct err *err)
{
    struct gated *model = (struct gated *)(uintptr_t)state;
    int64_t rows = call->in[0].shape[0];
    const float *x = call->in[0].data;
    int at = atomic_fetch_add(&model->calls, 1);
    if (at < TASKS_MAX)
        model->rows[at] = (int)rows;
    if (model->has_gate) {
        sem_post(&model->has_come);
        while (sem_trywait(&model->may_go) != 0) {
            if (model->looks_at_cancel && call->is_cancelled && atomic_load(call->is_cancelled))
                return err_set(err, ERR_CANCELLED, "the callers have left");
            sched_yield();
        }
    }
    float *y = arena_alloc(call->arena, (size_t)rows * sizeof(*y));
    assert(y);
    for (int64_t i = 0; i < rows; i++) {
        if (x[i] == POISON)
            return err_set(err, ERR_INVALID, "row %lld is poisoned", (long long)i);
        y[i] = 2 * x[i];
    }
    int64_t given = model->gives_too_few && rows > 1 ? rows - 1 : rows;
    call->out[0] = (struct tensor){.dtype = DTYPE_F32, .rank = 1, .shape = {given}, .data = y};
    call->out_count = 1;
    return ERR_OK;
}

static const struct runtime_ops ops = {.name = "double", .predict = predict};
static const struct signature_tensor rows_only = {.rank = 1, .shape = {-1}};
static const struct signature signature = {.place = RUNTIME_LANE,
                                           .input_count = 1,
                                           .inputs = &rows_only,
                                           .output_count = 1,
                                           .outputs = &rows_only,
                                           .batch_rows_max = 1024,
                                           .instances_max = 1};

static void init_model(struct gated *model, struct loaded *loaded, bool has_gate)
{
    *model = (struct gated){.has_gate = has_gate};
    sem_init(&model->has_come, 0, 0);
    sem_init(&model->may_go, 0, 0);
    *loaded = (struct loaded){
        .model = "m", .number = 1, .ops = &ops, .state = model, .signature = &signature};
}

/* A task whose end one can wait for. */
struct asked {
    struct lane_task task;
    struct tensor in, out;
    float x[4];
    struct arena *arena;
    sem_t done;
    int done_count;
};

static void on_done(struct lane_task *task)
{
    struct asked *asked = CONTAINER_OF(task, struct asked, task);
    asked->done_count++;
    sem_post(&asked->done);
}

static struct serving settings;

static void ask(struct asked *asked, int rows, float first)
{
    *asked = (struct asked){.arena = arena_new(ARENA_BYTES)};
    sem_init(&asked->done, 0, 0);
    for (int i = 0; i < rows; i++)
        asked->x[i] = first + (float)i;
    asked->in = (struct tensor){.dtype = DTYPE_F32, .rank = 1, .shape = {rows}, .data = asked->x};
    struct lane_task *task = &asked->task;
    task->call = (struct runtime_call){.in = &asked->in,
                                       .in_count = 1,
                                       .arena = asked->arena,
                                       .deadline_ns = clock_monotonic_ns() + INT64_C(60000000000),
                                       .out = &asked->out};
    task->serving = &settings;
    task->rows = rows;
    task->priority = settings.priority;
    task->queued_ns = clock_monotonic_ns();
    task->memory_bytes = 1000;
    task->done = on_done;
}

static void expect_answer(struct asked *asked)
{
    sem_wait(&asked->done);
    if (asked->task.rc)
        fail_msg("%s", asked->task.err.msg);
    const float *y = asked->out.data;
    assert_int_equal(asked->out.shape[0], asked->task.rows);
    for (int64_t i = 0; i < asked->task.rows; i++)
        assert_true(y[i] == 2 * asked->x[i]);
    assert_int_equal(asked->done_count, 1);
}

static void expect_error(struct asked *asked, enum err_code rc, const char *part)
{
    sem_wait(&asked->done);
    assert_int_equal(asked->task.rc, rc);
    if (!strstr(asked->task.err.msg, part))
        fail_msg("%s", asked->task.err.msg);
}

static void end(struct asked *asked)
{
    arena_free(asked->arena);
    sem_destroy(&asked->done);
}

struct bench {
    struct lanes *lanes;
    struct lane *lane;
    struct gated model;
    struct loaded loaded;
    struct asked asked[TASKS_MAX];
    struct lane_stats stats;
};

static struct bench b;

static void open_lane_with(bool has_gate, int idle_ms)
{
    settings = serving_preset;
    b.lanes = lanes_new(WAITING_BYTES_MAX, 2, idle_ms);
    init_model(&b.model, &b.loaded, has_gate);
    b.lane = lane_new(b.lanes, &b.loaded);
}

static void open_lane(bool has_gate)
{
    open_lane_with(has_gate, LANE_IDLE_MS);
}

static void submit(int index, int rows, float first)
{
    struct err err = {0};
    ask(&b.asked[index], rows, first);
    if (lane_submit(b.lane, &b.asked[index].task, &err))
        fail_msg("%s", err.msg);
}

static void close_lane(int asked_count)
{
    lane_read(b.lane, &b.stats);
    assert_int_equal(b.stats.waiting, 0);
    assert_int_equal(lanes_waiting_bytes(b.lanes), 0);
    lane_free(b.lane);
    lanes_free(b.lanes);
    for (int i = 0; i < asked_count; i++)
        end(&b.asked[i]);
}

/* The first call is at the gate, so that what comes behind it waits. */
static void hold_first(void)
{
    submit(0, 1, 1);
    sem_wait(&b.model.has_come);
}

static void a_lane_without_requests_has_no_thread(void **state)
{
    (void)state;
    open_lane(false);
    lane_read(b.lane, &b.stats);
    assert_int_equal(b.stats.threads, 0);
    close_lane(0);
}

static void a_request_is_answered(void **state)
{
    (void)state;
    open_lane(false);
    submit(0, 3, 10);
    expect_answer(&b.asked[0]);
    lane_read(b.lane, &b.stats);
    assert_int_equal(b.stats.threads, 1);
    assert_int_equal(b.stats.batches[CLOSE_IDLE], 1);
    assert_int_equal(b.stats.sizes[2], 1); /* 3..4 rows */
    close_lane(1);
}

static void what_comes_while_it_is_busy_is_joined(void **state)
{
    (void)state;
    open_lane(true);
    hold_first();
    submit(1, 1, 10);
    submit(2, 3, 20);
    submit(3, 2, 30);
    for (int i = 0; i < 2; i++)
        sem_post(&b.model.may_go);
    for (int i = 0; i < 4; i++)
        expect_answer(&b.asked[i]);
    assert_int_equal(b.model.calls, 2);
    assert_int_equal(b.model.rows[1], 6);
    close_lane(4);
    assert_int_equal(b.stats.requests, 4);
    assert_int_equal(b.stats.rows, 7);
    assert_int_equal(b.stats.queue.count, 4);
    assert_int_equal(b.stats.compute.count, 2);
}

static void settings_may_rule_out_joining(void **state)
{
    (void)state;
    open_lane(true);
    settings.batch_rows_max = 1;
    hold_first();
    submit(1, 1, 10);
    submit(2, 1, 20);
    for (int i = 0; i < 3; i++)
        sem_post(&b.model.may_go);
    for (int i = 0; i < 3; i++)
        expect_answer(&b.asked[i]);
    close_lane(3);
    assert_int_equal(b.stats.batches[CLOSE_SINGLE], 3);
}

static void one_bad_row_fails_its_own_request_only(void **state)
{
    (void)state;
    open_lane(true);
    hold_first();
    submit(1, 1, 10);
    submit(2, 1, POISON);
    submit(3, 1, 30);
    for (int i = 0; i < 5; i++) /* the first, the joined one, three alone */
        sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    expect_answer(&b.asked[1]);
    expect_error(&b.asked[2], ERR_INVALID, "row 0 is poisoned");
    expect_answer(&b.asked[3]);
    close_lane(4);
    assert_int_equal(b.stats.split, 1);
    assert_int_equal(b.stats.failed, 1);
}

static void a_model_that_loses_rows_is_asked_one_by_one(void **state)
{
    (void)state;
    open_lane(true);
    b.model.gives_too_few = true;
    hold_first();
    submit(1, 1, 10);
    submit(2, 1, 20);
    for (int i = 0; i < 4; i++)
        sem_post(&b.model.may_go);
    for (int i = 0; i < 3; i++)
        expect_answer(&b.asked[i]);
    close_lane(3);
    assert_int_equal(b.stats.split, 1);
}

static void a_full_queue_refuses_but_for_urgent_ones(void **state)
{
    (void)state;
    struct err err = {0};
    open_lane(true);
    settings.queue_requests_max = 2;
    hold_first();
    submit(1, 1, 10);
    submit(2, 1, 20);
    ask(&b.asked[3], 1, 30);
    assert_int_equal(lane_submit(b.lane, &b.asked[3].task, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "Exceeds maximum queue size"));
    assert_int_equal(b.asked[3].done_count, 0);
    ask(&b.asked[4], 1, 40);
    b.asked[4].task.priority = 1;
    assert_int_equal(lane_submit(b.lane, &b.asked[4].task, &err), ERR_OK);
    for (int i = 0; i < 2; i++)
        sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    expect_answer(&b.asked[1]);
    expect_answer(&b.asked[2]);
    expect_answer(&b.asked[4]);
    close_lane(5);
    assert_int_equal(b.stats.refused, 1);
}

/* 3 s a call and 0.5 s a row, three requests wait. One by one: 3 * (3 + 0.5) = 10.5. Together:
 * 3 + 3 * 0.5 = 4.5. Nobody waits longer than the timeout, and more than a minute is said of
 * nothing. */
static void who_is_refused_hears_when_the_queue_will_be_empty(void **state)
{
    (void)state;
    static const struct {
        int rows_max, timeout_s, slower, seconds;
    } cases[] = {{1, 600, 1, 11}, {64, 600, 1, 5}, {1, 7, 1, 7}, {1, 600, 100, 60}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        open_lane(true);
        settings.queue_requests_max = 3;
        settings.batch_rows_max = cases[i].rows_max;
        settings.timeout_us = cases[i].timeout_s * INT64_C(1000000);
        hold_first();
        for (int k = 1; k <= 3; k++)
            submit(k, 1, 10);
        b.loaded.cost.base_ns = 3e9 * cases[i].slower;
        b.loaded.cost.row_ns = 0.5e9 * cases[i].slower;
        ask(&b.asked[4], 1, 30);
        assert_int_equal(lane_submit(b.lane, &b.asked[4].task, &err), ERR_UNAVAILABLE);
        assert_int_equal(err.retry_seconds, cases[i].seconds);
        b.loaded.cost.base_ns = b.loaded.cost.row_ns = 0;
        for (int k = 0; k < 4; k++)
            sem_post(&b.model.may_go);
        for (int k = 0; k < 4; k++)
            expect_answer(&b.asked[k]);
        close_lane(5);
    }
}

/* The first request has held its memory for 3 s when it is answered. */
static void who_finds_no_memory_hears_how_long_it_is_held(void **state)
{
    (void)state;
    struct err err = {0};
    open_lane(false);
    ask(&b.asked[0], 1, 10);
    b.asked[0].task.memory_bytes = WAITING_BYTES_MAX;
    b.asked[0].task.queued_ns -= INT64_C(2500000000);
    assert_int_equal(lane_submit(b.lane, &b.asked[0].task, &err), ERR_OK);
    expect_answer(&b.asked[0]);
    ask(&b.asked[1], 1, 10);
    b.asked[1].task.memory_bytes = WAITING_BYTES_MAX + 1;
    assert_int_equal(lane_submit(b.lane, &b.asked[1].task, &err), ERR_UNAVAILABLE);
    assert_int_equal(err.retry_seconds, 3);
    close_lane(2);
}

static void memory_that_waits_is_bounded(void **state)
{
    (void)state;
    struct err err = {0};
    open_lane(true);
    hold_first();
    ask(&b.asked[1], 1, 10);
    b.asked[1].task.memory_bytes = WAITING_BYTES_MAX;
    assert_int_equal(lane_submit(b.lane, &b.asked[1].task, &err), ERR_UNAVAILABLE);
    assert_int_equal(lanes_waiting_bytes(b.lanes), 1000);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    close_lane(2);
}

static void who_is_late_at_once_is_not_queued(void **state)
{
    (void)state;
    struct err err = {0};
    open_lane(false);
    ask(&b.asked[0], 1, 10);
    b.asked[0].task.call.deadline_ns = b.asked[0].task.queued_ns;
    assert_int_equal(lane_submit(b.lane, &b.asked[0].task, &err), ERR_TIMEOUT);
    close_lane(1);
    assert_int_equal(b.stats.late, 1);
    assert_int_equal(b.stats.threads, 0);
}

static void who_has_left_is_not_computed(void **state)
{
    (void)state;
    open_lane(true);
    hold_first();
    submit(1, 1, 10);
    atomic_store(&b.asked[1].task.is_cancelled, true);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    expect_error(&b.asked[1], ERR_CANCELLED, "left");
    assert_int_equal(b.model.calls, 1);
    close_lane(2);
    assert_int_equal(b.stats.cancelled, 1);
}

/* Three requests in a batch that runs: the first to leave changes nothing for the others. */
static void who_leaves_a_running_batch_gets_no_rows_of_it(void **state)
{
    (void)state;
    open_lane(true);
    b.model.looks_at_cancel = true;
    hold_first();
    for (int i = 1; i <= 3; i++)
        submit(i, i, 10 * (float)i);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    sem_wait(&b.model.has_come);
    lane_task_leave(&b.asked[1].task);
    lane_task_leave(&b.asked[1].task);
    sem_post(&b.model.may_go);
    expect_error(&b.asked[1], ERR_CANCELLED, "left");
    assert_null(b.asked[1].out.data);
    expect_answer(&b.asked[2]);
    expect_answer(&b.asked[3]);
    close_lane(4);
    assert_int_equal(b.stats.cancelled, 1);
}

/* Nobody lets the call through: it ends because all three have left, one of them before it. */
static void a_batch_whose_members_have_all_left_is_cancelled(void **state)
{
    (void)state;
    open_lane(true);
    b.model.looks_at_cancel = true;
    hold_first();
    for (int i = 1; i <= 3; i++)
        submit(i, 1, 10 * (float)i);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    sem_wait(&b.model.has_come);
    for (int i = 1; i <= 3; i++)
        lane_task_leave(&b.asked[i].task);
    for (int i = 1; i <= 3; i++)
        expect_error(&b.asked[i], ERR_CANCELLED, "left");
    /* Who leaves a batch that is over does not count in the next one. */
    submit(4, 1, 10);
    sem_wait(&b.model.has_come);
    submit(5, 1, 20);
    submit(6, 1, 30);
    lane_task_leave(&b.asked[2].task);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[4]);
    sem_wait(&b.model.has_come);
    lane_task_leave(&b.asked[5].task);
    lane_task_leave(&b.asked[3].task);
    sem_post(&b.model.may_go);
    expect_error(&b.asked[5], ERR_CANCELLED, "left");
    expect_answer(&b.asked[6]);
    close_lane(7);
    assert_int_equal(b.stats.cancelled, 4);
}

static void a_lane_that_is_stuck_holds_up_no_other(void **state)
{
    (void)state;
    struct gated quick;
    struct loaded loaded;
    struct err err = {0};
    open_lane(true);
    init_model(&quick, &loaded, false);
    struct lane *other = lane_new(b.lanes, &loaded);
    hold_first();
    ask(&b.asked[1], 2, 5);
    assert_int_equal(lane_submit(other, &b.asked[1].task, &err), ERR_OK);
    expect_answer(&b.asked[1]);
    assert_int_equal(b.asked[0].done_count, 0);
    lane_free(other);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    close_lane(2);
}

static void instances_run_at_the_same_time(void **state)
{
    (void)state;
    struct signature two = signature;
    two.instances_max = 0;
    open_lane(true);
    b.loaded.signature = &two;
    settings.instances = 2;
    assert_int_equal(lane_instances(b.lane, &settings), 2);
    submit(0, 1, 1);
    sem_wait(&b.model.has_come);
    submit(1, 1, 2);
    sem_wait(&b.model.has_come); /* both are in the model now */
    sem_post(&b.model.may_go);
    sem_post(&b.model.may_go);
    expect_answer(&b.asked[0]);
    expect_answer(&b.asked[1]);
    close_lane(2);
}

/* Threads end when they are idle, and come back with the next request. */
static void idle_threads_end(void **state)
{
    (void)state;
    open_lane_with(false, 1);
    for (int i = 0; i < 3; i++) {
        submit(i, 1, 1);
        expect_answer(&b.asked[i]);
        do {
            sched_yield();
            lane_read(b.lane, &b.stats);
        } while (b.stats.threads > 0);
    }
    close_lane(3);
}

/* Two instances, four submitters: every request is answered, once and with its own rows. */
static void *submit_many(void *arg)
{
    struct asked *asked = arg;
    struct err err = {0};
    for (int i = 0; i < ROUNDS; i++) {
        ask(asked, 1 + i % 4, (float)i);
        assert_int_equal(lane_submit(b.lane, &asked->task, &err), ERR_OK);
        expect_answer(asked);
        end(asked);
    }
    return NULL;
}

static void ask_from_many_threads(int idle_ms)
{
    pthread_t threads[SUBMITTERS];
    struct signature two = signature;
    two.instances_max = 2;
    open_lane_with(false, idle_ms);
    b.loaded.signature = &two;
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_create(&threads[i], NULL, submit_many, &b.asked[i]);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    close_lane(0);
    assert_int_equal(b.stats.requests, SUBMITTERS * ROUNDS);
    assert_true(b.stats.threads <= 2);
}

/* Every other one leaves at some moment, even after its answer: it has an answer or none, and its
 * neighbours have theirs. */
static void *leave_often(void *arg)
{
    struct asked *asked = arg;
    struct err err = {0};
    for (int i = 0; i < ROUNDS; i++) {
        ask(asked, 1 + i % 4, (float)i);
        assert_int_equal(lane_submit(b.lane, &asked->task, &err), ERR_OK);
        if (i % 4 == 1)
            lane_task_leave(&asked->task);
        if (i % 2 == 0) {
            expect_answer(asked);
        } else {
            sem_wait(&asked->done);
            lane_task_leave(&asked->task);
            assert_true(asked->task.rc == ERR_OK || asked->task.rc == ERR_CANCELLED);
        }
        end(asked);
    }
    return NULL;
}

static void who_stays_is_answered_whoever_leaves(void **state)
{
    (void)state;
    pthread_t threads[SUBMITTERS];
    struct signature two = signature;
    two.instances_max = 2;
    open_lane_with(false, LANE_IDLE_MS);
    b.loaded.signature = &two;
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_create(&threads[i], NULL, leave_often, &b.asked[i]);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    close_lane(0);
}

static void no_request_is_lost_or_answered_twice(void **state)
{
    (void)state;
    ask_from_many_threads(LANE_IDLE_MS);
}

/* Threads end whenever they find nothing, so requests come while they leave. */
static void nor_while_threads_come_and_go(void **state)
{
    (void)state;
    ask_from_many_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_without_requests_has_no_thread),
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(what_comes_while_it_is_busy_is_joined),
        cmocka_unit_test(settings_may_rule_out_joining),
        cmocka_unit_test(one_bad_row_fails_its_own_request_only),
        cmocka_unit_test(a_model_that_loses_rows_is_asked_one_by_one),
        cmocka_unit_test(a_full_queue_refuses_but_for_urgent_ones),
        cmocka_unit_test(memory_that_waits_is_bounded),
        cmocka_unit_test(who_is_refused_hears_when_the_queue_will_be_empty),
        cmocka_unit_test(who_finds_no_memory_hears_how_long_it_is_held),
        cmocka_unit_test(who_is_late_at_once_is_not_queued),
        cmocka_unit_test(who_has_left_is_not_computed),
        cmocka_unit_test(who_leaves_a_running_batch_gets_no_rows_of_it),
        cmocka_unit_test(a_batch_whose_members_have_all_left_is_cancelled),
        cmocka_unit_test(a_lane_that_is_stuck_holds_up_no_other),
        cmocka_unit_test(instances_run_at_the_same_time),
        cmocka_unit_test(idle_threads_end),
        cmocka_unit_test(no_request_is_lost_or_answered_twice),
        cmocka_unit_test(who_stays_is_answered_whoever_leaves),
        cmocka_unit_test(nor_while_threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
