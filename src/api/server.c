/* server.c - starts everything in order, lives (life.h), ends everything in reverse.
 *
 *     start_answering: options -> control (store, models) -> pools
 *     owner_start:     records, intake, reviews, rollouts, alerts, monitors, webhooks
 *     start_http:      requests are answered
 */
#include "api/server.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "api/life.h"
#include "api/owner.h"
#include "api/parking.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/remote_endpoint.h"
#include "serve/endpoint_build.h"
#include "serve/lane.h"
#include "serve/quality_watch.h"
#include "serve/rollout_engine.h"

enum { CLIENT_REQUIRE, CLIENT_OPTIONAL }; /* the words of the option tls_client_auth */

enum {
    FAST_THREADS = 2,
    PATH_BYTES = 4096,
    RETIRE_US = 1000 * 1000,
    RETIRE_LOOK_US = 10 * 1000,
    MODELS_TRIM_MS = 1000,
    HEAP_SLACK_BYTES = 256 * 1024,
    HEAP_MAP_BYTES = 1 << 20
};

/* ---- what may be listened on ---- */

static bool is_loopback_address(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
           strncmp(listen, "localhost:", 10) == 0;
}

static bool has_keys(struct control *control)
{
    struct snapshot *snapshot = control_snapshot(control);
    bool has = !auth_keys_is_empty(snapshot->keys);
    snapshot_unref(snapshot);
    return has;
}

static bool asks_for_keys(struct control *control)
{
    struct snapshot *snapshot = control_snapshot(control);
    bool is_open = auth_keys_is_open(snapshot->keys);
    snapshot_unref(snapshot);
    return !is_open;
}

/* Nothing but loopback without keys and TLS; a proxy in front may end TLS, it cannot replace keys.
 */
static enum err_code check_exposure(const struct options *options, struct control *control,
                                    struct err *err)
{
    bool has_tls = options->tls_cert[0] != '\0';
    for (int i = 0; i < options->listen.count; i++) {
        const char *listen = options->listen.items[i];
        if (is_loopback_address(listen) && !options->behind_proxy)
            continue;
        if (!has_tls && !options->behind_proxy && !is_loopback_address(listen)) {
            err_set(err, ERR_INVALID, "%s can be reached from other machines, without TLS", listen);
            return err_hint(err, "give --tls-cert and --tls-key, or --behind-proxy when a proxy "
                                 "in front ends TLS");
        }
        if (!has_keys(control)) {
            err_set(err, ERR_INVALID, "%s can be reached from other machines, and nobody has a key",
                    listen);
            return err_hint(err, "make one first: slipway key create NAME --scope admin");
        }
    }
    return ERR_OK;
}

/* ---- data threads ---- */

static struct serve_thread *new_thread(struct node *node, int index)
{
    struct serve_thread *thread =
        aligned_alloc(_Alignof(struct serve_thread), sizeof(struct serve_thread));
    if (!thread)
        abort();
    memset(thread, 0, sizeof(*thread));
    thread->node = node;
    thread->index = index;
    thread->predict_rows_max = node->options->predict_rows_max;
    thread->records = node->options->records ? recorder_queue(node->recorder, index) : NULL;
    rand_seed_from_os(&thread->rand);
    return thread;
}

static void *thread_new(void *context, int index, struct loop *loop)
{
    struct node *node = context;
    struct serve_thread *thread = node->threads[index];
    control_add_reader(node->control, &thread->reader, loop);
    thread->waiting = waiting_new(loop);
    thread->bulk = node->bulk_pool;
    thread->lanes = node->lanes;
    return thread;
}

/* The counters are read by nobody any more: the listeners are closed. */
static void thread_free(void *arg)
{
    struct serve_thread *thread = arg;
    struct node *node = thread->node;
    control_remove_reader(node->control, &thread->reader);
}

static void free_threads(struct node *node)
{
    for (int i = 0; i < node->thread_count; i++) {
        if (node->threads[i])
            waiting_free(node->threads[i]->waiting);
        free(node->threads[i]);
    }
}

/* ---- starting ---- */

