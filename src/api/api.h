/* api.h - one call of the API: what a handler gets, what it returns, what a route row says.
 *
 *     head -> dispatch_admit: route, scope, caller, body limit
 *     body -> dispatch_handle: the handler, on the data thread or on a worker -> reply
 *
 * A handler fills call->x->response and returns ERR_OK, or fills `err`; dispatch turns that into
 * the protocol's own error form.
 */
#ifndef SLIPWAY_API_API_H
#define SLIPWAY_API_API_H

#include "api/handover.h"
#include "auth/auth.h"
#include "base/json.h"
#include "base/option.h"
#include "base/version.h"
#include "monitor/alert.h"
#include "monitor/record_store.h"
#include "monitor/tracer.h"
#include "net/http_server.h"
#include "net/pool.h"
#include "serve/alerting.h"
#include "serve/control.h"
#include "serve/intake.h"
#include "serve/model_cache.h"
#include "serve/monitor_task.h"
#include "serve/pipeline.h"
#include "serve/review_engine.h"
#include "serve/ticker.h"
#include "serve/webhooks.h"

enum { ROUTE_PARAMS_MAX = 3, ROUTE_SEGMENTS_MAX = 8 };

/* The whole running program, as handlers see it. Immutable after start, but for what its members
 * guard themselves. */
struct node {
    const struct options *options;
    struct control *control;
    _Atomic(struct http_server *) server; /* NULL in-process and while it starts */
    struct pool *fast_pool;    /* control requests that take milliseconds; NULL in-process */
    struct pool *bulk_pool;    /* steps of large predictions; NULL in-process */
    struct pool *slow_pool;    /* loading, verifying, copying; NULL in-process */
    struct ticker *ticker;     /* what happens by the clock; NULL in-process */
    struct alerts *alerts;     /* what is raised now; NULL in-process */
    struct alerting *alerting; /* opens and closes them; NULL in-process */
    struct tracer *tracer;     /* spans to a collector; NULL: none is configured */
    struct webhooks *webhooks; /* tell others of events; NULL in-process */

    /* What was answered; NULL in-process. */
    struct recorder *recorder;

    /* Where that is kept; never NULL in handlers. */
    struct record_store *records;
    struct prediction_lookup lookup; /* in it */

    /* What came true about it; NULL in-process. */
    struct intake *intake;
    struct outcomes *outcomes; /* who hears of it */
    /* What people are to see of it; NULL in-process. */
    struct review_engine *review;
    /* What watches the versions; NULL in-process. */
    struct monitors *monitors;
    struct monitor_task monitor_task;
    struct quality_watch *quality_watch; /* estimates against floors; NULL in-process */

    struct rollout_engine *rollouts; /* what decides about versions; NULL in-process */
    struct shadow *shadow;           /* versions that answer nobody; NULL in-process */
    struct model_cache *model_cache; /* loads what is asked for; NULL: all models stay in memory */
    struct lanes *lanes;             /* where slow models run; NULL in-process */

    struct serve_thread *threads[HTTP_THREADS_MAX]; /* [thread_count] */
    int thread_count;
    struct predecessor predecessor; /* the process before, if this one takes over from it */
    struct parking *parking;        /* calls that wait for the folder; NULL: it was ours first */
    struct inherited *inherited;    /* open before it started; NULL once it has them */
    int64_t start_us;               /* monotonic */
    _Atomic bool is_draining;
};

struct call;
typedef enum err_code handler_fn(struct call *call, struct err *err);

/* Where a handler runs. */
enum route_run {
    RUN_DATA, /* on the data thread: must not wait */
    RUN_FAST, /* on the fast pool: a few milliseconds of store */
    RUN_SLOW, /* on the slow pool */
};

/* Whose error form answers. */
enum route_form { FORM_PROBLEM, FORM_OIP, FORM_MLFLOW, FORM_GRPC };

enum route_body { BODY_NONE, BODY_JSON, BODY_TENSORS, BODY_UPLOAD, BODY_STREAM };

struct route {
    const char *method, *path; /* "/api/models/{model}": a segment in braces is a parameter */
    handler_fn *handler;
    unsigned scope; /* what a key must have; SCOPE_PUBLIC needs none. Never 0 */
    enum route_run run;
    enum route_form form;
    enum route_body body;
    const char *summary; /* for the OpenAPI document */
};

/* Every endpoint; ends with a row of zeros. */
extern const struct route routes[];

struct call {
    struct http_exchange *x;
    struct node *node;
    const struct route *route;
    struct arena *arena;                 /* the exchange's */
    const struct snapshot *snapshot;     /* on data threads and in-process; NULL on pools */
    struct serve_thread *thread;         /* the same */
    struct str params[ROUTE_PARAMS_MAX]; /* decoded, in the order of the path */
    struct str request_id;
    struct str traceparent; /* as the caller sent it; empty when absent or malformed */
    uint64_t span_id;       /* of our part of that trace; 0 without one */
    struct actor actor;
    unsigned scopes;             /* what the caller may; all without a key */
    struct violation *violation; /* for the reply, when the error is a broken contract */
    const char *violation_model;
    int64_t violation_version;
    const struct request *prediction; /* set by predicting handlers: counted with the status */
    handler_fn *later; /* set by a handler of a data thread: what remains, on the fast pool */
    bool is_waiting;   /* set by a handler of a data thread: call_finish comes later */
    bool is_held;      /* answered, but its memory is in use: call_release comes later */

