/* tracer.c - the ring of spans and the thread that sends them. */
#include "monitor/tracer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "monitor/span.h"
#include "net/address.h"
#include "net/http_client.h"

enum {
    BODY_BYTES_MAX = 4 * 1024 * 1024,
    REPLY_BYTES_MAX = 256 * 1024,
    ARENA_BYTES_MAX = 4 * 1024 * 1024,
    TIMEOUT_MS = 10 * 1000,
    LAST_TIMEOUT_MS = 1000,
    RETRY_FIRST_MS = 1000,
    RETRY_LAST_MS = 30 * 1000,
    STACK_BYTES = 512 * 1024,
    GZIP_WINDOW = 15 + 16, /* zlib: 15 bits, and 16 for the gzip wrapper */
    URL_BYTES_MAX = 2048,
};

struct tracer {
    struct tracer_config config;
    char *origin, *target; /* owned */
    pthread_t thread;
    struct rand rand; /* the recorder's */
    _Atomic double ratio;
    _Atomic uint64_t sent, dropped;
    _Atomic bool is_cancelled; /* a call that runs when the program ends */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct span *spans; /* [TRACER_SPANS_MAX], a ring; NULL until the first one */
    int first, count;
    bool is_stopping;
};

/* ---- recorder thread ---- */

static void add(struct tracer *tracer, const struct span *span)
{
    pthread_mutex_lock(&tracer->lock);
    if (!tracer->spans)
        tracer->spans = calloc(TRACER_SPANS_MAX, sizeof(*tracer->spans));
    if (!tracer->spans)
        abort();
    if (tracer->count == TRACER_SPANS_MAX) {
        atomic_fetch_add(&tracer->dropped, 1);
    } else {
        tracer->spans[(tracer->first + tracer->count++) % TRACER_SPANS_MAX] = *span;
        if (tracer->count == TRACER_BATCH_MAX)
            pthread_cond_signal(&tracer->wake);
    }
    pthread_mutex_unlock(&tracer->lock);
}

double tracer_ratio(const struct tracer *tracer)
{
    return atomic_load_explicit(&tracer->ratio, memory_order_relaxed);
}

void tracer_set_ratio(struct tracer *tracer, double ratio)
{
    atomic_store_explicit(&tracer->ratio, ratio, memory_order_relaxed);
}

static void take(void *arg, const struct record *record)
{
    struct tracer *tracer = arg;
    struct span span;
    if (!span_is_wanted(record, tracer_ratio(tracer), &tracer->rand))
        return;
    span_from(record, &tracer->rand, &span);
    add(tracer, &span);
}

struct record_sink tracer_sink(struct tracer *tracer)
{
    return (struct record_sink){.name = "traces", .arg = tracer, .take = take};
}

/* ---- sending ---- */

static bool pack(struct str body, struct buf *out)
{
    z_stream stream = {0};
    buf_init(out, BODY_BYTES_MAX + 1024);
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&stream, body.len);
    bool is_packed = buf_reserve(out, bound);
    if (is_packed) {
        stream.next_in = (Bytef *)(uintptr_t)body.ptr;
        stream.avail_in = (uInt)body.len;
        stream.next_out = (Bytef *)out->data;
        stream.avail_out = (uInt)bound;
        is_packed = deflate(&stream, Z_FINISH) == Z_STREAM_END;
        out->len = stream.total_out;
    }
    deflateEnd(&stream);
    return is_packed;
}

/* {"partialSuccess": {"rejectedSpans": "2"}} */
static int64_t rejected_spans(const struct buf *body, struct arena *arena)
{
    struct err err;
    yyjson_val *root;
    int64_t count = 0;
    if (body->len == 0 || json_read(buf_view(body), arena, &root, &err))
        return 0;
    yyjson_val *rejected = yyjson_obj_get(yyjson_obj_get(root, "partialSuccess"), "rejectedSpans");
    if (yyjson_is_str(rejected))
        str_to_i64(json_str(rejected), &count);
    else if (yyjson_is_int(rejected))
        count = yyjson_get_sint(rejected);
    return count > 0 ? count : 0;
}

