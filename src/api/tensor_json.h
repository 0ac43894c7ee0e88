/* tensor_json.h - a tensor's elements as JSON. */
#ifndef SLIPWAY_API_TENSOR_JSON_H
#define SLIPWAY_API_TENSOR_JSON_H

#include "base/buf.h"
#include "base/tensor.h"

/* One row: a value where the tensor has one a row, else nested lists of its inner shape. A tensor
 * without rows (rank 0) is its value. NaN and infinities are null. */
void tensor_put_row(struct buf *out, const struct tensor *tensor, int64_t row);

/* All of it as nested lists. */
void tensor_put_nested(struct buf *out, const struct tensor *tensor);

/* One element; `index` counts in row-major order. */
void tensor_put_element(struct buf *out, const struct tensor *tensor, int64_t index);

#endif
