/* hand_over.c - deadline, priority, the way to the lane and back. */
#include "serve/hand_over.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/audience.h"
#include "serve/lane.h"

/* What a waiting request holds besides its arena and its body: buffers of its connection. */
enum { EXCHANGE_BYTES = 16 * 1024 };

enum { TRACEPARENT_SPAN_AT = 36 }; /* 00-<32 hex>-<16 hex>-<2 hex> */

#define TIMEOUT_HEADER "X-Request-Timeout"
#define PRIORITY_HEADER "X-Request-Priority"

/* For "%.*s": the beginning of a text of the caller's. */
#define SHOWN(text) ((text).len < 40 ? (int)(text).len : 40), (text).ptr

struct hand_over {
    struct lane_task task;
    struct request *req;
    struct waiting_entry entry;
    struct loop_message message;
};

/* ---- what the caller asks for ---- */

/* As a parameter, which OIP clients send, or as a header. */
static struct str asked(const struct request *req, const char *parameter, const char *header)
{
    struct str text = {0};
    if (req->dialect->find_parameter)
        text = req->dialect->find_parameter(req, parameter);
    return text.len ? text : http_find_header(&req->exchange->request, header);
}

/* A number of microseconds, or a time with a unit. 0 is none. */
static enum err_code read_timeout(const struct request *req, int64_t *us, struct err *err)
{
    struct str text = asked(req, "timeout", TIMEOUT_HEADER);
    if (text.len == 0 || (str_to_i64(text, us) && *us >= 0) ||
        serving_read_time(text, INT64_MAX, us))
        return ERR_OK;
    err_set(err, ERR_INVALID, "timeout: expected microseconds or a time such as 250ms, got '%.*s'",
            SHOWN(text));
    return err_hint(err, "it is the parameter 'timeout' or the header " TIMEOUT_HEADER);
}

/* 1 is the most urgent; beyond the last is the last, as other servers have more levels. 0 is none.
 */
static enum err_code read_priority(const struct request *req, int64_t *priority, struct err *err)
{
    struct str text = asked(req, "priority", PRIORITY_HEADER);
    if (text.len == 0 || (str_to_i64(text, priority) && *priority >= 0)) {
        if (*priority > SERVING_PRIORITY_LAST)
            *priority = SERVING_PRIORITY_LAST;
        return ERR_OK;
    }
    err_set(err, ERR_INVALID, "priority: expected a whole number from %d to %d, got '%.*s'",
            SERVING_PRIORITY_FIRST, SERVING_PRIORITY_LAST, SHOWN(text));
    return err_hint(err, "it is the parameter 'priority' or the header " PRIORITY_HEADER);
}

/* A caller may ask for less time than the settings give, not for more. */
static enum err_code choose_terms(const struct request *req, struct lane_task *task,
                                  struct err *err)
{
    const struct serving *serving = req->endpoint->serving;
    int64_t timeout_us = 0, priority = 0;
    enum err_code rc = read_timeout(req, &timeout_us, err);
    if (!rc)
        rc = read_priority(req, &priority, err);
    if (rc)
        return rc;
    if (req->timeout_us && (!timeout_us || req->timeout_us < timeout_us))
        timeout_us = req->timeout_us;
    if (!timeout_us || timeout_us > serving->timeout_us)
        timeout_us = serving->timeout_us;
    task->serving = serving;
    task->priority = priority ? (int)priority : serving->priority;
    task->call.deadline_ns = req->exchange->start_ns + timeout_us * 1000;
    return ERR_OK;
}

/* ---- back on the data thread ---- */

static enum err_code too_late(const struct hand_over *hand, struct err *err)
{
    const struct request *req = hand->req;
    int64_t ms = (hand->task.call.deadline_ns - req->exchange->start_ns) / 1000000;
    err_set(err, ERR_TIMEOUT,
            "Request timeout expired: model '%s' version %lld has not answered within %lld ms",
            req->loaded->model, (long long)req->loaded->number, (long long)ms);
    return err_hint(err, "slipway model serving %s shows queue, cost and timeout",
                    req->loaded->model);
}

/* Late is the request, or, with time left, only a part of its model, which has said so itself. */
static enum err_code back_too_late(const struct hand_over *hand, struct err *err)
{
    if (hand->task.call.deadline_ns <= clock_monotonic_ns())
        return too_late(hand, err);
    return err_wrap(err, "Request timeout expired");
}

static void on_late(struct waiting_entry *entry)
{
    struct hand_over *hand = CONTAINER_OF(entry, struct hand_over, entry);
    struct err err = {0};
    atomic_store_explicit(&hand->task.is_expired, true, memory_order_relaxed);
    lane_task_leave(&hand->task);
    too_late(hand, &err);
    hand->req->owner->expire(hand->req, &err);
}

