/* record_block.h - records on their way to a segment file: encoded, with where each one is. */
#ifndef SLIPWAY_MONITOR_RECORD_BLOCK_H
#define SLIPWAY_MONITOR_RECORD_BLOCK_H

#include "base/arena.h"
#include "monitor/record.h"
#include "monitor/segment_format.h"

struct record_place {
    uint64_t hash;
    uint32_t at;  /* of the record in the body */
    uint32_t row; /* of a key */
};

struct record_places {
    struct record_place *list; /* owned; [count] */
    size_t count, capacity;
};

struct record_block {
    struct record_block *next; /* the owner's */
    char *bytes;               /* owned: a block's head, then the body */
    size_t body_bytes, capacity;
    uint32_t record_count;
    uint64_t row_count;
    uint64_t taken_before, taken_with;
    int64_t first_us, last_us;
    struct record_places ids, keys;
    const struct record_schema **schemas; /* owned; [schema_count] those of its records */
    size_t schema_count;
};

struct record_block *record_block_new(void);
void record_block_free(struct record_block *block); /* NULL is allowed */

/* Encode a record at the end, as it is. `run` is the key of hashes. */
void record_block_add(struct record_block *block, const struct record *record,
                      const uint64_t run[2]);

static inline char *record_block_body(const struct record_block *block)
{
    return block->bytes + SEGMENT_PART_BYTES;
}

const struct record_schema *record_block_schema(const struct record_block *block, uint32_t serial);

#endif
