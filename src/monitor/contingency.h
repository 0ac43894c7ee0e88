/* contingency.h - tests on tables of counts: are two groups alike, does a sample fit a share?
 *
 * Pure functions, any thread. Counts are doubles >= 0. NaN when a table has nothing to say (an
 * empty row or column). p is two-sided unless the name says otherwise.
 */
#ifndef SLIPWAY_MONITOR_CONTINGENCY_H
#define SLIPWAY_MONITOR_CONTINGENCY_H

#include <stdint.h>

struct table_test {
    double statistic, p;
    int dof;
};

/* table [rows, columns]: Pearson's chi-square of independence, and the likelihood ratio G. */
struct table_test table_chi2(const double *table, int rows, int columns);
struct table_test table_g(const double *table, int rows, int columns);

/* The 2 x 2 table {a, b, c, d} with Yates' correction, and Fisher's exact test of it (p only: the
 * sum of all tables with these margins that are not likelier). */
struct table_test table_chi2_yates(const double table[4]);
double table_fisher_p(const int64_t table[4]);

/* Counts against a reference whose shares are taken as exact. It ignores that the reference is a
 * sample too: at equal sizes it cries wolf in 31 % instead of 5 %. For comparison with others. */
struct table_test table_fit(const double *reference, const double *counts, int bins);

/* Strength of the association in [0, 1]: sqrt(chi2 / (N min(rows - 1, columns - 1))), and W.
 * Bergsma's correction for what chance alone gives (2013). */
double table_cramers_v(const double *table, int rows, int columns);
double table_cramers_v_corrected(const double *table, int rows, int columns);

/* k1 of n1 against k2 of n2 with the pooled share: z > 0 when the first share is larger. */
struct z_test {
    double z, p;
};
struct z_test two_proportion_z(double k1, double n1, double k2, double n2);

#endif
