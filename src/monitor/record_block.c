/* record_block.c - collecting records until a block of a segment is full. */
#include "monitor/record_block.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/record_code.h"

enum { PLACES_MIN = 64 };

struct record_block *record_block_new(void)
{
    struct record_block *block = calloc(1, sizeof(*block));
    if (!block)
        abort();
    return block;
}

void record_block_free(struct record_block *block)
{
    if (!block)
        return;
    free(block->bytes);
    free(block->ids.list);
    free(block->keys.list);
    free(block->schemas);
    free(block);
}

static void make_room(struct record_block *block, size_t bytes)
{
    size_t needed = SEGMENT_PART_BYTES + block->body_bytes + bytes;
    if (needed <= block->capacity)
        return;
    /* The first step is what an idle server's few records need. */
    size_t capacity = block->capacity ? 2 * block->capacity : 4096;
    block->capacity = capacity < needed ? needed : capacity;
    block->bytes = realloc(block->bytes, block->capacity);
    if (!block->bytes)
        abort();
}

static void add_place(struct record_places *places, uint64_t hash, size_t at, int64_t row)
{
    if (places->count == places->capacity) {
        places->capacity = places->capacity ? 2 * places->capacity : PLACES_MIN;
        places->list = realloc(places->list, places->capacity * sizeof(*places->list));
        if (!places->list)
            abort();
    }
    places->list[places->count++] = (struct record_place){hash, (uint32_t)at, (uint32_t)row};
}

static void add_keys(struct record_block *block, const struct record *record, const uint64_t run[2])
{
    const struct record_schema *schema = record->schema;
    for (int column = 0; record->texts && column < schema->text_count; column++) {
        if (!schema->texts[column].is_key)
            continue;
        for (int64_t row = 0; row < record->row_count; row++) {
            struct str key = record->texts[row * schema->text_count + column];
            if (key.ptr)
                add_place(&block->keys, hash_sip(run, key.ptr, key.len), block->body_bytes, row);
        }
    }
}

const struct record_schema *record_block_schema(const struct record_block *block, uint32_t serial)
{
    for (size_t i = block->schema_count; i-- > 0;)
        if (block->schemas[i]->serial == serial)
            return block->schemas[i];
    return NULL;
}

static void add_schema(struct record_block *block, const struct record_schema *schema)
{
    if (record_block_schema(block, schema->serial))
        return;
    size_t bytes = (block->schema_count + 1) * sizeof(*block->schemas);
    block->schemas = realloc(block->schemas, bytes);
    if (!block->schemas)
        abort();
    block->schemas[block->schema_count++] = schema;
}

static void add_time(struct record_block *block, int64_t at_us)
{
    if (!block->record_count || at_us < block->first_us)
        block->first_us = at_us;
    if (!block->record_count || at_us > block->last_us)
        block->last_us = at_us;
}

void record_block_add(struct record_block *block, const struct record *record,
                      const uint64_t run[2])
{
    size_t bytes = record_encoded_bytes(record);
    make_room(block, bytes);
    record_encode(record, bytes, record_block_body(block) + block->body_bytes);
    add_place(&block->ids, hash_sip(run, record->request_id.ptr, record->request_id.len),
              block->body_bytes, 0);
    add_keys(block, record, run);
    add_schema(block, record->schema);
    add_time(block, record->at_us);
    block->body_bytes += bytes;
    block->record_count++;
    block->row_count += (uint64_t)record->row_count;
}
