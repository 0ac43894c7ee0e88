/* agreement.c - kappa and alpha from labels. */
#include "review/agreement.h"

#include <math.h>
#include <stdlib.h>

static void *counts_new(int label_count, size_t bytes)
{
    void *counts = calloc((size_t)label_count, bytes);
    if (!counts)
        abort();
    return counts;
}

double agreement_kappa(const int *a, const int *b, int64_t count, int label_count)
{
    double n = (double)count, agreeing = 0, by_chance = 0;
    int64_t *of_a = counts_new(label_count, sizeof(*of_a));
    int64_t *of_b = counts_new(label_count, sizeof(*of_b));
    for (int64_t i = 0; i < count; i++) {
        of_a[a[i]]++;
        of_b[b[i]]++;
        agreeing += a[i] == b[i];
    }
    for (int label = 0; label < label_count; label++)
        by_chance += (double)of_a[label] * (double)of_b[label];
    free(of_a);
    free(of_b);
    by_chance /= n * n;
    return count == 0 || by_chance >= 1 ? NAN : (agreeing / n - by_chance) / (1 - by_chance);
}

/* Decisions of the item that begins at `first`. */
static int64_t item_size(const int64_t *items, int64_t count, int64_t first)
{
    int64_t end = first;
    while (end < count && items[end] == items[first])
        end++;
    return end - first;
}

static double alpha_of(double observed, double expected)
{
    return expected > 0 ? 1 - observed / expected : NAN;
}

/* Ordered pairs of one item that differ: m^2 - sum_c m_c^2. Adds the item to `totals`. */
static double differing_pairs(const int *labels, int64_t size, int label_count, int64_t *totals)
{
    double pairs = (double)size * (double)size;
    int64_t *counts = counts_new(label_count, sizeof(*counts));
    for (int64_t i = 0; i < size; i++)
        counts[labels[i]]++;
    for (int64_t i = 0; i < size; i++) {
        int64_t same = counts[labels[i]];
        pairs -= (double)same * (double)same;
        totals[labels[i]] += same;
        counts[labels[i]] = 0; /* once a label */
    }
    free(counts);
    return pairs;
}

double agreement_alpha(const int *labels, const int64_t *items, int64_t count, int label_count)
{
    double observed = 0, n = 0, expected;
    int64_t *totals = counts_new(label_count, sizeof(*totals));
    for (int64_t first = 0, size; first < count; first += size) {
        size = item_size(items, count, first);
        if (size < 2)
            continue;
        observed += differing_pairs(labels + first, size, label_count, totals) / (double)(size - 1);
        n += (double)size;
    }
    expected = n * n;
    for (int label = 0; label < label_count; label++)
        expected -= (double)totals[label] * (double)totals[label];
    free(totals);
    return n < 2 ? NAN : alpha_of(observed, expected / (n - 1));
}

/* Sum of (x_i - x_j)^2 over ordered pairs: 2 m sum (x - mean)^2. */
static double squared_differences(const double *values, int64_t size)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < size; i++)
        mean += values[i] / (double)size;
    for (int64_t i = 0; i < size; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return 2 * (double)size * squares;
}

double agreement_alpha_numbers(const double *values, const int64_t *items, int64_t count)
{
    double observed = 0, n = 0;
    double *paired = malloc((size_t)(count ? count : 1) * sizeof(*paired));
    if (!paired)
        abort();
    int64_t paired_count = 0;
    for (int64_t first = 0, size; first < count; first += size) {
        size = item_size(items, count, first);
        if (size < 2)
            continue;
        observed += squared_differences(values + first, size) / (double)(size - 1);
        for (int64_t i = 0; i < size; i++)
            paired[paired_count++] = values[first + i];
    }
    n = (double)paired_count;
    double expected = n < 2 ? 0 : squared_differences(paired, paired_count) / (n - 1);
    free(paired);
    return n < 2 ? NAN : alpha_of(observed, expected);
}
