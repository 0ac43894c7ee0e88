/* feed.h - how the rows of a contract become the tensors of a model.
 *
 *     matrix     the model's one input is [-1, n] of numbers: the features, in the contract's order
 *     columns    every input is [-1] or [-1, 1]: the feature of the input's name
 *
 * A tabular model (signature.feature_count) needs neither: its features are its input as they are.
 * A categorical field feeds BYTES with its text and numbers with its code; a missing value is NaN,
 * in BYTES an empty text, and an error where the datatype has no such value.
 */
#ifndef SLIPWAY_RUNTIME_FEED_H
#define SLIPWAY_RUNTIME_FEED_H

#include "contract/contract.h"
#include "runtime/runtime.h"

struct feed_input {
    const struct contract_field *field; /* NULL: all features, or an optional input not fed */
    bool is_matrix;
};

struct feed {
    const struct signature *signature;
    const struct contract *contract;
    struct feed_input *inputs; /* [signature->input_count] */
};

/* Fit a contract to a model that is not tabular; `feed` lives in the arena and borrows both.
 * ERR_INVALID names the input or the field. */
enum err_code feed_fit(const struct contract *contract, const struct signature *signature,
                       struct arena *arena, struct feed **feed, struct err *err);

/* Fill in[signature->input_count] from checked rows: values [count, value_count] and texts
 * [count, text_count] of the contract. Texts are borrowed. */
enum err_code feed_tensors(const struct feed *feed, const float *values, const struct str *texts,
                           int64_t count, struct arena *arena, struct tensor *in, struct err *err);

#endif
