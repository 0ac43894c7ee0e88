/* command.h - run a program that the operator configured: argv, never a shell line.
 *
 * The child gets the input as a file on its standard input (so it may read as it likes and nobody
 * waits for it), an empty environment but for PATH, no other open files, and default signals. What
 * it writes goes nowhere. It and what it started are killed when the time is over.
 */
#ifndef SLIPWAY_BASE_COMMAND_H
#define SLIPWAY_BASE_COMMAND_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* argv[0] is a whole path; NULL ends argv. Returns when the program has ended: ERR_OK for status 0,
 * ERR_UNAVAILABLE when it could not be started or ended otherwise, ERR_TIMEOUT when it was killed.
 * Slow; never on a data thread. */
enum err_code command_run(const char *const *argv, struct str input, int64_t timeout_ms,
                          struct err *err);

/* The same for who wants to know how it ended: *end is its exit status, or minus the signal. ERR_OK
 * when it ended by itself; the other codes as above. */
enum err_code command_end(const char *const *argv, struct str input, int64_t timeout_ms, int *end,
                          struct err *err);

#endif
