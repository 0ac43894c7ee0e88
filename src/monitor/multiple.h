/* multiple.h - many tests at once: which of them may be believed.
 *
 *     p, e       [count], in the caller's order; a NaN p (nothing was tested) is never rejected
 *                and does not count
 *     rejected   (NULL is allowed) [count], set for each
 *     returns    how many are rejected
 *
 * Bonferroni and Holm bound the chance of any false rejection by q (any dependence);
 * Benjamini-Hochberg the expected share of false ones among the rejected (independence or positive
 * dependence), Benjamini-Yekutieli and e-BH the same under any dependence.
 */
#ifndef SLIPWAY_MONITOR_MULTIPLE_H
#define SLIPWAY_MONITOR_MULTIPLE_H

#include <stdbool.h>

int multiple_bonferroni(const double *p, int count, double q, bool *rejected);
int multiple_holm(const double *p, int count, double q, bool *rejected);
int multiple_bh(const double *p, int count, double q, bool *rejected);
int multiple_by(const double *p, int count, double q, bool *rejected);

/* e-values (mean <= 1 without an effect): the largest k with e_(k) >= count / (alpha k).
 * Wang, Ramdas, JRSS B 84 (2022). */
int multiple_ebh(const double *e, int count, double alpha, bool *rejected);

/* Smallest q at which Benjamini-Hochberg would reject each; NaN stays NaN. */
void multiple_bh_adjust(const double *p, int count, double *adjusted);

/* 1 + 1/2 + ... + 1/count: what Benjamini-Yekutieli divides q by. */
double multiple_by_constant(int count);

#endif
