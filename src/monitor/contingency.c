/* contingency.c - chi-square, G, Yates, Fisher, Cramer's V, two proportions. */
#include "monitor/contingency.h"

#include <math.h>

#include "monitor/special.h"

enum table_kind { TABLE_CHI2, TABLE_G };

static double row_sum(const double *table, int columns, int row)
{
    double sum = 0;
    for (int i = 0; i < columns; i++)
        sum += table[row * columns + i];
    return sum;
}

static double column_sum(const double *table, int rows, int columns, int column)
{
    double sum = 0;
    for (int i = 0; i < rows; i++)
        sum += table[i * columns + column];
    return sum;
}

static double table_sum(const double *table, int rows, int columns)
{
    double sum = 0;
    for (int i = 0; i < rows; i++)
        sum += row_sum(table, columns, i);
    return sum;
}

static double cell_term(enum table_kind kind, double observed, double expected)
{
    if (kind == TABLE_G)
        return observed > 0 ? 2 * observed * log(observed / expected) : 0;
    return (observed - expected) * (observed - expected) / expected;
}

static struct table_test test(const double *table, int rows, int columns, enum table_kind kind)
{
    double total = table_sum(table, rows, columns), statistic = 0;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            double expected =
                row_sum(table, columns, i) * column_sum(table, rows, columns, j) / total;
            statistic += expected > 0 ? cell_term(kind, table[i * columns + j], expected) : NAN;
        }
    int dof = (rows - 1) * (columns - 1);
    return (struct table_test){statistic, chi2_sf(statistic, dof), dof};
}

struct table_test table_chi2(const double *table, int rows, int columns)
{
    return test(table, rows, columns, TABLE_CHI2);
}

struct table_test table_g(const double *table, int rows, int columns)
{
    return test(table, rows, columns, TABLE_G);
}

/* Each |o - e| is made smaller by a half, not below zero; it is the same in all four cells. */
struct table_test table_chi2_yates(const double table[4])
{
    double a = table[0], b = table[1], c = table[2], d = table[3], n = a + b + c + d;
    double gap = fmax(0, fabs(a * d - b * c) - n / 2);
    double statistic = n * gap * gap / ((a + b) * (c + d) * (a + c) * (b + d));
    return (struct table_test){statistic, chi2_sf(statistic, 1), 1};
}

static double log_choose(double n, double k)
{
    return special_lgamma(n + 1) - special_lgamma(k + 1) - special_lgamma(n - k + 1);
}

/* log P of the table whose first cell is k, given the margins (hypergeometric) */
static double log_table(double k, double row, double other_row, double column)
{
    return log_choose(row, k) + log_choose(other_row, column - k) -
           log_choose(row + other_row, column);
}

double table_fisher_p(const int64_t table[4])
{
    int64_t row = table[0] + table[1], other = table[2] + table[3], column = table[0] + table[2];
    int64_t lowest = column > other ? column - other : 0, highest = row < column ? row : column;
    double own = log_table((double)table[0], (double)row, (double)other, (double)column), p = 0;
    if (row < 0 || other < 0 || row + other == 0)
        return NAN;
    for (int64_t k = lowest; k <= highest; k++) {
        double log_p = log_table((double)k, (double)row, (double)other, (double)column);
        if (log_p <= own + 1e-7) /* as likely as the own table, rounding aside */
            p += exp(log_p);
    }
    return fmin(1, p);
}

struct table_test table_fit(const double *reference, const double *counts, int bins)
{
    double n = row_sum(reference, bins, 0), m = row_sum(counts, bins, 0), statistic = 0;
    for (int i = 0; i < bins; i++) {
        double expected = reference[i] * m / n;
        statistic += cell_term(TABLE_CHI2, counts[i], expected);
    }
    return (struct table_test){statistic, chi2_sf(statistic, bins - 1), bins - 1};
}

double table_cramers_v(const double *table, int rows, int columns)
{
    double total = table_sum(table, rows, columns);
    int smaller = (rows < columns ? rows : columns) - 1;
    return sqrt(table_chi2(table, rows, columns).statistic / (total * smaller));
}

double table_cramers_v_corrected(const double *table, int rows, int columns)
{
    double n = table_sum(table, rows, columns), r = rows, k = columns;
    double phi2 = table_chi2(table, rows, columns).statistic / n;
    double phi2_corrected = fmax(0, phi2 - (k - 1) * (r - 1) / (n - 1));
    double r_corrected = r - (r - 1) * (r - 1) / (n - 1);
    double k_corrected = k - (k - 1) * (k - 1) / (n - 1);
    return sqrt(phi2_corrected / (fmin(k_corrected, r_corrected) - 1));
}

struct z_test two_proportion_z(double k1, double n1, double k2, double n2)
{
    if (!(n1 > 0) || !(n2 > 0))
        return (struct z_test){NAN, NAN};
    double pooled = (k1 + k2) / (n1 + n2);
    double variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2);
    if (!(variance > 0)) /* none or all, on both sides */
        return (struct z_test){0, 1};
    double z = (k1 / n1 - k2 / n2) / sqrt(variance);
    return (struct z_test){z, 2 * normal_sf(fabs(z))};
}
