/* test_ticker.c - tasks run by their interval and when they are kicked, one at a time. */
#include "serve/ticker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "test.h"

struct counted {
    _Atomic int runs;
};

static void count(void *arg)
{
    struct counted *counted = arg;
    atomic_fetch_add(&counted->runs, 1);
}

/* Bounded: ten seconds. */
static void wait_for_runs(struct counted *counted, int runs)
{
    for (int i = 0; i < 10000 && atomic_load(&counted->runs) < runs; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_true(atomic_load(&counted->runs) >= runs);
}

static void a_task_runs_again_and_again(void **state)
{
    (void)state;
    struct counted often = {0}, seldom = {0};
    struct ticker *ticker = ticker_new();
    ticker_add(ticker, "often", 1, count, &often);
    ticker_add(ticker, "seldom", 3600 * 1000, count, &seldom);
    ticker_start(ticker);
    wait_for_runs(&often, 3);
    assert_int_equal(atomic_load(&seldom.runs), 0);
    ticker_free(ticker);
}

static void a_kicked_task_does_not_wait_for_its_interval(void **state)
{
    (void)state;
    struct counted seldom = {0};
    struct ticker *ticker = ticker_new();
    int task = ticker_add(ticker, "seldom", 3600 * 1000, count, &seldom);
    ticker_start(ticker);
    ticker_kick(ticker, task);
    wait_for_runs(&seldom, 1);
    ticker_kick(ticker, task);
    wait_for_runs(&seldom, 2);
    ticker_free(ticker);
}

/* Kicks itself again: always due. */
static struct ticker *greedy_ticker;
static int greedy_task;

static void kick_again(void *arg)
{
    count(arg);
    ticker_kick(greedy_ticker, greedy_task);
}

static void a_task_that_is_always_kicked_starves_no_other(void **state)
{
    (void)state;
    struct counted greedy = {0}, other = {0};
    greedy_ticker = ticker_new();
    greedy_task = ticker_add(greedy_ticker, "greedy", 3600 * 1000, kick_again, &greedy);
    ticker_add(greedy_ticker, "other", 1, count, &other);
    ticker_start(greedy_ticker);
    ticker_kick(greedy_ticker, greedy_task);
    wait_for_runs(&other, 3);
    wait_for_runs(&greedy, 3);
    ticker_free(greedy_ticker);
}

static void one_that_never_started_can_be_freed(void **state)
{
    (void)state;
    ticker_free(ticker_new());
    ticker_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_runs_again_and_again),
        cmocka_unit_test(a_kicked_task_does_not_wait_for_its_interval),
        cmocka_unit_test(a_task_that_is_always_kicked_starves_no_other),
        cmocka_unit_test(one_that_never_started_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
