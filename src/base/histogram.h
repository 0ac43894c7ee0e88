/* histogram.h - latencies counted in log-linear buckets, written by one thread and read by any.
 *
 * Each power of two of nanoseconds is split into 16 equal buckets (after HdrHistogram):
 *
 *     value   0 1 2 ... 15 | 16 17 ... 31 | 32 34 36 ... 62 | 64 68 ... | ... 2^40
 *     bucket  0 1 2 ... 15 | 16 17 ... 31 | 32 33 34 ... 47 | 48 49 ... |
 *
 * so a value is known to 1/16 of itself, its bucket's middle to 1/32, whatever its size. Memory is
 * fixed. Recording is two plain additions: the counters are atomic only so that a reader on another
 * thread sees whole numbers; no thread but the owner may record.
 */
#ifndef SLIPWAY_BASE_HISTOGRAM_H
#define SLIPWAY_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 4,
    HISTOGRAM_VALUE_BITS = 40, /* up to 2^40 ns = 18 minutes; what is longer counts as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

/* Zeroed is empty. */
struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
};

/* A copy that stands still: what several threads' histograms are added up in. Zeroed is empty. */
struct histogram_sum {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum_ns, count;
};

static inline int histogram_bucket(uint64_t value_ns)
{
    const uint64_t longest = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;
    if (value_ns < UINT64_C(1) << HISTOGRAM_SUB_BITS)
        return (int)value_ns;
    if (value_ns > longest)
        value_ns = longest;
    int shift = 63 - __builtin_clzll(value_ns) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (int)(value_ns >> shift);
}

/* Add to a counter that only the calling thread writes; other threads may read it at any time. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Only by the thread that owns it. Negative counts as 0. */
static inline void histogram_record(struct histogram *histogram, int64_t value_ns)
{
    uint64_t value = value_ns > 0 ? (uint64_t)value_ns : 0;
    counter_add(&histogram->counts[histogram_bucket(value)], 1);
    counter_add(&histogram->sum_ns, value);
}

/* Smallest value of a bucket, and of the one behind it. */
uint64_t histogram_bucket_start(int bucket);

/* Add what `histogram` holds now to `sum`. Any thread; a value being recorded just now may be in
 * the counts and not yet in sum_ns. */
void histogram_add_to(const struct histogram *histogram, struct histogram_sum *sum);

/* The value below which the share `q` (0..1) lies, in ns, to 1/32 of itself; 0 when empty. */
uint64_t histogram_quantile(const struct histogram_sum *sum, double q);

/* How many values are at most `bound_ns`. A bucket counts whole, by its middle, so a value within
 * 1/32 of the bound may be on either side of it. Grows with bound and with time. */
uint64_t histogram_count_to(const struct histogram_sum *sum, uint64_t bound_ns);

#endif
