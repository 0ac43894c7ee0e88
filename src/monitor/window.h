/* window.h - the live rows of one version and arm, cut into windows, each judged when it closes.
 *
 *     rows of a second -> open window -> (rows >= 500 and 10 minutes) -> judged -> history
 *
 * The first 500 rows are judged by themselves as well, whatever time they took: what differs then
 * is not drift but training-serving skew. Memory is fixed: the history is a ring of WINDOWS_KEPT
 * summaries with the worst columns of each.
 *
 * One thread at a time; the caller locks.
 */
#ifndef SLIPWAY_MONITOR_WINDOW_H
#define SLIPWAY_MONITOR_WINDOW_H

#include "base/histogram.h"
#include "monitor/judge.h"

enum { WINDOWS_KEPT = 288, WINDOW_WORST_KEPT = 5, SKEW_ROWS = 500 };

struct window_config {
    int64_t rows_min; /* a window has at least so many rows */
    int64_t span_us;  /* and takes at least this long */
};

/* Running totals of a version's requests, of all threads and arms. */
struct window_totals {
    uint64_t requests, rejected, failed, suspect_rows, violations;
    struct histogram_sum latency;
};

/* What they did while the window was open. rejected: 422; failed: 5xx */
struct window_traffic {
    uint64_t requests, rejected, failed, suspect_rows, violations;
    double latency_p50_us, latency_p99_us;
};

struct window_column {
    int column; /* of the baseline */
    enum monitor_verdict verdict;
    enum judge_rule rule;
    double psi_nats, missing_share;
};

struct window_summary {
    int64_t from_us, to_us; /* wall time */
    int64_t rows;
    enum monitor_verdict verdict;
    bool is_upstream;
    int warn_count, alert_count;
    int worst_count; /* columns that are not ok, worst first, at most WINDOW_WORST_KEPT */
    struct window_column worst[WINDOW_WORST_KEPT];
    struct window_traffic traffic;
};

struct window {
    const struct baseline *baseline;
    const struct sketch *sketch;
    enum arm arm;
    bool has_begun;  /* rows have been seen */
    int64_t from_us; /* wall time of the open window */
    int64_t from_mono_us;
    uint32_t *last; /* [slots] the sketch when it was read last */
    uint32_t last_rows;
    uint64_t *open; /* [slots] of the open window */
    uint64_t open_rows, total_rows;
    struct window_totals from; /* when the open window began */

    /* The last closed window; judged false before the first one. */
    bool is_judged;
    uint64_t *closed;             /* [slots] */
    struct judgement *judgements; /* [columns] */
    struct e_detector *detectors; /* [columns] */
    int64_t *since_us; /* [columns] wall time when a column's trouble began; 0: it is well */
    bool is_upstream;
    char *causes; /* [columns, CAUSE_BYTES] likely cause of each; NULL before the first window */

    bool is_skew_judged;
    struct judgement *skew; /* [columns] of the first SKEW_ROWS */
    uint64_t *skew_slots;
    char *skew_causes; /* [columns, CAUSE_BYTES] */
    uint64_t skew_rows;

    int history_count;                 /* at most WINDOWS_KEPT */
    int history_next;                  /* ring: where the next one goes */
    int64_t closed_count, saved_count; /* ever, and how many of them are in the store */
    struct window_summary *history;    /* grows to [WINDOWS_KEPT] */
};

struct window *window_new(const struct baseline *baseline, const struct sketch *sketch,
                          enum arm arm);
void window_free(struct window *window); /* NULL is allowed */

/* Take what the sketch counted since the last call. Returns how many rows that are. */
uint64_t window_read(struct window *window);

/* The first SKEW_ROWS are there and not judged yet: judge them. True when it has just been done. */
bool window_judge_skew(struct window *window);

/* May the open window be closed? */
bool window_is_due(const struct window *window, const struct window_config *config);

/* Judge and close the open window; the next one begins now. `totals` of its version until now.
 * Returns its summary, in the history. */
const struct window_summary *window_close(struct window *window,
                                          const struct window_totals *totals);

/* The i-th newest summary, 0 <= i < history_count. */
const struct window_summary *window_past(const struct window *window, int i);

/* Put a summary from before a restart behind those that are there: oldest first. */
void window_restore(struct window *window, const struct window_summary *summary);

#endif
