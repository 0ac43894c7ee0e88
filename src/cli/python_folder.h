/* python_folder.h - a Python model's folder as the archive that is registered.
 */
#ifndef SLIPWAY_CLI_PYTHON_FOLDER_H
#define SLIPWAY_CLI_PYTHON_FOLDER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

bool python_is_folder(const char *path);

/* The folder as a tar. One without slipway.yaml gets one made from the contract (its file; NULL:
 * none): the features by name, the number of classes. `out` is initialised by the caller. */
enum err_code python_folder_pack(const char *folder, const char *contract, struct buf *out,
                                 struct err *err);

#endif
