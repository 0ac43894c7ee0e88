/* cost.c - a line through the calls that were timed, weighted by age and size. */
#include "runtime/cost.h"

#include "base/check.h"

/* What is left of the older calls' weight at each new one. */
#define KEEP (1.0 - 1.0 / 32)

/* Sizes that differ by less, relative to their mean and squared, say nothing about the slope. */
#define SPREAD_MIN 0.01

enum { OUTLIER = 4 }; /* times what was expected: a sample counts as no more */

static void add_sample(struct cost *cost, double rows, double ns)
{
    double w = 1 / ((1 + rows) * (1 + rows)); /* its cost grows like 1 + rows, or less */
    cost->weight = cost->weight * KEEP + w;
    cost->rows = cost->rows * KEEP + w * rows;
    cost->rows_rows = cost->rows_rows * KEEP + w * rows * rows;
    cost->ns = cost->ns * KEEP + w * ns;
    cost->rows_ns = cost->rows_ns * KEEP + w * rows * ns;
}

/* Of the newest calls; when they are all of one size, what larger and smaller ones told before. */
static double slope_of(struct cost *cost)
{
    double mean_rows = cost->rows / cost->weight, mean_ns = cost->ns / cost->weight;
    double spread = cost->rows_rows / cost->weight - mean_rows * mean_rows;
    if (spread >= SPREAD_MIN * mean_rows * mean_rows) {
        double both = cost->rows_ns / cost->weight - mean_rows * mean_ns;
        cost->has_slope = true;
        return both > 0 ? both / spread : 0;
    }
    double known = atomic_load_explicit(&cost->row_ns, memory_order_relaxed);
    return cost->has_slope && known * mean_rows <= mean_ns ? known : mean_ns / mean_rows;
}

static void publish(struct cost *cost)
{
    double slope = slope_of(cost);
    double base = (cost->ns - slope * cost->rows) / cost->weight;
    if (base < 0) {
        base = 0;
        slope = cost->rows_ns / cost->rows_rows;
    }
    atomic_store_explicit(&cost->row_ns, slope, memory_order_relaxed);
    atomic_store_explicit(&cost->base_ns, base, memory_order_relaxed);
}

/* A thread that was taken off its core in the middle of a call tells nothing about the call. */
static int64_t without_outlier(const struct cost *cost, int64_t rows, int64_t ns)
{
    int64_t known = cost_ns(cost, rows);
    return known > 0 && ns / OUTLIER > known ? OUTLIER * known : ns;
}

void cost_add(struct cost *cost, int64_t rows, int64_t ns)
{
    if (rows < 1 || ns < 0)
        return;
    ns = without_outlier(cost, rows, ns);
    if (atomic_flag_test_and_set_explicit(&cost->is_busy, memory_order_acquire))
        return;
    add_sample(cost, (double)rows, (double)ns);
    publish(cost);
    atomic_flag_clear_explicit(&cost->is_busy, memory_order_release);
}
