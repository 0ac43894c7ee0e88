/* sketch_bound.h - what compact summaries of data promise: their errors, and DDSketch's buckets.
 *
 * For choosing sizes and for saying "D +- 2 eps" beside a statistic that comes from a sketch. Pure
 * functions, any thread.
 */
#ifndef SLIPWAY_MONITOR_SKETCH_BOUND_H
#define SLIPWAY_MONITOR_SKETCH_BOUND_H

/* DDSketch (Masson, Rim, Lee, VLDB 2019): positive x is in bucket ceil(ln x / ln gamma), gamma =
 * (1 + alpha) / (1 - alpha), and its middle is within alpha of x, relative. Merging adds counts. */
double ddsketch_gamma(double alpha);
int ddsketch_bucket(double x, double gamma); /* x > 0, finite */
double ddsketch_value(int bucket, double gamma);

/* Rank error of a KLL sketch of size k with 99 % confidence, as DataSketches has fitted it: of one
 * quantile, and of a difference of two (a share). */
double kll_rank_error(int k);
double kll_share_error(int k);

/* Relative standard error of HyperLogLog with 2^lg_m registers. */
double hll_error(int lg_m);

/* Count-Min: width and depth so that a count is at most eps N too high with probability 1 - delta.
 */
int count_min_width(double eps);
int count_min_depth(double delta);

/* Largest error of a distribution function from n sampled rows, with probability 1 - delta
 * (Dvoretzky, Kiefer, Wolfowitz; Massart 1990). */
double dkw_error(double n, double delta);

#endif
