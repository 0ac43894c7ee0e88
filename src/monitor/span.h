/* span.h - one prediction as a span of its caller's trace, and spans as OTLP JSON.
 *
 * A span is what is left of a record once the recorder has gone on: fixed in size, so that a ring
 * of them is bounded. Attributes follow OpenTelemetry's semantic conventions (http.*, error.type,
 * feature_flag.* for the arm of a rollout), the rest is slipway.*.
 *
 * Source: OTLP 1.5 (JSON: ids in hex, times and 64-bit numbers as text), W3C Trace Context 1.
 */
#ifndef SLIPWAY_MONITOR_SPAN_H
#define SLIPWAY_MONITOR_SPAN_H

#include "base/buf.h"
#include "base/rand.h"
#include "monitor/record.h"

enum { SPAN_REQUEST_ID_BYTES = 64 };

struct span {
    uint8_t trace_id[16];
    uint64_t span_id, parent_id; /* parent_id 0: a trace of its own */
    const struct record_schema *schema;
    int64_t start_us, end_us; /* wall time */
    int64_t rollout, row_count;
    int32_t status, violation_count;
    enum arm arm;
    bool has_suspects;
    char request_id[SPAN_REQUEST_ID_BYTES]; /* its beginning */
};

/* Is this record to be traced? Yes when its caller sampled its trace; without a trace when `ratio`
 * (0..1) says so, or when the server failed (5xx). */
bool span_is_wanted(const struct record *record, double ratio, struct rand *rand);

void span_from(const struct record *record, struct rand *rand, struct span *span);

/* An ExportTraceServiceRequest. */
void span_format(const struct span *spans, int count, const char *service, struct buf *out);

#endif
