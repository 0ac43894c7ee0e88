/* loop.c - a libuv loop on its own thread, woken by messages on a lock-free list.
 *
 *     loop_post: push on `inbox` (newest first), wake when it was empty
 *     loop:      take the whole list, turn it round, run it in order of posting
 */
#include "net/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/check.h"

enum { LOOP_MAGIC = 0x6c6f6f70, THREAD_NAME_BYTES = 16 };

struct loop {
    uint32_t magic;
    uv_loop_t uv;
    uv_async_t wake;
    pthread_t thread;
    uv_sem_t ready;                       /* posted once the thread runs */
    _Atomic(struct loop_message *) inbox; /* newest first; any thread pushes, the loop takes */
    struct loop_message stop;
    char name[THREAD_NAME_BYTES];
};

static _Thread_local const struct loop *current;

static struct loop_message *take_in_order(struct loop *loop)
{
    struct loop_message *newest =
        atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire);
    struct loop_message *oldest = NULL;
    while (newest) {
        struct loop_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run_messages(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    struct loop_message *message = take_in_order(loop);
    while (message) {
        struct loop_message *next = message->next;
        message->fn(message); /* may free it */
        message = next;
    }
}

static void end_loop(struct loop_message *message)
{
    struct loop *loop = CONTAINER_OF(message, struct loop, stop);
    uv_stop(&loop->uv);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void *run_thread(void *arg)
{
    struct loop *loop = arg;
    current = loop;
    pthread_setname_np(pthread_self(), loop->name);
    uv_sem_post(&loop->ready);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

/* Signals are the main thread's; a loop thread must not be the one the kernel picks. */
static void start_thread(struct loop *loop)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&loop->thread, NULL, run_thread, loop) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    uv_sem_wait(&loop->ready);
}

struct loop *loop_new(const char *thread_name)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop || uv_loop_init(&loop->uv) != 0 || uv_sem_init(&loop->ready, 0) != 0 ||
        uv_async_init(&loop->uv, &loop->wake, run_messages) != 0)
        abort();
    loop->magic = LOOP_MAGIC;
    loop->wake.data = loop;
    strncpy(loop->name, thread_name, sizeof(loop->name) - 1);
    start_thread(loop);
    return loop;
}

void loop_post(struct loop *loop, struct loop_message *message)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    struct loop_message *head = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->inbox, &head, message,
                                                    memory_order_release, memory_order_relaxed));
    if (!head)
        uv_async_send(&loop->wake);
}

void loop_stop(struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    assert(!loop_is_current(loop));
    loop->stop.fn = end_loop;
    loop_post(loop, &loop->stop);
    pthread_join(loop->thread, NULL);
    if (uv_loop_close(&loop->uv) != 0)
        abort();
    uv_sem_destroy(&loop->ready);
    loop->magic = 0;
    free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    return &loop->uv;
}

int loop_is_current(const struct loop *loop)
{
    return current == loop;
}
