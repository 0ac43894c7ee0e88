/* load_stats.c - quantiles of latencies, and the difference of two groups' with its interval. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/load.h"

enum { BLOCK_SAMPLES_MIN = 20 };

/* Student's t, two-sided 95 %, for LOAD_BLOCKS - 1 = 19 degrees of freedom. */
static const double T_95 = 2.093024;

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = ((const struct load_sample *)a)->latency;
    uint32_t y = ((const struct load_sample *)b)->latency;
    return (x > y) - (x < y);
}

void load_sort(struct load_group *group)
{
    if (group->sample_count)
        qsort(group->samples, (size_t)group->sample_count, sizeof(*group->samples),
              compare_samples);
}

static int64_t rank_of(int64_t count, double q)
{
    int64_t rank = (int64_t)ceil(q * (double)count);
    return rank < 1 ? 0 : rank - 1;
}

double load_quantile_us(const struct load_group *group, double q)
{
    if (group->sample_count == 0)
        return NAN;
    return group->samples[rank_of(group->sample_count, q)].latency / 10.0;
}

/* Of each block, in one walk over the sorted samples. */
static void block_quantiles(const struct load_group *group, double q, double out[LOAD_BLOCKS])
{
    int64_t counts[LOAD_BLOCKS] = {0}, seen[LOAD_BLOCKS] = {0};
    for (int64_t i = 0; i < group->sample_count; i++)
        counts[group->samples[i].block]++;
    for (int block = 0; block < LOAD_BLOCKS; block++)
        out[block] = NAN;
    for (int64_t i = 0; i < group->sample_count; i++) {
        int block = group->samples[i].block;
        if (counts[block] >= BLOCK_SAMPLES_MIN && seen[block]++ == rank_of(counts[block], q))
            out[block] = group->samples[i].latency / 10.0;
    }
}

struct load_difference load_compare(const struct load_group *a, const struct load_group *b,
                                    double q)
{
    double in_a[LOAD_BLOCKS], in_b[LOAD_BLOCKS], sum = 0, squares = 0;
    block_quantiles(a, q, in_a);
    block_quantiles(b, q, in_b);
    for (int i = 0; i < LOAD_BLOCKS; i++)
        sum += in_b[i] - in_a[i];
    double mean = sum / LOAD_BLOCKS;
    for (int i = 0; i < LOAD_BLOCKS; i++) {
        double off = in_b[i] - in_a[i] - mean;
        squares += off * off;
    }
    double error = sqrt(squares / (LOAD_BLOCKS - 1) / LOAD_BLOCKS);
    return (struct load_difference){
        .value = load_quantile_us(b, q) - load_quantile_us(a, q),
        .half_width = T_95 * error,
    };
}
