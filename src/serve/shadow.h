/* shadow.h - versions that get copies of answered requests and answer nobody.
 *
 *     recorder thread: record -> is its version shadowed? -> copy into a bounded ring (full:
 * dropped and counted) shadow thread:   ring -> shadow_score -> the session's comparison
 *
 * A session is one shadow step of one rollout. The copies are made after the reply was sent, are
 * scored on a thread of low priority, and have no effect but the comparison. Whoever begins
 * sessions keeps their bytes over a restart; without them a session counts anew, and says since
 * when:
 *
 *     offset  size  meaning
 *     0       4     "SWSH"
 *     4       4     CRC-32C of what follows
 *     8       ...   rollout, step, since, dropped rows, records, times, comparison
 *                   (rollout/compare_file.h)
 */
#ifndef SLIPWAY_SERVE_SHADOW_H
#define SLIPWAY_SERVE_SHADOW_H

#include "base/json.h"
#include "monitor/record.h"
#include "rollout/compare_file.h"
#include "runtime/loaded.h"
#include "serve/shadow_score.h"

enum {
    SHADOW_SESSIONS_MAX = 64,             /* that run; also how many ended ones are remembered */
    SHADOW_QUEUE_BYTES = 8 * 1024 * 1024, /* of copies that wait */
    SHADOW_FILE_BYTES_MAX = COMPARE_FILE_BYTES_MAX + 3 * sizeof(struct histogram_sum),
    SHADOW_MEMORY_BYTES_MAX = 64 * 1024 * 1024, /* one scoring may take */
};

struct shadow;

struct shadow *shadow_new(void);

/* End the thread; copies that wait are forgotten. Before what it tells and reads goes away. */
void shadow_stop(struct shadow *shadow);

/* Stops, frees. NULL is allowed. */
void shadow_free(struct shadow *shadow);

/* Who is told of rows that differ (shadow_score.h); before the first session. */
void shadow_set_watch(struct shadow *shadow, const struct shadow_watch *watch);

/* For the recorder; valid as long as `shadow`. */
struct record_sink shadow_sink(struct shadow *shadow);

struct shadow_session_config {
    int64_t rollout;          /* its id */
    int step;                 /* of the rollout */
    struct loaded *stable;    /* whose answers are compared; a reference is taken */
    struct loaded *candidate; /* that gets the copies; a reference is taken */
    double share;             /* of requests, (0, 1] */
    struct str saved;         /* by shadow_save, of this rollout and step: counting goes on there;
                                 anything else is as good as nothing */
};

/* Begin comparing; nothing happens when the rollout has a session already. ERR_LIMIT when
 * SHADOW_SESSIONS_MAX run. The first session starts the thread. */
enum err_code shadow_begin(struct shadow *shadow, const struct shadow_session_config *config,
                           struct err *err);

/* The running session's counts as bytes. False (nothing written) when there is none. */
bool shadow_save(struct shadow *shadow, int64_t rollout, struct buf *out);

/* Stop copying; what was compared stays readable until SHADOW_SESSIONS_MAX later ones have ended.
 * Waits until copies that are being scored are done with. */
void shadow_end(struct shadow *shadow, int64_t rollout);

/* For record_store_set_shadow: a row that was answered while its version was shadowed gets what the
 * shadow would have answered, so that its truth counts for both. May wait for a scoring. */
void shadow_answer(void *shadow, const struct record *record, int64_t row, struct arena *arena,
                   struct predicted *predicted);

struct shadow_counts {
    uint64_t rows, differ, errors, refused; /* see compare.h */
    uint64_t dropped_rows;                  /* for which there was no room */
    int64_t since_us;                       /* wall time when counting began */
};

/* False when there is no such session. */
bool shadow_counts(struct shadow *shadow, int64_t rollout, struct shadow_counts *counts);

/* The whole comparison as one JSON object: counts, coverage, compare_write's members, latency and
 * memory of both versions side by side. False (nothing written) when there is no such session. */
bool shadow_write(struct shadow *shadow, int64_t rollout, struct json_writer *w);

#endif
