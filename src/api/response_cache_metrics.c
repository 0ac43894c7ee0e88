/* response_cache_metrics.c - hits and misses of each version, contents of each model's cache. */
#include "api/response_cache_metrics.h"

#include "base/check.h"
#include "serve/response_cache.h"

/* ---- versions ---- */

static bool is_used(const struct cache_counts *counts)
{
    return counts->count[CACHE_HIT] || counts->count[CACHE_MISS] || counts->count[CACHE_BYPASS];
}

static void write_version(struct metric_writer *w, const struct response_shown *shown, bool is_time)
{
    struct cache_counts counts;
    loaded_cache_counts(shown->loaded, &counts);
    for (int i = 0; is_used(&counts) && i < CACHE_RESULT_COUNT; i++)
        metric_sample(w, is_time ? (double)counts.ns[i] / 1e9 : (double)counts.count[i],
                      METRIC_LABELS(shown->loaded->model, shown->version,
                                    cache_result_name((enum cache_result)i)));
}

static void write_versions(struct metric_writer *w, const struct response_shown *versions,
                           int count)
{
    metric_family(w, METRIC_RESPONSE_CACHE_REQUESTS);
    for (int i = 0; i < count; i++)
        write_version(w, &versions[i], false);
    metric_family(w, METRIC_RESPONSE_CACHE_SECONDS);
    for (int i = 0; i < count; i++)
        write_version(w, &versions[i], true);
}

/* ---- models ---- */

static void write_ended(struct metric_writer *w, const char *model,
                        const struct response_cache_stats *stats)
{
    for (int i = 0; i < RESPONSE_END_COUNT; i++)
        metric_sample(w, (double)stats->ended[i],
                      METRIC_LABELS(model, response_end_name((enum response_end)i)));
}

static void write_not_kept(struct metric_writer *w, const char *model,
                           const struct response_cache_stats *stats)
{
    metric_sample(w, (double)stats->large, METRIC_LABELS(model, "large"));
    metric_sample(w, (double)stats->busy, METRIC_LABELS(model, "busy"));
}

static void write_answers(struct metric_writer *w, const char *model,
                          const struct response_cache_stats *stats)
{
    metric_sample(w, (double)stats->answers, METRIC_LABELS(model));
}

static void write_bytes(struct metric_writer *w, const char *model,
                        const struct response_cache_stats *stats)
{
    metric_sample(w, (double)stats->bytes, METRIC_LABELS(model));
}

static void write_bytes_max(struct metric_writer *w, const char *model,
                            const struct response_cache_stats *stats)
{
    metric_sample(w, (double)stats->bytes_max, METRIC_LABELS(model));
}

static const struct {
    enum metric_id id;
    void (*write)(struct metric_writer *w, const char *model,
                  const struct response_cache_stats *stats);
} families[] = {{METRIC_RESPONSE_CACHE_ENDED, write_ended},
                {METRIC_RESPONSE_CACHE_NOT_KEPT, write_not_kept},
                {METRIC_RESPONSE_CACHE_ANSWERS, write_answers},
                {METRIC_RESPONSE_CACHE_BYTES, write_bytes},
                {METRIC_RESPONSE_CACHE_BYTES_MAX, write_bytes_max}};

void response_cache_metrics(struct metric_writer *w, const struct snapshot *snapshot,
                            const struct response_shown *versions, int count)
{
    const struct map *endpoints = &snapshot->endpoints;
    write_versions(w, versions, count);
    for (size_t k = 0; k < ARRAY_LEN(families); k++) {
        metric_family(w, families[k].id);
        for (size_t i = 0; i < endpoints->slot_count; i++) {
            const struct endpoint *endpoint = endpoints->slots[i].value;
            struct response_cache_stats stats;
            if (!endpoints->slots[i].key.ptr || !endpoint->responses)
                continue;
            response_cache_read(endpoint->responses, &stats);
            families[k].write(w, endpoint->name, &stats);
        }
    }
}
