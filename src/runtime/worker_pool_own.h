/* worker_pool_own.h - what worker_pool.c (callers) and worker_keeper.c (the keeper) share. */
#ifndef SLIPWAY_RUNTIME_WORKER_POOL_OWN_H
#define SLIPWAY_RUNTIME_WORKER_POOL_OWN_H

#include <pthread.h>

#include "runtime/worker_pool.h"

enum slot_state {
    SLOT_EMPTY,
    SLOT_STARTING,  /* keeper's, until `until_ns` */
    SLOT_IDLE,      /* nobody's */
    SLOT_CHECKED,   /* keeper's, a ping is on its way, until `until_ns` */
    SLOT_BUSY,      /* a caller's */
    SLOT_ABANDONED, /* keeper's, its answer is thrown away, until `until_ns` */
    SLOT_ENDING,    /* keeper's, to be waited for */
};

struct slot {
    struct worker worker;
    enum slot_state state;
    int64_t since_ns; /* in this state */
    int64_t until_ns;
    int64_t started_ns;
    bool has_ended;   /* the process; `end` says how */
    bool is_unwanted; /* ended by us, and no failure */
    char end[80];     /* "was killed by signal 11 (Segmentation fault)" */
};

struct worker_pool {
    pthread_mutex_t lock;   /* of everything below that changes */
    pthread_cond_t changed; /* on the monotonic clock */
    const struct worker_plan *plan;
    const char *label;
    struct arena *arena;
    struct worker_log log;
    struct slot slots[WORKERS_MAX];
    int wanted;  /* workers there should be */
    int waiting; /* callers without a worker */
    unsigned sandbox;
    char interpreter[80]; /* constant once it is open */
    bool is_opening, is_open, is_closing;
    struct err open_err; /* why it did not open */
    int failures;        /* in a row */
    int64_t not_before_ns;
    uint64_t start_count;
    _Atomic bool has_problem;
    char last_end[200];       /* of the last failure */
    struct worker_pool *next; /* keeper's list */
};

/* Give the pool to the keeper, which frees it after is_closing. */
void keeper_add(struct worker_pool *pool);
void keeper_wake(void);

/* worker_pool.c: calls of pool_failed() so far. */
uint64_t pool_failures(void);

/* worker_pool.c: with the lock held. */
void pool_failed(struct worker_pool *pool, const char *how);
void pool_works(struct worker_pool *pool);
void slot_set(struct slot *slot, enum slot_state state, int64_t until_ns);

/* The machine's monotonic clock, also when a test has set the program's. */
int64_t keeper_now_ns(void);

#endif
