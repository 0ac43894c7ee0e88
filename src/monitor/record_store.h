/* record_store.h - the kept prediction records of a data folder: written, found, thrown away.
 *
 *     recorder thread: record_store_sink --> block in memory      <- found here at once
 *     writer thread:   every 20 ms: blocks --> segment file       <- survives the process
 *     syncer thread:   30 ms later: fdatasync                     <- survives the machine
 *
 * So a crash loses what came in the last 100 ms, as long as the disk keeps up. When it does not,
 * records wait in memory up to a limit, then new ones are dropped and counted; nobody else waits.
 * A full disk is tried again every second. The oldest segments go when a quota or an age is passed.
 *
 * Files are in predictions/ of the data folder:
 *
 *     0000000001.seg ...   segments (segment_format.h)
 *     secret               32 random bytes: pseudonyms and the choice of samples
 *
 * Without a thread (in-process use) the store only reads, and rewrites when something is erased.
 */
#ifndef SLIPWAY_MONITOR_RECORD_STORE_H
#define SLIPWAY_MONITOR_RECORD_STORE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/histogram.h"
#include "monitor/predicted.h"
#include "monitor/recorder.h"
#include "monitor/redact.h"
#include "monitor/segment.h"

struct record_store;

struct record_store_config {
    int folder_fd;             /* of the data folder, whose lock is held; stays the caller's */
    bool is_late;              /* records are pushed already: whoever opens it hands the tally on */
    struct recorder *recorder; /* asked for what has just been answered; NULL in-process */
    double share;              /* of requests that are kept, by their id; 0: none */
    size_t segment_bytes;      /* a segment is closed at this size, or when it is hours old */
    size_t buffer_bytes;       /* that may wait in memory */
    size_t keep_bytes;         /* of all segments; the oldest go */
    int64_t keep_ms;           /* segments whose last record is older go */
};

/* Make the folder when it is not there; read the secret. Segments are looked at later. */
enum err_code record_store_open(const struct record_store_config *config,
                                struct record_store **store, struct err *err);

/* What recorder_take_tally takes, when it is_late. */
struct record_tally *record_store_tally(struct record_store *store);

/* The sink to be added to the recorder, and the threads behind it. */
struct record_sink record_store_sink(struct record_store *store);
void record_store_start(struct record_store *store);

/* Keep a record that was left out, because a shadow that gets `share` of the requests answers
 * otherwise; once, however many of its rows differ. Any thread but the recorder's, one at a time.
 */
void record_store_keep_differing(struct record_store *store, const struct record *record,
                                 double share);

/* After recorder_stop: write what waits, seal, end the threads. */
void record_store_stop(struct record_store *store);

void record_store_close(struct record_store *store); /* NULL is allowed */

/* ---- finding ---- */

struct record_query {
    const char *model;     /* NULL: any */
    struct str request_id; /* or else by key: */
    struct str key;        /* as the caller sent it; the newest row with it */
    const char *field;     /* the key's column; NULL: any */
    int64_t until_us;      /* answered at or before; 0: any time */
    bool is_answered;      /* only requests that the model answered: 200, or 202 */
    const char *not_model; /* NULL: none is left out */
    bool is_quick;         /* do not wait for what is answered just now */
};

/* The newest record that matches, with all of its rows, in `arena`; *row is the one with the key.
 * ERR_NOT_FOUND: there is none (yet), or it was erased. */
enum err_code record_store_find(struct record_store *store, const struct record_query *query,
                                struct arena *arena, struct record *record, int64_t *row,
                                struct err *err);

/* The same, as feedback asks: answered rows by "<request id>-<row>" or by key. It does not wait for
 * what is answered just now: whoever asks for many calls recorder_sync before. */
struct prediction_lookup record_store_lookup(struct record_store *store);

/* Called with each row that a lookup has found, and what was read of it: who knows what a shadow
 * would have answered sets predicted->shadow, in the arena. On the lookup's thread. */
typedef void record_shadow_fn(void *arg, const struct record *record, int64_t row,
                              struct arena *arena, struct predicted *predicted);

/* Before the first lookup; NULL: nobody. */
void record_store_set_shadow(struct record_store *store, record_shadow_fn *shadow, void *arg);

/* ---- reading in order ---- */

/* Whatever was answered before the call is in segments when it returns, unless the disk does not
 * take it. */
void record_store_flush(struct record_store *store);

/* The first segment with a number above `number`, with one reference; NULL when there is none. */
struct segment *record_store_next(struct record_store *store, int64_t number);

/* ---- throwing away ---- */

struct record_erased {
    uint64_t row_count, record_count; /* a record goes when all of its rows do */
    int segment_count;                /* that were written anew */
};

/* A row that is the subject's: its record and number. */
typedef void record_visit_fn(void *arg, const struct record *record, int64_t row);

/* Visit every kept row of the model whose column `field` has this text, oldest first. Errors as
 * below. */
enum err_code record_store_visit(struct record_store *store, const char *model, struct str field,
                                 struct str key, record_visit_fn *visit, void *arg,
                                 struct err *err);

/* The text that stands for `key` where a column is kept as a pseudonym. */
void record_store_pseudonym(const struct record_store *store, struct str key,
                            char out[PSEUDONYM_BYTES]);

/* What pseudonyms and samples hang on, for a backup. */
#define RECORD_SECRET_NAME "secret"
void record_store_secret(const struct record_store *store, uint8_t out[REDACT_SECRET_BYTES]);

/* Erase what was recorded of every row of the model whose column `field` has this text. Survives a
 * crash at any point: a segment is as it was, or without those rows. ERR_NOT_FOUND when no record
 * of the model has such a column. */
enum err_code record_store_erase(struct record_store *store, const char *model, struct str field,
                                 struct str key, struct record_erased *erased, struct err *err);

/* ---- watching ---- */

enum record_loss {
    LOSS_BUFFER_FULL, /* the disk was slower than records came */
    LOSS_DISK_FULL,
    LOSS_CRASH, /* of the process before this one */
    LOSS_COUNT,
};
const char *record_loss_name(enum record_loss loss); /* "buffer_full", ... */

struct record_store_stats {
    uint64_t record_count[LOSS_COUNT]; /* lost */
    uint64_t row_count[LOSS_COUNT];    /* lost; unknown, so 0, of a crash */
    uint64_t left_out_count;           /* by sampling */
    uint64_t bytes;                    /* of all segments */
    int segment_count;
    int64_t oldest_us;       /* of the oldest record; 0: none */
    uint64_t buffered_bytes; /* wait in memory */
    bool is_failing;         /* the disk takes nothing */
    struct histogram_sum write_seconds, sync_seconds;
};
void record_store_stats(struct record_store *store, struct record_store_stats *stats);

#endif
