/* protobuf.c - fields off the front of a message, and onto the end of one. */
#include "base/protobuf.h"

#include <endian.h>

#include "base/check.h"

enum { VARINT_BYTES_MAX = 10, NUMBER_SHIFT = 3, WIRE_MASK = 7, GROUP_BEGIN = 3, GROUP_END = 4 };

struct pb_reader pb_read(struct str message)
{
    return (struct pb_reader){.rest = message};
}

static void skip(struct str *rest, size_t bytes)
{
    rest->ptr += bytes;
    rest->len -= bytes;
}

/* False when it does not end in time or does not fit 64 bits. */
static bool take_varint(struct str *rest, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < rest->len && i < VARINT_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)rest->ptr[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return false;
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            skip(rest, i + 1);
            *value = sum;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct str *rest, size_t bytes, uint64_t *value)
{
    uint64_t bits = 0;
    if (rest->len < bytes)
        return false;
    memcpy(&bits, rest->ptr, bytes);
    *value = le64toh(bits);
    skip(rest, bytes);
    return true;
}

static bool take_number(struct str *rest, enum pb_wire wire, uint64_t *value)
{
    switch (wire) {
    case PB_VARINT:
        return take_varint(rest, value);
    case PB_FIXED64:
        return take_fixed(rest, sizeof(uint64_t), value);
    case PB_FIXED32:
        return take_fixed(rest, sizeof(uint32_t), value);
    default:
        return false;
    }
}

static bool stop(struct pb_reader *reader, const char *problem)
{
    reader->problem = problem;
    return false;
}

static bool take_bytes(struct pb_reader *reader, struct pb_field *field)
{
    uint64_t size;
    if (!take_varint(&reader->rest, &size))
        return stop(reader, "a field's length is broken");
    if (size > reader->rest.len)
        return stop(reader, "a field is longer than the message");
    field->bytes = (struct str){reader->rest.ptr, (size_t)size};
    skip(&reader->rest, (size_t)size);
    return true;
}

static bool take_value(struct pb_reader *reader, struct pb_field *field)
{
    switch ((int)field->wire) {
    case PB_BYTES:
        return take_bytes(reader, field);
    case PB_VARINT:
    case PB_FIXED64:
    case PB_FIXED32:
        return take_number(&reader->rest, field->wire, &field->value) ||
               stop(reader, "the message ends inside a number");
    case GROUP_BEGIN:
    case GROUP_END:
        return stop(reader, "groups are not supported");
    default:
        return stop(reader, "a field's wire type does not exist");
    }
}

bool pb_next(struct pb_reader *reader, struct pb_field *field)
{
    uint64_t head;
    if (reader->problem || reader->rest.len == 0)
        return false;
    if (!take_varint(&reader->rest, &head))
        return stop(reader, "a field's head is broken");
    if (head >> NUMBER_SHIFT < 1 || head >> NUMBER_SHIFT > PB_NUMBER_MAX)
        return stop(reader, "a field's number is out of range");
    *field = (struct pb_field){
        .number = (uint32_t)(head >> NUMBER_SHIFT),
        .wire = (enum pb_wire)(head & WIRE_MASK),
    };
    return take_value(reader, field);
}

int64_t pb_int(const struct pb_field *field)
{
    return (int64_t)field->value;
}

int64_t pb_sint(const struct pb_field *field)
{
    return (int64_t)(field->value >> 1) ^ -(int64_t)(field->value & 1);
}

float pb_f32(const struct pb_field *field)
{
    uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

double pb_f64(const struct pb_field *field)
{
    double value;
    memcpy(&value, &field->value, sizeof(value));
    return value;
}

/* ---- repeated numbers ---- */

static bool break_off(struct pb_field *numbers)
{
    numbers->number = 0;
    return false;
}

bool pb_next_number(struct pb_field *numbers, enum pb_wire wire, uint64_t *value)
{
    if (numbers->wire == wire && wire != PB_BYTES) { /* one a field: taken once */
        *value = numbers->value;
        numbers->wire = PB_BYTES;
        numbers->bytes = (struct str){0};
        return true;
    }
    if (numbers->wire != PB_BYTES)
        return break_off(numbers);
    if (numbers->bytes.len == 0)
        return false;
    return take_number(&numbers->bytes, wire, value) || break_off(numbers);
}

int64_t pb_count_numbers(const struct pb_field *field, enum pb_wire wire)
{
    struct pb_field rest = *field;
    uint64_t ignored;
    int64_t count = 0;
    while (pb_next_number(&rest, wire, &ignored))
        count++;
    return rest.number ? count : -1;
}

/* ---- writing ---- */

void pb_append_varint(struct buf *buf, uint64_t value)
{
    char bytes[VARINT_BYTES_MAX];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (char)(value | 0x80);
    bytes[count++] = (char)value;
    buf_append(buf, bytes, count);
}

static void put_head(struct buf *buf, uint32_t number, enum pb_wire wire)
{
    assert(number >= 1 && number <= PB_NUMBER_MAX);
    pb_append_varint(buf, (uint64_t)number << NUMBER_SHIFT | wire);
}

void pb_put_varint(struct buf *buf, uint32_t number, uint64_t value)
{
    put_head(buf, number, PB_VARINT);
    pb_append_varint(buf, value);
}

void pb_put_f32(struct buf *buf, uint32_t number, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    bits = htole32(bits);
    put_head(buf, number, PB_FIXED32);
    buf_append(buf, &bits, sizeof(bits));
}

void pb_put_f64(struct buf *buf, uint32_t number, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    bits = htole64(bits);
    put_head(buf, number, PB_FIXED64);
    buf_append(buf, &bits, sizeof(bits));
}

void pb_put_head(struct buf *buf, uint32_t number, size_t size)
{
    put_head(buf, number, PB_BYTES);
    pb_append_varint(buf, size);
}

void pb_put_bytes(struct buf *buf, uint32_t number, struct str bytes)
{
    pb_put_head(buf, number, bytes.len);
    buf_str(buf, bytes);
}

void pb_put_text(struct buf *buf, uint32_t number, const char *text)
{
    pb_put_bytes(buf, number, str_of(text));
}

/* One byte is kept for the length, which most messages need; a longer one moves its bytes. */
size_t pb_begin(struct buf *buf, uint32_t number)
{
    put_head(buf, number, PB_BYTES);
    buf_char(buf, 0);
    return buf->len;
}

void pb_end(struct buf *buf, size_t mark)
{
    if (buf->is_full)
        return;
    size_t size = buf->len - mark, more = 0;
    for (uint64_t rest = size; rest >= 0x80; rest >>= 7)
        more++;
    if (!buf_reserve(buf, more))
        return;
    memmove(buf->data + mark + more, buf->data + mark, size);
    buf->len = mark - 1;
    pb_append_varint(buf, size);
    buf->len += size;
}
