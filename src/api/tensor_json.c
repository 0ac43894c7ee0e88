/* tensor_json.c - tensors as JSON, flat or nested. */
#include "api/tensor_json.h"

#include "base/tensor_element.h"

static void put_integer(struct buf *out, const struct tensor *tensor, int64_t i)
{
    if (tensor->dtype == DTYPE_U64)
        buf_u64(out, ((const uint64_t *)tensor->data)[i]);
    else if (tensor->dtype == DTYPE_I64)
        buf_i64(out, ((const int64_t *)tensor->data)[i]);
    else
        buf_i64(out, (int64_t)tensor_f64_at(tensor->data, tensor->dtype, i));
}

void tensor_put_element(struct buf *out, const struct tensor *tensor, int64_t i,
                        enum nan_policy nan)
{
    switch (tensor->dtype) {
    case DTYPE_BOOL:
        buf_text(out, ((const uint8_t *)tensor->data)[i] ? "true" : "false");
        break;
    case DTYPE_F16:
    case DTYPE_BF16:
    case DTYPE_F32:
        nan_put_f32(out, (float)tensor_f64_at(tensor->data, tensor->dtype, i), nan);
        break;
    case DTYPE_F64:
        nan_put_f64(out, ((const double *)tensor->data)[i], nan);
        break;
    case DTYPE_BYTES:
        buf_json_str(out, ((const struct str *)tensor->data)[i]);
        break;
    default:
        put_integer(out, tensor, i);
    }
}

static void put_floats(struct buf *out, const float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (i)
            buf_char(out, ',');
        buf_f32(out, data[i]);
    }
}

void tensor_put_flat(struct buf *out, const struct tensor *tensor, enum nan_policy nan)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    if (tensor->dtype == DTYPE_F32 && nan == NAN_NULL) {
        put_floats(out, tensor->data, count);
        return;
    }
    for (int64_t i = 0; i < count && !out->is_full; i++) {
        if (i)
            buf_char(out, ',');
        tensor_put_element(out, tensor, i, nan);
    }
}

/* Dimensions from `dim` on, the first of their elements at *at, which moves behind them. */
static void put_lists(struct buf *out, const struct tensor *tensor, int dim, int64_t *at,
                      enum nan_policy nan)
{
    if (dim == tensor->rank) {
        tensor_put_element(out, tensor, (*at)++, nan);
        return;
    }
    buf_char(out, '[');
    for (int64_t i = 0; i < tensor->shape[dim] && !out->is_full; i++) {
        if (i)
            buf_char(out, ',');
        put_lists(out, tensor, dim + 1, at, nan);
    }
    buf_char(out, ']');
}

void tensor_put_row(struct buf *out, const struct tensor *tensor, int64_t row, int64_t rows,
                    enum nan_policy nan)
{
    bool has_rows = tensor->rank > 0 && tensor->shape[0] == rows && rows > 0;
    int64_t at = has_rows ? row * (tensor_elements(tensor->shape, tensor->rank) / rows) : 0;
    put_lists(out, tensor, has_rows ? 1 : 0, &at, nan);
}

void tensor_put_nested(struct buf *out, const struct tensor *tensor, enum nan_policy nan)
{
    int64_t at = 0;
    put_lists(out, tensor, 0, &at, nan);
}
