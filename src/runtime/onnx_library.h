/* onnx_library.h - the shared library of ONNX Runtime: found, opened once, asked for its functions.
 *
 * Slipway runs without it; the first model that needs it opens it, and it stays for the life of the
 * process. Where it is looked for, first hit wins:
 *
 *     option onnxruntime_path   a file, a folder with libonnxruntime.so*, or a Python environment
 *                               (any folder above .../site-packages/onnxruntime/capi)
 *     ORT_DYLIB_PATH            the same, from the environment; VIRTUAL_ENV after it
 *     ../lib/slipway            beside the program, where `make` and `make install` put it
 *     the loader's own places   libonnxruntime.so.1, libonnxruntime.so
 *
 * When the option is given nothing else is tried.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_LIBRARY_H
#define SLIPWAY_RUNTIME_ONNX_LIBRARY_H

#include <onnxruntime/onnxruntime_c_api.h>

#include "base/err.h"

/* The oldest table of functions that has all we call: of ONNX Runtime 1.15. */
enum { ONNX_API_VERSION = 15, ONNX_THREADS_MAX = 256 };

/* Constant after it was opened. */
struct onnx_library {
    const OrtApi *api;
    const char *version; /* "1.21.0" */
    const char *path;
    OrtEnv *env;
    OrtMemoryInfo *memory;   /* the CPU's */
    OrtAllocator *allocator; /* of texts the library hands out */
    int thread_count;        /* threads that one operator may use; all sessions share them */
};

/* `where`: the option's text, "" for the usual places. `thread_count` counts at the first success.
 * ERR_UNAVAILABLE with how to get it. A failure is tried again by the next call. Any thread. */
enum err_code onnx_library_open(const char *where, int thread_count,
                                const struct onnx_library **library, struct err *err);

/* Turn a status into an error and release it: "<what>: <its message>", with `code`; ERR_OK for
 * NULL. */
enum err_code onnx_status(const struct onnx_library *library, OrtStatus *status, enum err_code code,
                          const char *what, struct err *err);

#endif
