/* python.h - the runtime "python": the user's own class or function in a worker process.
 *
 * A version's artifact is a tar of its folder: model.py, slipway.yaml (python_settings.h) and
 * whatever the code reads. Nothing of it runs in the server: pickles and modules are loaded by the
 * worker (worker_pool.h), behind the sandbox (worker_sandbox.h). docs/runtimes/python.md.
 */
#ifndef SLIPWAY_RUNTIME_PYTHON_H
#define SLIPWAY_RUNTIME_PYTHON_H

#include "runtime/runtime.h"

extern const struct runtime_ops runtime_python;

#endif
