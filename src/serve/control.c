/* control.c - the one writer: group commit, endpoints rebuilt inside the transaction, publication.
 *
 * A batch of one operation is also how a batch whose commit failed is tried again, one by one, so
 * that an operation never fails for its neighbour's sake.
 */
#include "serve/control.h"

#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/sketch.h"
#include "runtime/loaded_table.h"
#include "serve/control_own.h"
#include "serve/endpoint_build.h"
#include "serve/lane.h"

enum { TICK_MS = 1000, KEYS_ARENA_BYTES_MAX = 16 * 1024 * 1024 };

/* What one batch is about to publish. */
struct publication {
    struct endpoint *endpoints[CONTROL_BATCH_MAX];
    int count;
    bool changes_keys;
    struct auth_keys *keys;
};

/* ---- finding versions in memory ---- */

static struct loaded *find_in_ops(struct control_op *ops, const char *model, int64_t version)
{
    for (struct control_op *op = ops; op; op = op->next) {
        /* One that was undone may hold the number that another one got after it. */
        if (op->rc)
            continue;
        for (int i = 0; i < CONTROL_LOADED_MAX && op->loaded[i]; i++) {
            struct loaded *loaded = op->loaded[i];
            if (loaded->number == version && strcmp(loaded->model, model) == 0) {
                loaded_ref(loaded);
                return loaded;
            }
        }
    }
    return NULL;
}

static struct loaded *find_served(struct control *control, const char *model, int64_t version)
{
    struct loaded *loaded = NULL;
    pthread_mutex_lock(&control->publish_lock);
    if (control->publisher.current) {
        const struct endpoint *endpoint = snapshot_find(control->publisher.current, str_of(model));
        loaded = endpoint ? endpoint_loaded(endpoint, version) : NULL;
    }
    pthread_mutex_unlock(&control->publish_lock);
    return loaded;
}

/* The one that is served, or that something else has in memory: a graph, or the last requests of
 * one that has been let go. For whoever would load it; others do not bring it back. */
static struct loaded *find_in_memory(struct control *control, const char *model, int64_t version)
{
    struct loaded *loaded = find_served(control, model, version);
    return loaded ? loaded : loaded_table_find(control->table, model, version);
}

/* Before others see it. */
static void give_lane(struct control *control, struct loaded *loaded)
{
    if (!control->config.lanes || loaded->lane)
        return;
    loaded->lane = lane_new(control->config.lanes, loaded);
    loaded->lane_free = lane_free;
}

static enum err_code open_version(struct control *control, const struct version *version,
                                  struct loaded **loaded, struct err *err)
{
    struct loaded_source source = {
        .model = version->model,
        .number = version->number,
        .runtime = version->runtime,
        .artifact = version->artifact,
        .contract = version->contract,
        .golden = version->golden,
        .thread_count = control->config.data_thread_count,
        .host = &control->config.host,
        .versions = &control->versions,
    };
    enum err_code rc = loaded_open(control->blobs, &source, loaded, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&control->load_lock);
    histogram_record(&control->load_seconds, (*loaded)->load_us * 1000);
    pthread_mutex_unlock(&control->load_lock);
    give_lane(control, *loaded);
    loaded_table_add(control->table, *loaded);
    return ERR_OK;
}

static enum err_code load_version(struct control *control, struct store *store, const char *model,
                                  int64_t number, struct loaded **loaded, struct err *err)
{
    struct arena *arena = arena_new(KEYS_ARENA_BYTES_MAX);
    struct version version;
    enum err_code rc = version_get(store, model, number, arena, &version, err);
    if (!rc)
        rc = open_version(control, &version, loaded, err);
    arena_free(arena);
    return rc;
}

/* Why the champion that is being served could not be loaded stays true after other changes. NULL:
 * nothing is wrong, nobody has asked for it. */