/* What the OTLP specification lets a client try again. */
static bool may_retry(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

enum outcome { SENT, REFUSED, AWAY };

static void count_sent(struct tracer *tracer, int count, const struct http_result *result,
                       struct arena *arena)
{
    int64_t rejected = rejected_spans(&result->body, arena);
    if (rejected > count)
        rejected = count;
    atomic_fetch_add(&tracer->sent, (uint64_t)(count - rejected));
    atomic_fetch_add(&tracer->dropped, (uint64_t)rejected);
}

static enum outcome post(struct tracer *tracer, struct str body, bool is_packed, int count,
                         int64_t timeout_ms, struct err *err)
{
    const struct http_header headers[] = {
        {STR_LIT("Content-Type"), STR_LIT("application/json")},
        {STR_LIT("User-Agent"), STR_LIT("slipway")},
        {STR_LIT("Content-Encoding"), STR_LIT("gzip")},
    };
    const struct http_call call = {
        .url = tracer->origin,
        .tls.ca_path = tracer->config.ca[0] ? tracer->config.ca : NULL,
        .method = "POST",
        .target = str_of(tracer->target),
        .headers = headers,
        .header_count = is_packed ? 3 : 2,
        .body = body,
        .timeout_ms = timeout_ms,
        .reply_bytes_max = REPLY_BYTES_MAX,
        .may_connect = address_is_unicast,
        .is_cancelled = &tracer->is_cancelled,
    };
    struct http_result result;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    enum outcome outcome = AWAY;
    if (!http_call_run(&call, arena, &result, err)) {
        outcome = result.status >= 200 && result.status < 300 ? SENT
                  : may_retry(result.status)                  ? AWAY
                                                              : REFUSED;
        if (outcome == SENT)
            count_sent(tracer, count, &result, arena);
        else
            err_set(err, ERR_UNAVAILABLE, "it answered %d", result.status);
        buf_done(&result.body);
    }
    arena_free(arena);
    return outcome;
}

static enum outcome send_batch(struct tracer *tracer, const struct span *spans, int count,
                               int64_t timeout_ms, struct err *err)
{
    struct buf plain, packed;
    buf_init(&plain, BODY_BYTES_MAX);
    buf_init(&packed, BODY_BYTES_MAX);
    span_format(spans, count, tracer->config.service, &plain);
    assert(!plain.is_full);
    bool is_packed = tracer->config.is_packed && pack(buf_view(&plain), &packed);
    enum outcome outcome =
        post(tracer, buf_view(is_packed ? &packed : &plain), is_packed, count, timeout_ms, err);
    buf_done(&plain);
    buf_done(&packed);
    return outcome;
}

/* ---- the thread ---- */

/* Spans that were taken out of the ring and are being sent. */
struct batch {
    struct span spans[TRACER_BATCH_MAX];
    int count;
    int64_t retry_ms; /* 0: the last attempt succeeded */
};

static void fill(struct tracer *tracer, struct batch *batch)
{
    while (batch->count < TRACER_BATCH_MAX && tracer->count) {
        batch->spans[batch->count++] = tracer->spans[tracer->first];
        tracer->first = (tracer->first + 1) % TRACER_SPANS_MAX;
        tracer->count--;
    }
}

static void wait_ms(struct tracer *tracer, int64_t ms, bool until_full)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int rc = 0;
    while (!tracer->is_stopping && rc == 0 && !(until_full && tracer->count >= TRACER_BATCH_MAX))
        rc = pthread_cond_timedwait(&tracer->wake, &tracer->lock, &until);
}

static void try_batch(struct tracer *tracer, struct batch *batch, int64_t timeout_ms)
{
    static struct log_gate gate;
    struct err err = {0};
    int64_t suppressed;
    enum outcome outcome = send_batch(tracer, batch->spans, batch->count, timeout_ms, &err);
    if (outcome != SENT && log_gate_open(&gate, &suppressed))
        log_warn("traces not sent", "endpoint=%s reason=%s retry=%s", tracer->config.endpoint,
                 err.msg, outcome == AWAY ? "true" : "false");
    if (outcome == AWAY) {
        batch->retry_ms = batch->retry_ms ? 2 * batch->retry_ms : RETRY_FIRST_MS;
        if (batch->retry_ms > RETRY_LAST_MS)
            batch->retry_ms = RETRY_LAST_MS;
        return;
    }
    if (outcome == REFUSED)
        atomic_fetch_add(&tracer->dropped, (uint64_t)batch->count);
    batch->count = 0;
    batch->retry_ms = 0;
}

