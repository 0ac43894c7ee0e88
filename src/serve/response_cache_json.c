/* response_cache_json.c - struct response_cache_stats and the counts of versions -> JSON. */
#include "serve/response_cache_json.h"

#include <math.h>

#include "serve/response_cache.h"

/* Each by the time it took on average, in microseconds. */
static void write_counts(struct json_writer *w, const struct cache_counts *counts)
{
    for (int i = 0; i < CACHE_RESULT_COUNT; i++)
        json_member_u64(w, cache_result_name((enum cache_result)i), counts->count[i]);
    json_key(w, "took_us");
    json_begin_object(w);
    for (int i = 0; i < CACHE_RESULT_COUNT; i++) {
        json_key(w, cache_result_name((enum cache_result)i));
        if (counts->count[i])
            json_put_f64(w, round((double)counts->ns[i] / (double)counts->count[i] / 10) / 100);
        else
            json_put_null(w);
    }
    json_end_object(w);
}

static void write_version(struct json_writer *w, const struct loaded *loaded)
{
    struct cache_counts counts;
    loaded_cache_counts(loaded, &counts);
    json_begin_object(w);
    json_member_i64(w, "version", loaded->number);
    json_member_bool(w, "varies", loaded->signature->varies);
    write_counts(w, &counts);
    json_end_object(w);
}

static void write_contents(struct json_writer *w, const struct response_cache_stats *stats)
{
    json_member_u64(w, "max_bytes", stats->bytes_max);
    json_member_u64(w, "bytes", stats->bytes);
    json_member_u64(w, "answers", stats->answers);
    json_key(w, "ended");
    json_begin_object(w);
    for (int i = 0; i < RESPONSE_END_COUNT; i++)
        json_member_u64(w, response_end_name((enum response_end)i), stats->ended[i]);
    json_end_object(w);
    json_key(w, "not_kept");
    json_begin_object(w);
    json_member_u64(w, "large", stats->large);
    json_member_u64(w, "busy", stats->busy);
    json_end_object(w);
}

void response_cache_json(struct json_writer *w, const struct endpoint *endpoint)
{
    struct response_cache_stats stats;
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(endpoint, versions);
    response_cache_read(endpoint->responses, &stats);
    json_key(w, "responses");
    json_begin_object(w);
    write_contents(w, &stats);
    json_key(w, "versions");
    json_begin_array(w);
    for (int i = 0; i < count; i++)
        write_version(w, versions[i]);
    json_end_array(w);
    json_end_object(w);
}
