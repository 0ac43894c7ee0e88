/* segment_verify.c - a segment file looked at from its first byte to its last. */
#include "monitor/segment.h"

#include "base/check.h"
#include "monitor/record_code.h"
#include "monitor/segment_own.h"

/* Every id and key of a records block is in the index. */
static enum err_code verify_records(struct segment *segment, uint64_t offset, const char *body,
                                    size_t bytes, struct arena *arena, uint64_t *records,
                                    struct err *err)
{
    for (size_t at = 0, size; at < bytes; at += size) {
        uint32_t serial;
        struct record record;
        const struct record_schema *schema;
        uint64_t place = offset + SEGMENT_PART_BYTES + at, found[1];
        if (!record_peek(body + at, bytes - at, &size, &serial))
            return segment_refuse(segment, place, "no record begins here", err);
        enum err_code rc = segment_schema(segment, serial, &schema, err);
        if (!rc)
            rc = record_decode(body + at, size, schema, arena, &record, err);
        if (rc)
            return rc;
        uint64_t hash = segment_hash(segment->head.run, record.request_id);
        if (!segment_find(segment, SEGMENT_IDS, hash, 0, found, 1))
            return segment_refuse(segment, place, "this record is not in the index", err);
        arena_reset(arena);
        ++*records;
    }
    return ERR_OK;
}

static enum err_code verify_index(struct segment *segment, struct segment_buffer *buffer,
                                  struct err *err)
{
    struct segment_block_head head;
    if (!segment->is_sealed)
        return ERR_OK;
    return segment_read_whole(segment, segment->trailer.index_offset, segment->end, buffer, &head,
                              err);
}

enum err_code segment_verify(struct segment *segment, struct err *err)
{
    struct segment_buffer buffer = {0};
    struct segment_block block;
    struct arena *arena = arena_new(SIZE_MAX);
    uint64_t records = 0, offset = SEGMENT_FIRST_OFFSET;
    enum err_code rc = verify_index(segment, &buffer, err);
    while (!rc && !(rc = segment_read_block(segment, offset, &buffer, &block, err))) {
        if (block.kind == SEGMENT_RECORDS)
            rc =
                verify_records(segment, offset, block.body, block.body_bytes, arena, &records, err);
        offset = block.next;
    }
    if (rc == ERR_NOT_FOUND)
        rc = ERR_OK;
    if (!rc && offset != segment_whole_bytes(segment))
        rc = segment_refuse(segment, offset, "bytes are left behind the last block", err);
    if (!rc && segment->is_sealed && records != segment->record_count)
        rc = segment_refuse(segment, offset, "it has another number of records than it says", err);
    segment_buffer_done(&buffer);
    arena_free(arena);
    return rc;
}
