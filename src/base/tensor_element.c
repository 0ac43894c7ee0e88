/* tensor_element.c - conversions between datatypes, and tensors to and from the wire. */
#include "base/tensor_element.h"

#include <math.h>

#include "base/check.h"
#include "base/half.h"

/* ---- numbers ---- */

#define READ_AS(type)                                                                              \
    do {                                                                                           \
        type element;                                                                              \
        memcpy(&element, at, sizeof(element));                                                     \
        return (double)element;                                                                    \
    } while (0)

static double f64_of_16_bits(const char *at, bool is_bf16)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof(bits));
    return (double)(is_bf16 ? bf16_to_f32(bits) : f16_to_f32(bits));
}

double tensor_f64_at(const void *data, enum dtype dtype, int64_t i)
{
    const char *at = (const char *)data + (size_t)i * dtype_bytes(dtype);
    switch (dtype) {
    case DTYPE_BOOL:
    case DTYPE_U8:
        READ_AS(uint8_t);
    case DTYPE_I8:
        READ_AS(int8_t);
    case DTYPE_U16:
        READ_AS(uint16_t);
    case DTYPE_I16:
        READ_AS(int16_t);
    case DTYPE_U32:
        READ_AS(uint32_t);
    case DTYPE_I32:
        READ_AS(int32_t);
    case DTYPE_U64:
        READ_AS(uint64_t);
    case DTYPE_I64:
        READ_AS(int64_t);
    case DTYPE_F32:
        READ_AS(float);
    case DTYPE_F64:
        READ_AS(double);
    case DTYPE_F16:
        return f64_of_16_bits(at, false);
    case DTYPE_BF16:
        return f64_of_16_bits(at, true);
    default:
        return NAN;
    }
}

/* The values an integer datatype has, [low, high); both are exact doubles. */
static const struct {
    double low, high;
} ranges[DTYPE_COUNT] = {
    [DTYPE_BOOL] = {0, 2},           [DTYPE_U8] = {0, 0x1p8},
    [DTYPE_U16] = {0, 0x1p16},       [DTYPE_U32] = {0, 0x1p32},
    [DTYPE_U64] = {0, 0x1p64},       [DTYPE_I8] = {-0x1p7, 0x1p7},
    [DTYPE_I16] = {-0x1p15, 0x1p15}, [DTYPE_I32] = {-0x1p31, 0x1p31},
    [DTYPE_I64] = {-0x1p63, 0x1p63},
};

#define WRITE_AS(type, value)                                                                      \
    do {                                                                                           \
        type element = (type)(value);                                                              \
        memcpy(at, &element, sizeof(element));                                                     \
    } while (0)

static bool put_integer(char *at, enum dtype dtype, double value)
{
    if (!(value >= ranges[dtype].low && value < ranges[dtype].high) || value != floor(value))
        return false;
    if (dtype == DTYPE_U64) {
        WRITE_AS(uint64_t, value);
    } else { /* little-endian: the lower bytes of the same number */
        int64_t number = (int64_t)value;
        memcpy(at, &number, dtype_bytes(dtype));
    }
    return true;
}

bool tensor_put_f64(void *data, enum dtype dtype, int64_t i, double value)
{
    char *at = (char *)data + (size_t)i * dtype_bytes(dtype);
    switch (dtype) {
    case DTYPE_F32:
        WRITE_AS(float, value);
        return true;
    case DTYPE_F64:
        WRITE_AS(double, value);
        return true;
    case DTYPE_F16:
        WRITE_AS(uint16_t, f32_to_f16((float)value));
        return true;
    case DTYPE_BF16:
        WRITE_AS(uint16_t, f32_to_bf16((float)value));
        return true;
    case DTYPE_BYTES:
    case DTYPE_COUNT:
        return false;
    default:
        return put_integer(at, dtype, value);
    }
}

/* ---- the wire ---- */

size_t tensor_wire_bytes(const struct tensor *tensor)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    const struct str *texts = tensor->data;
    assert(count >= 0);
    if (tensor->dtype != DTYPE_BYTES)
        return (size_t)count * dtype_bytes(tensor->dtype);
    size_t bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        if (texts[i].len > UINT32_MAX)
            return SIZE_MAX;
        bytes += sizeof(uint32_t) + texts[i].len;
    }
    return bytes;
}

void tensor_put_wire(struct buf *buf, const struct tensor *tensor)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    const struct str *texts = tensor->data;
    assert(count >= 0);
    if (tensor->dtype != DTYPE_BYTES) {
        buf_append(buf, tensor->data, (size_t)count * dtype_bytes(tensor->dtype));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)texts[i].len;
        buf_append(buf, &length, sizeof(length));
        buf_str(buf, texts[i]);
    }
}

bool tensor_take_text(struct str wire, size_t *offset, struct str *element)
{
    uint32_t length;
    if (wire.len - *offset < sizeof(length))
        return false;
    memcpy(&length, wire.ptr + *offset, sizeof(length));
    if (wire.len - *offset - sizeof(length) < length)
        return false;
    *offset += sizeof(length);
    *element = (struct str){wire.ptr + *offset, length};
    *offset += length;
    return true;
}
