/* gate_slice.h - rows by the level of one column, and what is summed over each level.
 *
 *     texts        one level per text, the LEVELS_MAX most frequent; the others are "(other)"
 *     categories   the ten most frequent of a feature, the others left out
 *     numbers      four levels between the quartiles of a feature
 */
#ifndef SLIPWAY_ROLLOUT_GATE_SLICE_H
#define SLIPWAY_ROLLOUT_GATE_SLICE_H

#include "rollout/gate_check.h"

enum { GATE_LEVELS_MAX = 50, GATE_TOP_LEVELS = 10, GATE_DISTINCT_MAX = 100 * 1000 };

/* A column cut into levels. */
struct gate_levels {
    int count;
    const char *names[GATE_LEVELS_MAX + 1]; /* "plan=basic" */
    int32_t *of;                            /* [data.count] level of each row; -1: of none */
};

/* Sums over the rows of one level. Losses are 0 or 1 of a class, |error| of a number. */
struct gate_sums {
    int64_t n;
    double loss, loss_squares; /* candidate */
    double champion_loss;
    double more, more_squares; /* candidate - champion, row by row */
    int64_t only_candidate_wrong, only_champion_wrong;
};

/* ERR_LIMIT past GATE_DISTINCT_MAX texts. */
enum err_code gate_levels_of_texts(struct gate_run *run, const struct gate_column *column,
                                   struct gate_levels *levels, struct err *err);

/* Of a value column of the candidate's contract; count 0 when it has nothing to be cut by. */
enum err_code gate_levels_of_feature(struct gate_run *run, int column, struct gate_levels *levels,
                                     struct err *err);

void gate_sum_levels(const struct gate_run *run, const struct gate_levels *levels,
                     struct gate_sums sums[GATE_LEVELS_MAX + 1]);

#endif
