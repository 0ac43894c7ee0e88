/* loaded.h - a version in memory: model, contract, and what it counts; shared and counted.
 *
 * Made on a worker thread, never by a request. Everything but the statistics is immutable, so any
 * number of threads score with it; statistics are per data thread and summed by readers.
 */
#ifndef SLIPWAY_RUNTIME_LOADED_H
#define SLIPWAY_RUNTIME_LOADED_H

#include <stdatomic.h>

#include "base/metric.h"
#include "contract/check.h"
#include "registry/registry.h"
#include "runtime/cost.h"
#include "runtime/feed.h"
#include "runtime/runtime.h"
#include "store/blob.h"

enum { LOADED_STATUS_COUNT = 17, LOADED_SIZES = 12 };

/* Calls of the model by their rows: 1, 2, 3..4, 5..8, ..., 513..1024, more. */
static inline int loaded_size(int64_t rows)
{
    int size = rows > 1 ? 64 - __builtin_clzll((uint64_t)rows - 1) : 0;
    return size < LOADED_SIZES ? size : LOADED_SIZES - 1;
}

/* Where the time of requests went. */
struct stage_times {
    _Atomic uint64_t count;                         /* answered requests */
    _Atomic uint64_t input_ns, infer_ns, output_ns; /* checking and tensors, the model, the reply */
};

/* What the response cache of its model (serve/response_cache.h) did for an answered request. */
enum cache_result {
    CACHE_HIT,    /* nothing was computed */
    CACHE_MISS,   /* computed, and kept if there was room */
    CACHE_BYPASS, /* the request or its answer is none to be kept */
    CACHE_RESULT_COUNT,
};
const char *cache_result_name(enum cache_result result); /* "hit", "miss", "bypass" */

/* What one data thread counted for one version. Written by that thread alone (relaxed), read by
 * a scrape. */
struct version_stats {
    _Alignas(64) _Atomic uint64_t request_count[LOADED_STATUS_COUNT];
    _Atomic uint64_t row_count;
    _Atomic uint64_t suspect_row_count;
    _Atomic uint64_t violation_count[RULE_COUNT];
    struct histogram latency;               /* seconds from head complete to reply written */
    _Atomic int64_t used_ns;                /* monotonic, when it last answered; 0: never */
    _Atomic uint64_t failed_ns, left_ns;    /* of `latency`: not answered; the client had left */
    struct stage_times sizes[LOADED_SIZES]; /* requests that were computed at once, by rows */
    struct stage_times waited;              /* requests that were in the lane */
    _Atomic uint64_t queue_ns;              /* of these, until they were computed */
    _Atomic uint64_t cache_count[CACHE_RESULT_COUNT]; /* requests */
    _Atomic uint64_t cache_ns[CACHE_RESULT_COUNT];    /* time that looking up and keeping took */
    _Atomic uint64_t cached_row_count;                /* of hits */
};

/* The sums of all data threads; any thread. */
struct cache_counts {
    uint64_t count[CACHE_RESULT_COUNT], ns[CACHE_RESULT_COUNT];
    uint64_t hit_rows;
};
struct loaded;
void loaded_cache_counts(const struct loaded *loaded, struct cache_counts *counts);

/* Where a status is counted, and which one a place counts; the last place is every other one. */
int loaded_status_slot(int status);
const char *loaded_status_name(int slot); /* "200", ..., "other" */

struct record_schema;
struct sketch;
struct lane;
struct loaded_table;

struct loaded {
    uint32_t magic;
    _Atomic int refs;
    const char *model; /* borrowed from `arena` */
    int64_t number;
    uint64_t serial; /* 1, 2, ... of this process: another one when it is loaded again */
    struct blob_digest artifact;
    const struct runtime_ops *ops;
    void *state; /* the runtime's model */
    const struct signature *signature;
    struct contract *contract; /* NULL: plain tensors, checked against the signature only */
    const int *model_columns;  /* [signature->feature_count] column of rows.values each model
                                  feature is in; NULL when values are the features as they are */
    struct feed *feed;         /* rows of the contract -> tensors, of models that are not tabular;
                                  NULL for others */
    const struct signature_tensor *matrix; /* the input that callers may send all features in:
                                              the contract has no categories, and no field of that
                                              name, or there is none; NULL: fields or tensors */
    bool asks_elsewhere; /* another machine: its runtime does, or that of a version it is made of */
    _Atomic size_t memory_bytes;
    int64_t load_us; /* how long it took */
    int golden_count;
    int thread_count;
    struct version_stats *stats; /* [thread_count] */
    struct arena *arena;