static void *run(void *arg)
{
    struct tracer *tracer = arg;
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        abort();
    pthread_mutex_lock(&tracer->lock);
    while (!tracer->is_stopping) {
        wait_ms(tracer, batch->retry_ms ? batch->retry_ms : TRACER_EVERY_MS, batch->retry_ms == 0);
        fill(tracer, batch);
        if (tracer->is_stopping || batch->count == 0)
            continue;
        pthread_mutex_unlock(&tracer->lock);
        try_batch(tracer, batch, TIMEOUT_MS);
        pthread_mutex_lock(&tracer->lock);
    }
    atomic_store(&tracer->is_cancelled, false);
    do { /* what is left, while the collector takes it */
        fill(tracer, batch);
        if (batch->count == 0)
            break;
        try_batch(tracer, batch, LAST_TIMEOUT_MS);
    } while (batch->count == 0);
    atomic_fetch_add(&tracer->dropped, (uint64_t)(batch->count + tracer->count));
    pthread_mutex_unlock(&tracer->lock);
    free(batch);
    return NULL;
}

/* ---- beginning and end ---- */

static enum err_code split_endpoint(struct tracer *tracer, const char *endpoint, struct err *err)
{
    size_t scheme = strncmp(endpoint, "https://", 8) == 0  ? 8
                    : strncmp(endpoint, "http://", 7) == 0 ? 7
                                                           : 0;
    const char *path = endpoint + scheme + strcspn(endpoint + scheme, "/?#");
    if (scheme == 0 || path == endpoint + scheme || strpbrk(endpoint, "@# \"\\") || *path == '?' ||
        strlen(endpoint) > URL_BYTES_MAX) {
        err_set(err, ERR_INVALID, "otlp_endpoint: '%s' is not a collector's URL", endpoint);
        return err_hint(err, "write http://host:4318 or https://host:4318");
    }
    tracer->origin = strndup(endpoint, (size_t)(path - endpoint));
    tracer->target = strdup(path[0] == '\0' || strcmp(path, "/") == 0 ? "/v1/traces" : path);
    if (!tracer->origin || !tracer->target)
        abort();
    return ERR_OK;
}

static void start_thread(struct tracer *tracer)
{
    pthread_attr_t attributes;
    pthread_condattr_t clock;
    pthread_mutex_init(&tracer->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&tracer->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&tracer->thread, &attributes, run, tracer))
        abort();
    pthread_attr_destroy(&attributes);
    pthread_setname_np(tracer->thread, "tracer");
}

enum err_code tracer_new(const struct tracer_config *config, struct tracer **tracer,
                         struct err *err)
{
    struct tracer *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        abort();
    enum err_code rc = split_endpoint(fresh, config->endpoint, err);
    if (rc) {
        free(fresh);
        return rc;
    }
    fresh->config = *config;
    tracer_set_ratio(fresh, config->ratio);
    rand_seed_from_os(&fresh->rand);
    start_thread(fresh);
    *tracer = fresh;
    return ERR_OK;
}

void tracer_free(struct tracer *tracer)
{
    if (!tracer)
        return;
    pthread_mutex_lock(&tracer->lock);
    tracer->is_stopping = true;
    atomic_store(&tracer->is_cancelled, true); /* the call that runs now; then a last, short one */
    pthread_cond_signal(&tracer->wake);
    pthread_mutex_unlock(&tracer->lock);
    pthread_join(tracer->thread, NULL);
    pthread_cond_destroy(&tracer->wake);
    pthread_mutex_destroy(&tracer->lock);
    free(tracer->spans);
    free(tracer->origin);
    free(tracer->target);
    free(tracer);
}

void tracer_stats(struct tracer *tracer, struct tracer_stats *stats)
{
    *stats = (struct tracer_stats){0};
    if (!tracer)
        return;
    stats->sent = atomic_load(&tracer->sent);
    stats->dropped = atomic_load(&tracer->dropped);
}
