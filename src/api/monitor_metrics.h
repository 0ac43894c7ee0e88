/* monitor_metrics.h - the monitors' part of /metrics. */
#ifndef SLIPWAY_API_MONITOR_METRICS_H
#define SLIPWAY_API_MONITOR_METRICS_H

#include "base/metric.h"
#include "monitor/monitors.h"

/* Write their families; nothing when `monitors` is NULL. */
void monitor_metrics_write(struct monitors *monitors, struct metric_writer *w);

#endif
