/* onnx_watch.h - one thread that ends calls of ONNX Runtime past their deadline or their caller.
 *
 * A call blocks its thread until the model has answered, but it looks at a flag between two nodes.
 * The watch sets it. Its thread starts with the first call that is watched and sleeps while there
 * is none. A node that takes long by itself is not interrupted.
 */
#ifndef SLIPWAY_RUNTIME_ONNX_WATCH_H
#define SLIPWAY_RUNTIME_ONNX_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/onnx_library.h"

/* One call; on its caller's stack. */
struct onnx_watched {
    const struct onnx_library *library;
    OrtRunOptions *options;           /* the call's, with the flag */
    int64_t deadline_ns;              /* clock_monotonic_ns; 0: none */
    const _Atomic bool *is_cancelled; /* NULL: nobody can leave */
    enum err_code ended;              /* out: ERR_TIMEOUT or ERR_CANCELLED when the flag was set */
    struct onnx_watched *next, *previous;
};

/* Both may be called from any thread; between them `call` must stay where it is. */
void onnx_watch_begin(struct onnx_watched *call);
void onnx_watch_end(struct onnx_watched *call);

/* Why it should end now: ERR_TIMEOUT, ERR_CANCELLED, or ERR_OK. */
enum err_code onnx_watch_verdict(int64_t deadline_ns, const _Atomic bool *is_cancelled);

#endif
