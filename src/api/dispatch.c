/* dispatch.c - from a request's head to its route, its caller and its handler; and back.
 *
 *     data thread:  admit -> handle -> [RUN_DATA: handler] -> finish -> http_reply
 *     worker pool:                     [else: handler] -> message to the data thread -> finish
 */
#include <endian.h>

#include "api/api.h"
#include "api/caller.h"
#include "api/grpc.h"
#include "api/parking.h"
#include "api/router.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum { SMALL_BODY_BYTES_MAX = 64 * 1024, TRACEPARENT_BYTES = 55 };

/* ---- identity of a request ---- */

static bool is_id_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("._:/+=-", c));
}

static bool is_request_id(struct str id)
{
    if (id.len == 0 || id.len > REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!is_id_char(id.ptr[i]))
            return false;
    return true;
}

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return true;
}

/* W3C Trace Context, version 00: 00-<32 hex>-<16 hex>-<2 hex>. */
static bool is_traceparent(struct str t)
{
    return t.len == TRACEPARENT_BYTES && memcmp(t.ptr, "00-", 3) == 0 && t.ptr[35] == '-' &&
           t.ptr[52] == '-' && is_hex((struct str){t.ptr + 3, 32}) &&
           is_hex((struct str){t.ptr + 36, 16}) && is_hex((struct str){t.ptr + 53, 2}) &&
           memcmp(t.ptr + 3, "00000000000000000000000000000000", 32) != 0;
}

static struct str new_id(struct serve_thread *thread, struct arena *arena, size_t bytes)
{
    uint64_t words[2] = {rand_u64(&thread->rand), rand_u64(&thread->rand)};
    char *hex = arena_alloc(arena, 2 * bytes);
    assert(hex && bytes <= sizeof(words));
    str_hex(words, bytes, hex);
    return (struct str){hex, 2 * bytes};
}

/* The caller's own id, or its trace's, or a new one: always one that logs and replies share. */
static void identify(struct call *call)
{
    const struct http_known_headers *known = &call->x->request.known;
    if (known->traceparent.ptr && is_traceparent(known->traceparent)) {
        call->traceparent = known->traceparent;
        call->span_id = rand_u64(&call->thread->rand) | 1; /* 0 is no id */
    }
    if (known->x_request_id.ptr && is_request_id(known->x_request_id))
        call->request_id = known->x_request_id;
    else if (call->traceparent.ptr)
        call->request_id = (struct str){call->traceparent.ptr + 3, 32};
    else
        call->request_id = new_id(call->thread, call->arena, 16);
}

/* ---- admission ---- */

static enum err_code no_route(struct call *call, const struct route_match *match, struct err *err)
{
    const struct http_request *request = &call->x->request;
    if (!match->is_path_known && grpc_is_call(request)) {
        err_set(err, ERR_UNSUPPORTED, "there is no method %.*s", STR_ARG(request->path));
        return err_hint(err, "server reflection lists the methods");
    }
    if (!match->is_path_known) {
        err_set(err, ERR_NOT_FOUND, "there is nothing at %.*s", STR_ARG(request->path));
        return err_hint(err, "all paths are in /openapi.json");
    }
    http_add_header(&call->x->response, "Allow", str_of(match->allowed));
    call->x->response.status = 405;
    err_set(err, ERR_UNSUPPORTED, "%s is not a method of %.*s", http_method_name(request->method),
            STR_ARG(request->path));
    return err_hint(err, "it takes: %s", match->allowed);
}

static enum err_code admit(struct call *call, struct err *err)
{
    struct route_match match;
    const struct http_request *request = &call->x->request;
    enum err_code rc = router_match(request->method, request->path, call->arena, &match, err);
    if (rc)
        return rc;
    rc = caller_check_host(call, err);
    if (rc)
        return rc;
    if (!match.route)
        return no_route(call, &match, err);
    call->route = match.route;
    memcpy(call->params, match.params, sizeof(call->params));
    rc = match.route->form == FORM_GRPC ? grpc_check(call->x, err) : ERR_OK;
    if (rc)
        return rc;
    return caller_authenticate(call, err);
}

static size_t body_limit(const struct call *call, size_t standard)
{
    if (!call->route)
        return SMALL_BODY_BYTES_MAX;
    switch (call->route->body) {
    case BODY_NONE:
        return SMALL_BODY_BYTES_MAX;
    case BODY_UPLOAD:
        return call->node->options->http_upload_bytes_max;
    default:
        return standard;
    }
}

