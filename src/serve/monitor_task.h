/* monitor_task.h - once a second: what the versions counted goes to their monitors, and windows
 * that were closed go to the store.
 *
 * A window that cannot be saved (full disk) stays in memory and is tried again; the log says so
 * once.
 */
#ifndef SLIPWAY_SERVE_MONITOR_TASK_H
#define SLIPWAY_SERVE_MONITOR_TASK_H

#include "monitor/monitors.h"
#include "serve/control.h"

struct monitor_task {
    struct control *control;
    struct monitors *monitors;
    bool is_failing; /* the last save failed */
};

/* For ticker_add; arg is a struct monitor_task. */
void monitor_task_run(void *arg);

/* Put back what was saved before a restart, for all that have not got it yet; any thread that may
 * wait for the store. The task does so itself for versions that have seen rows. */
void monitor_task_restore(struct monitor_task *task);

#endif
