/* tensor_value.h - values of JSON as elements of tensors, as the Open Inference Protocol has them.
 *
 * Integers keep every digit of 64 bits and may be written as 3.0; floats may also be null, "NaN"
 * (both NaN), "Infinity", "-Infinity"; BOOL may be 0 and 1; BYTES are texts. FP16 and BF16 have no
 * JSON form.
 */
#ifndef SLIPWAY_BASE_TENSOR_VALUE_H
#define SLIPWAY_BASE_TENSOR_VALUE_H

#include "base/json.h"
#include "base/tensor.h"

/* The value as a float; false when it is none. */
bool tensor_value_number(yyjson_val *value, double *number);

/* Put a number into element i of an integer datatype; false, and nothing is put, when it does not
 * fit or is none. */
bool tensor_put_integer(void *data, enum dtype dtype, int64_t i, yyjson_val *value);

/* Put a value into element i of any datatype; false, and nothing is put, when it does not fit. The
 * text of BYTES stays the document's. */
bool tensor_put_value(void *data, enum dtype dtype, int64_t i, yyjson_val *value);

/* Does `value` have this shape, as arrays within arrays? */
bool tensor_value_is_nested(yyjson_val *value, const int64_t *shape, int rank);

#endif
