/* outcome_metrics.h - the outcomes' part of /metrics. */
#ifndef SLIPWAY_API_OUTCOME_METRICS_H
#define SLIPWAY_API_OUTCOME_METRICS_H

#include "base/metric.h"
#include "serve/intake.h"

/* Write their families; nothing when `intake` is NULL. */
void outcome_metrics_write(struct intake *intake, struct arena *arena, struct metric_writer *w);

#endif
