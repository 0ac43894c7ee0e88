/* answer.h - what a model's output means for one row: a class with its probabilities, or a value.
 */
#ifndef SLIPWAY_RUNTIME_ANSWER_H
#define SLIPWAY_RUNTIME_ANSWER_H

#include "runtime/loaded.h"

struct answer {
    bool is_class;   /* else `value` is the answer */
    int class_index; /* the chosen class */
    bool has_score;  /* probabilities are known */
    float value;     /* as the model gave it: the number, or the probability of class 1 */
};

/* The tensor that holds the answers of `rows` rows among what predict filled in for `wanted`; NULL
 * when it was not asked for, or does not hold a number or all classes for each row. */
const struct tensor *answer_find(const struct loaded *loaded, const bool *wanted,
                                 const struct tensor *out, int64_t rows);

/* Does the tensor hold a number, or all classes, for each of `rows` rows? */
bool answer_is_readable(const struct loaded *loaded, const struct tensor *output, int64_t rows);

/* Read row `row` of it. A binary model answers class 1 when its probability reaches the
 * contract's decision threshold; one with several classes answers the most probable, the first on
 * a tie, as argmax does. */
struct answer answer_read(const struct loaded *loaded, const struct tensor *output, int64_t row);

int answer_class_count(const struct loaded *loaded);

/* Probability of one class; only when has_score. */
float answer_probability(const struct loaded *loaded, const struct tensor *output, int64_t row,
                         int class_index);

/* The contract's name of a class; ptr NULL when it has none (then the index is the name). */
struct str answer_class_name(const struct loaded *loaded, int class_index);

#endif
