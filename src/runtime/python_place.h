/* python_place.h - where a Python model, slipway_worker and the interpreter stand on disk.
 *
 *     work_dir/python/models/DIGEST       a version's folder, unpacked once, read-only
 *     work_dir/python/library-DIGEST      slipway_worker as it is in this program
 *     work_dir/python/tmp/DIGEST          written by its workers where namespaces are not allowed
 */
#ifndef SLIPWAY_RUNTIME_PYTHON_PLACE_H
#define SLIPWAY_RUNTIME_PYTHON_PLACE_H

#include "runtime/worker.h"

/* Unpack what is not there yet; fills model, library and tmp of the plan. */
enum err_code python_place_files(const struct runtime_file *file, struct arena *arena,
                                 struct worker_plan *plan, struct err *err);

/* The interpreter and its folders by the host's options and the settings' environment: fills
 * python, packages and reads. */
enum err_code python_place_interpreter(const struct runtime_host *host, struct arena *arena,
                                       struct worker_plan *plan, struct err *err);

#endif