static int data_thread_count(const struct options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t count = options->data_threads ? options->data_threads : cores;
    return count < 1 ? 1 : count > HTTP_THREADS_MAX ? HTTP_THREADS_MAX : (int)count;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static struct http_limits limits_of(const struct options *o)
{
    return (struct http_limits){
        .head_bytes_max = o->http_head_bytes_max,
        .body_bytes_max = o->http_body_bytes_max,
        .inflated_bytes_max = o->http_inflated_bytes_max,
        .chunks_max = (int)o->http_chunks_max,
        .connections_max = (int)o->http_connections_max,
        .streams_max = (int)o->http2_streams_max,
        .pipeline_max = (int)o->http_pipeline_max,
        .output_bytes_max = o->http_output_bytes_max,
        .memory_bytes_max = o->request_memory_bytes_max,
        .compress_bytes_min = o->http_compress_bytes_min,
        .head_timeout_ms = o->http_head_timeout_ms,
        .body_timeout_ms = o->http_body_timeout_ms,
        .idle_timeout_ms = o->http_idle_timeout_ms,
        .write_timeout_ms = o->http_write_timeout_ms,
        .tls_timeout_ms = o->tls_timeout_ms,
    };
}

static struct http_tls tls_files(const struct options *o)
{
    return (struct http_tls){
        .cert_path = o->tls_cert[0] ? o->tls_cert : NULL,
        .key_path = o->tls_key[0] ? o->tls_key : NULL,
        .client_ca_path = o->tls_client_ca[0] ? o->tls_client_ca : NULL,
        .client_crl_path = o->tls_client_crl[0] ? o->tls_client_crl : NULL,
        .is_client_optional = o->tls_client_auth == CLIENT_OPTIONAL,
    };
}

static enum err_code start_http(struct node *node, struct err *err)
{
    char socket_path[PATH_BYTES];
    const struct options *o = node->options;
    folder_file(control_folder(node->control), "slipway.sock", socket_path, sizeof(socket_path));
    struct http_server_config config = {
        .listen = o->listen.items,
        .listen_count = o->listen.count,
        .unix_path = o->unix_socket[0] ? o->unix_socket : socket_path,
        .inherited = node->inherited,
        .tls = tls_files(o),
        .tls_tickets = buf_view(&node->predecessor.tickets),
        .thread_count = node->thread_count,
        .limits = limits_of(o),
        .context = node,
        .thread_new = thread_new,
        .thread_free = thread_free,
        .admit = dispatch_admit,
        .handle = dispatch_handle,
        .refuse = dispatch_refuse,
        .conn_user_free = dispatch_conn_user_free,
    };
    struct http_server *server;
    enum err_code rc = http_server_start(&config, &server, err);
    inherited_free(node->inherited, !rc);
    node->inherited = NULL;
    if (!rc)
        atomic_store(&node->server, server);
    return rc;
}

/* ---- monitors ---- */

static void new_monitors(struct node *node)
{
    const struct options *o = node->options;
    const struct window_config config = {.rows_min = o->monitor_window_rows,
                                         .span_us = o->monitor_window_ms * 1000};
    if (o->monitors)
        node->monitors = monitors_new(&config, node->alerts, node->thread_count);
}

static enum err_code start_tracer(struct node *node, struct err *err)
{
    const struct options *o = node->options;
    const struct tracer_config config = {
        .endpoint = o->otlp_endpoint,
        .service = o->otlp_service_name,
        .ca = o->otlp_ca,
        .ratio = o->otlp_sample_ratio,
        .is_packed = o->otlp_gzip,
    };
    return o->otlp_endpoint[0] ? tracer_new(&config, &node->tracer, err) : ERR_OK;
}

static void trim_models(void *cache)
{
    model_cache_trim(cache);
}

static void start_model_cache(struct node *node)
{
    size_t bytes_max = node->options->model_memory_bytes_max;
    if (bytes_max == 0)
        return;
    node->model_cache = model_cache_new(node->control, node->slow_pool, bytes_max);
    ticker_add(node->ticker, "models", MODELS_TRIM_MS, trim_models, node->model_cache);
}

static enum err_code open_control(struct node *node, struct err *err)
{
    const struct options *o = node->options;
    struct control_config config = {
        .data_dir = o->data_dir,
        .is_standby = node->parking != NULL,
        .lock_fd = node->predecessor.lock_fd,
        .create = node->parking == NULL,
        .has_thread = true,
        .loads_all = true,
        .model_bytes_max = o->model_memory_bytes_max,
        .data_thread_count = node->thread_count,
        .recorder = node->recorder,
        .monitors = node->monitors,
        .lanes = node->lanes,
        .host = runtime_host_of(o),
    };
    node->predecessor.lock_fd = -1; /* control's */
    return control_open(&config, &node->control, err);
}

/* Sockets that are open already, and whether a server like this one has opened them. */
static enum err_code find_others(struct node *node, struct err *err)
{
    node->inherited = inherited_new();
    enum err_code rc = predecessor_find(&node->predecessor, node->inherited, err);
    if (!rc && node->predecessor.fd < 0)
        return inherited_from_systemd(node->inherited, err);
    if (!rc)
        rc = predecessor_check_folder(&node->predecessor, node->options->data_dir, err);
    node->parking = parking_new();
    return rc;
}

/* What is read from files when the folder is ours is looked at before. */
static enum err_code check_files(const struct options *o, struct err *err)
{
    struct runtime_host host = runtime_host_of(o);
    enum err_code rc = alerting_check(o->alert_rules, err);
    if (!rc)
        rc = webhooks_check(o->webhooks, err);
    return rc ? rc : remote_endpoints_check(&host, err);
}

static enum err_code check_models(const struct node *node, struct err *err)
{
    if (!node->parking)
        return ERR_OK;
    struct snapshot *snapshot = control_snapshot(node->control);
    enum err_code rc = predecessor_check_models(&node->predecessor, snapshot, err);
    snapshot_unref(snapshot);
    return rc;
}

/* Everything that requests need. Nothing here writes to the data folder, which may be another
 * process's. */
static enum err_code start_answering(struct node *node, struct err *err)
{
    const struct options *o = node->options;
    node->recorder = recorder_new(node->thread_count, o->record_queue_bytes);
    node->alerts = alerts_new();
    new_monitors(node);
    node->lanes = lanes_new(o->lane_bytes_max, node->thread_count, LANE_IDLE_MS);
    recorder_set_redaction(node->recorder, (enum redaction)o->record_redaction);
    enum err_code rc = find_others(node, err);
    if (!rc)
        rc = check_files(o, err);
    if (!rc)
        rc = open_control(node, err);
    if (!rc)
        rc = check_exposure(o, node->control, err);
    if (!rc)
        rc = check_models(node, err);
    if (!rc)
        rc = start_tracer(node, err);
    if (rc)
        return rc;
    for (int i = 0; i < node->thread_count; i++)
        node->threads[i] = new_thread(node, i);
    node->fast_pool = pool_new("fast", FAST_THREADS, (int)o->worker_queue_max);
    node->bulk_pool = pool_new("bulk", node->thread_count, (int)o->worker_queue_max);
    node->slow_pool = pool_new_background("slow", (int)o->worker_threads, (int)o->worker_queue_max);
    node->ticker = ticker_new();
    start_model_cache(node);
    return ERR_OK;
}

/* Alone: the folder first, then requests. After another process: requests at once, the folder when
 * that one has let go of it (life.h, owner_take_over). */
static enum err_code start(struct node *node, struct err *err)
{
    enum err_code rc = start_answering(node, err);
    if (rc)
        return rc;
    if (node->parking)
        recorder_hold(node->recorder, node->options->record_buffer_bytes);
    else
        rc = owner_start(node, err);
    if (rc)
        return rc;
    recorder_start(node->recorder); /* the sinks are there */
    rc = start_http(node, err);
    if (!rc && !node->parking)
        ticker_start(node->ticker);
    return rc;
}

static int loaded_model_count(const struct node *node)
{
    struct snapshot *snapshot = control_snapshot(node->control);
    int count = 0;
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++) {
        const struct map_slot *slot = &snapshot->endpoints.slots[i];
        const struct endpoint *endpoint = slot->key.ptr ? slot->value : NULL;
        count += endpoint && endpoint->champion;
    }
    snapshot_unref(snapshot);
    return count;
}

