/* pipeline.h - one prediction request, and the steps it goes through. Read pipeline.c first.
 *
 * A request lives on one data thread, in the arena of its exchange. It borrows the thread's
 * snapshot, which cannot go away before the request is answered.
 */
#ifndef SLIPWAY_SERVE_PIPELINE_H
#define SLIPWAY_SERVE_PIPELINE_H

#include "base/buf.h"
#include "base/rand.h"
#include "contract/check.h"
#include "monitor/recorder.h"
#include "net/http.h"
#include "net/pool.h"
#include "serve/snapshot.h"
#include "serve/waiting.h"

enum {
    REQUEST_ID_BYTES_MAX = 128,
    STEP_COUNT = 6,
    STEP_SAMPLE_EVERY = 64, /* requests; the others are timed only as a whole */
};

/* What a data thread owns: its view of the snapshot and its counters. */
struct serve_thread {
    struct snapshot_reader reader;
    void *node;                   /* the api's own */
    struct record_queue *records; /* what it answered goes here; NULL: nobody records */
    struct waiting *waiting;      /* deadlines of requests in lanes; NULL: none can wait */
    struct pool *bulk;            /* for steps of large requests; NULL: they run here */
    struct lanes *lanes;          /* counts the memory of what waits; NULL with `bulk` */
    int index;
    struct rand rand;
    uint32_t request_count;

    /* The last endpoint asked for, and the snapshot in which it was found. */
    const struct endpoint *last_endpoint;
    int64_t last_generation;
    struct histogram steps[STEP_COUNT];
    int64_t predict_rows_max;
    _Atomic uint64_t error_count[ERR_INTERNAL + 1]; /* by err_code, all routes */
};

struct request;

/* How one protocol reads and writes a prediction. */
struct dialect {
    const char *name; /* "oip", "predict" */

    /* body -> whatever fill needs, kept in req->decoded; knows no contract. */
    enum err_code (*decode)(struct request *req, struct err *err);

    /* (optional) The value of a field of the first row, or of a parameter, in what decode left; ptr
     * NULL when there is none. In the arena. */
    struct str (*find_key)(const struct request *req, const char *name);

    /* (optional) The value of a parameter of the request in what decode left; ptr NULL when there
     * is none. In the arena. */
    struct str (*find_parameter)(const struct request *req, const char *name);

    /* (optional) The request's parameters as a JSON object, for runtimes that pass them on. */
    struct str (*parameters)(const struct request *req);

    /* decoded -> req->rows through the version's contract; without one req->features of a tabular
     * model, req->in of others. Sets row_count and wanted. */
    enum err_code (*fill)(struct request *req, struct err *err);

    /* out -> req->exchange->response. */
    enum err_code (*encode)(struct request *req, struct err *err);
};

/* Who goes on with a request that has waited for its lane; all on its data thread. */
struct request_owner {
    /* The lane, or a bulk thread, is done: call pipeline_resume with the same rc and err; reply
     * unless it waits again. */
    void (*resume)(struct request *req, enum err_code rc, const struct err *err);

    /* The deadline is over before that: answer with `err` now. The request's memory stays the
     * lane's until release is called. */
    void (*expire)(struct request *req, const struct err *err);
    void (*release)(struct request *req);
};

/* What a request wants of its model's response cache (request_cache.h). */
enum cache_plan {
    CACHE_OFF,     /* there is none */
    CACHE_NEITHER, /* neither look nor keep */
    CACHE_RENEW,   /* keep, but do not look */
    CACHE_USE,
};

struct hand_over;
struct bulk;

/* Everything known about one request. Each step reads what earlier steps wrote; the comment names
 * the step that fills a field. */
struct request {
    /* by the caller of pipeline_run */
    struct http_exchange *exchange;
    struct arena *arena;
    struct serve_thread *thread;
    const struct snapshot *snapshot;
    const struct dialect *dialect;
    struct str model_name, version_name; /* version "": the champion */
    struct str id;                       /* the request's id; a row's is "<id>-<row>" */
    struct str traceparent;              /* as the caller sent it; empty when absent */
    uint64_t span_id;                    /* of our part of that trace; 0 without one */
    const struct request_owner *owner;   /* NULL: it cannot wait for a lane */
    bool is_streamed;                    /* one of many on a stream */

    int64_t timeout_us; /* decode; as the protocol itself says; 0: it does not */

    void *decoded;                   /* decode */
    const struct endpoint *endpoint; /* choose_version */
    struct loaded *loaded;           /* choose_version */
    bool is_cold;                    /* choose_version: not in memory, worth waiting for */
    enum arm arm;                    /* choose_version; which part of a rollout answers */
    int64_t rollout;                 /* choose_version; the rollout that chose; 0: none */
    bool has_key;                    /* choose_version; the caller named a routing key */
    uint64_t key_hash;               /* choose_version; of that key under the rollout's salt */
    int64_t row_count;               /* check_contract */
    struct rows rows;                /* check_contract; only with a contract */
    bool has_rows;                   /* check_contract: `rows` has been begun */
    const float *features;   /* check_contract: [row_count, feature_count]; tabular models */
    struct tensor matrix;    /* check_contract: the features as a tensor, which in[0] is */
    const struct tensor *in; /* check_contract: [in_count] in the signature's order */
    int in_count;
    const bool *wanted; /* check_contract: outputs to compute; NULL: the usual */
    struct tensor *out; /* predict: [out_count] */
    int out_count;
    struct tensor *aside; /* predict: [signature->aside_count]; NULL: nothing is kept beside */
    int next_step;        /* where to go on when it has waited */
    struct bulk *bulk;    /* decode: of a large request; its way to the bulk threads and back */
    bool is_large;        /* decode: some steps run on bulk threads */
    bool has_snapshot;    /* it holds a reference of its own */
    bool has_left;        /* the client, while it waited */
    bool is_waiting;      /* predict: in the lane */
    struct hand_over *hand_over;               /* predict: the way there and back */
    int64_t check_ns, predict_ns, answered_ns; /* when check_contract, predict and observe began */
    int64_t waited_ns, infer_ns; /* predict; in the lane: until it was computed, and computing */
    struct str reply_parameters; /* predict: a JSON object for the reply; empty: none */
    enum cache_plan cache_plan;  /* check_contract: what the response cache may do with it */
    uint64_t cache_digest[2];    /* check_contract: of what is asked */
    int64_t cache_since_ns;      /* check_contract: an older answer is none */
    int64_t cache_ns;            /* time that went into looking up and keeping */
    bool is_cached;              /* predict: the answer was kept from an earlier request */
    bool is_fallback;            /* predict: the answer holds for this request alone */
    const struct review_match *held; /* observe: [row_count] with a rule where a person decides
                                        before the answer goes out; NULL: it goes out now */
};

/* Run every step until one fails; `err` then says which thing and why. What was learnt is counted
 * either way. ERR_OK with req->is_waiting: it is in its version's lane, and its owner hears of it.
 */
enum err_code pipeline_run(struct request *req, struct err *err);

/* Go on with a request that has waited, by the steps behind those that were run elsewhere; `rc` and
 * `err` are what they have come to. It may wait again, as after pipeline_run. */
enum err_code pipeline_resume(struct request *req, enum err_code rc, struct err *err);

/* Names of the steps, for metrics. */
const char *pipeline_step_name(int step);

/* Count the whole request for its version, and hand its record over: status as answered, duration
 * since exchange start. */
void pipeline_count(const struct request *req, int status);

#endif
