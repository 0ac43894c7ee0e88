/* onnx.h - the runtime "onnx": any model that ONNX Runtime runs, in this process.
 *
 *     file --onnx_file.c--> checked --ONNX Runtime--> session --onnx_try--> signature
 *
 * Inputs and outputs are the graph's own, by name, of every type of the Open Inference Protocol;
 * weights that the graph declares as inputs may be given too. Maps of class probabilities (ZipMap)
 * become a tensor [rows, classes]. An output of class probabilities is the answer that contracts,
 * golden rows, monitors and rollouts read.
 *
 * The library is opened when the first model needs it (onnx_library.h). Calls on a lane end at
 * their deadline (onnx_watch.h). Not taken: custom operators, data in other files, compiled
 * contexts.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_H
#define SLIPWAY_RUNTIME_ONNX_H

#include "runtime/runtime.h"

extern const struct runtime_ops runtime_onnx;

enum { ONNX_BATCH_ROWS_MAX = 1 << 20 };

#endif
