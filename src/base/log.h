/* log.h - one line per event on stderr: time level verb-first message key=value...
 *
 *     2026-01-31T09:30:00.123456Z info rollback done model=churn from=7 to=6
 *
 * error: someone must act. warn: degraded, going on. info: state changed. debug: off by default.
 * Values with spaces, quotes or control bytes are quoted and escaped, so no input can forge a line.
 * No payloads, no keys. Never called per request on the data path, except behind a log_gate_open().
 */
#ifndef SLIPWAY_BASE_LOG_H
#define SLIPWAY_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped. Set once in main. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

/* `pairs_fmt` is "key=%s other=%lld", pairs apart by one space. The writer formats one pair at a
 * time and escapes each value as described above, so a value never becomes a second pair.
 * Conversions: d i u x c s p f e g % with flags, width, precision (both also as *) and l ll z h hh.
 * A line has at most LOG_LINE_BYTES; what is longer ends in "...". log_info("rollback done",
 * "model=%s from=%lld to=%lld", model, from, to); log_info("draining"); */
void log_line(enum log_level level, const char *message, const char *pairs_fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum { LOG_LINE_BYTES = 2048 };

/* The space in front makes the pairs optional, and the format a literal. */
#define log_error(message, ...) log_line(LOG_ERROR, (message), " " __VA_ARGS__)
#define log_warn(message, ...) log_line(LOG_WARN, (message), " " __VA_ARGS__)
#define log_info(message, ...) log_line(LOG_INFO, (message), " " __VA_ARGS__)
#define log_debug(message, ...) log_line(LOG_DEBUG, (message), " " __VA_ARGS__)

/* At most one line a second per `gate` (a zeroed static of the caller): true when the caller should
 * write now, with the number of lines left out since the last one. Any thread.
 *     if (log_gate_open(&gate, &suppressed))
 *         log_warn("connection refused", "limit=%d suppressed=%lld", limit, (long long)suppressed);
 */
struct log_gate {
    _Atomic int64_t next_us;    /* monotonic time from which the gate is open again */
    _Atomic int64_t suppressed; /* since it was last open */
};
bool log_gate_open(struct log_gate *gate, int64_t *suppressed);

/* Lines that all gates together have left out, for /metrics. */
uint64_t log_suppressed_total(void);

#endif
