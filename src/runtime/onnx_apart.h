/* onnx_apart.h - a model is loaded in a process of its own before it is loaded in this one.
 *
 * ONNX Runtime is native code, and there are files on which it crashes (a pooling window that is
 * larger than its image, in 1.32). So the first load of a file happens in a child, which runs this
 * same program with ONNX_APART_WORD, the model on its standard input, and does what a load does:
 * session, trial rows, free. A crash ends the child. What it survived is remembered by a file
 *
 *     WORK_DIR/onnx-DIGEST-VERSION     empty; VERSION is the library's
 *
 * so that a start of the server costs no child for the models it knows.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_APART_H
#define SLIPWAY_RUNTIME_ONNX_APART_H

#include "runtime/onnx_library.h"
#include "runtime/runtime.h"

#define ONNX_APART_WORD "onnx-apart"

/* ERR_INVALID when the child crashed or took too long. Without a work_dir (a library's caller, a
 * test) nothing is tried, and where no child can be started the model is loaded without. Slow. */
enum err_code onnx_try_apart(const struct runtime_file *file, const struct onnx_library *library,
                             struct err *err);

/* The child: exit status 0 when the library lives, also when it refuses the model. `argv` is what
 * follows ONNX_APART_WORD. */
int onnx_apart_main(int argc, const char *const *argv);

#endif
