/* span.c - spans made of records and written as JSON. */
#include "monitor/span.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/version.h"

enum { KIND_SERVER = 2, STATUS_ERROR = 2, SAMPLED = 1, TRACEPARENT_BYTES = 55 };

/* ---- from a record ---- */

static bool has_trace(const struct record *record)
{
    return record->traceparent.len == TRACEPARENT_BYTES && record->span_id != 0;
}

static bool is_sampled(const struct record *record)
{
    uint8_t flags = 0;
    return str_unhex((struct str){record->traceparent.ptr + 53, 2}, &flags, 1) && (flags & SAMPLED);
}

bool span_is_wanted(const struct record *record, double ratio, struct rand *rand)
{
    if (has_trace(record))
        return is_sampled(record);
    return record->status >= 500 || (ratio > 0 && rand_unit(rand) < ratio);
}

static void copy_request_id(struct span *span, struct str id)
{
    size_t bytes = id.len < sizeof(span->request_id) ? id.len : sizeof(span->request_id) - 1;
    memcpy(span->request_id, id.ptr, bytes);
    span->request_id[bytes] = '\0';
}

static bool any_suspect(const struct record *record)
{
    for (int64_t i = 0; record->is_suspect && i < record->row_count; i++)
        if (record->is_suspect[i])
            return true;
    return false;
}

static void join_trace(const struct record *record, struct rand *rand, struct span *span)
{
    uint64_t parent = 0;
    const char *text = record->traceparent.ptr;
    if (has_trace(record) && str_unhex((struct str){text + 3, 32}, span->trace_id, 16) &&
        str_unhex((struct str){text + 36, 16}, &parent, sizeof(parent))) {
        span->parent_id = be64toh(parent);
        span->span_id = record->span_id;
        return;
    }
    uint64_t words[2] = {rand_u64(rand), rand_u64(rand) | 1};
    memcpy(span->trace_id, words, sizeof(words));
    span->parent_id = 0;
    span->span_id = rand_u64(rand) | 1;
}

void span_from(const struct record *record, struct rand *rand, struct span *span)
{
    *span = (struct span){
        .schema = record->schema,
        .start_us = record->at_us - record->latency_us,
        .end_us = record->at_us,
        .rollout = record->rollout,
        .row_count = record->row_count,
        .status = record->status,
        .violation_count = record->violation_count,
        .arm = record->arm,
        .has_suspects = any_suspect(record),
    };
    copy_request_id(span, record->request_id);
    join_trace(record, rand, span);
}

/* ---- as JSON ---- */

static void begin_attribute(struct json_writer *w, const char *key, const char *type)
{
    json_begin_object(w);
    json_key(w, "key");
    json_put_text(w, key);
    json_key(w, "value");
    json_begin_object(w);
    json_key(w, type);
}

static void end_attribute(struct json_writer *w)
{
    json_end_object(w);
    json_end_object(w);
}

static void put_text(struct json_writer *w, const char *key, const char *value)
{
    begin_attribute(w, key, "stringValue");
    json_put_text(w, value);
    end_attribute(w);
}

static void put_quoted(struct json_writer *w, int64_t value)
{
    char text[STR_NUMBER_BYTES];
    json_put_str(w, (struct str){text, str_from_i64(value, text)});
}

static void put_number(struct json_writer *w, const char *key, int64_t value)
{
    begin_attribute(w, key, "intValue");
    put_quoted(w, value);
    end_attribute(w);
}

static void put_bool(struct json_writer *w, const char *key, bool value)
{
    begin_attribute(w, key, "boolValue");
    json_put_bool(w, value);
    end_attribute(w);
}

static void put_id(struct json_writer *w, const char *key, const void *bytes, size_t size)
{
    char hex[32];
    assert(2 * size <= sizeof(hex));
    str_hex(bytes, size, hex);
    json_key(w, key);
    json_put_str(w, (struct str){hex, 2 * size});
}

static void put_time(struct json_writer *w, const char *key, int64_t wall_us)
{
    json_key(w, key);
    put_quoted(w, wall_us * 1000);
}

/* The arm as a feature flag, so that any backend can split traces by it. */
static void put_flag(struct json_writer *w, const struct span *span)
{
    char rollout[STR_NUMBER_BYTES + 1];
    rollout[str_from_i64(span->rollout, rollout)] = '\0';
    put_text(w, "feature_flag.key", span->schema->model);
    put_text(w, "feature_flag.provider.name", "slipway");
    put_text(w, "feature_flag.result.variant", arm_name(span->arm));
    put_text(w, "feature_flag.version", rollout);
}

static void put_attributes(struct json_writer *w, const struct span *span)
{
    char status[STR_NUMBER_BYTES + 1];
    json_key(w, "attributes");
    json_begin_array(w);
    put_text(w, "http.request.method", "POST");
    put_number(w, "http.response.status_code", span->status);
    status[str_from_i64(span->status, status)] = '\0';
    if (span->status >= 500)
        put_text(w, "error.type", status);
    put_text(w, "slipway.request_id", span->request_id);
    put_text(w, "slipway.model", span->schema->model);
    put_number(w, "slipway.version", span->schema->version);
    put_number(w, "slipway.rows", span->row_count);
    if (span->violation_count)
        put_number(w, "slipway.violations", span->violation_count);
    if (span->has_suspects)
        put_bool(w, "slipway.suspect", true);
    if (span->rollout)
        put_flag(w, span);
    json_end_array(w);
}

static void put_span(struct json_writer *w, const struct span *span)
{
    char name[96];
    uint64_t span_id = htobe64(span->span_id), parent_id = htobe64(span->parent_id);
    snprintf(name, sizeof(name), "predict %s", span->schema->model);
    json_begin_object(w);
    put_id(w, "traceId", span->trace_id, sizeof(span->trace_id));
    put_id(w, "spanId", &span_id, sizeof(span_id));
    if (span->parent_id)
        put_id(w, "parentSpanId", &parent_id, sizeof(parent_id));
    json_key(w, "name");
    json_put_text(w, name);
    json_key(w, "kind");
    json_put_i64(w, KIND_SERVER);
    put_time(w, "startTimeUnixNano", span->start_us);
    put_time(w, "endTimeUnixNano", span->end_us);
    put_attributes(w, span);
    json_key(w, "status");
    json_begin_object(w);
    if (span->status >= 500) { /* a caller's mistake is no error of the server's span */
        json_key(w, "code");
        json_put_i64(w, STATUS_ERROR);
    }
    json_end_object(w);
    json_end_object(w);
}

static void put_resource(struct json_writer *w, const char *service)
{
    json_key(w, "resource");
    json_begin_object(w);
    json_key(w, "attributes");
    json_begin_array(w);
    put_text(w, "service.name", service);
    put_text(w, "service.version", SLIPWAY_VERSION);
    json_end_array(w);
    json_end_object(w);
}

static void put_scope(struct json_writer *w)
{
    json_key(w, "scope");
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, "slipway");
    json_key(w, "version");
    json_put_text(w, SLIPWAY_VERSION);
    json_end_object(w);
}

void span_format(const struct span *spans, int count, const char *service, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "resourceSpans");
    json_begin_array(&w);
    json_begin_object(&w);
    put_resource(&w, service);
    json_key(&w, "scopeSpans");
    json_begin_array(&w);
    json_begin_object(&w);
    put_scope(&w);
    json_key(&w, "spans");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_span(&w, &spans[i]);
    json_end_array(&w);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
}
