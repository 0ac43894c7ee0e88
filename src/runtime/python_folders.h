/* python_folders.h - which unpacked folders of Python models are in use, and which may go.
 *
 * python_place.h unpacks; a version that is refused later, or that a crash cut off, leaves its
 * folder behind. A folder may always go while nobody has it: who needs it again unpacks it again.
 */
#ifndef SLIPWAY_RUNTIME_PYTHON_FOLDERS_H
#define SLIPWAY_RUNTIME_PYTHON_FOLDERS_H

#include "runtime/runtime.h"

/* From before the folders of this artifact are looked for until its last worker has ended. */
void python_folders_use(const char *digest_hex);
void python_folders_leave(const char *digest_hex);

/* See runtime_ops.collect. */
enum err_code python_folders_collect(const struct runtime_host *host, struct runtime_left *left,
                                     struct err *err);

#endif
