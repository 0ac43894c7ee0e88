/* onnx_value.h - tensors of ours as values of ONNX Runtime, and back. */
#ifndef SLIPWAY_RUNTIME_ONNX_VALUE_H
#define SLIPWAY_RUNTIME_ONNX_VALUE_H

#include "base/arena.h"
#include "base/tensor.h"
#include "runtime/onnx_library.h"

/* DTYPE_COUNT: none of ours, such as complex numbers and floats of 8 bits. */
enum dtype onnx_dtype(ONNXTensorElementDataType type);

/* An output made ahead: `tensor` with its name, dtype and shape gets data in the arena and a value
 * over them. The caller releases it. */
enum err_code onnx_value_ahead(const struct onnx_library *library, struct arena *arena,
                               struct tensor *tensor, OrtValue **value, struct err *err);

/* A value over the tensor's own data, which must outlive it; texts are copied. The caller releases
 * it. */
enum err_code onnx_value_new(const struct onnx_library *library, const struct tensor *tensor,
                             OrtValue **value, struct err *err);

/* Copy a value into the arena; an optional one that is not there becomes a tensor without elements.
 * `tensor` comes with its name, which is borrowed, and the dtype it has by the model. */
enum err_code onnx_value_read(const struct onnx_library *library, OrtValue *value,
                              struct arena *arena, struct tensor *tensor, struct err *err);

#endif
