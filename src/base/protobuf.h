/* protobuf.h - the wire format of Protocol Buffers: fields read in place, messages written at once.
 *
 * Nothing is copied and nothing allocated: bytes of a field point into the message. A message
 * inside a message is read by a reader of its own over those bytes, so depth is the caller's to
 * bound. Groups (wire types 3 and 4), which nobody writes any more, are refused.
 *
 *     struct pb_reader r = pb_read(message);
 *     struct pb_field f;
 *     while (pb_next(&r, &f))
 *         if (f.number == 1 && f.wire == PB_BYTES)
 *             name = f.bytes;
 *     if (r.problem)
 *         return err_set(err, ERR_INVALID, "... %s", r.problem);
 *
 * Source: protobuf.dev, "Encoding".
 */
#ifndef SLIPWAY_BASE_PROTOBUF_H
#define SLIPWAY_BASE_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { PB_NUMBER_MAX = (1 << 29) - 1 };

enum pb_wire {
    PB_VARINT = 0,  /* int32, int64, uint32, uint64, sint32, sint64, bool, enum */
    PB_FIXED64 = 1, /* fixed64, sfixed64, double */
    PB_BYTES = 2,   /* string, bytes, messages, packed numbers */
    PB_FIXED32 = 5, /* fixed32, sfixed32, float */
};

struct pb_field {
    uint32_t number; /* 1..PB_NUMBER_MAX */
    enum pb_wire wire;
    uint64_t value;   /* of the three kinds of number: its bits */
    struct str bytes; /* of PB_BYTES; points into the message */
};

struct pb_reader {
    struct str rest;     /* not read yet */
    const char *problem; /* why reading stopped before the end; NULL: it did not */
};

struct pb_reader pb_read(struct str message);

/* The next field; false at the end of the message and, with `problem` set, where it is broken. */
bool pb_next(struct pb_reader *reader, struct pb_field *field);

/* What `value` means, by the type that the message's description names. */
int64_t pb_int(const struct pb_field *field);  /* int32, int64, enum */
int64_t pb_sint(const struct pb_field *field); /* sint32, sint64: zigzag */
float pb_f32(const struct pb_field *field);
double pb_f64(const struct pb_field *field);

/* Repeated numbers come packed in one field of PB_BYTES, or one a field; both have to be taken.
 * These walk either: `numbers` begins as the field, and each call takes one number off it. False
 * when none is left, and, with numbers->number set to 0, when the bytes are broken. `wire` is the
 * kind of one number. */
bool pb_next_number(struct pb_field *numbers, enum pb_wire wire, uint64_t *value);

/* How many numbers that will give; -1 when the bytes are broken or of another kind. */
int64_t pb_count_numbers(const struct pb_field *field, enum pb_wire wire);

/* ---- writing; what does not fit makes `buf` full ---- */

void pb_put_varint(struct buf *buf, uint32_t number, uint64_t value); /* also int64, bool, enum */
void pb_put_f32(struct buf *buf, uint32_t number, float value);
void pb_put_f64(struct buf *buf, uint32_t number, double value);
void pb_put_bytes(struct buf *buf, uint32_t number, struct str bytes);
void pb_put_text(struct buf *buf, uint32_t number, const char *text);

/* The head of a field of `size` bytes that the caller appends itself. */
void pb_put_head(struct buf *buf, uint32_t number, size_t size);

/* A message inside: what is written between the two becomes field `number`. */
size_t pb_begin(struct buf *buf, uint32_t number);
void pb_end(struct buf *buf, size_t mark);

/* One number without a head, for packed fields between pb_begin and pb_end. */
void pb_append_varint(struct buf *buf, uint64_t value);

#endif
