/* snapshot.h - the one immutable value the data path reads, and how it is handed over.
 *
 *     control thread                              data thread i
 *     snapshot_publish: for each reader           snapshot_reader_get, at every request:
 *       ref; exchange(reader.next) ------------->   if next: adopt it, unref the old one
 *       (got one nobody took: unref it)             use current, without any lock
 *     snapshot_reap: free what the last            last unref -> retired list
 *       reader has left
 *
 * A reader holds exactly one reference, taken for it by the publisher before it can see the
 * pointer, so there is no moment in which a snapshot can go away under it. Freeing a snapshot (and
 * the models only it held) is left to the control thread.
 */
#ifndef SLIPWAY_SERVE_SNAPSHOT_H
#define SLIPWAY_SERVE_SNAPSHOT_H

#include <stdatomic.h>

#include "auth/auth.h"
#include "base/map.h"
#include "net/loop.h"
#include "review/rules.h"
#include "rollout/choose.h"
#include "runtime/loaded.h"
#include "serve/serving_file.h"

enum { ENDPOINT_ALIASES_MAX = 64 };

struct endpoint_alias {
    const char *name;
    int64_t version;
    struct loaded *loaded; /* NULL: could not be loaded; `problem` says why */
    bool is_cold;          /* not in memory, and will be when somebody asks */
};

/* A rollout as data threads see it. Requests that name no version go to `to` or to `from`. */
struct endpoint_rollout {
    int64_t id;
    struct choose choose;
    struct loaded *from, *to;
    const char *key_header; /* whose value is the routing key; NULL: a field is */
    const char *key_field;
};

/* One model as callers see it. Shared by the snapshots between two changes of this model. */
struct endpoint {
    _Atomic int refs;
    struct arena *arena;
    const char *name, *owner;
    struct loaded *champion;  /* NULL: none set, or it could not be loaded */
    int64_t champion_version; /* what the registry says; 0 none */
    struct loaded *previous;  /* what a rollback brings back, pinned; NULL when there is none */
    int64_t previous_version; /* what the registry says; 0 none */
    const char *problem;      /* why champion is NULL, for /readyz; NULL when all is well */
    bool is_cold;             /* the champion is not in memory, and will be when somebody asks */
    const struct endpoint_rollout *rollout; /* NULL: the champion answers everybody */
    int pinned_count;
    struct loaded *pinned[2]; /* versions of a rollout, kept in memory while it runs and after */
    int alias_count;
    struct endpoint_alias *aliases;    /* [alias_count] */
    const struct review_rules *review; /* which predictions people see; NULL: none */
    const struct serving *serving;     /* how it is served; never NULL */
    struct response_cache *responses;  /* answers that are given again; NULL: none are */
};

struct snapshot {
    uint32_t magic;
    _Atomic int refs;
    int64_t generation;     /* grows by one with every publication */
    struct map endpoints;   /* name -> struct endpoint, one reference each */
    struct auth_keys *keys; /* owned */
    struct snapshot *retired_next;
    struct publisher *publisher;
};

/* One data thread's view. Written by its own thread, but for `next`. */
struct snapshot_reader {
    _Alignas(64) struct snapshot *current;
    _Atomic(struct snapshot *) next;
    struct loop *loop; /* to wake an idle thread; NULL: none (in-process) */
    struct loop_message wake;
    _Atomic bool is_waking;
};

/* The control side: one, with all readers. */
struct publisher {
    struct snapshot *current; /* control thread only; one reference */
    _Atomic(struct snapshot *) retired;
    struct snapshot_reader *readers[64];
    int reader_count;
    bool has_no_loops; /* they are ending: nobody is woken any more */
};

void endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint);

/* The loaded version a request names: "" is the champion, else a number or an alias.
 * ERR_NOT_FOUND or ERR_UNAVAILABLE say what there is. The result is borrowed from the snapshot. */
enum err_code endpoint_choose(const struct endpoint *endpoint, struct str version,
                              struct loaded **loaded, struct err *err);

/* Is what `version` names (as above) only waiting to be asked for? */
bool endpoint_is_cold(const struct endpoint *endpoint, struct str version);

/* Each version the endpoint has in memory, once. Returns how many; `versions` has room for
 * ENDPOINT_LOADED_MAX. No references are taken. */
enum { ENDPOINT_LOADED_MAX = ENDPOINT_ALIASES_MAX + 4 };
int endpoint_each_loaded(const struct endpoint *endpoint, struct loaded **versions);

/* A copy of `base` (NULL: empty) with one generation more. The caller changes it, then publishes.
 * Takes `keys`. */
struct snapshot *snapshot_new(const struct snapshot *base, struct auth_keys *keys,
                              struct publisher *publisher);

/* Put or replace an endpoint; takes the caller's reference. Before publication only. */
void snapshot_put(struct snapshot *snapshot, struct endpoint *endpoint);

const struct endpoint *snapshot_find(const struct snapshot *snapshot, struct str model);

/* Readers are added before their threads handle requests; each starts with `current`. */
void publisher_add(struct publisher *publisher, struct snapshot_reader *reader, struct loop *loop);

/* Wake no loop from now on: they are about to end. Threads that still answer go on to see what is
 * published. */
void publisher_forget_loops(struct publisher *publisher);

/* No snapshot is handed to this reader any more. */
void publisher_remove(struct publisher *publisher, const struct snapshot_reader *reader);

/* Hand `snapshot` (its reference is taken) to every reader. Control thread only. */
void snapshot_publish(struct publisher *publisher, struct snapshot *snapshot);

/* Free what was left behind. Control thread only. Returns how many were freed. */
int snapshot_reap(struct publisher *publisher);

void snapshot_unref(struct snapshot *snapshot); /* any thread; never frees by itself */

/* One more reference, by whoever has one that cannot end meanwhile. */
void snapshot_ref(struct snapshot *snapshot);

static inline const struct snapshot *snapshot_reader_get(struct snapshot_reader *reader);
void snapshot_reader_adopt(struct snapshot_reader *reader);

/* The snapshot of this moment; valid until the reader's next _get. */
static inline const struct snapshot *snapshot_reader_get(struct snapshot_reader *reader)
{
    if (atomic_load_explicit(&reader->next, memory_order_relaxed))
        snapshot_reader_adopt(reader);
    return reader->current;
}

/* Release what the reader holds, after its thread has ended. */
void snapshot_reader_done(struct snapshot_reader *reader);

/* Release the current snapshot and free everything retired, at the end of the program. */
void publisher_done(struct publisher *publisher);

#endif
