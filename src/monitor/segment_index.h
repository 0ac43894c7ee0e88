/* segment_index.h - where things are in a segment that is not sealed yet, in memory. */
#ifndef SLIPWAY_MONITOR_SEGMENT_INDEX_H
#define SLIPWAY_MONITOR_SEGMENT_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "monitor/segment_format.h"

/* Entries by hash. Zeroed is empty. */
struct segment_table {
    struct segment_index_entry *entries; /* owned; [count], in the order of the file */
    uint32_t *next;                      /* [count] older entry of the bucket + 1; 0: none */
    uint32_t *buckets;                   /* [bucket_count] newest entry + 1 */
    size_t count, capacity, bucket_count;
};

struct segment_index {
    struct segment_index_block *blocks; /* owned; [block_count] */
    size_t block_count, block_capacity;
    struct segment_index_schema *schemas; /* owned; [schema_count] */
    size_t schema_count, schema_capacity;
    struct segment_table ids, keys;
};

void segment_table_add(struct segment_table *table, uint64_t hash, uint64_t place);

/* Places of that hash, newest first, without the `skip` newest ones: at most `max`. */
size_t segment_table_find(const struct segment_table *table, uint64_t hash, size_t skip,
                          uint64_t *places, size_t max);

void segment_index_add_block(struct segment_index *index, const struct segment_index_block *block);
void segment_index_add_schema(struct segment_index *index, uint64_t offset, uint32_t serial);
void segment_index_done(struct segment_index *index);

/* The body of the index block. */
void segment_index_write(const struct segment_index *index, struct buf *out);

#endif
