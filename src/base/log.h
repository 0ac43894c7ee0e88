/* log.h - one line per event on stderr: time level verb-first message key=value...
 *
 *     2026-01-31T09:30:00.123456Z info rollback done model=churn from=7 to=6
 *
 * error: someone must act. warn: degraded, going on. info: state changed. debug: off by default.
 * Values with spaces, quotes or control bytes are quoted and escaped, so no input can forge a line.
 * No payloads, no keys. Never called per request on the data path, except through log_limited().
 */
#ifndef SLIPWAY_BASE_LOG_H
#define SLIPWAY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped. Set once in main. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

/* `pairs_fmt` is "key=%s other=%d": each value is escaped as described above by the writer, which
 * formats one pair at a time; a literal without '=' before the first pair is the message.
 *     log_info("rollback done", "model=%s from=%lld to=%lld", model, from, to); */
void log_line(enum log_level level, const char *message, const char *pairs_fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(message, ...) log_line(LOG_ERROR, (message), __VA_ARGS__)
#define log_warn(message, ...)  log_line(LOG_WARN, (message), __VA_ARGS__)
#define log_info(message, ...)  log_line(LOG_INFO, (message), __VA_ARGS__)
#define log_debug(message, ...) log_line(LOG_DEBUG, (message), __VA_ARGS__)

/* At most one line a second per `gate` (a zeroed static of the caller); says how many were left out. */
struct log_gate {
    int64_t next_us;   /* atomic use inside */
    int64_t suppressed;
};
bool log_gate_open(struct log_gate *gate, int64_t *suppressed);

#endif
