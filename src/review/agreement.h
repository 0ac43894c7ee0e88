/* agreement.h - how far people who decide the same things agree, beyond chance.
 *
 *     1 all agree      0 as if everybody had drawn from the same urn      below 0: worse than that
 *
 * NaN when it cannot be told: no item was decided twice, or everybody always said the same one
 * label, so that chance explains everything.
 */
#ifndef SLIPWAY_REVIEW_AGREEMENT_H
#define SLIPWAY_REVIEW_AGREEMENT_H

#include <stdint.h>

/* Cohen's kappa of two people over the items that both decided:
 *
 *     kappa = (po - pe) / (1 - pe)     pe = sum_c share_a(c) * share_b(c)
 *
 * a, b   labels of the same items, 0 .. label_count - 1, shape [count]
 * Source: J. Cohen, Educational and Psychological Measurement 20 (1960). */
double agreement_kappa(const int *a, const int *b, int64_t count, int label_count);

/* Krippendorff's alpha of any number of people, who need not all have decided every item:
 *
 *     alpha = 1 - Do / De
 *     Do = sum_u sum_(i != j in u) d(i, j) / (m_u - 1)      over items u with m_u >= 2 decisions
 *     De = sum_(i != j) d(i, j) / (n - 1)                   over all their n decisions
 *
 * with d = 0 or 1 for classes, (i - j)^2 for numbers.
 *
 * labels, values   decisions, those of one item next to one another
 * items            for each decision the number of its item, shape [count]
 * Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011). */
double agreement_alpha(const int *labels, const int64_t *items, int64_t count, int label_count);
double agreement_alpha_numbers(const double *values, const int64_t *items, int64_t count);

#endif
