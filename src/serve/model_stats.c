/* model_stats.c - counters of data threads and of the lane, added up. */
#include "serve/model_stats.h"

#include "base/check.h"
#include "base/clock.h"

struct sums {
    uint64_t count, input_ns, infer_ns, output_ns;
};

static void add_times(struct sums *sums, const struct stage_times *times)
{
    sums->count += counter_read(&times->count);
    sums->input_ns += counter_read(&times->input_ns);
    sums->infer_ns += counter_read(&times->infer_ns);
    sums->output_ns += counter_read(&times->output_ns);
}

/* What came in one after the other may be read half; no difference is negative. */
static uint64_t minus(uint64_t whole, uint64_t part)
{
    return whole > part ? whole - part : 0;
}

static uint64_t requests(const struct version_stats *thread)
{
    uint64_t count = 0;
    for (int slot = 0; slot < LOADED_STATUS_COUNT; slot++)
        count += counter_read(&thread->request_count[slot]);
    return count;
}

static void add_thread(struct model_stats *stats, const struct version_stats *thread,
                       struct sums *answered, struct sums *sizes)
{
    uint64_t left = counter_read(&thread->request_count[loaded_status_slot(499)]);
    for (int i = 0; i < LOADED_SIZES; i++) {
        add_times(&sizes[i], &thread->sizes[i]);
        add_times(answered, &thread->sizes[i]);
    }
    add_times(answered, &thread->waited);
    stats->rows += counter_read(&thread->row_count);
    stats->queue.ns += counter_read(&thread->queue_ns);
    stats->cancel.count += left;
    stats->cancel.ns += counter_read(&thread->left_ns);
    stats->fail.count += requests(thread); /* all of them so far */
    stats->fail.ns += counter_read(&thread->failed_ns);
    stats->success.ns += counter_read(&thread->latency.sum_ns);
}

static void put_batches(struct model_stats *stats, const struct sums *sizes,
                        const uint64_t counts[LANE_SIZES], const uint64_t infer_ns[LANE_SIZES])
{
    for (int i = 0; i < LOADED_SIZES; i++) {
        uint64_t count = sizes[i].count + counts[i];
        if (!count)
            continue;
        stats->executions += count;
        stats->batches[stats->batch_count++] = (struct model_batches){
            .rows = 1 << i,
            .count = count,
            .input_ns = sizes[i].input_ns,
            .infer_ns = sizes[i].infer_ns + infer_ns[i],
            .output_ns = sizes[i].output_ns,
        };
    }
}

static int64_t last_ms(const struct loaded *loaded)
{
    int64_t last_ns = 0;
    for (int i = 0; i < loaded->thread_count; i++) {
        int64_t at = atomic_load_explicit(&loaded->stats[i].used_ns, memory_order_relaxed);
        last_ns = at > last_ns ? at : last_ns;
    }
    return last_ns ? clock_wall_us() / 1000 - (clock_monotonic_ns() - last_ns) / 1000000 : 0;
}

/* A row that was answered before is not computed. */
static void read_cache(const struct loaded *loaded, struct model_stats *stats)
{
    struct cache_counts cache;
    loaded_cache_counts(loaded, &cache);
    stats->rows = minus(stats->rows, cache.hit_rows);
    stats->cache_hit = (struct model_time){cache.count[CACHE_HIT], cache.ns[CACHE_HIT]};
    stats->cache_miss = (struct model_time){cache.count[CACHE_MISS], cache.ns[CACHE_MISS]};
}

void model_stats_read(const struct loaded *loaded, struct model_stats *stats)
{
    struct sums answered = {0}, sizes[LOADED_SIZES] = {0};
    uint64_t counts[LANE_SIZES] = {0}, infer_ns[LANE_SIZES] = {0};
    *stats = (struct model_stats){.last_ms = last_ms(loaded), .memory_bytes = loaded->memory_bytes};
    for (int i = 0; i < loaded->thread_count; i++)
        add_thread(stats, &loaded->stats[i], &answered, sizes);
    if (loaded->lane)
        lane_read_sizes(loaded->lane, counts, infer_ns);
    put_batches(stats, sizes, counts, infer_ns);
    read_cache(loaded, stats);
    stats->success.count = answered.count + stats->cache_hit.count;
    stats->success.ns = minus(minus(stats->success.ns, stats->fail.ns), stats->cancel.ns);
    stats->fail.count = minus(minus(stats->fail.count, stats->success.count), stats->cancel.count);
    stats->queue.count = stats->success.count;
    stats->input = (struct model_time){answered.count, answered.input_ns};
    stats->infer = (struct model_time){answered.count, answered.infer_ns};
    stats->output = (struct model_time){answered.count, answered.output_ns};
}
