/* segment_block.c - blocks of a segment file, and the schemas in them. */
#include "monitor/segment.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/segment_own.h"
#include "monitor/segment_schema.h"

/* ---- blocks ---- */

void segment_buffer_done(struct segment_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct segment_buffer){0};
}

static void make_room(struct segment_buffer *buffer, size_t bytes)
{
    if (bytes <= buffer->capacity)
        return;
    free(buffer->bytes);
    buffer->capacity = (bytes + 4095) & ~(size_t)4095;
    buffer->bytes = malloc(buffer->capacity);
    if (!buffer->bytes)
        abort();
}

bool segment_block_head_is_good(const struct segment_block_head *head, uint64_t offset,
                                uint64_t end)
{
    return head->magic == SEGMENT_BLOCK_MAGIC && head->crc == segment_crc(head) &&
           head->offset == offset && head->body_bytes <= SEGMENT_BODY_BYTES_MAX &&
           head->body_bytes % 8 == 0 && head->body_bytes <= end - offset - SEGMENT_PART_BYTES;
}

enum err_code segment_read_whole(struct segment *segment, uint64_t offset, uint64_t end,
                                 struct segment_buffer *buffer, struct segment_block_head *head,
                                 struct err *err)
{
    if (offset >= end || end - offset < SEGMENT_PART_BYTES)
        return err_set(err, ERR_NOT_FOUND, "there is no block at byte %" PRIu64, offset);
    if (!segment_read_at(segment->fd, offset, head, sizeof(*head)))
        return segment_refuse(segment, offset, "it cannot be read", err);
    if (!segment_block_head_is_good(head, offset, end))
        return segment_refuse(segment, offset, "no block begins here", err);
    make_room(buffer, head->body_bytes + 1);
    if (!segment_read_at(segment->fd, offset + SEGMENT_PART_BYTES, buffer->bytes, head->body_bytes))
        return segment_refuse(segment, offset, "its body cannot be read", err);
    if (hash_crc32c(0, buffer->bytes, head->body_bytes) != head->body_crc)
        return segment_refuse(segment, offset, "the checksum of its body is wrong", err);
    return ERR_OK;
}

uint64_t segment_whole_bytes(struct segment *segment)
{
    pthread_mutex_lock(&segment->lock);
    uint64_t end = segment->is_sealed ? segment->trailer.index_offset : segment->end;
    pthread_mutex_unlock(&segment->lock);
    return end;
}

enum err_code segment_read_block(struct segment *segment, uint64_t offset,
                                 struct segment_buffer *buffer, struct segment_block *block,
                                 struct err *err)
{
    struct segment_block_head head;
    enum err_code rc =
        segment_read_whole(segment, offset, segment_whole_bytes(segment), buffer, &head, err);
    if (rc)
        return rc;
    *block = (struct segment_block){
        .kind = (enum segment_kind)head.kind,
        .body = buffer->bytes,
        .body_bytes = head.body_bytes,
        .record_count = head.record_count,
        .taken_before = head.taken_before,
        .taken_with = head.taken_with,
        .first_us = head.first_us,
        .last_us = head.last_us,
        .next = offset + SEGMENT_PART_BYTES + head.body_bytes,
    };
    return ERR_OK;
}

/* ---- schemas ---- */

static const struct record_schema *known_schema(const struct segment *segment, uint32_t serial)
{
    for (size_t i = 0; i < segment->schema_count; i++)
        if (segment->schemas[i]->serial == serial)
            return segment->schemas[i];
    return NULL;
}

static enum err_code load_schema(struct segment *segment, uint32_t serial,
                                 const struct record_schema **schema, struct err *err)
{
    struct segment_buffer buffer = {0};
    struct segment_block_head head;
    uint64_t end = segment->is_sealed ? segment->trailer.index_offset : segment->end;
    uint64_t offset = segment_schema_offset(segment, serial);
    enum err_code rc =
        offset ? segment_read_whole(segment, offset, end, &buffer, &head, err) : ERR_IO;
    if (!offset)
        rc = segment_refuse(segment, 0, "a record's schema is not in it", err);
    else if (!rc && head.kind != SEGMENT_SCHEMA)
        rc = segment_refuse(segment, offset, "this is no schema", err);
    if (!rc)
        rc = segment_schema_read((struct str){buffer.bytes, head.body_bytes}, segment->schema_arena,
                                 schema, err);
    if (!rc && (*schema)->serial != serial)
        rc = segment_refuse(segment, offset, "this is another schema", err);
    segment_buffer_done(&buffer);
    if (rc)
        return rc;
    size_t bytes = (segment->schema_count + 1) * sizeof(*segment->schemas);
    const struct record_schema **grown = realloc(segment->schemas, bytes);
    if (!grown)
        abort();
    segment->schemas = grown;
    segment->schemas[segment->schema_count++] = *schema;
    return ERR_OK;
}

enum err_code segment_schema(struct segment *segment, uint32_t serial,
                             const struct record_schema **schema, struct err *err)
{
    pthread_mutex_lock(&segment->lock);
    const struct record_schema *known = known_schema(segment, serial);
    enum err_code rc = known ? ERR_OK : load_schema(segment, serial, &known, err);
    pthread_mutex_unlock(&segment->lock);
    if (!rc)
        *schema = known;
    return rc;
}
