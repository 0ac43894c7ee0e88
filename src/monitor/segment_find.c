/* segment_find.c - where a hash or a time is in a segment, by its index in memory or on disk. */
#include "monitor/segment.h"

#include <string.h>

#include "base/check.h"
#include "monitor/record_code.h"
#include "monitor/segment_own.h"

enum { WINDOW_ENTRIES = 256 };

/* ---- the index of a sealed segment ---- */

static uint64_t index_body(const struct segment *segment)
{
    return segment->trailer.index_offset + SEGMENT_PART_BYTES;
}

static uint64_t schemas_offset(const struct segment *segment)
{
    return index_body(segment) + sizeof(struct segment_index_head) +
           (uint64_t)segment->index_head.block_count * sizeof(struct segment_index_block);
}

static uint64_t table_offset(const struct segment *segment, enum segment_table_kind kind,
                             uint64_t *count)
{
    const struct segment_index_head *head = &segment->index_head;
    uint64_t ids =
        schemas_offset(segment) + head->schema_count * sizeof(struct segment_index_schema);
    *count = kind == SEGMENT_IDS ? head->id_count : head->key_count;
    return kind == SEGMENT_IDS ? ids : ids + head->id_count * sizeof(struct segment_index_entry);
}

/* Number of entries whose hash is below `hash`, or (is_behind) not above it. Hashes are spread
 * evenly, so a guess by proportion is near; every second step halves what is left, whatever the
 * entries are. */
static uint64_t rank_of(const struct segment *segment, uint64_t table, uint64_t count,
                        uint64_t hash, bool is_behind)
{
    struct segment_index_entry window[WINDOW_ENTRIES];
    uint64_t low = 0, high = count;
    for (int step = 0; low < high; step++) {
        uint64_t guess = step % 2 == 0 ? (uint64_t)((double)hash * 0x1p-64 * (double)count)
                                       : low + (high - low) / 2;
        uint64_t first = guess > WINDOW_ENTRIES / 2 ? guess - WINDOW_ENTRIES / 2 : 0;
        if (first < low || first >= high)
            first = low + (high - low) / 2;
        uint64_t size = high - first < WINDOW_ENTRIES ? high - first : WINDOW_ENTRIES;
        if (!segment_read_at(segment->fd, table + first * sizeof(window[0]), window,
                             (size_t)size * sizeof(window[0])))
            return high;
        uint64_t below = 0;
        while (below < size &&
               (window[below].hash < hash || (is_behind && window[below].hash == hash)))
            below++;
        if (below == 0)
            high = first;
        else if (below == size)
            low = first + size;
        else
            return first + below;
    }
    return low;
}

static size_t find_on_disk(const struct segment *segment, enum segment_table_kind kind,
                           uint64_t hash, size_t skip, uint64_t *places, size_t max)
{
    uint64_t count, table = table_offset(segment, kind, &count);
    uint64_t first = rank_of(segment, table, count, hash, false);
    uint64_t end = rank_of(segment, table, count, hash, true);
    size_t found = 0;
    struct segment_index_entry entry;
    while (end > first + skip && found < max) {
        end--;
        if (!segment_read_at(segment->fd, table + (end - skip) * sizeof(entry), &entry,
                             sizeof(entry)))
            break;
        places[found++] = entry.place;
    }
    return found;
}

size_t segment_find(struct segment *segment, enum segment_table_kind kind, uint64_t hash,
                    size_t skip, uint64_t *places, size_t max)
{
    if (segment->is_sealed)
        return find_on_disk(segment, kind, hash, skip, places, max);
    pthread_mutex_lock(&segment->lock);
    const struct segment_table *table =
        kind == SEGMENT_IDS ? &segment->index.ids : &segment->index.keys;
    size_t found = segment_table_find(table, hash, skip, places, max);
    pthread_mutex_unlock(&segment->lock);
    return found;
}

