/* response_cache.h - answers of one model that are given again when the same is asked: a table of
 * bytes by digest, of a fixed size.
 *
 *     shard: [ index: digest -> place | log: oldest .. newest, round and round ]
 *
 * New answers are written at the end of a shard's log, over the oldest ones; an answer that was
 * asked for since it was written is moved to the end once instead of being lost (CLOCK). So the
 * memory is mapped once, touched as it fills, never more than the budget, and nothing is allocated
 * by an answer.
 *
 * Data threads share it. A shard is locked while bytes are copied; a thread that finds one locked
 * for long goes on without the cache. It does not wait.
 *
 * Not to be confused with model_cache.h, which keeps models in memory.
 */
#ifndef SLIPWAY_SERVE_RESPONSE_CACHE_H
#define SLIPWAY_SERVE_RESPONSE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    RESPONSE_CACHE_BYTES_MIN = 64 * 1024,
    RESPONSE_CACHE_BYTES_MAX = 1024 * 1024 * 1024,
    RESPONSE_CACHE_PARTS_MAX = 4, /* an answer takes at most this part of a shard */
};

struct response_cache;

/* `bytes_max` is all it will ever take. One reference. */
struct response_cache *response_cache_new(size_t bytes_max);
void response_cache_ref(struct response_cache *cache);
void response_cache_unref(struct response_cache *cache); /* NULL is allowed */

/* Secret and of this cache alone: digests made with it cannot be aimed at one another. */
const uint64_t *response_cache_key(const struct response_cache *cache);

size_t response_cache_bytes_max(const struct response_cache *cache);

/* The largest answer it takes. */
size_t response_cache_answer_bytes_max(const struct response_cache *cache);

enum response_found {
    RESPONSE_FOUND,
    RESPONSE_LARGER, /* than the room; *size says by how much room it would fit */
    RESPONSE_NONE,   /* not there, too old, or its shard was busy */
};

/* Copy the answer to `room` [*size], if it was put after `since_ns`; *size becomes its own. An
 * older one goes. Any thread. */
enum response_found response_cache_find(struct response_cache *cache, const uint64_t digest[2],
                                        int64_t since_ns, void *room, size_t *size);

/* Keep an answer (its bytes are not looked at when there are too many) of the version with this
 * serial (loaded.h), instead of the one with that digest. `now_ns` is what since_ns is compared
 * with. False when it is too large, or its shard was busy. */
bool response_cache_put(struct response_cache *cache, const uint64_t digest[2], uint64_t serial,
                        int64_t now_ns, struct str answer);

/* Let go of the answers of versions that are not in `serials` [count]. Walks through all of it:
 * control thread. */
void response_cache_keep(struct response_cache *cache, const uint64_t *serials, int count);

/* Why answers were let go. */
enum response_end {
    RESPONSE_END_ROOM,    /* for newer ones */
    RESPONSE_END_AGE,     /* older than the settings allow */
    RESPONSE_END_VERSION, /* their version is not in memory any more */
    RESPONSE_END_COUNT,
};
const char *response_end_name(enum response_end end); /* "room", "age", "version" */

struct response_cache_stats {
    uint64_t bytes_max;
    uint64_t answers, bytes; /* kept now; bytes with what the cache itself needs for each */
    uint64_t ended[RESPONSE_END_COUNT];
    uint64_t large; /* not kept: too large */
    uint64_t busy;  /* not kept or not found: the shard was locked */
};
void response_cache_read(struct response_cache *cache, struct response_cache_stats *stats);

#endif
