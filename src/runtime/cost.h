/* cost.h - what a call of a model takes, by its number of rows, learnt from calls that were timed.
 *
 *     ns = base + rows * per_row
 *
 * fitted by least squares; older calls fade (by 1/32 at each new one), and a call counts by its
 * relative error, so that small calls and large ones both fit. While only one size has been seen
 * the cost is taken to be in proportion to the rows, which never makes a larger call look cheap.
 *
 * A call that took many times as long as expected counts as four times: should it be so from now
 * on, a few dozen calls tell.
 *
 * Any thread reads; any thread adds: who finds another one adding lets its sample go.
 */
#ifndef SLIPWAY_RUNTIME_COST_H
#define SLIPWAY_RUNTIME_COST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zeroed is new. */
struct cost {
    _Atomic double base_ns, row_ns;
    atomic_flag is_busy;                         /* guards what follows */
    bool has_slope;                              /* row_ns comes from calls of different sizes */
    double weight, rows, rows_rows, ns, rows_ns; /* weighted sums */
};

/* One call of `rows` rows took `ns`. */
void cost_add(struct cost *cost, int64_t rows, int64_t ns);

/* What a call of `rows` rows will take; 0 while nothing is known. */
static inline int64_t cost_ns(const struct cost *cost, int64_t rows)
{
    double base = atomic_load_explicit(&cost->base_ns, memory_order_relaxed);
    double row = atomic_load_explicit(&cost->row_ns, memory_order_relaxed);
    return (int64_t)(base + (double)rows * row);
}

#endif
