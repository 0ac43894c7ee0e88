/* record_store_own.h - what the files record_store*.c know of a store together. */
#ifndef SLIPWAY_MONITOR_RECORD_STORE_OWN_H
#define SLIPWAY_MONITOR_RECORD_STORE_OWN_H

#include <pthread.h>

#include "monitor/record_block.h"
#include "monitor/record_store.h"

/* Segments that wait for the syncer; the writer waits when a disk is so slow that there are more.
 */
enum { RECORD_DIRTY_MAX = 16 };

struct record_store {
    struct record_store_config config;
    record_shadow_fn *shadow; /* constant after the start; NULL: nobody */
    void *shadow_arg;
    int dir_fd;                      /* predictions/; -1: there is none */
    bool is_made;                    /* the folder and its secret are there */
    int64_t start_us, start_wall_us; /* monotonic and wall time of one moment */
    uint64_t run[2];
    uint8_t secret[REDACT_SECRET_BYTES];
    uint64_t sample_key[2];
    struct record_tally *tally;
    struct record_tally_last last;
    struct arena *scratch; /* recorder thread: redacted copies */

    /* Segments, oldest first. Held for reading while one searches. */
    pthread_rwlock_t list_lock;
    struct segment **segments; /* owned, a reference each; [segment_count] */
    size_t segment_count, segment_capacity;
    bool is_loaded; /* the folder was looked at */
    int64_t last_number;
    pthread_mutex_t files_lock; /* held while files are looked at, deleted or written anew */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake, flushed;
    struct record_block *active;                 /* being filled; NULL: nothing is */
    struct record_block *waiting, *waiting_last; /* full ones, oldest first */
    size_t buffered_bytes;
    uint64_t taken;
    uint64_t late_hash; /* of the id that was kept last because a shadow differs */
    uint64_t flush_wanted, flush_done;
    bool is_seal_wanted;
    bool is_running, is_stopping, is_failing;
    bool is_rested; /* writer thread: what a burst left in memory was given back */
    uint64_t lost_records[LOSS_COUNT], lost_rows[LOSS_COUNT], left_out_count;
    struct segment *current; /* being written, also the last of the list; writer thread */
    struct segment
        *dirty[RECORD_DIRTY_MAX]; /* [dirty_count] bytes to be synced, a reference each */
    int dirty_count;
    bool is_dir_dirty; /* names of segments are to be synced */
    pthread_cond_t has_dirty, has_room;

    pthread_t writer, syncer;
    struct histogram write_seconds, sync_seconds; /* written by their threads */
};

/* Make the folder and keep the secret in it, if that has not been done. */
enum err_code record_store_make_folder(struct record_store *store, struct err *err);

/* Look at the folder, once: cut and seal what a crash left behind. Any thread. */
enum err_code record_store_load(struct record_store *store, struct err *err);

/* Let the syncer make a segment durable; without one it is done here. Not under the lock. */
void record_store_sync_later(struct record_store *store, struct segment *segment);

/* Put a segment at the end of the list, take one out of it, or put `fresh` in the place of the one
 * with its number. Each takes the reference. */
void record_store_append(struct record_store *store, struct segment *segment);
void record_store_replace(struct record_store *store, struct segment *fresh);
void record_store_remove(struct record_store *store, int64_t number);

/* End the segment that is being written, with what waits in it. */
enum err_code record_store_seal(struct record_store *store, struct err *err);

/* Delete the oldest segments past quota and age. */
void record_store_expire(struct record_store *store);

/* The text under which a column's `key` is kept: itself, or its pseudonym in `out`. */
struct str record_store_kept_text(const struct record_store *store,
                                  const struct record_column *column, struct str key, char *out);

#endif
