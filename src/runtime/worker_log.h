/* worker_log.h - what a model's code printed last, and its way into the server's log.
 *
 * Whole lines of a worker's standard output and error. The last WORKER_LOG_BYTES are kept for
 * `slipway model logs`; each line also becomes a line of the log, at most WORKER_LOG_LINES_MAX a
 * second, so that no model can fill a disk. Written by the keeper's thread, read by any.
 */
#ifndef SLIPWAY_RUNTIME_WORKER_LOG_H
#define SLIPWAY_RUNTIME_WORKER_LOG_H

#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    WORKER_LOG_BYTES = 64 * 1024,
    WORKER_LOG_LINE_BYTES = 1024, /* what is longer is cut into several */
    WORKER_LOG_LINES_MAX = 20,    /* a second, into the server's log */
};

struct worker_log {
    pthread_mutex_t lock;
    char *ring; /* [WORKER_LOG_BYTES], made by the first line */
    uint64_t written;
    const char *label; /* "churn version 3" */
    int64_t second;    /* the one that line_count is of */
    int line_count;
    int64_t suppressed;
};

void worker_log_init(struct worker_log *log, const char *label);
void worker_log_done(struct worker_log *log);

/* One line without its end. */
void worker_log_add(struct worker_log *log, struct str line);

/* The lines that are kept, oldest first. */
void worker_log_read(struct worker_log *log, struct buf *out);

/* Lines of one process, put together from what its pipe gives. */
struct worker_lines {
    char text[WORKER_LOG_LINE_BYTES];
    size_t length;
};
void worker_lines_take(struct worker_lines *lines, struct str bytes, struct worker_log *log);
void worker_lines_end(struct worker_lines *lines, struct worker_log *log); /* a last unended one */

#endif
