/* model_stats.h - what a version has counted since it was loaded, in the terms of Triton's
 * statistics extension.
 *
 *     request -> [queue] -> [input] -> [infer] -> [output] -> reply
 *
 * queue is only in a lane; input is checking and the making of tensors, output the writing of the
 * reply. Reading and decoding of the body come before and are in `success` only. A request in a
 * lane counts its whole batch's infer, as those of one batch all waited for it.
 */
#ifndef SLIPWAY_SERVE_MODEL_STATS_H
#define SLIPWAY_SERVE_MODEL_STATS_H

#include "serve/lane.h"

struct model_time {
    uint64_t count, ns;
};

struct model_batches {
    int rows; /* the size class: at most so many rows, more than half of it; the last has all more
               */
    uint64_t count;
    uint64_t input_ns, infer_ns, output_ns;
};

struct model_stats {
    int64_t last_ms;                         /* when it last was asked, since 1970; 0: never */
    uint64_t rows, executions;               /* rows that were computed, calls of the model */
    struct model_time success, fail, cancel; /* whole requests; cancel: the client had left */
    struct model_time queue;                 /* of those in `success` */
    struct model_time input, infer, output;  /* of those that no response cache answered */
    struct model_time cache_hit, cache_miss; /* looking up; looking up and keeping */
    int batch_count;
    struct model_batches batches[LOADED_SIZES]; /* [batch_count] that there were */
    size_t memory_bytes;
};

/* Consistent enough for a scrape. Any thread. */
void model_stats_read(const struct loaded *loaded, struct model_stats *stats);

#endif
