/* lane_json.c - struct lane_stats -> JSON. */
#include "serve/lane_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "serve/lane.h"

static void put_us(struct json_writer *w, const char *key, double ns)
{
    json_key(w, key);
    json_put_f64(w, (double)(int64_t)(ns / 100 + 0.5) / 10); /* a tenth is exact enough */
}

static void write_quantiles(struct json_writer *w, const char *key, const struct histogram_sum *sum)
{
    json_key(w, key);
    json_begin_object(w);
    put_us(w, "p50", (double)histogram_quantile(sum, 0.5));
    put_us(w, "p99", (double)histogram_quantile(sum, 0.99));
    json_end_object(w);
}

static void write_closed(struct json_writer *w, const struct lane_stats *stats)
{
    json_key(w, "closed");
    json_begin_object(w);
    for (int i = 0; i < CLOSE_COUNT; i++)
        json_member_u64(w, batch_close_name((enum batch_close)i), stats->batches[i]);
    json_end_object(w);
}

static void write_sizes(struct json_writer *w, const struct lane_stats *stats)
{
    json_key(w, "batch_rows");
    json_begin_object(w);
    for (int i = 0; i < LANE_SIZES; i++) {
        char bound[STR_NUMBER_BYTES + 3];
        if (!stats->sizes[i])
            continue;
        snprintf(bound, sizeof(bound), "<=%d", lane_size_bound(i));
        json_member_u64(w, lane_size_bound(i) ? bound : "more", stats->sizes[i]);
    }
    json_end_object(w);
}

static void write_cost(struct json_writer *w, const struct lane_stats *stats)
{
    json_key(w, "cost_us");
    json_begin_object(w);
    put_us(w, "call", (double)stats->base_ns);
    put_us(w, "row", (double)stats->row_ns_x1000 / 1000);
    json_end_object(w);
    json_key(w, "cost_error"); /* mean absolute, relative to what was predicted */
    uint64_t thousandths = stats->predicted_ns ? stats->off_ns * 1000 / stats->predicted_ns : 0;
    if (stats->predicted_ns)
        json_put_f64(w, (double)thousandths / 1000);
    else
        json_put_null(w);
}

static void write_counts(struct json_writer *w, const struct lane_stats *stats)
{
    json_member_u64(w, "requests", stats->requests);
    json_member_u64(w, "rows", stats->rows);
    json_member_u64(w, "refused", stats->refused);
    json_member_u64(w, "late", stats->late);
    json_member_u64(w, "cancelled", stats->cancelled);
    json_member_u64(w, "failed", stats->failed);
    json_member_u64(w, "split", stats->split);
}

static void write_lane(struct json_writer *w, const struct loaded *loaded,
                       const struct serving *serving)
{
    struct lane_stats *stats = malloc(sizeof(*stats));
    const struct signature *signature = loaded->signature;
    if (!stats)
        abort();
    lane_read(loaded->lane, stats);
    json_begin_object(w);
    json_member_i64(w, "version", loaded->number);
    json_member_text(w, "runs", signature->place == RUNTIME_LANE ? "lane" : "inline");
    json_member_i64(w, "model_batch_rows_max", signature->batch_rows_max);
    json_member_i64(w, "instances", lane_instances(loaded->lane, serving));
    json_member_i64(w, "threads", stats->threads);
    json_member_i64(w, "waiting", stats->waiting);
    write_counts(w, stats);
    write_closed(w, stats);
    write_sizes(w, stats);
    write_quantiles(w, "queue_us", &stats->queue);
    write_quantiles(w, "compute_us", &stats->compute);
    write_cost(w, stats);
    json_end_object(w);
    free(stats);
}

static bool is_before(const struct endpoint *endpoint, int index, const struct loaded *loaded)
{
    for (int i = 0; i < index; i++)
        if (endpoint->aliases[i].loaded == loaded)
            return true;
    return false;
}

static bool has_alias(const struct endpoint *endpoint, const struct loaded *loaded)
{
    return is_before(endpoint, endpoint->alias_count, loaded);
}

/* The champion has its alias too. */
void lane_json_write(struct json_writer *w, const struct endpoint *endpoint)
{
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct loaded *loaded = endpoint->aliases[i].loaded;
        if (loaded && loaded->lane && !is_before(endpoint, i, loaded))
            write_lane(w, loaded, endpoint->serving);
    }
    const struct loaded *previous = endpoint->previous;
    bool has_previous = previous && previous->lane && !has_alias(endpoint, previous);
    if (has_previous)
        write_lane(w, previous, endpoint->serving);
    for (int i = 0; i < endpoint->pinned_count; i++) {
        const struct loaded *loaded = endpoint->pinned[i];
        if (loaded->lane && !has_alias(endpoint, loaded) && !(has_previous && loaded == previous))
            write_lane(w, loaded, endpoint->serving);
    }
}