static const char *known_problem(struct control *control, const char *model, int64_t version,
                                 struct arena *arena)
{
    const char *copy = NULL;
    pthread_mutex_lock(&control->publish_lock);
    const struct endpoint *old = control->publisher.current
                                     ? snapshot_find(control->publisher.current, str_of(model))
                                     : NULL;
    if (old && old->problem && old->champion_version == version)
        copy = arena_copy(arena, old->problem, strlen(old->problem));
    pthread_mutex_unlock(&control->publish_lock);
    return copy || control->config.model_bytes_max ? copy : "not loaded yet";
}

/* A version gets its number when it is registered, and that may be undone and done again; what data
 * threads have seen keeps the schema it has. */
static struct loaded *with_schema(struct control *control, struct loaded *loaded)
{
    struct recorder *recorder = control->config.recorder;
    give_lane(control, loaded);
    const struct record_schema *schema = loaded->record_schema;
    if (!recorder || (schema && schema->version == loaded->number))
        return loaded;
    loaded->record_schema = recorder_schema(recorder, loaded);
    bool had_sketch = loaded->sketch;
    if (control->config.monitors)
        loaded->sketch = monitors_sketch(control->config.monitors, loaded);
    if (loaded->sketch && !had_sketch)
        loaded->memory_bytes += (size_t)loaded->thread_count * sketch_block_bytes(loaded->sketch);
    return loaded;
}

/* A start leaves a fifth of the budget for what is asked for first, and keeps nothing that is more
 * than that. */
static bool is_full(const struct control *control)
{
    size_t most = control->config.model_bytes_max / 5 * 4;
    return most && control->first_bytes >= most;
}

static bool keep_first(struct control *control, struct loaded *loaded)
{
    size_t most = control->config.model_bytes_max;
    size_t bytes = with_schema(control, loaded)->memory_bytes;
    if (most && control->first_bytes + bytes > most)
        return false;
    control->first_bytes += bytes;
    return true;
}

struct loaded *control_find_loaded(void *arg, const char *model, int64_t version,
                                   struct arena *arena, const char **problem)
{
    struct control_find *context = arg;
    struct err err = {0};
    struct loaded *loaded = context->unloads ? NULL : find_in_ops(context->ops, model, version);
    if (context->unloads)
        return NULL;
    if (!loaded)
        loaded = context->may_load ? find_in_memory(context->control, model, version)
                                   : find_served(context->control, model, version);
    if (loaded)
        return with_schema(context->control, loaded);
    if (!context->may_load) {
        *problem = known_problem(context->control, model, version, arena);
        return NULL;
    }
    if (is_full(context->control))
        return NULL;
    if (load_version(context->control, context->control->store, model, version, &loaded, &err)) {
        *problem = arena_copy(arena, err.msg, strlen(err.msg));
        log_error("load failed", "model=%s version=%lld reason=%s", model, (long long)version,
                  err.msg);
        return NULL;
    }
    if (keep_first(context->control, loaded))
        return loaded;
    loaded_unref(loaded);
    return NULL;
}

/* ---- one batch ---- */

static enum err_code run_op(struct control *control, struct control_op *op)
{
    enum err_code rc = store_savepoint(control->store, op->err);
    if (rc)
        return rc;
    rc = op->fn(control, control->store, op->arg, op->err);
    if (rc) {
        store_undo(control->store);
        return rc;
    }
    return store_release(control->store, op->err);
}

/* A champion that answers is never replaced by one that is not in memory. */
static enum err_code keep_serving(struct control *control, const struct endpoint *fresh,
                                  struct err *err)
{
    const struct endpoint *old = snapshot_find(control->publisher.current, str_of(fresh->name));
    if (fresh->champion || !old || !old->champion)
        return ERR_OK;
    return err_set(err, ERR_UNAVAILABLE, "model '%s' version %lld is not in memory", fresh->name,
                   (long long)fresh->champion_version);
}

void control_take_responses(struct control *control, struct endpoint *fresh)
{
    const struct snapshot *current = control->publisher.current;
    if (control->config.lanes) /* in-process nobody asks twice */
        endpoint_take_responses(fresh,
                                current ? snapshot_find(current, str_of(fresh->name)) : NULL);
}

