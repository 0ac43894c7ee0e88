/* grpc_statistics.c - ModelStatistics: the twin of oip_statistics_api.c. */
#include "api/grpc.h"
#include "api/grpc_service.h"
#include "api/handlers.h"
#include "api/oip_statistics.h"

static void put_time(struct buf *out, uint32_t number, uint64_t count, uint64_t ns)
{
    size_t mark = pb_begin(out, number);
    pb_put_varint(out, 1, count);
    pb_put_varint(out, 2, ns);
    pb_end(out, mark);
}

/* InferStatistics. */
static void put_times(struct buf *out, const struct model_stats *stats)
{
    const struct model_time times[] = {stats->success,   stats->fail,      stats->queue,
                                       stats->input,     stats->infer,     stats->output,
                                       stats->cache_hit, stats->cache_miss};
    size_t mark = pb_begin(out, 6);
    for (uint32_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        put_time(out, i + 1, times[i].count, times[i].ns);
    pb_end(out, mark);
}

static void put_batches(struct buf *out, const struct model_stats *stats)
{
    for (int i = 0; i < stats->batch_count; i++) {
        const struct model_batches *batches = &stats->batches[i];
        size_t mark = pb_begin(out, 7);
        pb_put_varint(out, 1, (uint64_t)batches->rows);
        put_time(out, 2, batches->count, batches->input_ns);
        put_time(out, 3, batches->count, batches->infer_ns);
        put_time(out, 4, batches->count, batches->output_ns);
        pb_end(out, mark);
    }
}

static void put_memory(struct buf *out, const struct model_stats *stats)
{
    size_t mark = pb_begin(out, 8);
    pb_put_text(out, 1, "CPU");
    pb_put_varint(out, 3, stats->memory_bytes);
    pb_end(out, mark);
}

/* map<string, InferResponseStatistics>: one response a request. */
static void put_responses(struct buf *out, const struct model_stats *stats)
{
    size_t entry = pb_begin(out, 9);
    pb_put_text(out, 1, "0");
    size_t mark = pb_begin(out, 2);
    put_time(out, 1, stats->infer.count, stats->infer.ns);
    put_time(out, 2, stats->output.count, stats->output.ns);
    put_time(out, 3, stats->success.count, stats->success.ns);
    put_time(out, 4, stats->fail.count, stats->fail.ns);
    put_time(out, 5, 0, 0);
    put_time(out, 6, stats->cancel.count, stats->cancel.ns);
    pb_end(out, mark);
    pb_end(out, entry);
}

static void put_version(void *arg, const struct loaded *loaded, const struct model_stats *stats)
{
    struct buf *out = arg;
    size_t mark = pb_begin(out, 1);
    pb_put_text(out, 1, loaded->model);
    grpc_put_number(out, 2, loaded->number);
    pb_put_varint(out, 3, (uint64_t)stats->last_ms);
    pb_put_varint(out, 4, stats->rows);
    pb_put_varint(out, 5, stats->executions);
    put_times(out, stats);
    put_batches(out, stats);
    put_memory(out, stats);
    put_responses(out, stats);
    pb_end(out, mark);
}

enum err_code grpc_model_statistics(struct call *call, struct err *err)
{
    struct str names[2];
    struct buf *out = &call->x->response.body;
    enum err_code rc = grpc_read_names(call, names, err);
    if (rc)
        return rc;
    size_t mark = grpc_begin(out);
    rc = oip_statistics_each(call, names[0], names[1], put_version, out, err);
    grpc_end(out, mark);
    return rc;
}
