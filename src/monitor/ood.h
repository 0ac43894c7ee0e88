/* ood.h - how unlike the training data a row is: "at most one in N rows is as strange".
 *
 *     p(cell)   a number     P(|T3| >= |x - mean| / std), Student's t with 3 degrees of freedom
 *               a category   share of the training rows in it or in rarer ones
 *               missing      share of the training rows without a value
 *               never seen   0: an unknown category, a number that is not in its list, another
 *                            value where training rows had only one
 *     ood(row)  min(1e9, 1 / min(1, d * min p))     d: columns with a profile (Bonferroni)
 *
 * The union bound needs no assumption about how columns hang together. Shares count the row itself,
 * (count + 1) / (rows + 1), which makes them conformal p-values (Vovk, Gammerman, Shafer:
 * Algorithmic Learning in a Random World, 2005). T3 stands for a number's tail because profiles
 * have no extremes: its tails are as heavy as those of Pareto's law with exponent 3, where the
 * normal law would call every tenth amount of money impossible. Of held-out rows of five data sets
 * (30, 6, 6 columns measured, and 10 of Pareto's and of log-normal laws) at most 0.5 % had an ood
 * of 100 and more; docs/review.md has the figures. It sees single cells only: a combination of
 * usual values is usual here.
 */
#ifndef SLIPWAY_MONITOR_OOD_H
#define SLIPWAY_MONITOR_OOD_H

#include "base/arena.h"
#include "contract/contract.h"
#include "monitor/record.h"

enum {
    OOD_ROWS_MIN = 100, /* fewer training rows say nothing */
    OOD_PRESET = 100,   /* what "ood" means without a number */
};
#define OOD_MAX 1e9

/* What training rows had in a column. */
struct ood_column {
    double mean, scale;      /* a number: 1 / std; 0 when all were the mean */
    int known_count;         /* a number with a list: its values; 0: any */
    const float *known;      /* [known_count], ascending */
    const float *category_p; /* [category_count] of the field; NULL: a number */
    float missing_p;
};

/* NULL when the field has no profile, or one of too few rows. Lives in `arena`, which has no limit
 * of its own. */
const struct ood_column *ood_column_new(const struct contract_field *field, struct arena *arena);

/* >= 1; NaN when nothing is known of the columns, or the row has no inputs. No memory, no lock. */
double ood_of_row(const struct record *record, int64_t row);

#endif
