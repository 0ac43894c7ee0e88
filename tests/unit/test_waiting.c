/* test_waiting.c - deadlines on a loop: in order, each once, none for what has left. */
#include "serve/waiting.h"

#include <semaphore.h>

#include "base/check.h"
#include "base/clock.h"
#include "test.h"

enum { ENTRIES = 5, MS = 1000 * 1000 };

struct waiter {
    struct waiting_entry entry;
    int number;
};

static struct loop *loop;
static struct waiting *waiting;
static struct waiter waiters[ENTRIES];
static struct loop_message message;
static int order[ENTRIES];
static _Atomic int late_count;
static sem_t rung;

static void on_late(struct waiting_entry *entry)
{
    const struct waiter *waiter = CONTAINER_OF(entry, struct waiter, entry);
    assert(!entry->is_listed);
    order[late_count++] = waiter->number;
    sem_post(&rung);
}

static int setup(void **state)
{
    (void)state;
    late_count = 0;
    sem_init(&rung, 0, 0);
    loop = loop_new("test-waiting");
    waiting = waiting_new(loop);
    for (int i = 0; i < ENTRIES; i++)
        waiters[i] = (struct waiter){{.late = on_late}, i};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_stop(loop);
    waiting_free(waiting);
    return 0;
}

/* Deadlines 30, 10, 20, 10 and 5 ms from now; the fourth leaves again, twice. */
static void add_all(struct loop_message *unused)
{
    static const int ms[ENTRIES] = {30, 10, 20, 10, 5};
    int64_t now_ns = clock_monotonic_ns();
    (void)unused;
    for (int i = 0; i < ENTRIES; i++) {
        waiters[i].entry.deadline_ns = now_ns + ms[i] * INT64_C(1000000);
        waiting_add(waiting, &waiters[i].entry);
    }
    waiting_remove(waiting, &waiters[3].entry);
    waiting_remove(waiting, &waiters[3].entry);
}

static void deadlines_come_in_order(void **state)
{
    (void)state;
    message.fn = add_all;
    loop_post(loop, &message);
    for (int i = 0; i < 4; i++)
        sem_wait(&rung);
    assert_int_equal(late_count, 4);
    static const int expected[] = {4, 1, 2, 0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(order[i], expected[i]);
}

/* The first one leaves before its time: the timer that was set for it finds the second one. */
static void leave_and_wait(struct loop_message *unused)
{
    int64_t now_ns = clock_monotonic_ns();
    (void)unused;
    waiters[0].entry.deadline_ns = now_ns + 5 * MS;
    waiters[1].entry.deadline_ns = now_ns + 15 * MS;
    waiting_add(waiting, &waiters[0].entry);
    waiting_add(waiting, &waiters[1].entry);
    waiting_remove(waiting, &waiters[0].entry);
}

static void who_has_left_is_not_late(void **state)
{
    (void)state;
    message.fn = leave_and_wait;
    loop_post(loop, &message);
    sem_wait(&rung);
    assert_int_equal(late_count, 1);
    assert_int_equal(order[0], 1);
}

/* An entry that is late at once is told on the loop's next turn. */
static void add_late(struct loop_message *unused)
{
    (void)unused;
    waiters[2].entry.deadline_ns = clock_monotonic_ns() - MS;
    waiting_add(waiting, &waiters[2].entry);
    assert(late_count == 0);
}

static void a_deadline_that_is_over_is_told_later(void **state)
{
    (void)state;
    message.fn = add_late;
    loop_post(loop, &message);
    sem_wait(&rung);
    assert_int_equal(order[0], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deadlines_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_left_is_not_late, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_that_is_over_is_told_later, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
