/* graph_metrics.h - how the nodes of graphs answer, in /metrics. */
#ifndef SLIPWAY_API_GRAPH_METRICS_H
#define SLIPWAY_API_GRAPH_METRICS_H

#include "api/lane_metrics.h"
#include "base/metric.h"

/* Families of all models in the graphs among the versions. */
void graph_metrics(struct metric_writer *w, const struct lane_shown *shown, int count);

#endif
