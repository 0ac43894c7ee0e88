/* linear.h - the runtime "linear": tabular pipelines, scored in-process.
 *
 *     ONNX graph         --linear_onnx.c-->  program --linear_run.c--> outputs
 *     slipway-linear     --linear_json.c-->
 *
 * Linear, logistic and softmax models with what stands before them (imputer, scaler, one-hot and
 * label encoder, normalizer, concat), and trees behind such steps. Inputs are those of the file:
 * FP32, INT64 and texts, [-1, columns]. The numbers that answer a row are the first output.
 *
 * Agrees with ONNX Runtime to 1e-5 relative: sums of products are in double here, in float32 and an
 * order of the CPU's there. Scalers, encoders and trees have its bits. The cases are in
 * tests/golden/onnx_ml/.
 */
#ifndef SLIPWAY_RUNTIME_LINEAR_H
#define SLIPWAY_RUNTIME_LINEAR_H

#include "runtime/runtime.h"

extern const struct runtime_ops runtime_linear;

#endif
