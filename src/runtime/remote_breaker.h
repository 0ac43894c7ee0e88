/* remote_breaker.h - whether calls of another server are worth making.
 *
 *                 BREAKER_FAILURES_MAX in a row, or a failed look
 *     CLOSED ----------------------------------------------------> OPEN <----+
 *       ^                                                           |        | fails
 *       |                    succeeds                               v        |
 *       +------------------------------------------------------- TRIAL ------+
 *                                                 a look found it ready
 *
 * In CLOSED every call is made, in OPEN none, in TRIAL one at a time. The pause between looks in
 * OPEN doubles from BREAKER_PAUSE_MS_MIN to BREAKER_PAUSE_MS_MAX. Not locked: its owner does that.
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_BREAKER_H
#define SLIPWAY_RUNTIME_REMOTE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BREAKER_FAILURES_MAX = 5,
    BREAKER_PAUSE_MS_MIN = 500,
    BREAKER_PAUSE_MS_MAX = 5000,
    BREAKER_LOOK_MS = 5000, /* between looks in CLOSED when no call says how it is */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_TRIAL };

/* Zeroed is closed, and due for a look. */
struct breaker {
    enum breaker_state state;
    bool is_trying; /* in TRIAL: a call is on its way */
    int failures;   /* in a row */
    int64_t pause_ms;
    int64_t look_ns; /* when the next look is due */
};

/* May a call be made now? One that may has to be followed by one of the two below, or by
 * breaker_let_go when it says nothing about the other server (cancelled, a caller's mistake). */
bool breaker_take(struct breaker *breaker);
void breaker_succeeded(struct breaker *breaker, int64_t now_ns);
void breaker_failed(struct breaker *breaker, int64_t now_ns);
void breaker_let_go(struct breaker *breaker);

/* What a look at the server's readiness found. */
void breaker_looked(struct breaker *breaker, bool is_ready, int64_t now_ns);

#endif
