/* ticker.c - a thread that runs each task when its interval has passed or it was kicked. */
#include "serve/ticker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"

struct ticker_task {
    const char *name;
    void (*run)(void *arg);
    void *arg;
    int64_t every_us, due_us;
    bool is_kicked; /* under lock */
};

struct ticker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ticker_task tasks[TICKER_TASKS_MAX];
    int task_count;
    int last; /* the task that ran last: one that is kicked all the time starves no other */
    bool is_started, is_stopping;
};

struct ticker *ticker_new(void)
{
    struct ticker *ticker = calloc(1, sizeof(*ticker));
    pthread_condattr_t attributes;
    if (!ticker)
        abort();
    pthread_mutex_init(&ticker->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ticker->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return ticker;
}

/* The machine's clock, not the one that tests set: a condition variable waits by it. */
static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int ticker_add(struct ticker *ticker, const char *name, int64_t every_ms, void (*run)(void *arg),
               void *arg)
{
    assert(!ticker->is_started && ticker->task_count < TICKER_TASKS_MAX && every_ms > 0);
    ticker->tasks[ticker->task_count] =
        (struct ticker_task){.name = name, .run = run, .arg = arg, .every_us = every_ms * 1000};
    return ticker->task_count++;
}

/* The next task to run, or NULL; *wait_until_us is when to look again. Under the lock. */
static struct ticker_task *next_due(struct ticker *ticker, int64_t *wait_until_us)
{
    int64_t now = now_us();
    *wait_until_us = now + INT64_C(3600) * 1000000;
    for (int i = 1; i <= ticker->task_count; i++) {
        int place = (ticker->last + i) % ticker->task_count;
        struct ticker_task *task = &ticker->tasks[place];
        if (task->is_kicked || task->due_us <= now) {
            task->is_kicked = false;
            task->due_us = now + task->every_us;
            ticker->last = place;
            return task;
        }
        if (task->due_us < *wait_until_us)
            *wait_until_us = task->due_us;
    }
    return NULL;
}

static void *run(void *arg)
{
    struct ticker *ticker = arg;
    pthread_mutex_lock(&ticker->lock);
    while (!ticker->is_stopping) {
        int64_t until_us;
        struct ticker_task *task = next_due(ticker, &until_us);
        if (task) {
            pthread_mutex_unlock(&ticker->lock);
            task->run(task->arg);
            pthread_mutex_lock(&ticker->lock);
            continue;
        }
        struct timespec until = {until_us / 1000000, (until_us % 1000000) * 1000};
        pthread_cond_timedwait(&ticker->wake, &ticker->lock, &until);
    }
    pthread_mutex_unlock(&ticker->lock);
    return NULL;
}

void ticker_start(struct ticker *ticker)
{
    assert(!ticker->is_started);
    int64_t now = now_us();
    for (int i = 0; i < ticker->task_count; i++)
        ticker->tasks[i].due_us = now + ticker->tasks[i].every_us;
    ticker->is_started = true;
    if (pthread_create(&ticker->thread, NULL, run, ticker))
        abort();
    pthread_setname_np(ticker->thread, "ticker");
}

void ticker_kick(struct ticker *ticker, int task)
{
    pthread_mutex_lock(&ticker->lock);
    assert(task >= 0 && task < ticker->task_count);
    ticker->tasks[task].is_kicked = true;
    pthread_cond_signal(&ticker->wake);
    pthread_mutex_unlock(&ticker->lock);
}

void ticker_free(struct ticker *ticker)
{
    if (!ticker)
        return;
    if (ticker->is_started) {
        pthread_mutex_lock(&ticker->lock);
        ticker->is_stopping = true;
        pthread_cond_signal(&ticker->wake);
        pthread_mutex_unlock(&ticker->lock);
        pthread_join(ticker->thread, NULL);
    }
    pthread_cond_destroy(&ticker->wake);
    pthread_mutex_destroy(&ticker->lock);
    free(ticker);
}