static void come_back(struct loop_message *message)
{
    struct hand_over *hand = CONTAINER_OF(message, struct hand_over, message);
    struct request *req = hand->req;
    struct err *err = &hand->task.err;
    enum err_code rc = hand->task.rc;
    if (atomic_load_explicit(&hand->task.is_expired, memory_order_relaxed)) {
        req->owner->release(req); /* the caller has its answer already */
        return;
    }
    waiting_remove(req->thread->waiting, &hand->entry);
    req->is_waiting = false;
    req->out_count = hand->task.call.out_count;
    req->reply_parameters = hand->task.call.reply_parameters;
    req->is_fallback = hand->task.call.is_fallback;
    req->waited_ns = hand->task.waited_ns;
    req->infer_ns = hand->task.infer_ns;
    if (atomic_load_explicit(&hand->task.is_cancelled, memory_order_relaxed))
        rc = err_set(err, ERR_CANCELLED, "the client has left");
    else if (rc == ERR_TIMEOUT)
        rc = back_too_late(hand, err);
    req->owner->resume(req, rc, err);
}

/* On the lane's thread; the message is the last thing it does with the request. */
static void send_back(struct lane_task *task)
{
    struct hand_over *hand = CONTAINER_OF(task, struct hand_over, task);
    loop_post(hand->req->thread->reader.loop, &hand->message);
}

/* ---- away ---- */

static void release_snapshot(void *arg)
{
    snapshot_unref(arg);
}

enum err_code request_hold_snapshot(struct request *req, struct err *err)
{
    struct snapshot *snapshot = (struct snapshot *)(uintptr_t)req->snapshot;
    if (req->has_snapshot)
        return ERR_OK;
    snapshot_ref(snapshot);
    req->has_snapshot = !arena_defer(req->arena, release_snapshot, snapshot);
    if (req->has_snapshot)
        return ERR_OK;
    snapshot_unref(snapshot);
    return err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

static struct hand_over *hand_over_new(struct request *req)
{
    struct hand_over *hand = arena_calloc(req->arena, 1, sizeof(*hand));
    if (!hand)
        return NULL;
    hand->req = req;
    hand->message.fn = come_back;
    hand->entry.late = on_late;
    hand->task.done = send_back;
    hand->task.rows = req->row_count;
    return hand;
}

/* The caller's trace, with our own part of it as the parent. */
static struct str own_traceparent(const struct request *req)
{
    struct str from = req->traceparent;
    uint64_t span = htobe64(req->span_id);
    char *text = from.len ? arena_copy(req->arena, from.ptr, from.len) : NULL;
    if (!text)
        return (struct str){0};
    str_hex(&span, sizeof(span), text + TRACEPARENT_SPAN_AT);
    return (struct str){text, from.len};
}

void request_tell_runtime(const struct request *req, struct runtime_call *call)
{
    if (req->dialect->parameters)
        call->parameters = req->dialect->parameters(req);
    if (!req->loaded->asks_elsewhere)
        return;
    call->request_id = req->id;
    call->traceparent = own_traceparent(req);
}

static void fill_call(struct request *req, struct lane_task *task)
{
    task->call.in = req->in;
    task->call.in_count = req->in_count;
    task->call.wanted = req->wanted;
    task->call.arena = req->arena;
    task->call.is_cancelled = &task->is_cancelled;
    task->call.out = req->out;
    task->call.aside = req->aside;
    request_tell_runtime(req, &task->call);
    task->memory_bytes = arena_bytes(req->arena) + req->exchange->request.body.len + EXCHANGE_BYTES;
}

enum err_code request_hand_over(struct request *req, struct err *err)
{
    struct hand_over *hand = hand_over_new(req);
    if (!hand)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    struct lane_task *task = &hand->task;
    enum err_code rc = choose_terms(req, task, err);
    if (!rc)
        rc = request_hold_snapshot(req, err);
    if (rc)
        return rc;
    fill_call(req, task);
    task->queued_ns = clock_monotonic_ns();
    hand->entry.deadline_ns = task->call.deadline_ns;
    req->hand_over = hand;
    req->is_waiting = true;
    waiting_add(req->thread->waiting, &hand->entry);
    rc = lane_submit(req->loaded->lane, task, err);
    if (!rc)
        return ERR_OK; /* the arena is the lane's now */
    waiting_remove(req->thread->waiting, &hand->entry);
    req->is_waiting = false;
    return rc == ERR_TIMEOUT ? too_late(hand, err) : rc;
}

void request_cancel(struct request *req)
{
    req->has_left = true;
    if (req->hand_over)
        lane_task_leave(&req->hand_over->task);
}
