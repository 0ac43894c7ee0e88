/* response_cache_metrics.h - what response caches have counted, for /metrics. */
#ifndef SLIPWAY_API_RESPONSE_CACHE_METRICS_H
#define SLIPWAY_API_RESPONSE_CACHE_METRICS_H

#include "base/metric.h"
#include "serve/snapshot.h"

/* A version as it is shown. */
struct response_shown {
    const struct loaded *loaded;
    const char *version;
};

/* Versions without requests in a cache have no series, nor have models without one. */
void response_cache_metrics(struct metric_writer *w, const struct snapshot *snapshot,
                            const struct response_shown *versions, int count);

#endif
