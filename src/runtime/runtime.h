/* runtime.h - artifact -> predictions: the interface every kind of model stands behind.
 *
 * An implementation is one file ending in one const struct runtime_ops, and one line in wiring.c.
 */
#ifndef SLIPWAY_RUNTIME_RUNTIME_H
#define SLIPWAY_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/tensor.h"

enum {
    RUNTIME_INPUTS_MAX = 1024,
    RUNTIME_TENSORS_MAX = 64, /* outputs */
    RUNTIME_ASIDES_MAX = 96,
};

struct json_writer;
struct loaded;
struct options;
struct snapshot;

/* Where predict runs. */
enum runtime_place {
    RUNTIME_INLINE, /* microseconds, and it never waits: on the thread of the connection */
    RUNTIME_LANE,   /* may take long or wait: on a thread of the version's own lane */
};

struct signature_tensor {
    const char *name;
    enum dtype dtype;
    int rank;
    int64_t shape[TENSOR_RANK_MAX]; /* -1: any size */
    bool is_on_request;             /* output only: computed when the caller names it */
    bool is_optional;               /* input only: may be left out */
    bool takes_f64;                 /* input of FP32 only: FP64 is taken too, as it is */
};

/* What a feature column is, as far as the file says. */
enum feature_kind {
    FEATURE_UNKNOWN,
    FEATURE_NUMERIC,
    FEATURE_INTEGER,
    FEATURE_INDICATOR,   /* 0 or 1 */
    FEATURE_CATEGORICAL, /* value is a category's code: 0, 1, 2, ... */
};

struct signature {
    const char *platform; /* what OIP metadata says: "xgboost_trees" */
    int input_count, output_count;
    const struct signature_tensor *inputs, *outputs;
    enum runtime_place place;
    int batch_rows_max; /* along shape[0] in one call of predict, which may join requests; 0: the
                           model has no batch dimension, requests are never joined */
    int instances_max;  /* calls of predict at once that help; 0: any number */

    /* Tabular models: one input [-1, feature_count]; 0 for others. */
    int feature_count;
    const char *const *feature_names;       /* [feature_count], or NULL when the file has none */
    const enum feature_kind *feature_kinds; /* [feature_count], or NULL */
    const int *category_counts; /* [feature_count] codes the file knows of; 0 none; or NULL */

    /* What is kept of a prediction besides its outputs: how the parts of a graph answered. */
    int aside_count;
    const struct signature_tensor *asides;

    int answer; /* the output that is the answer of a row: it is watched, judged and recorded as one
                 */
    int class_count;     /* 2 and more: a classifier; 1: a number per row */
    bool is_probability; /* the answer is probabilities of classes ([-1] of class 1 when binary) */
    bool varies; /* the same input may get another answer: none is kept for who asks again */
    const char *objective; /* as the file says: "binary:logistic" */
    const char *detail;    /* one line for people: "100 trees, depth 6, tier vbmi" */
};

/* A list of the options; the texts are the options'. */
struct runtime_list {
    const char *const *items;
    int count;
};

/* What the machine offers to runtimes, from the options; constant after start. */
struct runtime_host {
    const char *work_dir;                   /* in the data folder, for runtimes that need files; see
                                               runtime_make_work_dir */
    const char *python;                     /* the interpreter of Python models; "": look for one */
    const char *const *python_environments; /* [python_environment_count] "name=FOLDER" */
    int python_environment_count;
    const char *python_sandbox; /* "require", "try", "off" */
    const char *onnxruntime;    /* the shared library; "": look in the usual places */
    int onnx_threads;           /* that one operator of an ONNX model may use; 1 and more */
    int thread_count;           /* cores that models may use */
    struct runtime_list remote_endpoints;    /* "name=URL" of other servers */
    struct runtime_list remote_certificates; /* "name=FILE" shown to them */
    struct runtime_list remote_tokens;       /* "name=FILE" sent to them */
    const char *remote_ca;                   /* who vouches for them; "": the system's roots */
};

/* Where a model that is made of other versions finds them. */
struct runtime_versions {
    /* One more reference on a version ("3", "champion", ...), loaded if it is not in memory. Slow.
     */
    enum err_code (*acquire)(void *arg, const char *model, struct str version,
                             struct loaded **loaded, struct err *err);

    /* What is served now, one more reference of it; NULL: nothing is. Takes a lock. */
    struct snapshot *(*snapshot)(void *arg);
    void *arg;
};

/* An artifact. `bytes` stay valid only while it is loaded, `host` as long as the model. */
struct runtime_file {
    const void *bytes;
    size_t size;
    const char *digest_hex; /* of the bytes, already verified */
    const struct runtime_host *host;
    const char *label;                       /* what it is called in the log: "churn version 3" */
    const struct runtime_versions *versions; /* as long as the model; NULL: there are none */
};

