/* record_frame.c - records into a ring and out of it. */
#include "monitor/record_frame.h"

#include "base/check.h"

struct frame {
    const struct record_schema *schema;
    int64_t at_ns;
    uint64_t span_id;
    char record[];
};
_Static_assert(sizeof(struct frame) % 8 == 0, "the record is aligned");

bool record_push(struct ring *ring, const struct record *record, int64_t now_ns)
{
    assert(record->values || !record->row_count || !record->schema->value_count);
    size_t bytes = record_encoded_bytes(record);
    struct frame *frame = bytes > UINT32_MAX ? NULL : ring_reserve(ring, sizeof(*frame) + bytes);
    if (!frame)
        return false;
    frame->schema = record->schema;
    frame->at_ns = now_ns;
    frame->span_id = record->span_id;
    record_encode(record, bytes, frame->record);
    ring_commit(ring, sizeof(*frame) + bytes);
    return true;
}

void record_read_frame(const void *bytes, size_t size, int64_t wall_offset_us, struct arena *arena,
                       struct record *record)
{
    struct err err; /* large, and not needed: these are our own bytes */
    const struct frame *frame = bytes;
    enum err_code rc =
        record_decode(frame->record, size - sizeof(*frame), frame->schema, arena, record, &err);
    assert(rc == ERR_OK);
    record->span_id = frame->span_id;
    record->at_us = frame->at_ns / 1000 + wall_offset_us;
}
