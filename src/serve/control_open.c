/* control_open.c - opening and closing: folder, store, rollback log, the first snapshot, the
 * thread. */
#include "serve/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "rollout/rollout_store.h"
#include "runtime/loaded_table.h"
#include "serve/control_own.h"
#include "serve/endpoint_build.h"
#include "store/migrate.h"

enum err_code control_open_stores(struct control *control, struct store **store,
                                  struct store **reader, struct err *err)
{
    char path[CONTROL_PATH_BYTES], name[64], stamp[CLOCK_TEXT_BYTES];
    int from = 0, to = 0;
    const char *where = folder_path(control->folder);
    enum err_code rc = store_open(&store_sqlite, where, STORE_WRITE, store, err);
    if (rc)
        return rc;
    snprintf(name, sizeof(name), "backups/before-schema-%d-%.19s.db", migrate_latest(),
             clock_format(clock_wall_us(), stamp));
    rc =
        migrate_up(*store, folder_file(control->folder, name, path, sizeof(path)), &from, &to, err);
    if (!rc && from != to && from != 0)
        log_info("schema upgraded", "from=%d to=%d backup=%s", from, to, name);
    if (!rc)
        rc = store_open(&store_sqlite, where, STORE_READ, reader, err);
    return rc;
}

enum err_code control_open_log(struct control *control, struct err *err)
{
    char path[CONTROL_PATH_BYTES];
    folder_file(control->folder, "rollback.log", path, sizeof(path));
    enum err_code rc = rollback_log_open(path, &control->rollback_log, err);
    if (!rc)
        rollback_log_set_rollout(control->rollback_log, rollout_fold);
    return rc;
}

static enum err_code open_owned(struct control *control, struct err *err)
{
    enum err_code rc = folder_lock(control->folder, err);
    if (!rc)
        rc = control_open_stores(control, &control->store, &control->reader, err);
    return rc ? rc : control_open_log(control, err);
}

static enum err_code open_parts(struct control *control, struct err *err)
{
    const struct control_config *config = &control->config;
    enum err_code rc = folder_open(config->data_dir, config->create, &control->folder, err);
    if (!rc)
        folder_file(control->folder, "work", control->work_dir, sizeof(control->work_dir));
    control->config.host.work_dir = control->work_dir;
    if (!rc)
        rc = control->is_standby ? control_standby_open(control, err) : open_owned(control, err);
    if (!rc)
        rc = blob_open(&blob_dir, folder_path(control->folder), &control->blobs, err);
    if (!rc && !control->is_standby)
        blob_clean(control->blobs);
    return rc;
}

static enum err_code build_one(struct control *control, const char *model, bool may_load,
                               struct snapshot *snapshot, struct err *err)
{
    struct control_find context = {.control = control, .may_load = may_load};
    const struct loaded_finder finder = {control_find_loaded, &context};
    struct endpoint *endpoint = NULL;
    enum err_code rc = endpoint_build(control->store, model, &finder, &endpoint, err);
    if (rc)
        return rc;
    control_take_responses(control, endpoint);
    const struct endpoint *old = snapshot_find(snapshot, str_of(model));
    bool is_worse = old && old->champion && !endpoint->champion && endpoint->problem;
    if (is_worse) /* what answers goes on; of a first snapshot there is none */
        endpoint_unref(endpoint);
    else
        snapshot_put(snapshot, endpoint);
    return ERR_OK;
}

/* Everything as the store has it, and as it will have it with the rollback log folded in. */
static enum err_code build_first(struct control *control, struct snapshot **snapshot,
                                 struct err *err)
{
    struct model *models;
    /* Every model with the longest texts it may have. */
    struct arena *arena =
        arena_new((size_t)MODELS_MAX * 2 * (NOTE_BYTES_MAX + OWNER_BYTES_MAX + sizeof(*models)));
    int count = 0;
    struct auth_keys *keys = NULL;
    enum err_code rc = ERR_OK;
    if (control->rollback_log)
        rc = rollback_log_fold(control->rollback_log, control->store, err);
    if (!rc)
        rc = control_read_keys(control->store, &keys, err);
    *snapshot = snapshot_new(control->publisher.current, keys, &control->publisher);
    if (!rc)
        rc = model_list(control->store, arena, &models, &count, err);
    for (int i = 0; !rc && i < count; i++)
        rc = build_one(control, models[i].name, control->config.loads_all, *snapshot, err);
    arena_free(arena);
    return rc;
}