/* What loads have left in host->work_dir, see runtime_ops.collect. */
struct runtime_left {
    bool is_dry;                                        /* count only */
    bool (*is_kept)(void *arg, const char *digest_hex); /* the artifact is there */
    void *arg;
    int64_t folders; /* out: added to */
    uint64_t bytes;
};

/* One batch on its way through a model. */
struct runtime_call {
    const struct tensor *in; /* [in_count] in the order of signature->inputs; data NULL: an optional
                                one that was not given */
    int in_count;
    const bool *wanted;  /* [signature->output_count]; NULL: those that are not on request */
    struct arena *arena; /* outputs live here */
    int64_t deadline_ns; /* clock_monotonic_ns; 0: none. Runtimes that wait fail with ERR_TIMEOUT
                            past it */
    const _Atomic bool *is_cancelled; /* the client has left: ERR_CANCELLED is as good as an answer;
                                         NULL: nobody can leave. For runtimes that wait */
    struct str request_id;            /* for runtimes that pass it on; empty: none, or joined from
                                         several requests; traceparent too */
    struct str traceparent;           /* with our own span as the parent */
    struct str parameters;            /* the request's, a JSON object, for runtimes that pass them
                                         on; empty: none */
    struct tensor *out;               /* out: room for signature->output_count */
    int out_count;                    /* out */
    struct tensor *aside;        /* out: room for signature->aside_count; NULL: nobody keeps them */
    struct str reply_parameters; /* out: a JSON object for the reply, in the arena; empty: none */
    bool is_fallback; /* out: something else answered in place of what should have; it holds for
                         this request alone */
};

struct runtime_ops {
    const char *name; /* what a version's `runtime` field says: "trees", "onnx", ... */

    /* Could these first bytes of a file be ours? Decides `runtime` when the caller names none. */
    bool (*recognise)(const void *head, size_t size);

    /* What the artifact leaves open, because only another machine knows it or because it may move
     * (an alias), is asked once, when a version is registered: `out` gets the artifact as it is
     * kept, or nothing when it is whole as it is. (optional) */
    enum err_code (*complete)(const struct runtime_file *file, struct buf *out, struct err *err);

    /* predict asks another machine, which may be down or slow while this one starts: golden rows
     * are held against it, and what is made of it, when a version is registered, and not at every
     * load after that. */
    bool is_elsewhere;

    /* Read the artifact and make it ready. Called once per version, on a worker thread; may be
     * slow. On failure *model is untouched. */
    enum err_code (*load)(const struct runtime_file *file, void **model, struct err *err);

    /* Names, dtypes and shapes this model takes and gives; lives as long as the model. */
    const struct signature *(*describe)(const void *model);

    /* Bytes of memory this model holds. */
    size_t (*memory_bytes)(const void *model);

    /* Score one batch that the contract has accepted: fills call->out[0..out_count) in the
     * signature's order. Called from many threads at once, those of signature->place: must not
     * write to `model` (what it has to change stands behind a pointer with a lock of its own). */
    enum err_code (*predict)(const void *model, struct runtime_call *call, struct err *err);

    /* Why requests would fail now, such as a worker in a crash loop; NULL: ready. A text that lives
     * as long as the model. Any thread, at once. (optional) */
    const char *(*problem)(const void *model);

    /* The versions it is made of, which it holds: returns how many. (optional) */
    int (*parts)(const void *model, struct loaded *const **parts);

    /* Members for the open object of the version's signature. (optional) */
    void (*show)(const void *model, struct json_writer *w);

    /* What the model's own code printed last, as lines. Any thread. (optional) */
    void (*log)(const void *model, struct buf *out);

    /* First prediction ahead of traffic, so that no user pays for page faults. (optional) */
    enum err_code (*warm)(const void *model, struct err *err);

    void (*free)(void *model); /* NULL is allowed */

    /* Remove what loads of artifacts that are gone have left in host->work_dir and nobody uses.
     * Any thread, beside loads. (optional) */
    enum err_code (*collect)(const struct runtime_host *host, struct runtime_left *left,
                             struct err *err);
};

/* The table of runtimes, ended by NULL; defined in wiring.c so that nothing here looks upward. */
extern const struct runtime_ops *const runtimes[];

/* By name; NULL when there is none. */
const struct runtime_ops *runtime_find(const char *name);

/* The first whose recognise() accepts the bytes; NULL when none does. */
const struct runtime_ops *runtime_recognise(const void *bytes, size_t size);

/* What the options say of the machine; work_dir is left to whoever knows the folder. */
struct runtime_host runtime_host_of(const struct options *options);

/* Make host->work_dir, readable by its owner alone, unless it is there. */
enum err_code runtime_make_work_dir(const struct runtime_host *host, struct err *err);

#endif
