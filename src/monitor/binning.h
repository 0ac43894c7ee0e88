/* binning.h - where to cut numbers into bins, and how many values fall into each.
 *
 *     x, n    a sample, sorted ascending without NaN (sample_sort)
 *     edges   inner edges, ascending and distinct; the outer bins are open
 *
 * Quantile bins are what Slipway uses: a few far values move none of their edges. Equal widths
 * (Sturges, Doane) are for comparison with other tools; there one far value empties all other bins
 * and hides any drift.
 */
#ifndef SLIPWAY_MONITOR_BINNING_H
#define SLIPWAY_MONITOR_BINNING_H

#include <stdint.h>

/* Up to bins - 1 inner edges at the quantiles 1/bins, 2/bins, ... (numpy's linear ones), repeats
 * left out. `edges` [bins - 1]. Returns how many. */
int binning_quantile_edges(const double *x, int64_t n, int bins, double *edges);

/* Counts by inner edges: the bin of a value is how many edges are strictly below it. NaN counts
 * nowhere. x need not be sorted; counts [edge_count + 1] are overwritten. */
void binning_count(const double *x, int64_t n, const double *edges, int edge_count, double *counts);

enum { BINNING_WIDTH_MAX = 4096 };

/* Equal-width bins over [low, high] by numpy's rules: how many, at most BINNING_WIDTH_MAX. Sturges
 * takes the number of values; Doane looks at their skewness too. */
int binning_sturges(int64_t n);
int binning_doane(const double *x, int64_t n);

/* All bins + 1 edges of equal-width bins. */
void binning_equal_edges(double low, double high, int bins, double *edges);

/* Counts by bins + 1 edges as numpy.histogram has it: bin i is [e_i, e_i+1), the last one closed.
 * Values outside count in counts[bins] (its own place). counts [bins + 1] are overwritten. */
void binning_count_equal(const double *x, int64_t n, const double *edges, int bins, double *counts);

#endif
