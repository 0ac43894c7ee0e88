/* notify.h - what systemd is told (sd_notify): ready, reloading, stopping, still alive.
 *
 * Messages go to the socket in NOTIFY_SOCKET, if there is one; nobody waits for them, and none is
 * worth a failure. See sd_notify(3).
 */
#ifndef SLIPWAY_BASE_NOTIFY_H
#define SLIPWAY_BASE_NOTIFY_H

#include <stdint.h>

/* Assignments, one a line: "READY=1\nSTATUS=answers". Any thread. */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* RELOADING=1 with the time that the protocol wants; READY=1 ends it. */
void notify_reloading(const char *status);

/* How often WATCHDOG=1 is due, of what WATCHDOG_USEC and WATCHDOG_PID say; 0: nobody waits for it.
 */
int64_t notify_watchdog_us(void);

#endif
