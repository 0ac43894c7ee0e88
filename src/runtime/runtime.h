/* runtime.h - artifact -> predictions: the interface every kind of model stands behind.
 *
 * An implementation is one file ending in one const struct runtime_ops, and one line in wiring.c.
 */
#ifndef SLIPWAY_RUNTIME_RUNTIME_H
#define SLIPWAY_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/tensor.h"

enum { RUNTIME_TENSORS_MAX = 64 };

struct signature_tensor {
    const char *name;
    enum dtype dtype;
    int rank;
    int64_t shape[TENSOR_RANK_MAX]; /* -1: any size; shape[0] is the batch */
    bool is_on_request;             /* output only: computed when the caller names it */
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

    /* Tabular models: one input [-1, feature_count]. */
    int feature_count;
    const char *const *feature_names;       /* [feature_count], or NULL when the file has none */
    const enum feature_kind *feature_kinds; /* [feature_count], or NULL */
    const int *category_counts; /* [feature_count] codes the file knows of; 0 none; or NULL */

    int class_count;     /* 2 and more: a classifier; 1: a number per row */
    bool is_probability; /* outputs[0] are probabilities of classes ([-1] of class 1 when binary) */
    const char *objective; /* as the file says: "binary:logistic" */
    const char *detail;    /* one line for people: "100 trees, depth 6, tier vbmi" */
};

struct runtime_ops {
    const char *name; /* what a version's `runtime` field says: "trees", "onnx", ... */

    /* Could these first bytes of a file be ours? Decides `runtime` when the caller names none. */
    bool (*recognise)(const void *head, size_t size);

    /* Read the artifact, whose digest has been verified, and make it ready. `bytes` stay valid
     * only during the call. Called once per version, on a worker thread; may be slow. On failure
     * *model is untouched. */
    enum err_code (*load)(const void *bytes, size_t size, void **model, struct err *err);

    /* Names, dtypes and shapes this model takes and gives; lives as long as the model. */
    const struct signature *(*describe)(const void *model);

    /* Bytes of memory this model holds. */
    size_t (*memory_bytes)(const void *model);

    /* Score one batch that the contract has accepted. Outputs live in `arena`, one row per row of
     * in[0]; outputs that are on request are computed when wanted[i] of signature order is true
     * (wanted NULL: those that are not on request). `out` has room for output_count tensors.
     * Called from many threads at once: must not write to `model`. */
    enum err_code (*predict)(const void *model, const struct tensor *in, int in_count,
                             const bool *wanted, struct arena *arena, struct tensor *out,
                             int *out_count, struct err *err);

    /* First prediction ahead of traffic, so that no user pays for page faults. (optional) */
    enum err_code (*warm)(const void *model, struct err *err);

    void (*free)(void *model); /* NULL is allowed */
};

/* The table of runtimes, ended by NULL; defined in wiring.c so that nothing here looks upward. */
extern const struct runtime_ops *const runtimes[];

/* By name; NULL when there is none. */
const struct runtime_ops *runtime_find(const char *name);

/* The first whose recognise() accepts the bytes; NULL when none does. */
const struct runtime_ops *runtime_recognise(const void *bytes, size_t size);

#endif
