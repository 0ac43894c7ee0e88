/* pool.h - worker threads for anything that blocks: loading models, control requests. */
#ifndef SLIPWAY_NET_POOL_H
#define SLIPWAY_NET_POOL_H

#include "base/err.h"

struct pool;

/* One task; the memory is the caller's until fn has it. */
struct pool_task {
    struct pool_task *next; /* pool's own */
    void (*fn)(struct pool_task *task);
};

struct pool *pool_new(const char *name, int thread_count, int queue_max);

/* The same at a lower priority: what takes long gives way to threads that answer. */
struct pool *pool_new_background(const char *name, int thread_count, int queue_max);

/* ERR_LIMIT when queue_max tasks wait already. Any thread. */
enum err_code pool_submit(struct pool *pool, struct pool_task *task, struct err *err);

/* Waits for the tasks submitted so far, ends the threads. NULL is allowed. */
void pool_free(struct pool *pool);

#endif
