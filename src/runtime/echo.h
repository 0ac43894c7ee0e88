/* echo.h - the runtime "echo": a model that answers with its inputs.
 *
 * For trying a client, a network or a load before there is a model, and with `delay_us` for what a
 * slow one would do to both. The artifact is a YAML file:
 *
 *     echo:
 *       inputs:
 *       - {name: image, datatype: FP16, shape: [-1, 3, 224, 224]}
 *       - {name: note, datatype: BYTES, shape: [-1], output: said, optional: true}
 *       rows: 64          # at once, when every shape begins with -1; 0: requests are never joined
 *       delay_us: 2000    # each call takes that long, on a lane
 *       instances: 1      # calls at once that help; 0: any number
 *
 * An output has the name of its input unless `output` says another. What an optional input was not
 * given for is zeros, or empty.
 */
#ifndef SLIPWAY_RUNTIME_ECHO_H
#define SLIPWAY_RUNTIME_ECHO_H

#include "runtime/runtime.h"

extern const struct runtime_ops runtime_echo;

enum { ECHO_FILE_BYTES_MAX = 64 * 1024, ECHO_ROWS_MAX = 1 << 20, ECHO_DELAY_US_MAX = 60000000 };

#endif
