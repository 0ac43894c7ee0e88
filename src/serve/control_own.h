/* control_own.h - what control.c and control_open.c share. */
#ifndef SLIPWAY_SERVE_CONTROL_OWN_H
#define SLIPWAY_SERVE_CONTROL_OWN_H

#include <pthread.h>

#include "registry/rollback_log.h"
#include "serve/control.h"

enum { CONTROL_PATH_BYTES = 4096 };

struct control {
    struct control_config config;
    struct folder *folder;
    struct store *store; /* the writer; control thread only */
    struct blob_store *blobs;
    struct rollback_log *rollback_log;
    struct publisher publisher; /* `current` is changed under publish_lock */
    pthread_mutex_t publish_lock;

    struct store *reader;
    pthread_mutex_t read_lock;

    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake, done;
    struct control_op *queue, **queue_tail;
    int queue_count;
    bool is_stopping;

    /* Written by the control thread, read by a scrape. */
    _Atomic int64_t commits, operations, failures, generation;
    _Atomic int pending;
    size_t first_bytes;              /* of models that the start has loaded */
    struct histogram commit_seconds; /* from begin to durable */
    struct histogram load_seconds;   /* written under load_lock */
    pthread_mutex_t load_lock;

    char work_dir[CONTROL_PATH_BYTES]; /* of config.host */

    /* control_standby.c */
    bool is_standby;                    /* control thread's; set before it starts */
    int64_t seen_seq;                   /* of the newest event that is published here */
    char copy_path[CONTROL_PATH_BYTES]; /* of the store, with a newer schema; "": none */
    bool is_owner_wanted;               /* under `lock`, with own_rc and own_err */
    enum err_code own_rc;
    struct err *own_err;

    struct loaded_table *table;       /* versions in memory, whoever holds them */
    struct runtime_versions versions; /* for those that are made of others */
};

/* Where endpoint_build finds versions: the context of control_find_loaded. */
struct control_find {
    struct control *control;
    struct control_op *ops; /* whose loaded[] may be used; may be NULL */
    bool may_load;
    bool unloads;
};

struct loaded *control_find_loaded(void *arg, const char *model, int64_t version,
                                   struct arena *arena, const char **problem);

/* The response cache that its settings ask for: the one it had, or a new one. */
void control_take_responses(struct control *control, struct endpoint *fresh);

enum err_code control_read_keys(struct store *store, struct auth_keys **keys, struct err *err);

/* What was in the rollback log is in the store. */
void control_clear_log(struct control *control);

/* Does it change nothing but what is in memory? */
bool control_is_in_memory(const struct control_op *op);

/* `op` alone: its transaction, its publication. */
void control_run_alone(struct control *control, struct control_op *op);

/* ---- control_open.c ---- */

enum err_code control_open_stores(struct control *control, struct store **store,
                                  struct store **reader, struct err *err);
enum err_code control_open_log(struct control *control, struct err *err);

/* Publish everything as the store has it. */
enum err_code control_rebuild(struct control *control, struct err *err);

/* ---- control_standby.c ---- */

/* The store for reading, of a folder that is another process's. */
enum err_code control_standby_open(struct control *control, struct err *err);

/* What the control thread does until the folder is ours or it is stopping; `lock` is held. */
void control_standby_run(struct control *control);
void control_standby_close(struct control *control);

/* Before anything is loaded: `table` and `versions`. */
void control_init_versions(struct control *control);

/* The control thread, until is_stopping. */
void *control_run(void *control);

#endif
