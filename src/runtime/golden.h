/* golden.h - rows whose answers are known: a version must reproduce them before it serves.
 *
 * A CSV file with a header: the contract's input fields by name, and one or more expected columns:
 * the name of an output tensor ("predict", "margin"; "predict.2" is class 2 of several), or of the
 * contract's score field (the probability of the second class) or prediction field (class name, or
 * number). Numbers agree within 1e-5 relative or 1e-6 absolute: float32 models, decimal text.
 */
#ifndef SLIPWAY_RUNTIME_GOLDEN_H
#define SLIPWAY_RUNTIME_GOLDEN_H

#include "base/err.h"
#include "base/str.h"

struct loaded;

enum { GOLDEN_ROWS_MAX = 10000, GOLDEN_BYTES_MAX = 32 * 1024 * 1024 };

/* Score every row and compare. ERR_INVALID names line, column, expected and got. *count rows. */
enum err_code golden_check(struct loaded *loaded, struct str csv, int *count, struct err *err);

#endif
