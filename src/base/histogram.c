/* histogram.c - adding histograms up and asking what they say. */
#include "base/histogram.h"

#include "base/check.h"

uint64_t histogram_bucket_start(int bucket)
{
    assert(bucket >= 0 && bucket <= HISTOGRAM_BUCKETS);
    int shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    if (shift <= 0)
        return (uint64_t)bucket;
    return (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
}

/* The lower of the two middles: a bucket of one value is that value. */
static uint64_t bucket_middle(int bucket)
{
    uint64_t start = histogram_bucket_start(bucket);
    return start + (histogram_bucket_start(bucket + 1) - start - 1) / 2;
}

void histogram_add_to(const struct histogram *histogram, struct histogram_sum *sum)
{
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = counter_read(&histogram->counts[i]);
        sum->counts[i] += count;
        sum->count += count;
    }
    sum->sum_ns += counter_read(&histogram->sum_ns);
}

uint64_t histogram_quantile(const struct histogram_sum *sum, double q)
{
    assert(q >= 0 && q <= 1);
    uint64_t seen = 0;
    double rank = q * (double)sum->count;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += sum->counts[i];
        if (sum->counts[i] && (double)seen >= rank)
            return bucket_middle(i);
    }
    return 0;
}

uint64_t histogram_count_to(const struct histogram_sum *sum, uint64_t bound_ns)
{
    uint64_t count = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS && bucket_middle(i) <= bound_ns; i++)
        count += sum->counts[i];
    return count;
}