    /* Of its records; NULL: none are kept. Set by control before the version is published. */
    const struct record_schema *record_schema;

    /* What its rows are counted in; NULL: it is not watched. Set with the schema. */
    struct sketch *sketch;

    /* Where it runs what takes long; NULL: here and now (in-process). Set with the schema. */
    struct lane *lane;
    void (*lane_free)(struct lane *lane);
    struct cost cost; /* of a call */

    /* loaded_table.c's own */
    struct loaded_table *table;
    struct loaded *table_next;
};

struct loaded_source {
    const char *model;
    int64_t number;
    const char *runtime;                           /* NULL: recognised from the bytes */
    struct blob_digest artifact, contract, golden; /* .hex "" : none */
    int thread_count;                              /* data threads that will count */
    const struct runtime_host *host;               /* lives as long as what is loaded */
    const struct runtime_versions *versions;       /* the same; NULL: there are no others */
};

/* Read, verify, load, fit to the contract, answer the golden rows, warm. Slow. On success the
 * caller owns one reference. Errors name the model and version and the step that failed. */
enum err_code loaded_open(struct blob_store *blobs, const struct loaded_source *source,
                          struct loaded **loaded, struct err *err);

/* Before a version is registered: what its artifact leaves open is asked, kept, and from then on
 * source->artifact names the whole artifact (source->number is 0). Slow. */
enum err_code loaded_complete(struct blob_store *blobs, struct loaded_source *source,
                              struct err *err);

void loaded_ref(struct loaded *loaded);
void loaded_unref(struct loaded *loaded); /* the last one frees; NULL is allowed */

/* One FP32 matrix [-1, feature_count] is all that it takes. */
static inline bool loaded_is_tabular(const struct loaded *loaded)
{
    return loaded->signature->feature_count > 0;
}

/* Rows as a version takes them: of a tabular model its features, of others what the contract holds
 * of a row. */
struct loaded_rows {
    int64_t count;
    const float *features;   /* [count, loaded_width()] */
    const struct str *texts; /* [count, contract->text_count], or NULL */
};

int loaded_width(const struct loaded *loaded);

/* Checked rows; features NULL at the arena's limit. Borrows from `rows`. */
struct loaded_rows loaded_take(const struct loaded *loaded, struct rows *rows);

/* `count` of them, from row `at` on. */
struct loaded_rows loaded_slice(const struct loaded *loaded, const struct loaded_rows *rows,
                                int64_t at, int64_t count);

/* `count` rows of features as the one tensor that a tabular model takes. */
struct tensor loaded_matrix(const struct loaded *loaded, const float *features, int64_t count);

/* Why requests would fail now although it is loaded: a worker in a crash loop; NULL: they would
 * not. Any thread. */
static inline const char *loaded_problem(const struct loaded *loaded)
{
    return loaded->ops->problem ? loaded->ops->problem(loaded->state) : NULL;
}

/* The versions it is made of, which it holds. Returns how many. */
static inline int loaded_parts(const struct loaded *loaded, struct loaded *const **parts)
{
    return loaded->ops->parts ? loaded->ops->parts(loaded->state, parts) : 0;
}

/* Fill in[signature->input_count]. ERR_UNSUPPORTED for a model that is not tabular and has no
 * contract: it has no rows. */
enum err_code loaded_tensors(const struct loaded *loaded, const struct loaded_rows *rows,
                             struct arena *arena, struct tensor *in, struct err *err);

/* Score rows: call->in is set here, the rest by the caller. */
enum err_code loaded_score(const struct loaded *loaded, const struct loaded_rows *rows,
                           struct runtime_call *call, struct err *err);

/* Score the tensors of the call. Errors name the model and version. */
static inline enum err_code loaded_predict(const struct loaded *loaded, struct runtime_call *call,
                                           struct err *err)
{
    enum err_code rc = loaded->ops->predict(loaded->state, call, err);
    return rc ? err_wrap(err, "model '%s' version %lld", loaded->model, (long long)loaded->number)
              : ERR_OK;
}

#endif
