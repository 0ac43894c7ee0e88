/* drift_alert.h - verdicts of windows become alerts, one for each cause.
 *
 *     drift/churn/7/mean_radius      a column is distributed otherwise (rule "drift")
 *     missing/churn/7/mean_radius    it is missing more or less often
 *     unseen/churn/7/country         categories that the contract does not list
 *     drift/churn/7/(all)            most columns at once: one change upstream, told once
 *     skew/churn/7                   the first rows do not look like training
 *
 * An alert is raised when its measure passes the bound and cleared within 80 % of it.
 */
#ifndef SLIPWAY_MONITOR_DRIFT_ALERT_H
#define SLIPWAY_MONITOR_DRIFT_ALERT_H

#include "monitor/monitors.h"

/* After a window was closed and its causes were found. alerts NULL: nothing happens. */
void drift_alert_window(struct alerts *alerts, const struct monitor *monitor,
                        const struct window *window);

/* After the first rows were judged. */
void drift_alert_skew(struct alerts *alerts, const struct monitor *monitor,
                      const struct window *window);

/* When the version has left: nothing of it is wrong any more. */
void drift_alert_clear(struct alerts *alerts, const struct monitor *monitor);

#endif
