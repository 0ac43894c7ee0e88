/* grpc_health.c - grpc.health.v1.Health: Check once, Watch until the caller has enough.
 *
 * SERVING means what /readyz says. A watch looks once a second, and ends when the server does.
 */
#include <stdlib.h>
#include <uv.h>

#include "api/grpc.h"
#include "api/handlers.h"
#include "api/stream.h"
#include "base/check.h"

enum { WATCH_MS = 1000, MESSAGE_BYTES_MAX = 64 * 1024 };

/* grpc.health.v1.HealthCheckResponse.ServingStatus */
enum grpc_serving { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

static enum err_code read_service(struct str message, struct str *service, struct err *err)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    *service = (struct str){"", 0};
    while (pb_next(&r, &f))
        if (f.number == 1 && f.wire == PB_BYTES)
            *service = f.bytes;
    return r.problem ? err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem)
                     : ERR_OK;
}

static enum grpc_serving serving_of(struct call *call, struct str service)
{
    static const char *const services[] = {"", "inference.GRPCInferenceService",
                                           "grpc.health.v1.Health"};
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (str_equal_c(service, services[i]))
            return call_readiness(call, NULL) ? NOT_SERVING : SERVING;
    return SERVICE_UNKNOWN;
}

static void put_status(struct call *call, enum grpc_serving status)
{
    size_t mark = grpc_begin(&call->x->response.body);
    pb_put_varint(&call->x->response.body, 1, status);
    grpc_end(&call->x->response.body, mark);
}

enum err_code grpc_health_check(struct call *call, struct err *err)
{
    struct str message, service;
    enum err_code rc = grpc_message(call, &message, err);
    if (!rc)
        rc = read_service(message, &service, err);
    if (rc)
        return rc;
    enum grpc_serving status = serving_of(call, service);
    if (status == SERVICE_UNKNOWN)
        return err_set(err, ERR_NOT_FOUND, "there is no service '%.*s'", STR_ARG(service));
    put_status(call, status);
    return ERR_OK;
}

/* ---- watch ---- */

/* Not in the exchange's arena: the loop lets go of a timer later than we do. */
struct watch_timer {
    uv_timer_t timer;
    struct watch *watch; /* NULL: over */
};

struct watch {
    struct stream stream;
    struct watch_timer *timer;
    struct str service;
    enum grpc_serving last;
};

static struct watch *watch_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct watch, stream);
}

static void look(struct watch *watch)
{
    struct call *call = watch->stream.call;
    call->snapshot = snapshot_reader_get(&call->thread->reader);
    enum grpc_serving status = serving_of(call, watch->service);
    if (status == watch->last)
        return;
    watch->last = status;
    put_status(call, status);
}

static void on_timer(uv_timer_t *timer)
{
    struct watch_timer *own = timer->data;
    struct watch *watch = own->watch;
    struct err err = {0};
    struct call *call = watch->stream.call;
    look(watch);
    if (atomic_load_explicit(&call->node->is_draining, memory_order_relaxed)) {
        err_set(&err, ERR_UNAVAILABLE, "the server is stopping");
        stream_resume(&watch->stream, ERR_UNAVAILABLE, &err);
    } else if (call->x->response.body.len) {
        stream_send(&watch->stream);
    }
}

static enum err_code take(struct stream *stream, struct str message, struct err *err)
{
    struct watch *watch = watch_of(stream);
    struct call *call = stream->call;
    struct str service;
    enum err_code rc = read_service(message, &service, err);
    const char *copy = rc ? NULL : arena_copy(call->arena, service.ptr, service.len);
    if (rc || !copy)
        return rc ? rc : err_set(err, ERR_LIMIT, "the request does not fit its memory");
    watch->service = (struct str){copy, service.len};
    watch->timer = calloc(1, sizeof(*watch->timer));
    if (!watch->timer)
        abort();
    watch->timer->watch = watch;
    watch->timer->timer.data = watch->timer;
    uv_timer_init(loop_uv(call->thread->reader.loop), &watch->timer->timer);
    uv_timer_start(&watch->timer->timer, on_timer, WATCH_MS, WATCH_MS);
    stream->is_busy = true; /* from here on the caller listens, also when it has closed its half */
    look(watch);
    return ERR_OK;
}

static void cancel(struct stream *stream)
{
    stream_resume(stream, ERR_CANCELLED, NULL);
}

static void free_timer(uv_handle_t *handle)
{
    free(handle->data);
}

static void end(struct stream *stream)
{
    struct watch *watch = watch_of(stream);
    if (watch->timer)
        uv_close((uv_handle_t *)&watch->timer->timer, free_timer);
    watch->timer = NULL;
}

enum err_code grpc_health_watch(struct call *call, struct err *err)
{
    static const struct stream_ops ops = {grpc_stream_next, take, cancel, end};
    struct watch *watch = arena_calloc(call->arena, 1, sizeof(*watch));
    if (!watch)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    watch->stream.ops = &ops;
    watch->stream.message_bytes_max = MESSAGE_BYTES_MAX;
    stream_begin(&watch->stream, call);
    return ERR_OK;
}
