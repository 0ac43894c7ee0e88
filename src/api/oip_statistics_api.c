/* oip_statistics_api.c - GET /v2/models/{model}/stats: Triton's statistics extension as JSON. */
#include "api/handlers.h"
#include "api/oip_statistics.h"

/* ---- which versions ---- */

static void give(const struct loaded *loaded, oip_statistics_fn *fn, void *arg)
{
    struct model_stats stats;
    model_stats_read(loaded, &stats);
    fn(arg, loaded, &stats);
}

static void each_version(const struct endpoint *endpoint, oip_statistics_fn *fn, void *arg)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(endpoint, versions);
    for (int i = 0; i < count; i++)
        give(versions[i], fn, arg);
}

enum err_code oip_statistics_each(struct call *call, struct str model, struct str version,
                                  oip_statistics_fn *fn, void *arg, struct err *err)
{
    const struct map *endpoints = &call->snapshot->endpoints;
    const struct endpoint *endpoint = snapshot_find(call->snapshot, model);
    struct loaded *loaded;
    for (size_t i = 0; model.len == 0 && i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            each_version(endpoints->slots[i].value, fn, arg);
    if (model.len == 0)
        return ERR_OK;
    if (!endpoint)
        return err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                       STR_ARG(model));
    if (version.len == 0) {
        each_version(endpoint, fn, arg);
        return ERR_OK;
    }
    enum err_code rc = endpoint_choose(endpoint, version, &loaded, err);
    if (!rc)
        give(loaded, fn, arg);
    return rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, version) ? ERR_OK : rc;
}

/* ---- JSON ---- */

static void put_time(struct json_writer *w, const char *key, uint64_t count, uint64_t ns)
{
    json_key(w, key);
    json_begin_object(w);
    json_member_u64(w, "count", count);
    json_member_u64(w, "ns", ns);
    json_end_object(w);
}

static void put_times(struct json_writer *w, const struct model_stats *stats)
{
    const struct {
        const char *key;
        struct model_time time;
    } times[] = {
        {"success", stats->success},     {"fail", stats->fail},
        {"queue", stats->queue},         {"compute_input", stats->input},
        {"compute_infer", stats->infer}, {"compute_output", stats->output},
        {"cache_hit", stats->cache_hit}, {"cache_miss", stats->cache_miss},
    };
    json_key(w, "inference_stats");
    json_begin_object(w);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        put_time(w, times[i].key, times[i].time.count, times[i].time.ns);
    json_end_object(w);
}

/* One response a request: what Triton keeps under the key "0". */
static void put_responses(struct json_writer *w, const struct model_stats *stats)
{
    json_key(w, "response_stats");
    json_begin_object(w);
    json_key(w, "0");
    json_begin_object(w);
    put_time(w, "compute_infer", stats->infer.count, stats->infer.ns);
    put_time(w, "compute_output", stats->output.count, stats->output.ns);
    put_time(w, "success", stats->success.count, stats->success.ns);
    put_time(w, "fail", stats->fail.count, stats->fail.ns);
    put_time(w, "empty_response", 0, 0);
    put_time(w, "cancel", stats->cancel.count, stats->cancel.ns);
    json_end_object(w);
    json_end_object(w);
}

static void put_batches(struct json_writer *w, const struct model_stats *stats)
{
    json_key(w, "batch_stats");
    json_begin_array(w);
    for (int i = 0; i < stats->batch_count; i++) {
        const struct model_batches *batches = &stats->batches[i];
        json_begin_object(w);
        json_member_i64(w, "batch_size", batches->rows);
        put_time(w, "compute_input", batches->count, batches->input_ns);
        put_time(w, "compute_infer", batches->count, batches->infer_ns);
        put_time(w, "compute_output", batches->count, batches->output_ns);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_memory(struct json_writer *w, const struct model_stats *stats)
{
    json_key(w, "memory_usage");
    json_begin_array(w);
    json_begin_object(w);
    json_member_text(w, "type", "CPU");
    json_member_i64(w, "id", 0);
    json_member_u64(w, "byte_size", stats->memory_bytes);
    json_end_object(w);
    json_end_array(w);
}

static void put_version(void *arg, const struct loaded *loaded, const struct model_stats *stats)
{
    struct json_writer *w = arg;
    char number[STR_NUMBER_BYTES];
    json_begin_object(w);
    json_member_text(w, "name", loaded->model);
    json_key(w, "version");
    json_put_str(w, (struct str){number, str_from_i64(loaded->number, number)});
    json_member_i64(w, "last_inference", stats->last_ms);
    json_member_u64(w, "inference_count", stats->rows);
    json_member_u64(w, "execution_count", stats->executions);
    put_times(w, stats);
    put_responses(w, stats);
    put_batches(w, stats);
    put_memory(w, stats);
    json_end_object(w);
}

/* The path names a model, a model and a version, or neither. */
enum err_code oip_statistics_get(struct call *call, struct err *err)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model_stats");
    json_begin_array(&w);
    enum err_code rc =
        oip_statistics_each(call, call->params[0], call->params[1], put_version, &w, err);
    json_end_array(&w);
    json_end_object(&w);
    return rc;
}
