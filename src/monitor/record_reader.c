/* record_reader.c - walking through the segments of a store. */
#include "monitor/record_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/record_code.h"

/* Blocks follow time but for the milliseconds of several threads, and for clocks that are set. */
#define DISORDER_US (60 * CLOCK_SECOND_US)

struct record_reader {
    struct record_store *store;
    struct record_filter filter;
    struct segment *segment; /* being read, one reference; NULL: none */
    int64_t number;          /* of it, or of the last one that was */
    struct segment_buffer buffer;
    struct segment_block block;
    uint64_t block_offset;       /* of the block in the buffer; 0: none */
    size_t at;                   /* of the next record in it */
    struct record_cursor cursor; /* behind the record that was returned last */
    struct record_cursor place;  /* of that record */
    uint64_t next_offset;        /* of the block behind it */
    struct arena *arena;
    int skipped_count;
};

struct record_reader *record_reader_open(struct record_store *store,
                                         const struct record_filter *filter,
                                         struct record_cursor from)
{
    struct record_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        abort();
    reader->store = store;
    reader->filter = *filter;
    reader->arena = arena_new(SIZE_MAX);
    record_store_flush(store);
    reader->number = from.segment > 0 ? from.segment - 1 : 0;
    reader->next_offset = from.offset;
    reader->cursor = from;
    return reader;
}

static void leave_segment(struct record_reader *reader)
{
    segment_unref(reader->segment);
    reader->segment = NULL;
    reader->block_offset = 0;
    reader->next_offset = 0;
}

/* May a record of this time range pass the filter? */
static bool overlaps(const struct record_filter *filter, int64_t first_us, int64_t last_us)
{
    return last_us >= filter->from_us && (!filter->to_us || first_us < filter->to_us);
}

/* Where the first record at or behind `wanted` begins: a cursor comes from outside, and from before
 * the segment was written anew. */
static size_t boundary(const struct segment_block *block, size_t wanted)
{
    size_t at = 0, size;
    uint32_t serial;
    while (at < wanted && record_peek(block->body + at, block->body_bytes - at, &size, &serial))
        at += size;
    return at < wanted ? block->body_bytes : at;
}

/* The block that holds `offset`, or begins there. */
static enum err_code enter_at(struct record_reader *reader, uint64_t offset, struct err *err)
{
    uint64_t at = SEGMENT_FIRST_OFFSET;
    for (;;) {
        enum err_code rc =
            segment_read_block(reader->segment, at, &reader->buffer, &reader->block, err);
        if (rc)
            return rc;
        if (offset < reader->block.next)
            break;
        at = reader->block.next;
    }
    reader->block_offset = at;
    reader->next_offset = reader->block.next;
    reader->at = reader->block.body_bytes;
    if (reader->block.kind == SEGMENT_RECORDS)
        reader->at = boundary(&reader->block, offset > at + SEGMENT_PART_BYTES
                                                  ? (size_t)(offset - at - SEGMENT_PART_BYTES)
                                                  : 0);
    return ERR_OK;
}

/* The next segment that has something to say. ERR_NOT_FOUND when there is none. */
static enum err_code enter_segment(struct record_reader *reader, struct err *err)
{
    struct segment_info info;
    for (;;) {
        reader->segment = record_store_next(reader->store, reader->number);
        if (!reader->segment)
            return err_set(err, ERR_NOT_FOUND, "there are no more records");
        segment_info(reader->segment, &info);
        bool is_resumed = reader->next_offset && info.number == reader->number + 1;
        uint64_t offset = is_resumed ? reader->next_offset : 0;
        reader->number = info.number;
        reader->next_offset = 0;
        if (info.record_count && overlaps(&reader->filter, info.first_us, info.last_us)) {
            if (offset)
                return enter_at(reader, offset, err);
            reader->next_offset = segment_seek(reader->segment, reader->filter.from_us);
            return ERR_OK;
        }
        leave_segment(reader);
    }
}

static bool is_past(const struct record_reader *reader)
{
    return reader->filter.to_us && reader->block.kind == SEGMENT_RECORDS &&
           reader->block.first_us > reader->filter.to_us + DISORDER_US;
}

