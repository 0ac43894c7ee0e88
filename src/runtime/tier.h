/* tier.h - one way of scoring a forest: the table each engine fills in.
 *
 * All tiers give the same bits: every margin is base[o] plus the leaves of output o's trees in
 * float32 (in double when the forest says so), in the order of the forest. They differ in what they
 * can take and how fast they are.
 */
#ifndef SLIPWAY_RUNTIME_TIER_H
#define SLIPWAY_RUNTIME_TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/forest.h"

/* rows is what splits look at. Linear leaves look at the numbers as they came: wide when it is not
 * NULL, else plain. Each is [count, feature_count]. */
struct tier_rows {
    int64_t count;
    const float *rows;
    const float *plain;
    const double *wide;
};

struct tier {
    const char *name;

    /* Can this CPU run it, and does it take this forest? */
    bool (*fits)(const struct forest *forest);

    /* What scoring needs, copied out of the forest: one block from aligned_alloc(64), freed by
     * free(); *bytes is its size. NULL when the machine is out of memory. */
    void *(*build)(const struct forest *forest, size_t *bytes);

    /* rows -> margins [count, output_count], double when the forest's are. Scratch is on the stack
     * and at most TIER_SCRATCH_BYTES. From many threads at once. */
    void (*score)(const void *built, const struct tier_rows *rows, void *margins);
};

enum { TIER_SCRATCH_BYTES = 640 * 1024, TIER_ALIGN = 64 };

/* The next multiple of TIER_ALIGN. */
#define TIER_ROUND(bytes) (((bytes) + TIER_ALIGN - 1) & ~(size_t)(TIER_ALIGN - 1))

extern const struct tier tier_sparse; /* takes any forest */
extern const struct tier tier_heap;   /* shallow trees, numeric splits */
extern const struct tier tier_vbmi; /* the same and trees of few leaves, of few features, on x86-64
                                       with AVX-512 VBMI */

/* The fastest tier that takes the forest on this CPU, built; false when the machine is out of
 * memory. `*built` is freed by free(). */
bool tier_choose(const struct forest *forest, const struct tier **tier, void **built,
                 size_t *bytes);

#endif
