/* test_loop.c - messages reach a loop's thread once, in order, from many threads. */
#include "net/loop.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "base/check.h"

#include "test.h"

enum { POSTERS = 4, POSTS = 20000 };

struct note {
    struct loop_message message;
    int poster, index;
};

static struct note notes[POSTERS][POSTS];
static struct loop *loop;
static int last_index[POSTERS]; /* the loop thread's */
static _Atomic int run_count, wrong_count;

static void take_note(struct loop_message *message)
{
    struct note *note = CONTAINER_OF(message, struct note, message);
    bool is_next = note->index == last_index[note->poster] + 1;
    wrong_count += !is_next || !loop_is_current(loop);
    last_index[note->poster] = note->index;
    run_count++;
}

static void *post_all(void *arg)
{
    int poster = (int)(intptr_t)arg;
    for (int i = 0; i < POSTS; i++) {
        notes[poster][i] = (struct note){{.fn = take_note}, poster, i + 1};
        loop_post(loop, &notes[poster][i].message);
    }
    return NULL;
}

static void messages_of_each_thread_run_once_and_in_order(void **state)
{
    (void)state;
    pthread_t threads[POSTERS];
    loop = loop_new("test-loop");
    assert_false(loop_is_current(loop));
    for (intptr_t i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, (void *)i), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    loop_stop(loop); /* after what was posted before */
    assert_int_equal(run_count, POSTERS * POSTS);
    assert_int_equal(wrong_count, 0);
}

struct again {
    struct loop_message message;
    struct loop *loop;
    int left;
    uv_timer_t timer;
};

static void never(uv_timer_t *timer)
{
    (void)timer;
    wrong_count++;
}

static void post_again(struct loop_message *message)
{
    struct again *again = CONTAINER_OF(message, struct again, message);
    if (again->left-- > 0) {
        loop_post(again->loop, message);
        return;
    }
    uv_timer_init(loop_uv(again->loop), &again->timer);
    uv_timer_start(&again->timer, never, 3600 * 1000, 0);
    run_count = 1;
}

/* A message may post itself anew; what is left on the loop is closed with it. */
static void a_message_may_post_itself(void **state)
{
    (void)state;
    run_count = wrong_count = 0;
    struct again again = {.message.fn = post_again, .loop = loop_new("test-again"), .left = 1000};
    loop_post(again.loop, &again.message);
    while (!run_count)
        sched_yield();
    loop_stop(again.loop);
    assert_int_equal(again.left, -1);
    assert_int_equal(wrong_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_each_thread_run_once_and_in_order),
        cmocka_unit_test(a_message_may_post_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
