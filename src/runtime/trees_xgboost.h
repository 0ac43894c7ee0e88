/* trees_xgboost.h - an XGBoost model file (JSON or UBJSON) -> forest. */
#ifndef SLIPWAY_RUNTIME_TREES_XGBOOST_H
#define SLIPWAY_RUNTIME_TREES_XGBOOST_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/forest.h"
#include "runtime/objective.h"
#include "runtime/runtime.h"

/* What the file says beside its trees. Everything lives in the arena it was read with. */
struct xgboost_model {
    struct forest forest;
    const struct objective *objective;
    int class_count;                  /* 1 unless it is a classifier */
    int version[3];                   /* of the XGBoost that wrote it; 0.0.0: unknown */
    const char *const *feature_names; /* [feature_count], or NULL */
    const enum feature_kind *feature_kinds;
    const int *category_counts; /* [feature_count] */
};

/* True when the first bytes of a file look like one. */
bool xgboost_recognise(const void *head, size_t size);

/* Read trees up to and including `best_iteration` when the file has one, as the scikit-learn
 * wrapper predicts. Memory is bounded by a multiple of `size`. Fails with ERR_INVALID, ERR_LIMIT
 * or ERR_UNSUPPORTED that names the tree and node. */
enum err_code xgboost_read(const void *bytes, size_t size, struct arena *arena,
                           struct xgboost_model *model, struct err *err);

#endif
