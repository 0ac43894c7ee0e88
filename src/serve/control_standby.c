/* control_standby.c - control of a process that answers before the data folder is its own.
 *
 *     standby  another process owns the folder. The store is read; models are loaded from it, and
 *              what the owner changes is published here too. Changes of our own wait in the queue.
 *     owner    the lock is ours: the store is opened for writing, what changed last is caught up,
 *              the queue goes on.
 *
 * A store with an older schema cannot be read by this program: it reads a migrated copy, and what
 * the owner changes after that is seen only once the folder is ours.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/control_own.h"
#include "store/migrate.h"

enum { LOOK_EVERY_MS = 25 };

/* ---- reading what somebody else writes ---- */

/* Every change of control state is one event. */
static enum err_code newest_event(struct store *store, int64_t *seq, struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    enum err_code rc =
        store_query(store, "SELECT COALESCE(MAX(seq), 0) FROM audit", NULL, 0, &rows, err);
    if (rc)
        return rc;
    rc = store_next(rows, &has_row, err);
    if (!rc && has_row)
        *seq = store_i64(rows, 0);
    store_rows_done(rows);
    return rc;
}

static enum err_code migrate_copy(struct control *control, struct store *old, struct err *err)
{
    struct store *copy = NULL;
    int from, to;
    unlink(control->copy_path); /* of a process that was killed */
    enum err_code rc = store_backup(old, control->copy_path, err);
    if (!rc)
        rc = store_open(&store_sqlite, control->copy_path, STORE_WRITE, &copy, err);
    if (!rc)
        rc = migrate_up(copy, NULL, &from, &to, err);
    store_close(copy);
    if (!rc)
        log_info("a copy of the store has the new schema", "from=%d to=%d", from, to);
    return rc;
}

static void remove_copy(struct control *control)
{
    char path[CONTROL_PATH_BYTES];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; control->copy_path[0] && i < 3; i++) {
        snprintf(path, sizeof(path), "%.*s%s", CONTROL_PATH_BYTES - 8, control->copy_path,
                 suffixes[i]);
        unlink(path);
    }
    control->copy_path[0] = '\0';
}

enum err_code control_standby_open(struct control *control, struct err *err)
{
    const char *where = folder_path(control->folder);
    int version = 0;
    enum err_code rc = store_open(&store_sqlite, where, STORE_READ, &control->store, err);
    if (!rc)
        rc = migrate_applied(control->store, &version, err);
    if (!rc && version < migrate_latest()) {
        folder_file(control->folder, "backups/standby.db", control->copy_path,
                    sizeof(control->copy_path));
        rc = migrate_copy(control, control->store, err);
        store_close(control->store);
        control->store = NULL;
        where = control->copy_path;
        if (!rc)
            rc = store_open(&store_sqlite, where, STORE_READ, &control->store, err);
    }
    if (!rc)
        rc = store_open(&store_sqlite, where, STORE_READ, &control->reader, err);
    return rc ? rc : newest_event(control->store, &control->seen_seq, err);
}

static void look_for_changes(struct control *control)
{
    struct err err = {0};
    int64_t seq = control->seen_seq;
    enum err_code rc = newest_event(control->store, &seq, &err);
    if (!rc && seq == control->seen_seq)
        return;
    if (!rc)
        rc = control_rebuild(control, &err);
    if (rc)
        log_warn("changes of the process before not seen yet", "reason=%s", err.msg);
    else
        control->seen_seq = seq;
}

/* ---- becoming the owner ---- */

static void swap_stores(struct control *control, struct store *store, struct store *reader)
{
    store_close(control->store);
    control->store = store;
    pthread_mutex_lock(&control->read_lock);
    store_close(control->reader);
    control->reader = reader;
    pthread_mutex_unlock(&control->read_lock);
    remove_copy(control);
}

static enum err_code become_owner(struct control *control, struct err *err)
{
    struct store *store = NULL, *reader = NULL;
    int fd = control->config.lock_fd;
    control->config.lock_fd = -1; /* the folder's */
    enum err_code rc = folder_adopt(control->folder, fd, err);
    if (!rc)
        rc = control_open_stores(control, &store, &reader, err);
    if (!rc)
        rc = control_open_log(control, err);
    if (rc) {
        store_close(reader);
        store_close(store);
        return rc;
    }
    blob_clean(control->blobs);
    swap_stores(control, store, reader);
    control->is_standby = false;
    return control_rebuild(control, err);
}

/* ---- the thread ---- */

/* The first operation that needs no store of ours: loading on demand does not wait for anybody. */
static struct control_op *take_in_memory(struct control *control)
{
    struct control_op **at = &control->queue;
    while (*at && !control_is_in_memory(*at))
        at = &(*at)->next;
    struct control_op *op = *at;
    if (!op)
        return NULL;
    *at = op->next;
    op->next = NULL;
    if (!*at)
        control->queue_tail = at;
    control->queue_count--;
    return op;
}

static void wait_a_moment(struct control *control)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_EVERY_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&control->wake, &control->lock, &until);
}

static void step(struct control *control, struct control_op *op, bool owns)
{
    pthread_mutex_unlock(&control->lock);
    if (op)
        control_run_alone(control, op);
    snapshot_reap(&control->publisher);
    enum err_code rc = ERR_OK;
    if (owns)
        rc = become_owner(control, control->own_err);
    else
        look_for_changes(control);
    pthread_mutex_lock(&control->lock);
    if (op)
        op->is_done = true;
    if (owns) {
        control->own_rc = rc;
        control->is_owner_wanted = false;
    }
    pthread_cond_broadcast(&control->done);
}

void control_standby_run(struct control *control)
{
    while (control->is_standby && !control->is_stopping) {
        struct control_op *op = take_in_memory(control);
        if (!op && !control->is_owner_wanted)
            wait_a_moment(control);
        step(control, op, control->is_owner_wanted);
    }
}

enum err_code control_own(struct control *control, struct err *err)
{
    pthread_mutex_lock(&control->lock);
    control->own_err = err;
    control->is_owner_wanted = true;
    pthread_cond_signal(&control->wake);
    while (control->is_owner_wanted)
        pthread_cond_wait(&control->done, &control->lock);
    enum err_code rc = control->own_rc;
    pthread_mutex_unlock(&control->lock);
    return rc;
}

void control_standby_close(struct control *control)
{
    remove_copy(control);
    if (control->config.lock_fd >= 0)
        close(control->config.lock_fd);
}
