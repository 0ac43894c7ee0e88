/* trees.h - the runtime "trees": gradient-boosted trees and random forests, scored in-process.
 *
 *     file --format--> trees_model: forest (checked), answer --tier.build--> scored by a tier
 *
 * One input [-1, features], FP32 or FP64; NaN is "missing". FP64 is rounded to FP32, as XGBoost
 * does it, unless the model compares doubles (LightGBM). Outputs of XGBoost and LightGBM models:
 * "predict" FP32 and, when it is asked for, "margin", each [-1], or [-1, k] when a row has k:
 *
 *     binary:logistic, binary    predict: the probability of class 1
 *     multi:softprob, multiclass predict: the probabilities of all classes
 *     multi:softmax              predict: the index of the class; margin has k
 *     anything else              predict: the number, one per target
 *
 * Margins have the bits of the library's own: XGBoost's in FP32 (Booster.predict(output_margin=
 * True)), LightGBM's in FP64 (Booster.predict(raw_score=True)). XGBoost's predictions agree to 1e-6
 * relative, LightGBM's are its own rounded to FP32. The cases are in tests/golden/.
 */
#ifndef SLIPWAY_RUNTIME_TREES_H
#define SLIPWAY_RUNTIME_TREES_H

#include "runtime/runtime.h"

extern const struct runtime_ops runtime_trees;

enum {
    TREES_FILE_BYTES_MAX = 1 << 30,
    TREES_ROWS_MAX = 1 << 24, /* of one call of predict */
};

enum trees_tier {
    TREES_TIER_BEST, /* the fastest that takes the model on this CPU */
    TREES_TIER_SPARSE,
    TREES_TIER_HEAP,
    TREES_TIER_VBMI,
};

/* runtime_trees.load with a tier of the caller's choice, for tests and comparisons.
 * ERR_UNSUPPORTED when it does not take the model or the CPU lacks its instructions. */
enum err_code trees_load_tier(const void *bytes, size_t size, enum trees_tier tier, void **model,
                              struct err *err);

/* Which one it became: never TREES_TIER_BEST. */
enum trees_tier trees_tier_of(const void *model);

#endif
