/* pool.c - a bounded queue and the threads that empty it. */
#include "net/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"

enum { POOL_MAGIC = 0x706f6f6c, POOL_NAME_BYTES = 12, THREAD_NAME_BYTES = 16 };

/* At 10 more a thread gets a tenth of a core that another thread wants too. */
enum { BACKGROUND_NICE = 10 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    uint32_t magic;
    char name[POOL_NAME_BYTES];
    pthread_mutex_t lock; /* guards the fields down to is_ending */
    pthread_cond_t changed;
    struct pool_task *first, **last; /* waiting, oldest first */
    int queue_count, queue_max;
    bool is_ending;
    bool is_background;
    int worker_count;
    struct worker workers[];
};

/* The oldest task; NULL once the pool ends and nothing waits. */
static struct pool_task *take(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->is_ending)
        pthread_cond_wait(&pool->changed, &pool->lock);
    struct pool_task *task = pool->first;
    if (task) {
        pool->first = task->next;
        pool->queue_count--;
        if (!pool->first)
            pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

/* On Linux a priority belongs to a thread. Lowering one's own is always allowed. */
static void stand_back(void)
{
    id_t thread = (id_t)gettid();
    setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + BACKGROUND_NICE);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof(name), "%s/%d", worker->pool->name, worker->index);
    pthread_setname_np(pthread_self(), name);
    if (worker->pool->is_background)
        stand_back();
    for (struct pool_task *task; (task = take(worker->pool));)
        task->fn(task);
    return NULL;
}

/* Signals are the main thread's. */
static void start_workers(struct pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < pool->worker_count; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static struct pool *start_pool(const char *name, int thread_count, int queue_max,
                               bool is_background)
{
    assert(thread_count > 0 && queue_max > 0);
    size_t bytes = sizeof(struct pool) + (size_t)thread_count * sizeof(struct worker);
    struct pool *pool = calloc(1, bytes);
    if (!pool)
        abort();
    pool->magic = POOL_MAGIC;
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool->last = &pool->first;
    pool->queue_max = queue_max;
    pool->worker_count = thread_count;
    pool->is_background = is_background;
    start_workers(pool);
    return pool;
}

struct pool *pool_new(const char *name, int thread_count, int queue_max)
{
    return start_pool(name, thread_count, queue_max, false);
}

struct pool *pool_new_background(const char *name, int thread_count, int queue_max)
{
    return start_pool(name, thread_count, queue_max, true);
}

enum err_code pool_submit(struct pool *pool, struct pool_task *task, struct err *err)
{
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    assert(!pool->is_ending);
    bool is_full = pool->queue_count >= pool->queue_max;
    if (!is_full) {
        task->next = NULL;
        *pool->last = task;
        pool->last = &task->next;
        pool->queue_count++;
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!is_full)
        return ERR_OK;
    err_set(err, ERR_LIMIT, "%d tasks wait for the %s threads already", pool->queue_max,
            pool->name);
    return err_hint(err, "try again in a moment");
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    CHECK_MAGIC(pool, POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    pool->is_ending = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    pool->magic = 0;
    free(pool);
}
