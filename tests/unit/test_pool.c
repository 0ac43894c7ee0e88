/* test_pool.c - tasks run once, the queue is bounded, the end waits for what was taken. */
#include "net/pool.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"

#include "test.h"

enum { TASKS = 1000 };

static _Atomic int run_count;
static sem_t gate, started;

static void run(struct pool_task *task)
{
    (void)task;
    run_count++;
}

static void wait_at_gate(struct pool_task *task)
{
    (void)task;
    sem_post(&started);
    sem_wait(&gate);
    run_count++;
}

static void every_task_runs_before_the_end(void **state)
{
    (void)state;
    static struct pool_task tasks[TASKS];
    struct err err = {0};
    struct pool *pool = pool_new("test", 3, TASKS);
    run_count = 0;
    for (int i = 0; i < TASKS; i++) {
        tasks[i].fn = run;
        assert_int_equal(pool_submit(pool, &tasks[i], &err), ERR_OK);
    }
    pool_free(pool);
    assert_int_equal(run_count, TASKS);
    pool_free(NULL);
}

/* One runs, two wait: the fourth is refused, and taken once there is room. */
static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct pool_task tasks[4];
    struct err err = {0};
    struct pool *pool = pool_new("busy", 1, 2);
    run_count = 0;
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    for (int i = 0; i < 4; i++)
        tasks[i].fn = wait_at_gate;
    assert_int_equal(pool_submit(pool, &tasks[0], &err), ERR_OK);
    sem_wait(&started);
    assert_int_equal(pool_submit(pool, &tasks[1], &err), ERR_OK);
    assert_int_equal(pool_submit(pool, &tasks[2], &err), ERR_OK);
    assert_int_equal(pool_submit(pool, &tasks[3], &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "2 tasks wait for the busy threads"));
    sem_post(&gate);
    sem_wait(&started);
    assert_int_equal(pool_submit(pool, &tasks[3], &err), ERR_OK);
    for (int i = 0; i < 3; i++)
        sem_post(&gate);
    pool_free(pool);
    assert_int_equal(run_count, 4);
    sem_destroy(&gate);
    sem_destroy(&started);
}

static _Atomic int nice_seen;

static void note_nice(struct pool_task *task)
{
    (void)task;
    nice_seen = getpriority(PRIO_PROCESS, 0); /* 0: the calling thread's */
}

static int nice_in(struct pool *pool)
{
    struct pool_task task = {.fn = note_nice};
    struct err err = {0};
    assert_int_equal(pool_submit(pool, &task, &err), ERR_OK);
    pool_free(pool);
    return nice_seen;
}

/* nice(1): 19 is the lowest priority there is. */
static void background_threads_stand_back(void **state)
{
    (void)state;
    int mine = getpriority(PRIO_PROCESS, 0), lower = mine + 10 < 19 ? mine + 10 : 19;
    assert_int_equal(nice_in(pool_new("front", 1, 1)), mine);
    assert_int_equal(nice_in(pool_new_background("back", 1, 1)), lower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_before_the_end),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(background_threads_stand_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
