/* tracer.h - spans of predictions to a collector: OTLP over HTTP, JSON, packed with gzip.
 *
 *     recorder thread: record -> span -> ring (bounded; full: dropped and counted)
 *     tracer thread:   ring -> a batch once a second or when there is enough -> POST
 *
 * A collector that is away costs nothing but the spans: a batch is tried again with a wait that
 * doubles, meanwhile the ring fills and what comes on top is dropped and counted. Predictions never
 * wait.
 */
#ifndef SLIPWAY_MONITOR_TRACER_H
#define SLIPWAY_MONITOR_TRACER_H

#include "base/err.h"
#include "monitor/record.h"

enum { TRACER_SPANS_MAX = 4096, TRACER_BATCH_MAX = 512, TRACER_EVERY_MS = 1000 };

struct tracer_config {
    const char *endpoint; /* "http://127.0.0.1:4318": /v1/traces is added when it has no path */
    const char *service;  /* service.name of the resource */
    const char *ca;       /* PEM of trusted roots; "" : the system's */
    double ratio;         /* of predictions without a trace, 0..1 */
    bool is_packed;       /* gzip */
};

struct tracer;

/* Starts the thread. ERR_INVALID when the endpoint is no URL. Texts outlive the tracer. */
enum err_code tracer_new(const struct tracer_config *config, struct tracer **tracer,
                         struct err *err);

struct record_sink tracer_sink(struct tracer *tracer);

/* The ratio of its config, and another one from now on. Any thread. */
double tracer_ratio(const struct tracer *tracer);
void tracer_set_ratio(struct tracer *tracer, double ratio);

/* After the recorder has stopped: one last attempt, a second at most. NULL is allowed. */
void tracer_free(struct tracer *tracer);

struct tracer_stats {
    uint64_t sent, dropped; /* spans; dropped: no room, or refused by the collector */
};
void tracer_stats(struct tracer *tracer, struct tracer_stats *stats); /* zeros for NULL */

#endif
