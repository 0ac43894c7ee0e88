/* trees_wide.h - rows of doubles for tiers that compare float32.
 *
 * The thresholds of a feature, sorted, cut the doubles into stretches, and a split only asks which
 * stretches lie left of its threshold. So a double becomes the number of its stretch, its rank, and
 * threshold k the number k + 1: x < threshold[k] is the same as rank(x) < k + 1, exactly.
 */
#ifndef SLIPWAY_RUNTIME_TREES_WIDE_H
#define SLIPWAY_RUNTIME_TREES_WIDE_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/forest.h"

enum { TREES_WIDE_RANKS_MAX = 1 << 24 }; /* of one feature; float32 holds them exactly */

struct trees_wide {
    int feature_count;
    float code_low;
    const uint8_t *zero_missing; /* [feature_count] or NULL */
    const uint32_t *first_edge;  /* [feature_count + 1] index in edges */
    const double *edges;         /* sorted and distinct within a feature */
    const uint8_t *are_codes;    /* [feature_count] 1: split by category */
};

/* `forest` is changed to compare ranks; `wide`, in `keep`, makes them. ERR_UNSUPPORTED when a
 * feature is split by number and by category. */
enum err_code trees_wide_make(struct forest *forest, struct arena *scratch, struct arena *keep,
                              struct trees_wide *wide, struct err *err);

/* rows [count, feature_count] -> ranks, of the same shape. */
void trees_wide_rank(const struct trees_wide *wide, const double *rows, int64_t count,
                     float *ranks);

#endif