static void announce(const struct node *node, int model_count, const struct server_hooks *hooks)
{
    bool needs_key = asks_for_keys(node->control) || node->options->behind_proxy;
    int port = http_server_port(node->server);
    log_info("server started", "port=%d threads=%d models=%d keys=%s ms=%lld", port,
             node->thread_count, model_count, needs_key ? "required" : "none",
             (long long)((clock_monotonic_us() - node->start_us) / 1000));
    if (!needs_key)
        log_warn("no API keys: every caller on this machine may do everything", "fix=%s",
                 "slipway key create NAME --scope admin");
    if (hooks && hooks->on_ready)
        hooks->on_ready(hooks->arg, port, needs_key, model_count);
}

/* ---- the end ---- */

/* Clients that keep a connection are given the time to hear, with a reply, that they should open
 * another one; the process after this one accepts it. */
static void retire(struct node *node)
{
    struct http_stats stats = {.open = 1};
    int64_t until_us = clock_monotonic_us() + RETIRE_US;
    http_server_retire(node->server);
    while (stats.open > 0 && clock_monotonic_us() < until_us) {
        usleep(RETIRE_LOOK_US);
        http_server_stats(node->server, &stats);
    }
}

/* The loops end when every request has its reply; pools and control may still be at work then, on
 * what nobody waits for. */