/* Entry i of the list of blocks, in memory or in the file. */
static bool index_block(struct segment *segment, uint64_t i, struct segment_index_block *block)
{
    if (segment->is_sealed)
        return segment_read_at(segment->fd,
                               index_body(segment) + sizeof(struct segment_index_head) +
                                   i * sizeof(*block),
                               block, sizeof(*block));
    pthread_mutex_lock(&segment->lock);
    bool has_block = i < segment->index.block_count;
    if (has_block)
        *block = segment->index.blocks[i];
    pthread_mutex_unlock(&segment->lock);
    return has_block;
}

static uint64_t index_block_count(struct segment *segment)
{
    if (segment->is_sealed)
        return segment->index_head.block_count;
    pthread_mutex_lock(&segment->lock);
    uint64_t count = segment->index.block_count;
    pthread_mutex_unlock(&segment->lock);
    return count;
}

/* The block that holds the byte `offset`. */
static bool block_around(struct segment *segment, uint64_t offset,
                         struct segment_index_block *block)
{
    uint64_t low = 0, high = index_block_count(segment);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (!index_block(segment, middle, block))
            return false;
        if (block->offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && index_block(segment, low - 1, block);
}

/* Blocks follow time but for the milliseconds in which several threads hand over, so each one is
 * looked at. */
uint64_t segment_seek(struct segment *segment, int64_t from_us)
{
    struct segment_index_block block;
    uint64_t count = index_block_count(segment);
    for (uint64_t i = 0; i < count && index_block(segment, i, &block); i++)
        if (block.last_us >= from_us)
            return block.offset;
    return segment_whole_bytes(segment);
}

uint64_t segment_schema_offset(struct segment *segment, uint32_t serial)
{
    struct segment_index_schema schema = {0};
    if (!segment->is_sealed) {
        for (size_t i = 0; i < segment->index.schema_count; i++)
            if (segment->index.schemas[i].serial == serial)
                return segment->index.schemas[i].offset;
        return 0;
    }
    uint64_t at = schemas_offset(segment);
    for (uint32_t i = 0; i < segment->index_head.schema_count; i++, at += sizeof(schema)) {
        if (!segment_read_at(segment->fd, at, &schema, sizeof(schema)))
            return 0;
        if (schema.serial == serial)
            return schema.offset;
    }
    return 0;
}

/* ---- records ---- */

static enum err_code copy_record(struct segment *segment, const char *bytes, size_t left,
                                 struct arena *arena, struct record *record, struct err *err)
{
    size_t size;
    uint32_t serial;
    const struct record_schema *schema;
    if (!record_peek(bytes, left, &size, &serial))
        return err_set(err, ERR_IO, "no record begins here");
    enum err_code rc = segment_schema(segment, serial, &schema, err);
    char *copy = rc ? NULL : arena_alloc_aligned(arena, size, 8);
    if (rc)
        return rc;
    if (!copy)
        return err_set(err, ERR_LIMIT, "a record of %zu bytes does not fit the memory", size);
    memcpy(copy, bytes, size);
    return record_decode(copy, size, schema, arena, record, err);
}

enum err_code segment_read_record(struct segment *segment, uint64_t offset, struct arena *arena,
                                  struct record *record, struct err *err)
{
    struct segment_index_block around;
    struct segment_buffer buffer = {0};
    struct segment_block block;
    if (!block_around(segment, offset, &around))
        return segment_refuse(segment, offset, "no block has this byte", err);
    enum err_code rc = segment_read_block(segment, around.offset, &buffer, &block, err);
    uint64_t at = offset - around.offset - SEGMENT_PART_BYTES;
    if (!rc && (offset < around.offset + SEGMENT_PART_BYTES || at >= block.body_bytes ||
                at % 8 != 0 || block.kind != SEGMENT_RECORDS))
        rc = segment_refuse(segment, offset, "no record begins here", err);
    if (!rc)
        rc = copy_record(segment, block.body + at, block.body_bytes - at, arena, record, err);
    segment_buffer_done(&buffer);
    return rc;
}