static enum err_code build_endpoints(struct control *control, struct control_op *ops,
                                     struct publication *pub, struct err *err)
{
    for (struct control_op *op = ops; op; op = op->next) {
        if (op->rc || !op->model)
            continue;
        struct control_find context = {.control = control, .ops = ops, .unloads = op->unloads};
        const struct loaded_finder finder = {control_find_loaded, &context};
        enum err_code rc =
            endpoint_build(control->store, op->model, &finder, &pub->endpoints[pub->count], err);
        if (rc)
            return rc;
        struct endpoint *fresh = pub->endpoints[pub->count++];
        control_take_responses(control, fresh);
        if (!op->unloads)
            rc = keep_serving(control, fresh, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code control_read_keys(struct store *store, struct auth_keys **keys, struct err *err)
{
    struct arena *arena = arena_new(KEYS_ARENA_BYTES_MAX);
    struct auth_key *list;
    int count = 0;
    enum err_code rc = auth_key_list(store, arena, &list, &count, err);
    if (!rc)
        *keys = auth_keys_new(list, count);
    arena_free(arena);
    return rc;
}

static enum err_code build_publication(struct control *control, struct control_op *ops,
                                       struct publication *pub, struct err *err)
{
    enum err_code rc = build_endpoints(control, ops, pub, err);
    for (struct control_op *op = ops; op; op = op->next)
        pub->changes_keys = pub->changes_keys || (op->changes_keys && !op->rc);
    if (!rc)
        rc = control_read_keys(control->store, &pub->keys, err);
    return rc;
}

static void discard(struct publication *pub)
{
    for (int i = 0; i < pub->count; i++)
        endpoint_unref(pub->endpoints[i]);
    auth_keys_free(pub->keys);
    *pub = (struct publication){0};
}

/* The publication's endpoints and keys become the snapshot's. */
static void publish(struct control *control, struct publication *pub)
{
    if (pub->count == 0 && !pub->changes_keys && control->publisher.current) {
        discard(pub);
        return;
    }
    pthread_mutex_lock(&control->publish_lock);
    struct snapshot *snapshot =
        snapshot_new(control->publisher.current, pub->keys, &control->publisher);
    for (int i = 0; i < pub->count; i++)
        snapshot_put(snapshot, pub->endpoints[i]);
    control->generation = snapshot->generation;
    snapshot_publish(&control->publisher, snapshot);
    pthread_mutex_unlock(&control->publish_lock);
    *pub = (struct publication){0};
}

/* Everything up to the commit; on failure the transaction is gone and nothing was published. */
static enum err_code transact(struct control *control, struct control_op *ops,
                              struct publication *pub, struct err *err)
{
    int64_t start_ns = clock_monotonic_ns();
    enum err_code rc = store_begin(control->store, err);
    if (rc)
        return rc;
    if (rollback_log_pending(control->rollback_log))
        rc = rollback_log_fold(control->rollback_log, control->store, err);
    for (struct control_op *op = ops; op && !rc; op = op->next)
        op->rc = run_op(control, op);
    if (!rc)
        rc = build_publication(control, ops, pub, err);
    /* No `to`: it was answered again by its Idempotency-Key and changed nothing. */
    if (!rc && ops->is_rollback && !ops->rc && ops->to) {
        /* Published before it is durable: the next request is answered by the version before, even
         * if the disk takes its time. Whatever the commit says, the rollback stands; a crash in
         * between leaves the old state, which nobody was told had changed. */
        publish(control, pub);
        ops->is_published = true;
    }
    if (!rc)
        rc = store_commit(control->store, err);
    if (rc)
        store_rollback(control->store);
    else
        histogram_record(&control->commit_seconds, clock_monotonic_ns() - start_ns);
    return rc;
}

void control_clear_log(struct control *control)
{
    struct err err = {0};
    if (rollback_log_pending(control->rollback_log) &&
        rollback_log_clear(control->rollback_log, &err))
        log_error("rollback log not cleared", "reason=%s", err.msg);
}

/* The rollback is in effect and the store could not keep it: its record goes to the preallocated
 * log. */
static void log_rollback(struct control *control, struct control_op *op)
{
    struct err err = {0};
    enum err_code rc = rollback_log_append(control->rollback_log, op->model, op->alias, op->from,
                                           op->to, op->reason, op->actor, &err);
    op->is_durable = rc == ERR_OK;
    op->rc = ERR_OK;
    log_warn("rollback published without the store", "model=%s from=%lld to=%lld durable=%s",
             op->model, (long long)op->from, (long long)op->to, rc ? "false" : "true");
}

/* `op` alone (op->next is NULL). */
void control_run_alone(struct control *control, struct control_op *op)
{
    struct publication pub = {0};
    struct err err = {0};
    op->rc = ERR_OK;
    enum err_code rc = transact(control, op, &pub, &err);
    if (!rc) {
        op->is_durable = true;
        control_clear_log(control);
        publish(control, &pub);
    } else if (op->is_published) {
        log_rollback(control, op);
    } else {
        discard(&pub);
        if (!op->rc) { /* else it has failed by itself, and says why */
            *op->err = err;
            op->rc = rc;
        }
    }
}

static void run_batch(struct control *control, struct control_op *ops)
{
    struct publication pub = {0};
    struct err err = {0};
    if (!ops->next) {
        control_run_alone(control, ops);
        return;
    }
    if (!transact(control, ops, &pub, &err)) {
        control_clear_log(control);
        publish(control, &pub);
        for (struct control_op *op = ops; op; op = op->next)
            op->is_durable = true;
        return;
    }
    discard(&pub);
    for (struct control_op *op = ops, *next; op; op = next) {
        next = op->next;
        op->next = NULL;
        control_run_alone(control, op);
        op->next = next;
    }
}

static void count_batch(struct control *control, const struct control_op *ops)
{
    control->commits++;
    for (const struct control_op *op = ops; op; op = op->next) {
        control->operations++;
        control->failures += op->rc != ERR_OK;
    }
    control->pending = rollback_log_pending(control->rollback_log);
}

/* ---- the thread ---- */

/* Operations that share a commit. A rollback waits for no neighbour: it goes alone. Of operations
 * with many rows one is enough. */
static struct control_op *take_batch(struct control *control)
{
    struct control_op *first = control->queue, **end = &control->queue;
    int count = 0;
    while (*end && count < CONTROL_BATCH_MAX && !(count && (*end)->is_rollback)) {
        bool is_alone = (*end)->is_rollback || (*end)->is_bulk;
        end = &(*end)->next;
        count++;
        if (is_alone)
            break;
    }
    control->queue = *end;
    *end = NULL;
    if (!control->queue)
        control->queue_tail = &control->queue;
    control->queue_count -= count;
    return count ? first : NULL;
}

static void wait_for_work(struct control *control)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TICK_MS / 1000;
    if (!control->queue && !control->is_stopping)
        pthread_cond_timedwait(&control->wake, &control->lock, &until);
}

static enum err_code nothing(struct control *control, struct store *store, void *arg,
                             struct err *err)
{
    (void)control, (void)store, (void)arg, (void)err;
    return ERR_OK;
}

/* Once a second: free what readers left behind; bring logged rollbacks into the store. */
static void tick(struct control *control)
{
    snapshot_reap(&control->publisher);
    if (!rollback_log_pending(control->rollback_log))
        return;
    struct err err = {0};
    struct control_op op = {.fn = nothing, .err = &err};
    control_run_alone(control, &op);
    control->pending = rollback_log_pending(control->rollback_log);
    if (!op.rc)
        log_info("rollback log folded into the store", "state=%s", "durable");
}

static void finish(struct control *control, struct control_op *ops)
{
    struct control_op *next;
    for (struct control_op *op = ops; op; op = next) {
        next = op->next;
        op->is_done = true;
    }
    pthread_cond_broadcast(&control->done);
}

void *control_run(void *arg)
{
    struct control *control = arg;
    pthread_mutex_lock(&control->lock);
    control_standby_run(control);
    for (;;) {
        wait_for_work(control);
        struct control_op *ops = take_batch(control);
        if (!ops && control->is_stopping)
            break;
        pthread_mutex_unlock(&control->lock);
        if (ops)
            run_batch(control, ops);
        tick(control);
        pthread_mutex_lock(&control->lock);
        if (ops) {
            count_batch(control, ops);
            finish(control, ops);
        }
    }
    pthread_mutex_unlock(&control->lock);
    return NULL;
}

static enum err_code enqueue(struct control *control, struct control_op *op, struct err *err)
{
    if (control->queue_count >= CONTROL_QUEUE_MAX)
        return err_set(err, ERR_UNAVAILABLE, "%d control operations wait already",
                       CONTROL_QUEUE_MAX);
    if (control->is_stopping)
        return err_set(err, ERR_UNAVAILABLE, "the server is stopping");
    if (op->is_rollback) { /* before whatever waits */
        op->next = control->queue;
        if (!op->next)
            control->queue_tail = &op->next;
        control->queue = op;
    } else {
        *control->queue_tail = op;
        control->queue_tail = &op->next;
    }
    control->queue_count++;
    pthread_cond_signal(&control->wake);
    return ERR_OK;
}

enum err_code control_execute(struct control *control, struct control_op *op, struct err *err)
{
    op->next = NULL;
    op->err = err;
    op->rc = ERR_OK;
    op->is_done = false;
    op->is_published = false;
    if (!control->config.has_thread) {
        control_run_alone(control, op);
        snapshot_reap(&control->publisher);
        return op->rc;
    }
    pthread_mutex_lock(&control->lock);
    enum err_code rc = enqueue(control, op, err);
    while (!rc && !op->is_done)
        pthread_cond_wait(&control->done, &control->lock);
    pthread_mutex_unlock(&control->lock);
    return rc ? rc : op->rc;
}

/* ---- reading, loading ---- */

struct store *control_read_begin(struct control *control)
{
    pthread_mutex_lock(&control->read_lock);
    return control->reader;
}

void control_read_end(struct control *control)
{
    pthread_mutex_unlock(&control->read_lock);
}

enum err_code control_acquire(struct control *control, const char *model, int64_t number,
                              struct loaded **loaded, struct err *err)
{
    struct version version;
    *loaded = find_in_memory(control, model, number);
    if (*loaded)
        return ERR_OK;
    struct arena *arena = arena_new(KEYS_ARENA_BYTES_MAX);
    enum err_code rc =
        version_get(control_read_begin(control), model, number, arena, &version, err);
    control_read_end(control);
    if (!rc)
        rc = open_version(control, &version, loaded, err);
    arena_free(arena);
    return rc;
}

/* Versions the champion needs and that are not in memory: itself and the one before it. */
static enum err_code needed_versions(struct control *control, const char *model, int64_t needed[2],
                                     struct err *err)
{
    struct arena *arena = arena_new(KEYS_ARENA_BYTES_MAX);
    struct alias alias = {0};
    enum err_code rc =
        alias_get(control_read_begin(control), model, ALIAS_CHAMPION, arena, &alias, err);
    control_read_end(control);
    if (rc == ERR_NOT_FOUND)
        rc = ERR_OK;
    needed[0] = alias.version;
    needed[1] = alias.previous;
    arena_free(arena);
    return rc;
}

enum err_code control_keep(struct control *control, const char *model, struct loaded *loaded,
                           struct err *err)
{
    struct control_op op = {.fn = nothing, .model = model, .loaded = {loaded}};
    return control_execute(control, &op, err);
}

/* Load and publish the champion and, of `steps` 2, what a rollback brings back. */
static enum err_code refresh(struct control *control, const char *model, int steps, struct err *err)
{
    int64_t needed[2] = {0};
    struct control_op op = {.fn = nothing, .model = model};
    int count = 0;
    enum err_code rc = needed_versions(control, model, needed, err);
    for (int i = 0; !rc && i < steps; i++) {
        if (needed[i] == 0)
            continue;
        rc = control_acquire(control, model, needed[i], &op.loaded[count], err);
        count += rc == ERR_OK;
    }
    if (!rc)
        rc = control_execute(control, &op, err);
    for (int i = 0; i < count; i++)
        loaded_unref(op.loaded[i]);
    return rc;
}

enum err_code control_refresh(struct control *control, const char *model, struct err *err)
{
    return refresh(control, model, 2, err);
}

enum err_code control_load(struct control *control, const char *model, struct str version,
                           struct err *err)
{
    int64_t number = 0;
    struct control_op op = {.fn = nothing, .model = model};
    enum err_code rc = refresh(control, model, 1, err);
    if (rc || version.len == 0)
        return rc;
    rc = version_resolve(control_read_begin(control), model, version, &number, err);
    control_read_end(control);
    if (!rc)
        rc = control_acquire(control, model, number, &op.loaded[0], err);
    if (!rc)
        rc = control_execute(control, &op, err);
    loaded_unref(op.loaded[0]);
    return rc;
}

/* On the control thread, which alone changes what is served. */
static enum err_code check_unload(struct control *control, struct store *store, void *arg,
                                  struct err *err)
{
    const char *model = arg;
    (void)store;
    const struct endpoint *endpoint = snapshot_find(control->publisher.current, str_of(model));
    if (!endpoint)
        return err_set(err, ERR_NOT_FOUND, "model '%s' does not exist", model);
    if (endpoint->pinned_count)
        return err_set(err, ERR_CONFLICT, "a rollout keeps model '%s' in memory", model);
    if (endpoint->serving->is_pinned) {
        err_set(err, ERR_CONFLICT, "its serving file keeps model '%s' in memory", model);
        return err_hint(err, "memory: {pin: false} in: slipway model serving %s -f FILE", model);
    }
    return ERR_OK;
}

bool control_is_in_memory(const struct control_op *op)
{
    return op->fn == nothing || op->fn == check_unload;
}

enum err_code control_unload(struct control *control, const char *model, struct err *err)
{
    struct control_op op = {
        .fn = check_unload, .arg = (void *)(uintptr_t)model, .model = model, .unloads = true};
    if (control->config.model_bytes_max == 0) {
        err_set(err, ERR_UNSUPPORTED, "all models stay in memory here");
        return err_hint(err, "give a budget: --model-memory-bytes-max 4G");
    }
    return control_execute(control, &op, err);
}

/* ---- readers, what it has ---- */

void control_add_reader(struct control *control, struct snapshot_reader *reader, struct loop *loop)
{
    pthread_mutex_lock(&control->publish_lock);
    publisher_add(&control->publisher, reader, loop);
    pthread_mutex_unlock(&control->publish_lock);
}

void control_forget_loops(struct control *control)
{
    pthread_mutex_lock(&control->publish_lock);
    publisher_forget_loops(&control->publisher);
    pthread_mutex_unlock(&control->publish_lock);
}

void control_remove_reader(struct control *control, struct snapshot_reader *reader)
{
    pthread_mutex_lock(&control->publish_lock);
    publisher_remove(&control->publisher, reader);
    pthread_mutex_unlock(&control->publish_lock);
    snapshot_reader_done(reader);
}

struct snapshot *control_snapshot(struct control *control)
{
    pthread_mutex_lock(&control->publish_lock);
    struct snapshot *snapshot = control->publisher.current;
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&control->publish_lock);
    return snapshot;
}

struct blob_store *control_blobs(struct control *control)
{
    return control->blobs;
}

struct folder *control_folder(struct control *control)
{
    return control->folder;
}

int control_data_threads(const struct control *control)
{
    return control->config.data_thread_count;
}

const struct runtime_host *control_runtime_host(const struct control *control)
{
    return &control->config.host;
}

void control_stats(struct control *control, struct control_stats *stats)
{
    *stats = (struct control_stats){
        .commits = control->commits,
        .operations = control->operations,
        .failures = control->failures,
        .generation = control->generation,
        .rollback_log_pending = control->pending,
    };
    histogram_add_to(&control->commit_seconds, &stats->commit_seconds);
    histogram_add_to(&control->load_seconds, &stats->load_seconds);
}
