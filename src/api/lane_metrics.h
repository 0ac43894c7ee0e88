/* lane_metrics.h - queues and batches of the versions' lanes in /metrics. */
#ifndef SLIPWAY_API_LANE_METRICS_H
#define SLIPWAY_API_LANE_METRICS_H

#include "base/metric.h"
#include "runtime/loaded.h"
#include "serve/lane.h"

/* One version with its number as text. */
struct lane_shown {
    const struct loaded *loaded;
    const char *version;
};

/* Families of all versions whose lane has had a request; `lanes` may be NULL (in-process). */
void lane_metrics(struct metric_writer *w, const struct lanes *lanes,
                  const struct lane_shown *shown, int count);

#endif
