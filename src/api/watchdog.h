/* watchdog.h - tells systemd that the data threads still turn, as often as it wants to hear it.
 *
 *     watchdog_run: has every data thread answered? -> WATCHDOG=1, and ask each of them again
 *
 * Asked at half the time that systemd waits: one hung data thread and the message does not come.
 */
#ifndef SLIPWAY_API_WATCHDOG_H
#define SLIPWAY_API_WATCHDOG_H

#include "api/api.h"

struct watchdog;

/* NULL when nobody waits for it. While the http server runs. */
struct watchdog *watchdog_new(struct node *node);

/* What is due now is done; milliseconds until there is something again. NULL is allowed: -1. */
int watchdog_run(struct watchdog *watchdog);

/* After the loops have ended. NULL is allowed. */
void watchdog_free(struct watchdog *watchdog);

#endif
