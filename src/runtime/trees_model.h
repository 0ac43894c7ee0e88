/* trees_model.h - what a reader of tree files gives: the forest, and what the file says beside it.
 */
#ifndef SLIPWAY_RUNTIME_TREES_MODEL_H
#define SLIPWAY_RUNTIME_TREES_MODEL_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/forest.h"
#include "runtime/runtime.h"

enum { TREES_OUTPUTS_MAX = 3, TREES_NAME_BYTES_MAX = 256 };

/* How margins become the tensors a caller gets. `run` fills call->out from margins [rows, outputs
 * of the forest] (double when the forest's are), which it may overwrite; `detail` is its own. */
struct trees_answer {
    enum err_code (*run)(const struct trees_answer *answer, void *margins, int64_t rows,
                         struct runtime_call *call, struct err *err);
    const void *detail;
    int margin_count;
    int output_count;
    struct signature_tensor outputs[TREES_OUTPUTS_MAX];
};

/* The forest and the arrays of features live in the arena for reading; what the answer points to
 * and `writer` in the arena to keep. */
struct trees_model {
    struct forest forest;
    struct trees_answer answer;
    const char *platform;   /* "xgboost_trees" */
    const char *input_name; /* "input" */
    const char *objective;  /* as the file says */
    const char *writer;     /* "XGBoost 3.2.0" */
    int class_count;        /* 1 unless it is a classifier */
    bool is_probability;
    bool takes_doubles;               /* thresholds are doubles and rows may be */
    const char *const *feature_names; /* [feature_count], or NULL */
    const enum feature_kind *feature_kinds;
    const int *category_counts; /* [feature_count] */
};

/* A file format. */
struct trees_format {
    /* Could these first bytes of a file be it? */
    bool (*recognise)(const void *head, size_t size);

    /* Memory is bounded by a multiple of `size`. Fails with ERR_INVALID, ERR_LIMIT or
     * ERR_UNSUPPORTED that names the tree and node. */
    enum err_code (*read)(struct str bytes, struct arena *arena, struct arena *keep,
                          struct trees_model *model, struct err *err);
};

extern const struct trees_format trees_xgboost, trees_lightgbm, trees_onnx;

/* The answer of XGBoost and LightGBM models: "predict" FP32 and, on request, "margin". */
void trees_answer_numbers(struct trees_answer *answer, int predictions, int margins,
                          enum dtype margin_dtype);

/* What `numbers` of floats of a row look like: [-1] or [-1, numbers]. */
void trees_tensor(const struct signature_tensor *as, int64_t rows, void *data, struct tensor *out);

#endif
