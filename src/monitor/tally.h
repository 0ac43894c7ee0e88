/* tally.h - what a version answered, ten minutes by ten minutes: rows, failures, latencies, scores.
 *
 * One tally per version, arm, rollout and span of time (UTC). It says of how many rows the labels
 * are known (coverage), how answers were distributed (estimate.h), how fast they came, before and
 * after a release. Tallies are counts: windows are merged by adding.
 *
 *     recorder thread: tallies_take ---> in memory (under a lock, no one waits long)
 *     ticker, every few seconds: tallies_save ---> one row each in the store, replaced
 *
 * A crash loses what was counted since the last save: at most TALLY_SAVE_MS of counts, no record
 * and no outcome.
 */
#ifndef SLIPWAY_MONITOR_TALLY_H
#define SLIPWAY_MONITOR_TALLY_H

#include "base/histogram.h"
#include "monitor/estimate.h"
#include "monitor/predicted.h"
#include "store/store.h"

#define TALLY_SPAN_US (INT64_C(600) * 1000000)

enum {
    TALLIES_MAX = 512, /* in memory at once; what comes on top is counted */
    TALLY_SAVE_MS = 5000,
    TALLY_DAYS_KEPT = 400, /* of each model the newest in which it answered */
};

struct tally {
    const char *model; /* borrowed from the record's schema; in the arena when read back */
    int64_t version;
    enum arm arm;
    int64_t rollout;
    int64_t start_us;           /* of the span */
    int64_t requests, failures; /* failures: status >= 500 */
    int64_t rejected;           /* 4xx */
    int64_t rows, suspects;
    struct histogram_sum latency;    /* of answered requests */
    int class_count;                 /* 1: numbers */
    int64_t *scores;                 /* [class_count, ESTIMATE_BINS], or NULL: no probabilities */
    double value_sum, value_squares; /* of numbers */
};

struct tallies;

struct tallies *tallies_new(void);
void tallies_free(struct tallies *tallies); /* NULL is allowed */

/* For struct record_sink. */
void tallies_take(void *arg, const struct record *record);

/* How many have changed since they were saved last. */
int tallies_changed(struct tallies *tallies);

/* Write what has changed, inside the caller's transaction; after its commit tell it by _saved,
 * which also forgets spans that have passed. */
enum err_code tallies_save(struct tallies *tallies, struct store *store, struct err *err);
void tallies_saved(struct tallies *tallies, int64_t now_us);

/* Records that found no room. */
uint64_t tallies_dropped(struct tallies *tallies);

/* ---- reading back ---- */

struct tally_query {
    const char *model;
    int64_t version;        /* 0: all */
    int64_t rollout;        /* 0: any */
    int64_t from_us, to_us; /* spans that begin in [from, to) */
};

/* Each saved tally in turn, oldest first; the tally is valid during the call. */
typedef enum err_code tally_fn(void *arg, const struct tally *tally, struct err *err);
enum err_code tally_each(struct store *store, const struct tally_query *query, tally_fn *fn,
                         void *arg, struct err *err);

/* into += one; latencies and scores too when both have the same classes. */
void tally_add(struct tally *into, const struct tally *one);

/* Remove spans before the newest TALLY_DAYS_KEPT days (UTC) in which their model answered. Days are
 * counted by what is there: a clock that is wrong removes nothing. */
enum err_code tally_prune(struct store *store, struct arena *arena, struct err *err);

#endif
