/* lane_metrics.c - struct lane_stats of each version, family by family. */
#include "api/lane_metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct lane_row {
    const char *model, *version;
    struct lane_stats stats;
};

struct lane_table {
    struct metric_writer *w;
    int count;
    struct lane_row *rows; /* [count] */
};

static void write_closed(const struct lane_table *table)
{
    metric_family(table->w, METRIC_BATCHES);
    for (int i = 0; i < table->count; i++) {
        const struct lane_row *row = &table->rows[i];
        for (int close = 0; close < CLOSE_COUNT; close++)
            metric_sample(
                table->w, (double)row->stats.batches[close],
                METRIC_LABELS(row->model, row->version, batch_close_name((enum batch_close)close)));
    }
}

static void write_sizes(const struct lane_table *table)
{
    metric_family(table->w, METRIC_BATCH_SIZES);
    for (int i = 0; i < table->count; i++) {
        const struct lane_row *row = &table->rows[i];
        for (int size = 0; size < LANE_SIZES; size++) {
            char bound[STR_NUMBER_BYTES];
            snprintf(bound, sizeof(bound), "%d", lane_size_bound(size));
            if (row->stats.sizes[size])
                metric_sample(table->w, (double)row->stats.sizes[size],
                              METRIC_LABELS(row->model, row->version,
                                            lane_size_bound(size) ? bound : "more"));
        }
    }
}

static void write_lost(const struct lane_table *table)
{
    metric_family(table->w, METRIC_LANE_UNANSWERED);
    for (int i = 0; i < table->count; i++) {
        const struct lane_row *row = &table->rows[i];
        const struct {
            const char *reason;
            uint64_t count;
        } reasons[] = {{"refused", row->stats.refused},
                       {"late", row->stats.late},
                       {"cancelled", row->stats.cancelled},
                       {"failed", row->stats.failed}};
        for (size_t k = 0; k < ARRAY_LEN(reasons); k++)
            metric_sample(table->w, (double)reasons[k].count,
                          METRIC_LABELS(row->model, row->version, reasons[k].reason));
    }
}

static double batch_rows(const struct lane_stats *stats)
{
    return (double)stats->rows;
}

static double waiting(const struct lane_stats *stats)
{
    return stats->waiting;
}

static double predicted(const struct lane_stats *stats)
{
    return (double)stats->predicted_ns / 1e9;
}

static double off(const struct lane_stats *stats)
{
    return (double)stats->off_ns / 1e9;
}

static void write_numbers(const struct lane_table *table)
{
    static const struct {
        enum metric_id id;
        double (*read)(const struct lane_stats *stats);
    } numbers[] = {{METRIC_LANE_WAITING, waiting},
                   {METRIC_BATCH_ROWS, batch_rows},
                   {METRIC_BATCH_PREDICTED, predicted},
                   {METRIC_BATCH_OFF, off}};
    for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
        metric_family(table->w, numbers[k].id);
        for (int i = 0; i < table->count; i++) {
            const struct lane_row *row = &table->rows[i];
            metric_sample(table->w, numbers[k].read(&row->stats),
                          METRIC_LABELS(row->model, row->version));
        }
    }
}

static void write_times(const struct lane_table *table)
{
    metric_family(table->w, METRIC_QUEUE_SECONDS);
    for (int i = 0; i < table->count; i++)
        metric_histogram(table->w, &table->rows[i].stats.queue,
                         METRIC_LABELS(table->rows[i].model, table->rows[i].version));
    metric_family(table->w, METRIC_BATCH_SECONDS);
    for (int i = 0; i < table->count; i++)
        metric_histogram(table->w, &table->rows[i].stats.compute,
                         METRIC_LABELS(table->rows[i].model, table->rows[i].version));
}

static bool is_used(const struct lane_stats *stats)
{
    return stats->requests || stats->refused || stats->late || stats->cancelled || stats->waiting;
}

void lane_metrics(struct metric_writer *w, const struct lanes *lanes,
                  const struct lane_shown *shown, int count)
{
    struct lane_table table = {.w = w};
    if (!lanes)
        return;
    table.rows = malloc((size_t)(count ? count : 1) * sizeof(*table.rows));
    if (!table.rows)
        abort();
    for (int i = 0; i < count; i++) {
        struct lane_row *row = &table.rows[table.count];
        row->model = shown[i].loaded->model;
        row->version = shown[i].version;
        if (!shown[i].loaded->lane)
            continue;
        lane_read(shown[i].loaded->lane, &row->stats);
        table.count += is_used(&row->stats);
    }
    metric_family(w, METRIC_LANE_BYTES);
    metric_sample(w, (double)lanes_waiting_bytes(lanes), METRIC_NO_LABELS);
    write_numbers(&table);
    write_closed(&table);
    write_sizes(&table);
    write_lost(&table);
    write_times(&table);
    free(table.rows);
}