static bool has_body(const struct http_request *request)
{
    struct str length = http_find_header(request, "Content-Length");
    return http_find_header(request, "Transfer-Encoding").ptr ||
           (length.ptr && !str_equal(length, STR_LIT("0")));
}

static void clear_call(struct call *call, struct http_exchange *x, struct node *node,
                       struct serve_thread *thread)
{
    memset(call, 0, offsetof(struct call, err)); /* its texts are written before they are read */
    call->err.code = ERR_OK;
    call->err.msg[0] = call->err.hint[0] = '\0';
    call->rc = ERR_OK;
    call->x = x;
    call->node = node;
    call->thread = thread;
    call->arena = x->arena;
    call->snapshot = snapshot_reader_get(&thread->reader);
    x->user = call;
}

static struct call *call_new(struct http_exchange *x, struct node *node,
                             struct serve_thread *thread)
{
    struct call *call = arena_alloc(x->arena, sizeof(*call));
    assert(call);
    clear_call(call, x, node, thread);
    return call;
}

/* ---- the reply ---- */

static void add_common_headers(struct call *call)
{
    struct http_response *response = &call->x->response;
    buf_lit(&response->headers, "X-Request-Id: "); /* is_request_id: no byte to be filtered */
    buf_str(&response->headers, call->request_id);
    buf_lit(&response->headers, "\r\n");
    if (!call->traceparent.ptr)
        return;
    char trace[TRACEPARENT_BYTES];
    uint64_t span = htobe64(call->span_id);
    memcpy(trace, call->traceparent.ptr, sizeof(trace));
    str_hex(&span, sizeof(span), trace + 36);
    http_add_header(response, "traceparent", (struct str){trace, sizeof(trace)});
}

static void log_failure(const struct call *call)
{
    static struct log_gate gate;
    int64_t suppressed = 0;
    if (call->rc != ERR_INTERNAL && call->rc != ERR_IO)
        return;
    if (log_gate_open(&gate, &suppressed))
        log_error("request failed", "id=%.*s path=%.*s reason=%s at=%s:%d suppressed=%lld",
                  STR_ARG(call->request_id), STR_ARG(call->x->request.path), call->err.msg,
                  call->err.file ? call->err.file : "?", call->err.line, (long long)suppressed);
}

static enum err_code is_held(struct err *err)
{
    err_set(err, ERR_CONFLICT, "the answer waits for a person to look at it");
    return err_hint(err, "ask for it later at the path in the header 'location'");
}

/* A reply of gRPC has its status in trailers; HTTP's is 200 but when it is no gRPC at all. */
static void finish_grpc(struct call *call)
{
    struct http_response *response = &call->x->response;
    if (!call->rc && response->status == 202) {
        call->rc = is_held(&call->err);
        buf_clear(&response->body);
        grpc_put_error(response, &call->err, call);
    } else if (!call->rc) {
        grpc_pack_reply(call);
        grpc_put_ok(response);
    }
    response->content_type = "application/grpc";
    response->status = 200;
}

static void finish(struct call *call)
{
    if (call->rc) {
        problem_write(call, &call->err);
        _Atomic uint64_t *count = &call->thread->error_count[call->rc];
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
        log_failure(call);
    }
    int status = call->x->response.status;
    add_common_headers(call);
    if (problem_is_grpc(call))
        finish_grpc(call);
    if (call->prediction)
        pipeline_count(call->prediction, status);
}

static void finish_and_reply(struct call *call)
{
    struct http_exchange *x = call->x;
    finish(call);
    if (call->reply)
        call->reply(call);
    else if (call->is_held)
        http_answer(x);
    else
        http_reply(x);
}

/* ---- running ---- */

static void run_handler(struct call *call)
{
    struct buf *body = &call->x->response.body;
    handler_fn *first = call->again ? call->again : call->route->handler;
    handler_fn *handler = call->later ? call->later : first;
    call->rc = handler(call, &call->err);
    if (!call->rc && body->is_full)
        call->rc =
            err_set(&call->err, ERR_LIMIT, "the reply is larger than %zu bytes", body->bytes_max);
}

static void on_pool_done(struct loop_message *message)
{
    struct call *call = CONTAINER_OF(message, struct call, message);
    finish_and_reply(call);
}

static void run_on_pool(struct pool_task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    run_handler(call);
    loop_post(call->loop, &call->message);
}

