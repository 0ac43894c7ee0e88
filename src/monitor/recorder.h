/* recorder.h - the thread between those who answer and those who want to know what was answered.
 *
 *     data thread 0 --ring--\
 *     data thread 1 --ring----> recorder thread: sink 0, sink 1, ... for each record
 *     data thread n --ring--/
 *
 * It looks at the rings every 2 ms while there is much traffic, up to every 16 ms when there is
 * little and every 32 ms when there is none; nobody wakes it for a record. What does not fit a ring
 * is dropped by the data thread, newest first, and counted.
 */
#ifndef SLIPWAY_MONITOR_RECORDER_H
#define SLIPWAY_MONITOR_RECORDER_H

#include "base/histogram.h"
#include "monitor/record.h"
#include "monitor/record_tally.h"
#include "monitor/redact.h"
#include "monitor/ring.h"
#include "runtime/loaded.h"

enum { RECORDER_SINKS_MAX = 16, RECORDER_RINGS_MAX = 64 };

/* What one data thread writes into. The counters are its own, read by a scrape. */
struct record_queue {
    struct ring ring;
    _Alignas(64) _Atomic uint64_t own_record_count;
    _Atomic(_Atomic uint64_t *) record_count; /* handed over; own_record_count, or a tally's */
    _Atomic uint64_t row_count;               /* handed over */
    _Atomic uint64_t dropped_record_count, dropped_row_count;
};

struct recorder;

/* `queue_bytes` is the size of each of `queue_count` rings. */
struct recorder *recorder_new(int queue_count, size_t queue_bytes);
struct record_queue *recorder_queue(struct recorder *recorder, int index);

/* The schema of this version's records; made when it is asked for first, and the same one when the
 * version is loaded again. Any thread. */
const struct record_schema *recorder_schema(struct recorder *recorder, const struct loaded *loaded);

/* How schemas made from here on say that classified columns are kept. */
void recorder_set_redaction(struct recorder *recorder, enum redaction policy);

/* Count what is handed over there from here on; before anybody pushes. It outlives the pushing. */
void recorder_set_tally(struct recorder *recorder, struct record_tally *tally);

/* The same while records are pushed already: on data thread `index`. */
void recorder_take_tally(struct recorder *recorder, int index, struct record_tally *tally);

/* From recorder_start to recorder_release records are kept in memory, up to `bytes_max` and what
 * the rings take; no sink sees any. */
void recorder_hold(struct recorder *recorder, size_t bytes_max);
void recorder_release(struct recorder *recorder);

/* Sinks see every record, in the order in which they were added. Before recorder_start, or
 * recorder_release. */
void recorder_add_sink(struct recorder *recorder, const struct record_sink *sink);

void recorder_start(struct recorder *recorder);

/* Data thread: hand a record over, or count it as dropped. */
void record_queue_push(struct record_queue *queue, const struct record *record, int64_t now_ns);

/* Returns when sinks have seen every record that was pushed before the call. Milliseconds; any
 * thread but a data thread or the recorder's. */
void recorder_sync(struct recorder *recorder);

/* When nobody pushes any more: give everything to the sinks, end the thread. */
void recorder_stop(struct recorder *recorder);

/* After recorder_stop, or when it was never started. Schemas go too. NULL is allowed. */
void recorder_free(struct recorder *recorder);

struct recorder_stats {
    uint64_t record_count, row_count; /* handed over */
    uint64_t dropped_record_count, dropped_row_count;
    uint64_t queue_bytes; /* that wait now, of all rings */
};
void recorder_stats(struct recorder *recorder, struct recorder_stats *stats);

#endif