static void stop(struct node *node, struct life *life)
{
    if (life_is_handed_over(life))
        retire(node);
    atomic_store(&node->is_draining, true);
    if (node->parking)
        parking_refuse_all(node->parking);
    if (node->control)
        control_forget_loops(node->control);
    if (node->server)
        http_server_stop(node->server, node->options->drain_timeout_ms);
    rollout_engine_unschedule(node->rollouts);
    recorder_stop(node->recorder);
    if (node->shadow)
        shadow_stop(node->shadow); /* it tells review, and reads the recorder's schemas */
    if (node->records)
        record_store_stop(node->records);
    tracer_free(node->tracer);
    ticker_free(node->ticker);
    if (node->intake)
        intake_save(node->intake); /* the last hour */
    pool_free(node->bulk_pool);
    pool_free(node->fast_pool);
    pool_free(node->slow_pool);
    model_cache_free(node->model_cache);
    quality_watch_free(node->quality_watch);
    if (node->review)
        review_engine_run(node->review); /* what the last records brought */
    review_engine_free(node->review);
    webhooks_free(node->webhooks);
    rollout_engine_free(node->rollouts);
    shadow_free(node->shadow);
    alerting_free(node->alerting);
    record_store_close(node->records);
    control_close(node->control);
    life_release(life); /* the folder is free */
    lanes_free(node->lanes);
    free_threads(node);
    alerts_free(node->alerts);
    outcomes_free(node->outcomes);
    if (node->intake)
        tallies_free(node->intake->tallies);
    if (node->intake)
        outcome_watch_free(node->intake->watch);
    free(node->intake);
    recorder_free(node->recorder);
    monitors_free(node->monitors);
    parking_free(node->parking);
    inherited_free(node->inherited, false);
    predecessor_close(&node->predecessor);
}

/* By itself the allocator keeps, for ever, up to twice the largest block that was ever freed. */
static void keep_heap_small(void)
{
    mallopt(M_MMAP_THRESHOLD, HEAP_MAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_SLACK_BYTES);
}

enum err_code server_run(struct options *options, const struct server_hooks *hooks, struct err *err)
{
    struct node node = {
        .options = options,
        .thread_count = data_thread_count(options),
        .start_us = clock_monotonic_us(),
        .predecessor = {.fd = -1, .lock_fd = -1},
    };
    struct life *life = life_new(&node, hooks);
    raise_file_limit();
    keep_heap_small();
    enum err_code rc = start(&node, err);
    if (!rc) {
        announce(&node, loaded_model_count(&node), hooks);
        rc = life_run(life, err);
    }
    stop(&node, life);
    life_free(life);
    if (!rc)
        log_info("server stopped", "state=%s", "clean");
    return rc;
}
