/* owner.c - what a server does because the data folder is its own.
 *
 *     records -> intake -> review -> rollouts -> alerts -> monitors -> webhooks -> recorder
 *
 * Each reads from the folder what the process before has left there, so none begins before that one
 * has ended. Requests are answered meanwhile; see handover.h.
 */
#include "api/owner.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/parking.h"
#include "base/check.h"
#include "serve/endpoint_build.h"
#include "serve/quality_watch.h"
#include "serve/rollout_engine.h"

enum { MONITOR_TICK_MS = 1000 };

static enum err_code open_records(struct node *node, struct err *err)
{
    const struct options *o = node->options;
    struct record_store_config config = {
        .folder_fd = folder_fd(control_folder(node->control)),
        .recorder = node->recorder,
        .is_late = node->parking != NULL,
        .share = o->record_share,
        .segment_bytes = o->record_segment_bytes,
        .buffer_bytes = o->record_buffer_bytes,
        .keep_bytes = o->record_keep_bytes,
        .keep_ms = o->record_keep_ms,
    };
    enum err_code rc = record_store_open(&config, &node->records, err);
    if (rc)
        return rc;
    struct record_sink sink = record_store_sink(node->records);
    recorder_add_sink(node->recorder, &sink);
    record_store_start(node->records);
    return ERR_OK;
}

/* What the contract of a version that is in memory asks for. */
static double quality_floor(void *arg, const char *model, int64_t version)
{
    struct snapshot *snapshot = control_snapshot(arg);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    struct loaded *loaded = endpoint ? endpoint_loaded(endpoint, version) : NULL;
    double floor = loaded && loaded->contract ? loaded->contract->accuracy_floor : 0;
    loaded_unref(loaded);
    snapshot_unref(snapshot);
    return floor;
}

static void start_intake(struct node *node)
{
    node->outcomes = outcomes_new();
    node->intake = calloc(1, sizeof(*node->intake));
    if (!node->intake)
        abort();
    node->intake->control = node->control;
    node->intake->recorder = node->recorder;
    node->intake->outcomes = node->outcomes;
    node->lookup = record_store_lookup(node->records);
    node->intake->lookup = &node->lookup;
    node->intake->watch = outcome_watch_new(node->alerts, quality_floor, node->control);
    outcomes_add_sink(node->outcomes, &(struct outcome_sink){.name = "watch",
                                                             .arg = node->intake->watch,
                                                             .take = outcome_watch_take});
    node->intake->keep_us = node->options->outcome_keep_ms * 1000;
    ticker_add(node->ticker, "orphans", INTAKE_RETRY_MS, intake_retry, node->intake);
    ticker_add(node->ticker, "old outcomes", INTAKE_PRUNE_MS, intake_prune, node->intake);
    node->intake->tallies = tallies_new();
    recorder_add_sink(node->recorder, &(struct record_sink){.name = "tallies",
                                                            .arg = node->intake->tallies,
                                                            .take = tallies_take});
    ticker_add(node->ticker, "tallies", TALLY_SAVE_MS, intake_save, node->intake);
}

static void start_review(struct node *node)
{
    node->review = review_engine_new(node->control, node->alerts);
    const struct record_sink sink = review_engine_sink(node->review);
    recorder_add_sink(node->recorder, &sink);
    review_engine_schedule(node->review, node->ticker);
}

static void measure_drops(void *arg, struct watch *watch, const struct alert_rules *rules,
                          int64_t now_us)
{
    const struct node *node = arg;
    struct recorder_stats records;
    struct record_store_stats store;
    struct tracer_stats spans;
    recorder_stats(node->recorder, &records);
    record_store_stats(node->records, &store);
    uint64_t dropped = records.dropped_record_count + store.record_count[LOSS_BUFFER_FULL] +
                       store.record_count[LOSS_DISK_FULL];
    watch_drops(watch, "prediction records", dropped, rules, now_us);
    tracer_stats(node->tracer, &spans);
    watch_drops(watch, "trace spans", spans.dropped, rules, now_us);
}

static enum err_code start_alerting(struct node *node, struct err *err)
{
    const struct alerting_config config = {
        .control = node->control,
        .alerts = node->alerts,
        .rules_path = node->options->alert_rules,
        .measure = measure_drops,
        .arg = node,
    };
    enum err_code rc = alerting_new(&config, &node->alerting, err);
    if (!rc)
        ticker_add(node->ticker, "alerts", ALERTING_TICK_MS, alerting_tick, node->alerting);
    return rc;
}

