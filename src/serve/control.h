/* control.h - the control path: one writer, one transaction, one audit event, one publication.
 *
 *     any thread: control_execute(op) --queue--> control thread:
 *         begin; op, op, op (each in a savepoint); build the changed endpoints; commit; publish
 *     <-- done, with the operation's own error
 *
 * Operations that wait together share one commit (group commit). An operation whose commit fails
 * because the disk is full is undone; a rollback then goes to the preallocated rollback log and is
 * published all the same.
 *
 * Without a thread (the command line on a folder of its own) the caller's thread does it all.
 */
#ifndef SLIPWAY_SERVE_CONTROL_H
#define SLIPWAY_SERVE_CONTROL_H

#include "base/metric.h"
#include "monitor/monitors.h"
#include "monitor/recorder.h"
#include "registry/registry.h"
#include "serve/snapshot.h"
#include "store/folder.h"

enum { CONTROL_QUEUE_MAX = 4096, CONTROL_BATCH_MAX = 256, CONTROL_LOADED_MAX = 4 };

struct control;

struct control_config {
    const char *data_dir;
    bool is_standby;           /* another process has the folder; see control_own */
    int lock_fd;               /* is_standby: its lock, inherited; -1: none */
    bool create;               /* make the folder when it is not there */
    bool has_thread;           /* a control thread of its own; else calls run where they are made */
    bool loads_all;            /* load every model that an alias names, now */
    size_t model_bytes_max;    /* as many of them as fit; the others when somebody asks for them. 0:
                                  all, always */
    int data_thread_count;     /* readers that will count in each loaded version */
    struct recorder *recorder; /* what is published gets a schema of it; NULL: no records */
    struct monitors *monitors; /* what is published gets a sketch of it; NULL: none */
    struct lanes *lanes;       /* what is published gets a lane of it; NULL: none */
    struct runtime_host host;  /* of versions; its texts outlive control, work_dir is control's */
};

struct control_op {
    /* Inside the transaction, on the control thread; may be run again after an undo, so it only
     * changes the store and its own results. Must not load models or wait. */
    enum err_code (*fn)(struct control *control, struct store *store, void *arg, struct err *err);
    void *arg;
    const char *model; /* endpoint to rebuild and publish; NULL: none */
    bool changes_keys; /* publish the keys anew */
    bool is_bulk;      /* many rows: it shares its commit with no operation behind it */
    bool unloads;      /* publish the endpoint with nothing in memory; see control_unload */
    struct loaded *loaded[CONTROL_LOADED_MAX]; /* versions loaded for this change; refs stay the
                                                  caller's; NULL ends the list */

    /* A rollback that must work on a full disk: filled by fn. */
    bool is_rollback;
    const char *alias, *reason, *actor;
    int64_t from, to;
    bool is_durable;   /* out */
    bool is_published; /* control.c's own: in effect before the commit */

    /* control.c's own */
    struct control_op *next;
    enum err_code rc;
    struct err *err;
    bool is_done;
};

/* Open or create the folder, lock it, bring the schema up, fold a pending rollback log, load,
 * publish the first snapshot. */
enum err_code control_open(const struct control_config *config, struct control **control,
                           struct err *err);

/* After a start with is_standby, once the process before has let go of the folder: become its
 * owner, catch up with what has changed, go on with the operations that wait. Not from the control
 * thread. */
enum err_code control_own(struct control *control, struct err *err);

/* Waits for running operations; ends the thread; frees everything. Readers must be done. */
void control_close(struct control *control); /* NULL is allowed */

/* Run `op`; returns when it is committed and published, or failed. Not from the control thread,
 * not from a data thread. ERR_UNAVAILABLE when CONTROL_QUEUE_MAX operations wait. */
enum err_code control_execute(struct control *control, struct control_op *op, struct err *err);

/* The store for reading, one user at a time; what was committed before is seen. */
struct store *control_read_begin(struct control *control);
void control_read_end(struct control *control);

/* One more reference on a version: the one that is being served, or loaded now from its artifact.
 * Slow in the second case; never on a data or the control thread. */
enum err_code control_acquire(struct control *control, const char *model, int64_t version,
                              struct loaded **loaded, struct err *err);

/* Rebuild and publish one endpoint with a version that its caller has acquired. */
enum err_code control_keep(struct control *control, const char *model, struct loaded *loaded,
                           struct err *err);

/* Rebuild and publish one endpoint, loading what it names: after a rollback (the next step back is
 * pinned), for versions that failed to load, and for in-process callers. Slow. */
enum err_code control_refresh(struct control *control, const char *model, struct err *err);

/* In-process use: make the version that a request names ("": the champion) answer. Slow. */
enum err_code control_load(struct control *control, const char *model, struct str version,
                           struct err *err);

/* Let the model's versions go: they are loaded again when somebody asks. What runs goes on; memory
 * is free when its last request has been answered. ERR_CONFLICT when a rollout, or its serving
 * file, keeps it in memory; ERR_UNSUPPORTED without a memory budget. */
enum err_code control_unload(struct control *control, const char *model, struct err *err);

/* Make a data thread's view known to the publisher; before the thread handles requests. */
void control_add_reader(struct control *control, struct snapshot_reader *reader, struct loop *loop);

/* Before the loops end: publications go on, but wake no loop. */
void control_forget_loops(struct control *control);

/* After the reader's thread has ended: nothing is handed to it any more, and what it holds is
 * released. */
void control_remove_reader(struct control *control, struct snapshot_reader *reader);

/* The snapshot of this moment for threads that are no readers; give it back with snapshot_unref. */
struct snapshot *control_snapshot(struct control *control);

struct blob_store *control_blobs(struct control *control);
struct folder *control_folder(struct control *control);
int control_data_threads(const struct control *control);

/* What versions are loaded with, and where those that are made of others find them; as long as
 * control. */
const struct runtime_host *control_runtime_host(const struct control *control);
const struct runtime_versions *control_versions(const struct control *control);

struct control_stats {
    int64_t commits, operations, failures;
    int64_t generation;
    int rollback_log_pending;
    struct histogram_sum commit_seconds, load_seconds;
};
void control_stats(struct control *control, struct control_stats *stats);

#endif