/* Once it is submitted the call belongs to the worker: its rc and err may be set already. */
static bool submit(struct call *call)
{
    struct node *node = call->node;
    struct pool *pool = call->route->run == RUN_SLOW ? node->slow_pool : node->fast_pool;
    struct err err = {0};
    enum err_code rc = pool_submit(pool, &call->task, &err);
    if (!rc)
        return true;
    call->rc = rc;
    call->err = err;
    return false;
}

void call_go_on(struct call *call)
{
    if (!submit(call))
        loop_post(call->loop, &call->message);
}

static void send_to_pool(struct call *call)
{
    struct parking *parking = call->node->parking;
    call->snapshot = NULL; /* may be gone before the handler runs */
    call->loop = call->thread->reader.loop;
    call->task.fn = run_on_pool;
    call->message.fn = on_pool_done;
    enum parking_place place = parking ? parking_take(parking, call) : PARKING_OPEN;
    if (place == PARKING_TAKEN || (place == PARKING_OPEN && submit(call)))
        return;
    if (place == PARKING_FULL)
        call->rc = parking_refuse(call, "too many requests wait for it");
    finish_and_reply(call);
}

void dispatch_admit(struct http_exchange *x, struct http_admission *admission)
{
    struct serve_thread *thread = x->thread;
    struct call *call = call_new(x, thread->node, thread);
    identify(call);
    call->rc = admit(call, &call->err);
    admission->body_bytes_max = body_limit(call, admission->body_bytes_max);
    admission->is_streamed = !call->rc && call->route->body == BODY_STREAM;
    if (call->rc && (has_body(&x->request) || x->peer->is_http2)) {
        finish(call);
        admission->is_refused = true;
    }
}

void dispatch_handle(struct http_exchange *x)
{
    struct call *call = x->user;
    /* The body may come long after the head, whose snapshot may be gone by now. */
    call->snapshot = snapshot_reader_get(&call->thread->reader);
    if (!call->rc && call->route->run != RUN_DATA) {
        send_to_pool(call);
        return;
    }
    if (!call->rc)
        call_run(call);
    else
        call_finish(call);
}

void call_run(struct call *call)
{
    run_handler(call);
    if (!call->is_waiting)
        call_finish(call);
}

void call_finish(struct call *call)
{
    if (!call->rc && call->later)
        send_to_pool(call);
    else
        finish_and_reply(call);
}

void call_release(struct call *call)
{
    call->is_held = false;
    if (call->reply)
        call->reply(call);
    else
        http_reply(call->x);
}

struct call *call_within(const struct call *outer, struct http_exchange *x)
{
    struct call *call = arena_alloc(x->arena, sizeof(*call));
    if (!call)
        return NULL;
    clear_call(call, x, outer->node, outer->thread);
    call->route = outer->route;
    memcpy(call->params, outer->params, sizeof(call->params));
    call->traceparent = outer->traceparent;
    if (call->traceparent.ptr)
        call->span_id = rand_u64(&call->thread->rand) | 1;
    call->request_id = new_id(call->thread, call->arena, 16);
    return call;
}

void dispatch_here(struct http_exchange *x, struct node *node, struct serve_thread *thread)
{
    struct call *call = call_new(x, node, thread);
    identify(call);
    call->rc = admit(call, &call->err);
    if (!call->rc)
        run_handler(call);
    if (!call->rc && call->later)
        run_handler(call);
    finish(call);
}

static enum err_code refusal_code(int status)
{
    switch (status) {
    case 408:
        return ERR_TIMEOUT;
    case 413:
    case 414:
    case 431:
        return ERR_LIMIT;
    case 415:
    case 417:
    case 501:
    case 505:
        return ERR_UNSUPPORTED;
    default:
        return ERR_INVALID;
    }
}

void dispatch_refuse(const struct http_refusal *refusal, const struct http_request *request,
                     struct http_response *response)
{
    struct err err = {0};
    err_set(&err, refusal_code(refusal->status), "%s", refusal->message);
    err_hint(&err, "%s", refusal->hint);
    if (grpc_is_call(request)) {
        response->status = 200;
        response->content_type = "application/grpc";
        grpc_put_error(response, &err, NULL);
        return;
    }
    problem_write_json(response, refusal->status, &err, NULL);
}

void dispatch_conn_user_free(void *conn_user)
{
    caller_conn_free(conn_user);
}