    handler_fn *again; /* what a call within another runs anew; NULL: the route's handler */
    int cold_count;    /* cold.c's own: how often it has waited for a model */
    /* gRPC */
    void *decoded;                    /* what the handler has read before the pipeline does */
    struct stream *stream;            /* whose messages these are; NULL: a unary call */
    void (*reply)(struct call *call); /* instead of http_reply, for a call within another */

    /* dispatch.c's own */
    struct pool_task task;
    struct call *next_parked; /* parking.c's own */
    int64_t parked_us;
    struct loop_message message;
    struct loop *loop;
    enum err_code rc;
    struct err err; /* last: only its beginning is cleared for a new call */
};

/* ---- dispatch.c ---- */

/* For http_server_config. */
void dispatch_admit(struct http_exchange *x, struct http_admission *admission);
void dispatch_handle(struct http_exchange *x);
void dispatch_refuse(const struct http_refusal *refusal, const struct http_request *request,
                     struct http_response *response);
void dispatch_conn_user_free(void *conn_user);

/* Run one exchange here and now, whatever its route's place (in-process use). x->response is
 * filled; nothing is sent. */
void dispatch_here(struct http_exchange *x, struct node *node, struct serve_thread *thread);

/* The end of a call that has waited, with its rc and err: what is left for a pool, then the reply.
 * On its data thread. */
void call_finish(struct call *call);

/* Nobody uses the memory of a call any more that was answered with is_held. */
void call_release(struct call *call);

/* A call that was parked goes to its pool. Any thread. */
void call_go_on(struct call *call);

/* A call for a message of a stream, in the arena of `x`, which stands for an exchange: the same
 * route and caller, an id of its own. Set `reply`. NULL when it does not fit. */
struct call *call_within(const struct call *outer, struct http_exchange *x);

/* ---- helpers for handlers ---- */

/* The body as a JSON object without duplicate keys; an empty body is an empty object. */
enum err_code call_body_object(struct call *call, yyjson_val **root, struct err *err);

/* A parameter as NUL-terminated name, checked: ERR_INVALID says what a name looks like. */
enum err_code call_name(struct call *call, int index, const char *what, const char **name,
                        struct err *err);

/* A query parameter as a number in [min, max]; *out untouched when absent. */
enum err_code call_query_i64(struct call *call, const char *name, int64_t min, int64_t max,
                             int64_t *out, struct err *err);

/* The query parameter `model`, checked; *model untouched when absent. */
enum err_code call_query_model(struct call *call, const char **model, struct err *err);

/* A query parameter as a time: RFC 3339 or a date; *wall_us untouched when absent. */
enum err_code call_query_time(struct call *call, const char *name, int64_t *wall_us,
                              struct err *err);

/* Has the caller one of these scopes, or all? */
static inline bool call_may(const struct call *call, unsigned scopes)
{
    return call->scopes & (scopes | SCOPE_ADMIN);
}

/* Start a JSON reply: the writer appends to the response body. */
struct json_writer call_json(struct call *call, int status);

/* Run a change of control state with this call's Idempotency-Key: `fn` changes the store and
 * writes the reply; a repeated key answers what was answered then. op->fn, arg are set here. */
struct call_change {
    struct control_op op;
    enum err_code (*fn)(struct call *call, struct control *control, struct store *store, void *arg,
                        struct err *err);
    void *arg;
};
enum err_code call_execute(struct call *call, struct call_change *change, struct err *err);

/* `If-Match: "7"` -> 7, `If-None-Match: *` -> 0, neither -> -1. ERR_INVALID on other forms. */
enum err_code call_if_revision(struct call *call, int64_t *revision, struct err *err);

/* The version that params {model} and {version} name. version_api.c */
enum err_code call_version(struct call *call, struct version *version, struct err *err);

/* Why the server is not ready, or NULL; a line for each model goes to `out` (may be NULL). Data
 * thread or in-process only. status_api.c */
const char *call_readiness(struct call *call, struct buf *out);

/* Run the pipeline for params {model} and, if the route has one, {version}. predict_call.c */
enum err_code call_predict(struct call *call, const struct dialect *dialect, struct err *err);

/* ---- cold.c ---- */

/* The handler has found its model not in memory (endpoint_is_cold): let it be loaded, and run the
 * handler again from its beginning. Data threads only; nothing may be written yet. With ERR_OK the
 * call waits (is_waiting); `err` is kept else, with its code as the result. */
enum err_code call_wait_for_model(struct call *call, struct str model, struct str version,
                                  struct err *err);

/* Run the route's handler on a data thread and reply, unless it waits. */
void call_run(struct call *call); /* dispatch.c */

/* ---- problem.c ---- */

int problem_status(enum err_code code);
void problem_write(struct call *call, const struct err *err);
bool problem_is_grpc(const struct call *call); /* are its errors statuses in trailers? */
void problem_write_oip(struct http_response *response, int status, const char *message,
                       const char *hint);
void problem_write_json(struct http_response *response, int status, const struct err *err,
                        const struct call *call);

#endif
