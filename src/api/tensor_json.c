/* tensor_json.c - elements by their datatype, lists by the shape. */
#include "api/tensor_json.h"

#include "base/check.h"
#include "base/half.h"

static void put_number(struct buf *out, const struct tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case DTYPE_U8:
        buf_u64(out, ((const uint8_t *)tensor->data)[i]);
        break;
    case DTYPE_U16:
        buf_u64(out, ((const uint16_t *)tensor->data)[i]);
        break;
    case DTYPE_U32:
        buf_u64(out, ((const uint32_t *)tensor->data)[i]);
        break;
    case DTYPE_U64:
        buf_u64(out, ((const uint64_t *)tensor->data)[i]);
        break;
    case DTYPE_I8:
        buf_i64(out, ((const int8_t *)tensor->data)[i]);
        break;
    case DTYPE_I16:
        buf_i64(out, ((const int16_t *)tensor->data)[i]);
        break;
    case DTYPE_I32:
        buf_i64(out, ((const int32_t *)tensor->data)[i]);
        break;
    case DTYPE_I64:
        buf_i64(out, ((const int64_t *)tensor->data)[i]);
        break;
    default:
        assert(tensor->dtype == DTYPE_F32 || tensor->dtype == DTYPE_F64);
        if (tensor->dtype == DTYPE_F32)
            buf_f32(out, ((const float *)tensor->data)[i]);
        else
            buf_f64(out, ((const double *)tensor->data)[i]);
    }
}

void tensor_put_element(struct buf *out, const struct tensor *tensor, int64_t index)
{
    switch (tensor->dtype) {
    case DTYPE_BOOL:
        buf_text(out, ((const uint8_t *)tensor->data)[index] ? "true" : "false");
        break;
    case DTYPE_BYTES:
        buf_json_str(out, ((const struct str *)tensor->data)[index]);
        break;
    case DTYPE_F16:
        buf_f32(out, f16_to_f32(((const uint16_t *)tensor->data)[index]));
        break;
    case DTYPE_BF16:
        buf_f32(out, bf16_to_f32(((const uint16_t *)tensor->data)[index]));
        break;
    default:
        put_number(out, tensor, index);
    }
}

/* Elements [from, from + count) with the brackets of dimensions first, first + 1, ...: one opens
 * where a multiple of its size begins and closes where it ends. */
static void put_lists(struct buf *out, const struct tensor *tensor, int first, int64_t from,
                      int64_t count)
{
    int64_t sizes[TENSOR_RANK_MAX + 1];
    sizes[tensor->rank] = 1;
    for (int i = tensor->rank - 1; i >= first; i--)
        sizes[i] = sizes[i + 1] * tensor->shape[i];
    for (int64_t at = 0; at < count; at++) {
        buf_text(out, at ? "," : "");
        for (int i = first; i < tensor->rank; i++)
            if (at % sizes[i] == 0)
                buf_char(out, '[');
        tensor_put_element(out, tensor, from + at);
        for (int i = tensor->rank - 1; i >= first; i--)
            if ((at + 1) % sizes[i] == 0)
                buf_char(out, ']');
    }
}

/* A dimension of 0: the lists down to it. */
static void put_empty(struct buf *out, const struct tensor *tensor, int first)
{
    int depth = 0;
    for (int i = first; i < tensor->rank; i++) {
        buf_char(out, '[');
        depth++;
        if (tensor->shape[i] == 0)
            break;
    }
    while (depth-- > 0)
        buf_char(out, ']');
}

static void put_part(struct buf *out, const struct tensor *tensor, int first, int64_t index)
{
    int64_t count = tensor_elements(tensor->shape + first, tensor->rank - first);
    if (count == 0)
        put_empty(out, tensor, first);
    else
        put_lists(out, tensor, first, index * count, count);
}

void tensor_put_row(struct buf *out, const struct tensor *tensor, int64_t row)
{
    if (tensor->rank == 0)
        tensor_put_element(out, tensor, 0);
    else
        put_part(out, tensor, 1, row);
}

void tensor_put_nested(struct buf *out, const struct tensor *tensor)
{
    if (tensor->rank == 0) {
        tensor_put_element(out, tensor, 0);
        return;
    }
    buf_char(out, '[');
    for (int64_t row = 0; row < tensor->shape[0]; row++) {
        buf_text(out, row ? "," : "");
        put_part(out, tensor, 1, row);
    }
    buf_char(out, ']');
}