static bool is_storage_failure(enum err_code rc)
{
    return rc == ERR_DISK_FULL || rc == ERR_IO;
}

/* A disk that is still too full to commit logged rollbacks does not stop them from taking effect:
 * the snapshot is built inside the transaction that folds them, and tick tries again. */
static enum err_code commit_first(struct control *control, struct err *err)
{
    if (rollback_log_pending(control->rollback_log) == 0) {
        store_rollback(control->store);
        return ERR_OK;
    }
    enum err_code rc = store_commit(control->store, err);
    if (!rc)
        control_clear_log(control);
    else if (is_storage_failure(rc))
        log_warn("rollback log not folded yet", "reason=%s", err->msg);
    control->pending = rollback_log_pending(control->rollback_log);
    return is_storage_failure(rc) ? ERR_OK : rc;
}

enum err_code control_rebuild(struct control *control, struct err *err)
{
    struct snapshot *snapshot = NULL;
    enum err_code rc = store_begin(control->store, err);
    if (rc)
        return rc;
    rc = build_first(control, &snapshot, err);
    if (rc)
        store_rollback(control->store);
    else
        rc = commit_first(control, err);
    pthread_mutex_lock(&control->publish_lock);
    if (!rc || !control->publisher.current) {
        snapshot_publish(&control->publisher, snapshot);
        control->generation = snapshot->generation;
    } else {
        snapshot_unref(snapshot); /* what is published goes on */
    }
    pthread_mutex_unlock(&control->publish_lock);
    return rc;
}

static void init_locks(struct control *control)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&control->wake, &attr);
    pthread_cond_init(&control->done, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&control->lock, NULL);
    pthread_mutex_init(&control->read_lock, NULL);
    pthread_mutex_init(&control->publish_lock, NULL);
    pthread_mutex_init(&control->load_lock, NULL);
    control->queue_tail = &control->queue;
}

enum err_code control_open(const struct control_config *config, struct control **out,
                           struct err *err)
{
    struct control *control = calloc(1, sizeof(*control));
    if (!control)
        abort();
    control->config = *config;
    control->config.has_thread = false; /* until the thread runs */
    control->is_standby = config->is_standby;
    if (!control->is_standby)
        control->config.lock_fd = -1;
    init_locks(control);
    control_init_versions(control);
    enum err_code rc = open_parts(control, err);
    if (!rc)
        rc = control_rebuild(control, err);
    if (!rc && config->has_thread) {
        if (pthread_create(&control->thread, NULL, control_run, control))
            rc = err_set(err, ERR_INTERNAL, "the control thread could not be started");
        else
            control->config.has_thread = true;
    }
    if (rc) {
        control_close(control);
        return rc;
    }
    *out = control;
    return ERR_OK;
}

static void stop_thread(struct control *control)
{
    pthread_mutex_lock(&control->lock);
    control->is_stopping = true;
    pthread_cond_signal(&control->wake);
    pthread_mutex_unlock(&control->lock);
    pthread_join(control->thread, NULL);
}

void control_close(struct control *control)
{
    if (!control)
        return;
    if (control->config.has_thread)
        stop_thread(control);
    publisher_done(&control->publisher);
    loaded_table_free(control->table);
    rollback_log_close(control->rollback_log);
    blob_close(control->blobs);
    store_close(control->reader);
    store_close(control->store);
    control_standby_close(control);
    folder_close(control->folder);
    pthread_cond_destroy(&control->wake);
    pthread_cond_destroy(&control->done);
    pthread_mutex_destroy(&control->lock);
    pthread_mutex_destroy(&control->read_lock);
    pthread_mutex_destroy(&control->publish_lock);
    pthread_mutex_destroy(&control->load_lock);
    free(control);
}
