/* tensor_json.h - elements of tensors of every datatype as JSON. */
#ifndef SLIPWAY_API_TENSOR_JSON_H
#define SLIPWAY_API_TENSOR_JSON_H

#include "base/buf.h"
#include "base/tensor.h"
#include "serve/nan_policy.h"

/* 64-bit integers keep their digits; BYTES are texts, in which what is no UTF-8 becomes U+FFFD. */
void tensor_put_element(struct buf *out, const struct tensor *tensor, int64_t i,
                        enum nan_policy nan);

/* All elements, flat, between commas. */
void tensor_put_flat(struct buf *out, const struct tensor *tensor, enum nan_policy nan);

/* The part of row `row` of `rows`, nested as its shape says: a value when the tensor is [rows]. The
 * whole tensor when it does not begin with the rows. */
void tensor_put_row(struct buf *out, const struct tensor *tensor, int64_t row, int64_t rows,
                    enum nan_policy nan);

/* All of it as nested lists. */
void tensor_put_nested(struct buf *out, const struct tensor *tensor, enum nan_policy nan);

#endif