static enum err_code enter_block(struct record_reader *reader, struct err *err)
{
    uint64_t offset = reader->next_offset;
    enum err_code rc =
        segment_read_block(reader->segment, offset, &reader->buffer, &reader->block, err);
    if (rc)
        return rc;
    if (is_past(reader))
        return err_set(err, ERR_NOT_FOUND, "the rest is later");
    reader->block_offset = offset;
    reader->next_offset = reader->block.next;
    reader->at = reader->block.kind == SEGMENT_RECORDS ? 0 : reader->block.body_bytes;
    return ERR_OK;
}

/* To a block with a record that has not been returned. */
static enum err_code move_on(struct record_reader *reader, struct err *err)
{
    while (!reader->block_offset || reader->at >= reader->block.body_bytes) {
        enum err_code rc = reader->segment ? enter_block(reader, err) : enter_segment(reader, err);
        if (!rc)
            continue;
        if (!reader->segment)
            return rc;
        if (rc != ERR_NOT_FOUND) {
            log_error("segment not read to its end", "reason=%s", err->msg);
            reader->skipped_count++;
        }
        leave_segment(reader);
    }
    return ERR_OK;
}

static bool passes(const struct record_filter *filter, const struct record *record)
{
    return overlaps(filter, record->at_us, record->at_us) &&
           (!filter->version || filter->version == record->schema->version) &&
           (!filter->model || strcmp(filter->model, record->schema->model) == 0);
}

static enum err_code read_one(struct record_reader *reader, struct record *record, struct err *err)
{
    size_t size;
    uint32_t serial;
    const struct record_schema *schema;
    const char *at = reader->block.body + reader->at;
    arena_reset(reader->arena);
    if (!record_peek(at, reader->block.body_bytes - reader->at, &size, &serial))
        return err_set(err, ERR_IO, "no record where one should be");
    reader->at += size;
    enum err_code rc = segment_schema(reader->segment, serial, &schema, err);
    return rc ? rc : record_decode(at, size, schema, reader->arena, record, err);
}

enum err_code record_reader_next(struct record_reader *reader, struct record *record,
                                 struct err *err)
{
    for (;;) {
        enum err_code rc = move_on(reader, err);
        if (rc)
            return rc;
        size_t at = reader->at;
        rc = read_one(reader, record, err);
        if (rc == ERR_IO) {
            log_error("segment not read to its end", "reason=%s", err->msg);
            reader->skipped_count++;
            leave_segment(reader);
        } else if (rc || passes(&reader->filter, record)) {
            uint64_t body = reader->block_offset + SEGMENT_PART_BYTES;
            reader->place = (struct record_cursor){reader->number, body + at};
            reader->cursor = (struct record_cursor){reader->number, body + reader->at};
            return rc;
        }
    }
}

struct record_cursor record_reader_cursor(const struct record_reader *reader)
{
    return reader->cursor;
}

struct record_cursor record_reader_place(const struct record_reader *reader)
{
    return reader->place;
}

int record_reader_skipped(const struct record_reader *reader)
{
    return reader->skipped_count;
}

void record_reader_close(struct record_reader *reader)
{
    if (!reader)
        return;
    segment_unref(reader->segment);
    segment_buffer_done(&reader->buffer);
    arena_free(reader->arena);
    free(reader);
}

const char *record_cursor_format(struct record_cursor cursor, char out[RECORD_CURSOR_BYTES])
{
    snprintf(out, RECORD_CURSOR_BYTES, "%" PRId64 ".%" PRIu64, cursor.segment, cursor.offset);
    return out;
}

bool record_cursor_parse(struct str text, struct record_cursor *cursor)
{
    struct str segment;
    struct record_cursor parsed;
    if (!text.ptr || !str_split(&text, '.', &segment) || !str_to_i64(segment, &parsed.segment) ||
        parsed.segment < 1 || !str_to_u64(text, &parsed.offset))
        return false;
    *cursor = parsed;
    return true;
}
