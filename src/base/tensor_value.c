/* tensor_value.c - JSON's numbers, words and texts -> elements. */
#include "base/tensor_value.h"

#include <math.h>

#include "base/check.h"
#include "base/tensor_element.h"

bool tensor_value_is_nested(yyjson_val *value, const int64_t *shape, int rank)
{
    size_t i, count;
    yyjson_val *item;
    if (rank == 0)
        return !yyjson_is_ctn(value);
    if (!yyjson_is_arr(value) || (int64_t)yyjson_arr_size(value) != shape[0])
        return false;
    yyjson_arr_foreach(value, i, count, item)
    {
        if (!tensor_value_is_nested(item, shape + 1, rank - 1))
            return false;
    }
    return true;
}

/* What JSON cannot write as a number. */
static bool float_of_text(yyjson_val *value, double *number)
{
    static const struct {
        const char *text;
        double number;
    } words[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    for (size_t i = 0; yyjson_is_str(value) && i < ARRAY_LEN(words); i++) {
        if (!yyjson_equals_str(value, words[i].text))
            continue;
        *number = words[i].number;
        return true;
    }
    return false;
}

bool tensor_value_number(yyjson_val *value, double *number)
{
    if (yyjson_is_num(value))
        *number = yyjson_get_num(value);
    else if (yyjson_is_null(value))
        *number = NAN;
    else
        return float_of_text(value, number);
    return true;
}

static int bits_of(enum dtype dtype)
{
    return (int)dtype_bytes(dtype) * 8;
}

static bool is_unsigned(enum dtype dtype)
{
    return dtype >= DTYPE_U8 && dtype <= DTYPE_U64;
}

/* Little-endian: the lower bytes are the element. */
static bool put_u64(void *data, enum dtype dtype, int64_t i, uint64_t number)
{
    int bits = bits_of(dtype) - !is_unsigned(dtype);
    if (bits < 64 && number >> bits)
        return false;
    memcpy((char *)data + (size_t)i * dtype_bytes(dtype), &number, dtype_bytes(dtype));
    return true;
}

static bool put_i64(void *data, enum dtype dtype, int64_t i, int64_t number)
{
    if (number >= 0)
        return put_u64(data, dtype, i, (uint64_t)number);
    if (is_unsigned(dtype) || number < -(INT64_C(1) << (bits_of(dtype) - 2)) * 2)
        return false;
    memcpy((char *)data + (size_t)i * dtype_bytes(dtype), &number, dtype_bytes(dtype));
    return true;
}

bool tensor_put_integer(void *data, enum dtype dtype, int64_t i, yyjson_val *value)
{
    if (yyjson_is_uint(value))
        return put_u64(data, dtype, i, yyjson_get_uint(value));
    if (yyjson_is_sint(value))
        return put_i64(data, dtype, i, yyjson_get_sint(value));
    return tensor_put_f64(data, dtype, i, yyjson_get_real(value));
}

static bool put_bool(void *data, int64_t i, yyjson_val *value)
{
    bool is_number = yyjson_is_uint(value) && yyjson_get_uint(value) <= 1;
    if (!yyjson_is_bool(value) && !is_number)
        return false;
    ((uint8_t *)data)[i] = is_number ? yyjson_get_uint(value) == 1 : yyjson_get_bool(value);
    return true;
}

bool tensor_put_value(void *data, enum dtype dtype, int64_t i, yyjson_val *value)
{
    double number;
    switch (dtype) {
    case DTYPE_BOOL:
        return put_bool(data, i, value);
    case DTYPE_F32:
    case DTYPE_F64:
        return tensor_value_number(value, &number) && tensor_put_f64(data, dtype, i, number);
    case DTYPE_BYTES:
        if (yyjson_is_str(value))
            ((struct str *)data)[i] = json_str(value);
        return yyjson_is_str(value);
    case DTYPE_F16:
    case DTYPE_BF16:
    case DTYPE_COUNT:
        return false;
    default:
        return yyjson_is_num(value) && tensor_put_integer(data, dtype, i, value);
    }
}
