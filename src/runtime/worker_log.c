/* worker_log.c - a ring of bytes that holds whole lines, and lines out of a pipe's pieces. */
#include "runtime/worker_log.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

void worker_log_init(struct worker_log *log, const char *label)
{
    *log = (struct worker_log){.label = label};
    pthread_mutex_init(&log->lock, NULL);
}

void worker_log_done(struct worker_log *log)
{
    free(log->ring);
    pthread_mutex_destroy(&log->lock);
}

static void keep(struct worker_log *log, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        log->ring[log->written++ % WORKER_LOG_BYTES] = bytes[i];
}

static bool may_log(struct worker_log *log)
{
    int64_t second = clock_monotonic_us() / CLOCK_SECOND_US;
    if (second != log->second) {
        log->second = second;
        log->line_count = 0;
    }
    if (++log->line_count <= WORKER_LOG_LINES_MAX)
        return true;
    log->suppressed++;
    return false;
}

void worker_log_add(struct worker_log *log, struct str line)
{
    pthread_mutex_lock(&log->lock);
    if (!log->ring && !(log->ring = malloc(WORKER_LOG_BYTES)))
        abort();
    keep(log, line.ptr, line.len);
    keep(log, "\n", 1);
    bool is_logged = may_log(log);
    int64_t suppressed = is_logged ? log->suppressed : 0;
    if (is_logged)
        log->suppressed = 0;
    pthread_mutex_unlock(&log->lock);
    if (is_logged)
        log_info("model printed", "model=%s line=%.*s suppressed=%lld", log->label, STR_ARG(line),
                 (long long)suppressed);
}

void worker_log_read(struct worker_log *log, struct buf *out)
{
    pthread_mutex_lock(&log->lock);
    uint64_t first = log->written > WORKER_LOG_BYTES ? log->written - WORKER_LOG_BYTES : 0;
    if (first > 0) { /* the oldest line has lost its beginning */
        while (first < log->written && log->ring[first % WORKER_LOG_BYTES] != '\n')
            first++;
        first++;
    }
    for (; first < log->written; first++)
        buf_char(out, log->ring[first % WORKER_LOG_BYTES]);
    pthread_mutex_unlock(&log->lock);
}

void worker_lines_end(struct worker_lines *lines, struct worker_log *log)
{
    if (lines->length)
        worker_log_add(log, (struct str){lines->text, lines->length});
    lines->length = 0;
}

void worker_lines_take(struct worker_lines *lines, struct str bytes, struct worker_log *log)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\n') {
            worker_log_add(log, (struct str){lines->text, lines->length});
            lines->length = 0;
            continue;
        }
        lines->text[lines->length++] = bytes.ptr[i];
        if (lines->length == sizeof(lines->text))
            worker_lines_end(lines, log);
    }
}
