/* metrics_api.c - GET /metrics: what all threads counted, added up now and written family by
 * family. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "api/graph_metrics.h"
#include "api/handlers.h"
#include "api/lane_metrics.h"
#include "api/monitor_metrics.h"
#include "api/outcome_metrics.h"
#include "api/response_cache_metrics.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "review/stats.h"
#include "runtime/worker_pool.h"
#include "serve/rollout_engine.h"

/* One version in memory, named once however many aliases point at it. */
struct shown {
    const struct loaded *loaded;
    char version[STR_NUMBER_BYTES];
};

struct scrape {
    struct metric_writer w;
    struct call *call;
    const struct snapshot *snapshot;
    int count;
    struct shown *shown; /* [count] */
};

/* ---- versions ---- */

static bool is_shown(const struct scrape *scrape, const struct loaded *loaded)
{
    for (int i = scrape->count - 1; i >= 0; i--) {
        if (scrape->shown[i].loaded == loaded)
            return true;
        if (strcmp(scrape->shown[i].loaded->model, loaded->model) != 0)
            break; /* versions of one model stand together */
    }
    return false;
}

static void show(struct scrape *scrape, const struct loaded *loaded)
{
    if (!loaded || is_shown(scrape, loaded))
        return;
    struct shown *shown = &scrape->shown[scrape->count++];
    shown->loaded = loaded;
    snprintf(shown->version, sizeof(shown->version), "%lld", (long long)loaded->number);
}

static size_t count_parts(const struct loaded *loaded)
{
    struct loaded *const *parts = NULL;
    size_t count = (size_t)loaded_parts(loaded, &parts), inner = 0;
    for (size_t i = 0; i < count; i++)
        inner += count_parts(parts[i]);
    return count + inner;
}

static bool is_listed(const struct scrape *scrape, const struct loaded *loaded)
{
    for (int i = 0; i < scrape->count; i++)
        if (scrape->shown[i].loaded == loaded)
            return true;
    return false;
}

static void show_parts(struct scrape *scrape, const struct loaded *loaded)
{
    struct loaded *const *parts = NULL;
    int count = loaded_parts(loaded, &parts);
    for (int i = 0; i < count; i++) {
        if (!is_listed(scrape, parts[i]))
            show(scrape, parts[i]);
        show_parts(scrape, parts[i]);
    }
}

/* Versions that only graphs hold are in memory too. */
static enum err_code list_parts(struct scrape *scrape, struct err *err)
{
    size_t served = (size_t)scrape->count, more = 0;
    for (size_t i = 0; i < served; i++)
        more += count_parts(scrape->shown[i].loaded);
    if (more == 0)
        return ERR_OK;
    struct shown *all = arena_calloc(scrape->call->arena, served + more, sizeof(*all));
    if (!all)
        return err_set(err, ERR_LIMIT, "no room for the metrics of %zu versions", served + more);
    memcpy(all, scrape->shown, served * sizeof(*all));
    scrape->shown = all;
    for (size_t i = 0; i < served; i++)
        show_parts(scrape, scrape->shown[i].loaded);
    return ERR_OK;
}

