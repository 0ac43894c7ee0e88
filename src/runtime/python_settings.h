/* python_settings.h - slipway.yaml in the folder of a Python model: what it takes, gives and needs.
 *
 *     entry: model                   module, or module:name of a class or function
 *     features: [age, income]        a table of numbers, or
 *     inputs:                        tensors
 *       - {name: pixels, dtype: FP32, shape: [-1, 28, 28]}
 *     outputs:                       else one, "predict": FP32 [-1], or [-1, classes]
 *       - {name: label, dtype: INT64, shape: [-1]}
 *     classes: 2                     a classifier: the first output has probabilities
 *     form: matrix                   what predict gets: matrix | dicts | dataframe | tensors
 *     environment: torch             of --python-environments; else the server's interpreter
 *     batch_rows_max: 64             requests may be joined up to so many rows
 *     memory: 1G  reply_max: 256M  tmp: 64M  threads: 1  load_timeout: 60s  hang_after: 10s
 *     deterministic: false           the same input may get another answer: none is kept for later
 *
 * All but features or inputs may be left out.
 */
#ifndef SLIPWAY_RUNTIME_PYTHON_SETTINGS_H
#define SLIPWAY_RUNTIME_PYTHON_SETTINGS_H

#include "base/arena.h"
#include "base/str.h"
#include "runtime/runtime.h"

#define PYTHON_SETTINGS_FILE "slipway.yaml"

enum {
    PYTHON_SETTINGS_BYTES_MAX = 4 * 1024 * 1024,
    PYTHON_FEATURES_MAX = 65535,
};

struct python_settings {
    const char *environment; /* NULL: the server's interpreter */
    struct signature signature;
    size_t memory_bytes, reply_bytes_max, tmp_bytes;
    int threads;
    int64_t load_timeout_ms;
    int64_t hang_after_ms; /* a call longer than this, whose time is over, ends the worker */
    struct str json;       /* what the worker is told, for slipway_worker/model.py */
};

/* Everything lives in the arena. ERR_INVALID names the place. */
enum err_code python_settings_read(struct str yaml, struct arena *arena,
                                   struct python_settings **settings, struct err *err);

#endif
