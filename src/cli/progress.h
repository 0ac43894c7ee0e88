/* progress.h - one line on a terminal's standard error that says how far a long command is.
 *
 *     uploading model.ubj  [########------------]  41 %  12.3 MiB/s  0:03 left
 *
 * On anything but a terminal nothing is written. A progress belongs to one thread.
 */
#ifndef SLIPWAY_CLI_PROGRESS_H
#define SLIPWAY_CLI_PROGRESS_H

#include "cli/terminal.h"

struct progress {
    bool is_on;
    const char *label;
    const char *unit; /* "rows"; NULL: bytes */
    uint64_t total;   /* 0: unknown */
    int64_t start_us, next_us;
};

void progress_begin(struct progress *progress, const struct terminal *terminal, const char *label,
                    const char *unit, uint64_t total);

/* `done` of `total`; `count` units so far, which may be another measure than `done` (rows of a
 * file, where `total` is its bytes). Draws at most ten times a second. */
void progress_update(struct progress *progress, uint64_t done, uint64_t count);

/* Take the line away. Also before anything else is written to standard error. */
void progress_end(struct progress *progress);

/* The line itself, for tests. */
void progress_format(const struct progress *progress, uint64_t done, uint64_t count,
                     int64_t elapsed_us, struct buf *out);

#endif