static enum err_code list_versions(struct scrape *scrape, struct err *err)
{
    const struct map *endpoints = &scrape->snapshot->endpoints;
    size_t most = 0;
    for (size_t i = 0; i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            most += 4 + (size_t)((struct endpoint *)endpoints->slots[i].value)->alias_count;
    scrape->shown = arena_calloc(scrape->call->arena, most, sizeof(*scrape->shown));
    if (!scrape->shown)
        return err_set(err, ERR_LIMIT, "no room for the metrics of %zu versions", most);
    for (size_t i = 0; i < endpoints->slot_count; i++) {
        const struct endpoint *endpoint = endpoints->slots[i].value;
        if (!endpoints->slots[i].key.ptr)
            continue;
        show(scrape, endpoint->champion);
        show(scrape, endpoint->previous);
        for (int k = 0; k < endpoint->alias_count; k++)
            show(scrape, endpoint->aliases[k].loaded);
        for (int k = 0; k < endpoint->pinned_count; k++)
            show(scrape, endpoint->pinned[k]);
    }
    return list_parts(scrape, err);
}

static uint64_t sum_status(const struct loaded *loaded, int slot)
{
    uint64_t sum = 0;
    for (int t = 0; t < loaded->thread_count; t++)
        sum += counter_read(&loaded->stats[t].request_count[slot]);
    return sum;
}

static void write_requests(struct scrape *scrape)
{
    metric_family(&scrape->w, METRIC_REQUESTS);
    for (int i = 0; i < scrape->count; i++) {
        const struct shown *shown = &scrape->shown[i];
        for (int slot = 0; slot < LOADED_STATUS_COUNT; slot++) {
            uint64_t count = sum_status(shown->loaded, slot);
            if (count || slot == 0)
                metric_sample(
                    &scrape->w, (double)count,
                    METRIC_LABELS(shown->loaded->model, shown->version, loaded_status_name(slot)));
        }
    }
}

static void write_latency(struct scrape *scrape)
{
    metric_family(&scrape->w, METRIC_REQUEST_SECONDS);
    for (int i = 0; i < scrape->count; i++) {
        const struct shown *shown = &scrape->shown[i];
        struct histogram_sum sum = {0};
        for (int t = 0; t < shown->loaded->thread_count; t++)
            histogram_add_to(&shown->loaded->stats[t].latency, &sum);
        metric_histogram(&scrape->w, &sum, METRIC_LABELS(shown->loaded->model, shown->version));
    }
}

/* One of a version's counters of rows, by its place in struct version_stats. */
static void write_row_counter(struct scrape *scrape, enum metric_id id, size_t offset)
{
    metric_family(&scrape->w, id);
    for (int i = 0; i < scrape->count; i++) {
        const struct shown *shown = &scrape->shown[i];
        uint64_t rows = 0;
        for (int t = 0; t < shown->loaded->thread_count; t++) {
            const char *stats = (const char *)&shown->loaded->stats[t];
            rows += counter_read((const _Atomic uint64_t *)(const void *)(stats + offset));
        }
        metric_sample(&scrape->w, (double)rows,
                      METRIC_LABELS(shown->loaded->model, shown->version));
    }
}

static void write_violations(struct scrape *scrape)
{
    metric_family(&scrape->w, METRIC_CONTRACT_VIOLATIONS);
    for (int i = 0; i < scrape->count; i++) {
        const struct shown *shown = &scrape->shown[i];
        for (int rule = 0; rule < RULE_COUNT; rule++) {
            uint64_t count = 0;
            for (int t = 0; t < shown->loaded->thread_count; t++)
                count += counter_read(&shown->loaded->stats[t].violation_count[rule]);
            metric_sample(&scrape->w, (double)count,
                          METRIC_LABELS(shown->loaded->model, shown->version,
                                        contract_rule_name((enum contract_rule)rule)));
        }
    }
}

static void write_loaded(struct scrape *scrape)
{
    metric_family(&scrape->w, METRIC_MODEL_LOADED);
    for (int i = 0; i < scrape->count; i++) {
        const struct loaded *loaded = scrape->shown[i].loaded;
        metric_sample(&scrape->w, 1,
                      METRIC_LABELS(loaded->model, scrape->shown[i].version, loaded->ops->name,
                                    loaded->artifact.hex));
    }
    metric_family(&scrape->w, METRIC_MODEL_MEMORY);
    for (int i = 0; i < scrape->count; i++)
        metric_sample(&scrape->w, (double)scrape->shown[i].loaded->memory_bytes,
                      METRIC_LABELS(scrape->shown[i].loaded->model, scrape->shown[i].version));
}

static void write_ready(struct scrape *scrape)
{
    const struct map *endpoints = &scrape->snapshot->endpoints;
    metric_family(&scrape->w, METRIC_MODEL_READY);
    for (size_t i = 0; i < endpoints->slot_count; i++) {
        const struct endpoint *endpoint = endpoints->slots[i].value;
        if (endpoints->slots[i].key.ptr && endpoint->champion_version)
            metric_sample(&scrape->w, endpoint->champion != NULL || endpoint->is_cold,
                          METRIC_LABELS(endpoint->name));
    }
}

/* ---- threads and sockets ---- */

static void write_one(struct scrape *scrape, enum metric_id id, double value)
{
    metric_family(&scrape->w, id);
    metric_sample(&scrape->w, value, METRIC_NO_LABELS);
}

static void write_steps(struct scrape *scrape)
{
    const struct node *node = scrape->call->node;
    metric_family(&scrape->w, METRIC_STEP_SECONDS);
    for (int step = 0; step < STEP_COUNT; step++) {
        struct histogram_sum sum = {0};
        for (int t = 0; t < node->thread_count; t++)
            histogram_add_to(&node->threads[t]->steps[step], &sum);
        metric_histogram(&scrape->w, &sum, METRIC_LABELS(pipeline_step_name(step)));
    }
}

static void write_errors(struct scrape *scrape)
{
    const struct node *node = scrape->call->node;
    metric_family(&scrape->w, METRIC_ERRORS);
    for (int code = ERR_OK + 1; code <= ERR_INTERNAL; code++) {
        uint64_t count = 0;
        for (int t = 0; t < node->thread_count; t++)
            count += counter_read(&node->threads[t]->error_count[code]);
        metric_sample(&scrape->w, (double)count, METRIC_LABELS(err_code_name((enum err_code)code)));
    }
}

static void write_http(struct scrape *scrape)
{
    struct http_stats stats;
    if (!scrape->call->node->server)
        return;
    http_server_stats(scrape->call->node->server, &stats);
    write_one(scrape, METRIC_CONNECTIONS_OPEN, (double)stats.open);
    write_one(scrape, METRIC_CONNECTIONS_ACCEPTED, (double)stats.accepted);
    write_one(scrape, METRIC_CONNECTIONS_REFUSED, (double)stats.refused);
    write_one(scrape, METRIC_HTTP_RECEIVED, (double)stats.bytes_in);
    write_one(scrape, METRIC_HTTP_SENT, (double)stats.bytes_out);
    write_one(scrape, METRIC_HTTP_TIMEOUTS, (double)stats.timeouts);
    write_one(scrape, METRIC_HTTP_PARSE_ERRORS, (double)stats.parse_errors);
    write_one(scrape, METRIC_TLS_ERRORS, (double)stats.tls_errors);
    metric_family(&scrape->w, METRIC_TLS_HANDSHAKES);
    metric_sample(&scrape->w, (double)stats.tls_handshakes, METRIC_LABELS("full"));
    metric_sample(&scrape->w, (double)stats.tls_resumed, METRIC_LABELS("resumed"));
    write_one(scrape, METRIC_TLS_EXPIRES, (double)stats.tls_expires_us / 1e6);
}

/* ---- records ---- */

static void write_losses(struct scrape *scrape, enum metric_id id, uint64_t queue_full,
                         const uint64_t *lost)
{
    metric_family(&scrape->w, id);
    metric_sample(&scrape->w, (double)queue_full, METRIC_LABELS("queue_full"));
    for (int i = 0; i < LOSS_COUNT; i++)
        metric_sample(&scrape->w, (double)lost[i],
                      METRIC_LABELS(record_loss_name((enum record_loss)i)));
}

static void write_store(struct scrape *scrape, const struct record_store_stats *store)
{
    double age = store->oldest_us ? (double)(clock_wall_us() - store->oldest_us) / 1e6 : 0;
    write_one(scrape, METRIC_RECORDS_LEFT_OUT, (double)store->left_out_count);
    write_one(scrape, METRIC_RECORD_BYTES, (double)store->bytes);
    write_one(scrape, METRIC_RECORD_BUFFER, (double)store->buffered_bytes);
    write_one(scrape, METRIC_RECORD_OLDEST, age > 0 ? age : 0);
    write_one(scrape, METRIC_RECORD_FAILING, store->is_failing);
    metric_family(&scrape->w, METRIC_RECORD_WRITE_SECONDS);
    metric_histogram(&scrape->w, &store->write_seconds, METRIC_NO_LABELS);
    metric_family(&scrape->w, METRIC_RECORD_SYNC_SECONDS);
    metric_histogram(&scrape->w, &store->sync_seconds, METRIC_NO_LABELS);
}

static void write_records(struct scrape *scrape)
{
    struct recorder_stats stats;
    const struct node *node = scrape->call->node;
    struct record_store_stats *store = arena_alloc(scrape->call->arena, sizeof(*store));
    if (!node->recorder || !store)
        return;
    recorder_stats(node->recorder, &stats);
    record_store_stats(node->records, store);
    write_one(scrape, METRIC_RECORDS, (double)stats.record_count);
    write_one(scrape, METRIC_RECORD_QUEUE, (double)stats.queue_bytes);
    write_losses(scrape, METRIC_RECORDS_DROPPED, stats.dropped_record_count, store->record_count);
    write_losses(scrape, METRIC_RECORD_ROWS_DROPPED, stats.dropped_row_count, store->row_count);
    write_store(scrape, store);
}

/* ---- alerts ---- */

/* Open ones of one rule and model are one series: views with the same two are next to each other
 * only by chance, so each is counted where it stands first. */
static int count_alike(const struct alert_view *list, int count, int at)
{
    int alike = 0;
    for (int i = 0; i < count; i++) {
        bool is_alike = list[i].state == ALERT_OPEN &&
                        strcmp(list[i].alert.rule, list[at].alert.rule) == 0 &&
                        strcmp(list[i].alert.model, list[at].alert.model) == 0;
        if (is_alike && i < at)
            return 0;
        alike += is_alike;
    }
    return alike;
}

static void write_active(struct scrape *scrape, struct alerting *alerting)
{
    struct alert_view *list;
    int count = alerting_list(alerting, scrape->call->arena, &list);
    metric_family(&scrape->w, METRIC_ALERTS_ACTIVE);
    for (int i = 0; i < count && list[i].state == ALERT_OPEN; i++) {
        int alike = count_alike(list, count, i);
        if (alike)
            metric_sample(&scrape->w, alike,
                          METRIC_LABELS(list[i].alert.rule, list[i].alert.model));
    }
}

static void write_alerts(struct scrape *scrape)
{
    struct alerting_stats stats;
    struct alerting *alerting = scrape->call->node->alerting;
    if (!alerting)
        return;
    alerting_stats(alerting, &stats);
    metric_family(&scrape->w, METRIC_ALERTS_OPEN);
    for (int i = 0; i < ALERT_SEVERITY_COUNT; i++)
        metric_sample(&scrape->w, stats.counts.open[i],
                      METRIC_LABELS(alert_severity_name((enum alert_severity)i)));
    write_active(scrape, alerting);
    write_one(scrape, METRIC_ALERTS_DROPPED, (double)stats.counts.dropped);
    metric_family(&scrape->w, METRIC_ALERT_MAILS);
    metric_sample(&scrape->w, (double)stats.mails_sent, METRIC_LABELS("sent"));
    metric_sample(&scrape->w, (double)stats.mails_failed, METRIC_LABELS("failed"));
}

/* ---- review ---- */

static void write_review_totals(struct scrape *scrape, enum metric_id id,
                                const struct review_total *totals, int count, size_t offset,
                                double unit)
{
    metric_family(&scrape->w, id);
    for (int i = 0; i < count; i++) {
        char version[STR_NUMBER_BYTES + 1];
        const char *field = (const char *)&totals[i] + offset;
        version[str_from_i64(totals[i].version, version)] = '\0';
        metric_sample(&scrape->w, (double)*(const int64_t *)(const void *)field / unit,
                      METRIC_LABELS(totals[i].model, version));
    }
}

static void write_review_queue(struct scrape *scrape, int64_t open, int64_t oldest_us)
{
    const struct review_engine *engine = scrape->call->node->review;
    double age = oldest_us ? (double)(clock_wall_us() - oldest_us) / 1e6 : 0;
    write_one(scrape, METRIC_REVIEW_OPEN, (double)open);
    write_one(scrape, METRIC_REVIEW_OLDEST_AGE, age);
    write_one(scrape, METRIC_REVIEW_DROPPED, engine ? (double)review_engine_dropped(engine) : 0);
}

static void write_review(struct scrape *scrape)
{
    struct review_total *totals = NULL;
    int64_t open = 0, oldest_us = 0;
    int count = 0;
    struct err err = {0};
    struct store *store = control_read_begin(scrape->call->node->control);
    enum err_code rc = review_totals(store, scrape->call->arena, &totals, &count, &err);
    if (!rc)
        rc = review_open_count(store, &open, &oldest_us, &err);
    control_read_end(scrape->call->node->control);
    if (rc)
        return;
    write_review_queue(scrape, open, oldest_us);
    write_review_totals(scrape, METRIC_REVIEW_ITEMS, totals, count,
                        offsetof(struct review_total, item_count), 1);
    write_review_totals(scrape, METRIC_REVIEW_DECISIONS, totals, count,
                        offsetof(struct review_total, decision_count), 1);
    write_review_totals(scrape, METRIC_REVIEW_DECISION_SECONDS, totals, count,
                        offsetof(struct review_total, decision_us), 1e6);
    write_review_totals(scrape, METRIC_REVIEW_OVERRIDES, totals, count,
                        offsetof(struct review_total, override_count), 1);
    write_review_totals(scrape, METRIC_REVIEW_SLA_MISSES, totals, count,
                        offsetof(struct review_total, late_count), 1);
}

static void write_traces(struct scrape *scrape)
{
    struct tracer_stats stats;
    tracer_stats(scrape->call->node->tracer, &stats);
    metric_family(&scrape->w, METRIC_TRACE_SPANS);
    metric_sample(&scrape->w, (double)stats.sent, METRIC_LABELS("sent"));
    metric_sample(&scrape->w, (double)stats.dropped, METRIC_LABELS("dropped"));
}

/* Zeros without a budget: nothing is ever let go. */
static void write_model_cache(struct scrape *scrape)
{
    struct model_cache_stats stats = {0};
    if (scrape->call->node->model_cache)
        model_cache_stats(scrape->call->node->model_cache, &stats);
    write_one(scrape, METRIC_MODEL_MEMORY_MAX, (double)stats.bytes_max);
    write_one(scrape, METRIC_MODEL_LOADS, (double)stats.loads);
    write_one(scrape, METRIC_MODEL_LOAD_FAILURES, (double)stats.failures);
    write_one(scrape, METRIC_MODEL_EVICTIONS, (double)stats.evictions);
    write_one(scrape, METRIC_MODEL_WAITS, (double)stats.waits);
}

static void write_webhooks(struct scrape *scrape)
{
    struct webhook_status status[WEBHOOKS_MAX];
    if (!scrape->call->node->webhooks)
        return;
    int count = webhooks_status(scrape->call->node->webhooks, status);
    metric_family(&scrape->w, METRIC_WEBHOOK_DELIVERIES);
    for (int i = 0; i < count; i++) {
        metric_sample(&scrape->w, (double)status[i].delivered,
                      METRIC_LABELS(status[i].name, "delivered"));
        metric_sample(&scrape->w, (double)status[i].failed,
                      METRIC_LABELS(status[i].name, "failed"));
    }
    metric_family(&scrape->w, METRIC_WEBHOOK_BEHIND);
    for (int i = 0; i < count; i++)
        metric_sample(&scrape->w, (double)status[i].behind, METRIC_LABELS(status[i].name));
}

/* ---- rollouts ---- */

enum { SHOWN_ROLLOUTS_MAX = ROLLOUTS_ACTIVE_MAX };

struct shown_rollout {
    const char *model;
    char version[STR_NUMBER_BYTES];
    double weight, keyless;
    enum rollout_state state;
    int check_count;
    struct {
        const char *kind, *event;
        double share;
    } checks[ROLLOUT_CHECKS_MAX];
};

struct shown_rollouts {
    struct arena *arena;
    int count;
    struct shown_rollout *list[SHOWN_ROLLOUTS_MAX];
};

static double share_of_bound(const struct rollout_check *check, const struct guard_reading *r)
{
    double e = check->is_proof ? (r->e_safe > r->e_rate ? r->e_safe : r->e_rate) : r->e_fail;
    double bound = check->is_proof ? r->safe_at : r->fail_at;
    return bound > 0 ? e / bound : 0;
}

static void copy_check(struct shown_rollouts *shown, struct shown_rollout *copy,
                       const struct rollout_check *check, const struct guard_reading *reading)
{
    const char *event = arena_copy(shown->arena, check->event.text, strlen(check->event.text));
    if (!event)
        return;
    copy->checks[copy->check_count].kind = check->is_proof ? "prove" : "guard";
    copy->checks[copy->check_count].event = event;
    copy->checks[copy->check_count++].share = share_of_bound(check, reading);
}

/* Copied while the engine holds still; written afterwards. */
static void copy_rollout(void *arg, const struct rollout *rollout, const struct rollout_view *view)
{
    struct shown_rollouts *shown = arg;
    struct shown_rollout *copy = arena_calloc(shown->arena, 1, sizeof(*copy));
    if (!copy || shown->count >= SHOWN_ROLLOUTS_MAX)
        return;
    copy->model = arena_copy(shown->arena, rollout->model, strlen(rollout->model));
    if (!copy->model)
        return;
    snprintf(copy->version, sizeof(copy->version), "%lld", (long long)rollout->to);
    copy->weight = (double)rollout->weight_ppm / WEIGHT_ONE;
    copy->keyless = (double)view->keyless_requests;
    copy->state = view->state;
    for (int i = 0; i < view->spec->check_count; i++)
        copy_check(shown, copy, &view->spec->checks[i], &view->readings[i]);
    shown->list[shown->count++] = copy;
}

static void write_evalues(struct scrape *scrape, const struct shown_rollouts *shown)
{
    metric_family(&scrape->w, METRIC_ROLLOUT_EVALUE);
    for (int i = 0; i < shown->count; i++) {
        const struct shown_rollout *r = shown->list[i];
        for (int k = 0; k < r->check_count; k++)
            metric_sample(&scrape->w, r->checks[k].share,
                          METRIC_LABELS(r->model, r->checks[k].kind, r->checks[k].event));
    }
}

static void write_rollbacks(struct scrape *scrape, const struct rollout_engine_stats *stats)
{
    metric_family(&scrape->w, METRIC_ROLLBACKS);
    metric_sample(&scrape->w, (double)stats->rollbacks_guard, METRIC_LABELS("guard"));
    metric_sample(&scrape->w, (double)stats->rollbacks_harm, METRIC_LABELS("harm"));
    metric_sample(&scrape->w, (double)stats->rollbacks_step, METRIC_LABELS("step"));
    metric_sample(&scrape->w, (double)stats->rollbacks_other, METRIC_LABELS("time"));
}

static void write_rollouts(struct scrape *scrape)
{
    struct shown_rollouts shown = {.arena = scrape->call->arena};
    struct rollout_engine_stats stats;
    if (!scrape->call->node->rollouts)
        return;
    rollout_engine_each(scrape->call->node->rollouts, copy_rollout, &shown);
    rollout_engine_stats(scrape->call->node->rollouts, &stats);
    write_rollbacks(scrape, &stats);
    if (shown.count == 0)
        return;
    metric_family(&scrape->w, METRIC_ROLLOUT_WEIGHT);
    for (int i = 0; i < shown.count; i++)
        metric_sample(&scrape->w, shown.list[i]->weight,
                      METRIC_LABELS(shown.list[i]->model, shown.list[i]->version));
    metric_family(&scrape->w, METRIC_ROLLOUT_STATE);
    for (int i = 0; i < shown.count; i++)
        metric_sample(
            &scrape->w, 1,
            METRIC_LABELS(shown.list[i]->model, rollout_state_name(shown.list[i]->state)));
    metric_family(&scrape->w, METRIC_ROLLOUT_KEYLESS);
    for (int i = 0; i < shown.count; i++)
        metric_sample(&scrape->w, shown.list[i]->keyless, METRIC_LABELS(shown.list[i]->model));
    write_evalues(scrape, &shown);
}

/* ---- control and process ---- */

static void write_control(struct scrape *scrape)
{
    struct control_stats *stats = arena_calloc(scrape->call->arena, 1, sizeof(*stats));
    struct control *control = scrape->call->node->control;
    struct statvfs disk;
    if (!stats)
        return;
    control_stats(control, stats);
    write_one(scrape, METRIC_SNAPSHOT_GENERATION, (double)stats->generation);
    metric_family(&scrape->w, METRIC_DB_COMMIT_SECONDS);
    metric_histogram(&scrape->w, &stats->commit_seconds, METRIC_NO_LABELS);
    metric_family(&scrape->w, METRIC_MODEL_LOAD_SECONDS);
    metric_histogram(&scrape->w, &stats->load_seconds, METRIC_NO_LABELS);
    if (fstatvfs(folder_fd(control_folder(control)), &disk) == 0)
        write_one(scrape, METRIC_DISK_FREE, (double)disk.f_bavail * (double)disk.f_frsize);
    write_one(scrape, METRIC_LOG_SUPPRESSED, (double)log_suppressed_total());
}

static double resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_files(void)
{
    double count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 3; /* ".", ".." and the folder itself */
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void write_process(struct scrape *scrape)
{
    struct rusage usage;
    double uptime = (double)(clock_monotonic_us() - scrape->call->node->start_us) / 1e6;
    metric_family(&scrape->w, METRIC_BUILD);
    metric_sample(&scrape->w, 1, METRIC_LABELS(SLIPWAY_VERSION));
    write_one(scrape, METRIC_UPTIME, uptime);
    write_one(scrape, METRIC_PROCESS_MEMORY, resident_bytes());
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        write_one(scrape, METRIC_PROCESS_CPU,
                  seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    write_one(scrape, METRIC_PROCESS_FDS, open_files());
    write_one(scrape, METRIC_PROCESS_START, (double)clock_wall_us() / 1e6 - uptime);
}

static void write_lanes(struct scrape *scrape)
{
    struct lane_shown *lanes =
        arena_calloc(scrape->call->arena, (size_t)scrape->count, sizeof(*lanes));
    for (int i = 0; lanes && i < scrape->count; i++)
        lanes[i] = (struct lane_shown){scrape->shown[i].loaded, scrape->shown[i].version};
    if (!lanes)
        return;
    lane_metrics(&scrape->w, scrape->call->node->lanes, lanes, scrape->count);
    graph_metrics(&scrape->w, lanes, scrape->count);
}

static void write_response_caches(struct scrape *scrape)
{
    struct response_shown *versions =
        arena_calloc(scrape->call->arena, (size_t)scrape->count, sizeof(*versions));
    for (int i = 0; versions && i < scrape->count; i++)
        versions[i] = (struct response_shown){scrape->shown[i].loaded, scrape->shown[i].version};
    if (versions)
        response_cache_metrics(&scrape->w, scrape->snapshot, versions, scrape->count);
}

static void write_workers(struct scrape *scrape)
{
    struct workers_stats stats;
    workers_stats(&stats);
    write_one(scrape, METRIC_WORKERS, (double)stats.running);
    write_one(scrape, METRIC_WORKER_STARTS, (double)stats.starts);
    write_one(scrape, METRIC_WORKER_FAILURES, (double)stats.failures);
}

static void write_all(struct scrape *scrape)
{
    write_process(scrape);
    write_http(scrape);
    write_requests(scrape);
    write_latency(scrape);
    write_row_counter(scrape, METRIC_PREDICTION_ROWS, offsetof(struct version_stats, row_count));
    write_row_counter(scrape, METRIC_SUSPECT_ROWS,
                      offsetof(struct version_stats, suspect_row_count));
    write_violations(scrape);
    write_records(scrape);
    write_rollouts(scrape);
    write_alerts(scrape);
    monitor_metrics_write(scrape->call->node->monitors, &scrape->w);
    write_review(scrape);
    write_webhooks(scrape);
    write_traces(scrape);
    write_model_cache(scrape);
    write_loaded(scrape);
    write_ready(scrape);
    write_steps(scrape);
    write_errors(scrape);
    outcome_metrics_write(scrape->call->node->intake, scrape->call->arena, &scrape->w);
    write_control(scrape);
    write_lanes(scrape);
    write_response_caches(scrape);
    write_workers(scrape);
}

enum err_code metrics(struct call *call, struct err *err)
{
    struct http_response *response = &call->x->response;
    struct snapshot *snapshot = control_snapshot(call->node->control);
    struct scrape scrape = {.call = call, .snapshot = snapshot};
    enum metric_format format = metric_choose_format(http_find_header(&call->x->request, "Accept"));
    enum err_code rc = list_versions(&scrape, err);
    if (!rc) {
        response->content_type = metric_content_type(format);
        metric_begin(&scrape.w, &response->body, format, call->node->options->metrics_series_max);
        write_all(&scrape);
        metric_end(&scrape.w);
    }
    snapshot_unref(snapshot);
    return rc;
}
