/* binning.c - quantile edges, equal-width edges, counts between them. */
#include "monitor/binning.h"

#include <math.h>
#include <string.h>

#include "monitor/sample.h"

int binning_quantile_edges(const double *x, int64_t n, int bins, double *edges)
{
    int count = 0;
    for (int i = 1; n > 0 && i < bins; i++) {
        double edge = sample_quantile(x, n, (double)i / bins);
        if (count == 0 || edge > edges[count - 1])
            edges[count++] = edge;
    }
    return count;
}

/* How many edges are below the value. */
static int rank_of(double value, const double *edges, int count)
{
    int low = 0;
    while (count > 0) {
        int half = count / 2;
        if (edges[low + half] < value) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

void binning_count(const double *x, int64_t n, const double *edges, int edge_count, double *counts)
{
    memset(counts, 0, (size_t)(edge_count + 1) * sizeof(*counts));
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            counts[rank_of(x[i], edges, edge_count)]++;
}

/* numpy: the range divided by the width that the rule gives, rounded up; the range cancels. */
static int bins_of(double bins)
{
    double whole = ceil(bins);
    return whole < 1 ? 1 : whole > BINNING_WIDTH_MAX ? BINNING_WIDTH_MAX : (int)whole;
}

int binning_sturges(int64_t n)
{
    return n < 1 ? 1 : bins_of(log2((double)n) + 1);
}

int binning_doane(const double *x, int64_t n)
{
    double count = (double)n, std = n > 2 ? sample_std(x, n) : 0;
    if (!(std > 0))
        return 1;
    double mean = sample_mean(x, n), cubes = 0;
    for (int64_t i = 0; i < n; i++)
        cubes += pow((x[i] - mean) / std, 3);
    double skewness = fabs(cubes / count);
    double error = sqrt(6 * (count - 2) / ((count + 1) * (count + 3)));
    return bins_of(1 + log2(count) + log2(1 + skewness / error));
}

void binning_equal_edges(double low, double high, int bins, double *edges)
{
    for (int i = 0; i < bins; i++)
        edges[i] = low + (high - low) / bins * i;
    edges[bins] = high;
}

void binning_count_equal(const double *x, int64_t n, const double *edges, int bins, double *counts)
{
    memset(counts, 0, (size_t)(bins + 1) * sizeof(*counts));
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]) || x[i] < edges[0] || x[i] > edges[bins]) {
            counts[bins]++;
            continue;
        }
        /* edges at or below the value are those below the next number up */
        int bin = rank_of(nextafter(x[i], INFINITY), edges, bins + 1) - 1;
        counts[bin < bins ? bin : bins - 1]++;
    }
}
