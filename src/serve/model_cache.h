/* model_cache.h - models in memory within a budget: loaded when asked for, let go when long unused.
 *
 *     request for a model that is not in memory (data thread)
 *       -> model_cache_load: one load a model, however many ask
 *            -> pool: make room, load, publish, post everybody -> requests begin anew
 *     ticker: what is above the budget goes, the longest unused first
 *
 * A model comes and goes with all its versions in memory: champion, the one before it (so that a
 * rollback needs no load; others go for it as they do for a champion, unless the two do not fit the
 * budget together), aliases. Rollouts and `memory: {pin: true}` keep a model.
 * What is let go is freed when its last request has been answered, on the control thread, and its
 * pages are given back to the system.
 */
#ifndef SLIPWAY_SERVE_MODEL_CACHE_H
#define SLIPWAY_SERVE_MODEL_CACHE_H

#include "net/pool.h"
#include "serve/control.h"

struct model_cache;

/* `bytes_max` is what models may take together. */
struct model_cache *model_cache_new(struct control *control, struct pool *pool, size_t bytes_max);

/* After the pool; NULL is allowed. */
void model_cache_free(struct model_cache *cache);

/* Somebody who waits for a model. Memory and message are the caller's until the message comes; it
 * is posted to `loop` once. */
struct model_cache_wait {
    struct model_cache_wait *next; /* the cache's own */
    struct loop *loop;
    struct loop_message message;
    enum err_code rc; /* then: ERR_OK, it is in memory; or why not */
    struct err err;
};

/* Bring the version (as requests name it: "", "3", "candidate") into memory. Any thread; takes a
 * lock for as long as a list is looked at. */
void model_cache_load(struct model_cache *cache, struct str model, struct str version,
                      struct model_cache_wait *wait);

/* The same by a thread that may wait; loads it here and now. */
enum err_code model_cache_load_now(struct model_cache *cache, const char *model,
                                   const char *version, struct err *err);

/* Bring what a rollback of the model would bring back into memory, if the champion is there. Slow.
 */
void model_cache_load_previous(struct model_cache *cache, const char *model);

/* Let models go until the budget holds again; the ticker's task. */
void model_cache_trim(struct model_cache *cache);

struct model_cache_stats {
    size_t bytes, bytes_max; /* in memory now */
    int models;              /* with a version in memory */
    uint64_t loads, failures, evictions, waits;
};
void model_cache_stats(struct model_cache *cache, struct model_cache_stats *stats);

#endif