/* On the shadow's thread. */
static void shadow_differs(void *arg, const struct record *record, int64_t row, double share)
{
    struct node *node = arg;
    const struct shadow_watch review = review_engine_watch(node->review);
    review.differs(review.arg, record, row, share);
    record_store_keep_differing(node->records, record, share);
}

/* After review and records, which hear of what shadows answer otherwise. */
static void start_rollouts(struct node *node)
{
    node->shadow = shadow_new();
    const struct shadow_watch watch = {.differs = shadow_differs, .arg = node};
    shadow_set_watch(node->shadow, &watch);
    const struct record_sink shadow = shadow_sink(node->shadow);
    recorder_add_sink(node->recorder, &shadow);
    record_store_set_shadow(node->records, shadow_answer, node->shadow);
    const struct rollout_engine_config config = {
        .control = node->control, .alerts = node->alerts, .shadow = node->shadow};
    node->rollouts = rollout_engine_new(&config);
    const struct record_sink sink = rollout_engine_sink(node->rollouts);
    const struct outcome_sink outcome_sink = rollout_engine_outcome_sink(node->rollouts);
    recorder_add_sink(node->recorder, &sink);
    outcomes_add_sink(node->outcomes, &outcome_sink);
    rollout_engine_schedule(node->rollouts, node->ticker);
}

/* Before the recorder and the ticker run. */
static void add_monitors(struct node *node)
{
    if (!node->monitors)
        return;
    const struct record_sink sink = monitors_sink(node->monitors);
    recorder_add_sink(node->recorder, &sink);
    node->monitor_task =
        (struct monitor_task){.control = node->control, .monitors = node->monitors};
    ticker_add(node->ticker, "monitors", MONITOR_TICK_MS, monitor_task_run, &node->monitor_task);
}

static void add_tracer(struct node *node)
{
    if (!node->tracer)
        return;
    const struct record_sink sink = tracer_sink(node->tracer);
    recorder_add_sink(node->recorder, &sink);
}

static void start_quality(struct node *node)
{
    node->quality_watch = quality_watch_new(node->control, node->alerts, node->slow_pool);
    ticker_add(node->ticker, "quality", QUALITY_WATCH_MS, quality_watch_run, node->quality_watch);
}

enum err_code owner_start(struct node *node, struct err *err)
{
    enum err_code rc = open_records(node, err);
    if (rc)
        return rc;
    start_intake(node);
    start_review(node);
    start_rollouts(node);
    start_quality(node);
    rc = start_alerting(node, err);
    if (rc)
        return rc;
    add_monitors(node);
    rc = webhooks_new(node->control, node->alerts, node->options->webhooks, &node->webhooks, err);
    if (!rc)
        add_tracer(node);
    return rc;
}

/* ---- after another process ---- */

/* Data threads have counted what they pushed by themselves so far; each goes over to the tally on
 * its own. */
struct move {
    struct loop_message message;
    struct moves *all;
    int index;
};

struct moves {
    struct node *node;
    struct move each[HTTP_THREADS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t done;
    int left;
};

static void move_tally(struct loop_message *message)
{
    const struct move *move = CONTAINER_OF(message, struct move, message);
    struct moves *all = move->all;
    recorder_take_tally(all->node->recorder, move->index, record_store_tally(all->node->records));
    pthread_mutex_lock(&all->lock);
    if (--all->left == 0)
        pthread_cond_signal(&all->done);
    pthread_mutex_unlock(&all->lock);
}

static void move_tallies(struct node *node)
{
    struct moves all = {.node = node, .left = node->thread_count};
    pthread_mutex_init(&all.lock, NULL);
    pthread_cond_init(&all.done, NULL);
    for (int i = 0; i < node->thread_count; i++) {
        all.each[i] = (struct move){{.fn = move_tally}, &all, i};
        loop_post(http_server_loop(node->server, i), &all.each[i].message);
    }
    pthread_mutex_lock(&all.lock);
    while (all.left)
        pthread_cond_wait(&all.done, &all.lock);
    pthread_mutex_unlock(&all.lock);
    pthread_mutex_destroy(&all.lock);
    pthread_cond_destroy(&all.done);
}

enum err_code owner_take_over(struct node *node, struct err *err)
{
    enum err_code rc = control_own(node->control, err);
    if (!rc)
        rc = owner_start(node, err);
    if (rc)
        return rc;
    move_tallies(node);
    recorder_release(node->recorder);
    ticker_start(node->ticker);
    parking_open(node->parking, call_go_on);
    return ERR_OK;
}
