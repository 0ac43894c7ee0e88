/* impact.h - what a release or a rollback changed, in numbers, and how sure one may be.
 *
 *     before: version a, its traffic, its labels, its values      after: version b, the same
 *         -> one line a measure: before, after, difference with its 95 % interval, verdict
 *
 * Arms of a rollout are drawn at random, so a difference is the version's doing. Before and after
 * an alias moved are other days, too: then a difference may be the season's, and the page says so.
 */
#ifndef SLIPWAY_MONITOR_IMPACT_H
#define SLIPWAY_MONITOR_IMPACT_H

#include "monitor/realised.h"

enum {
    IMPACT_LINES_MAX = 24 + OUTCOME_NAMES_MAX,
    IMPACT_NOTES_MAX = 16,
    IMPACT_DELAYS_MAX = 20 * 1000,
    IMPACT_REQUESTS_MIN = 30, /* below: nothing is said of a side */
};

struct impact_side {
    int64_t version;
    const char *arm; /* "": all that people saw */
    int64_t from_us, to_us;
};

struct impact_query {
    const char *model;
    int64_t rollout; /* 0: none */
    bool is_randomised;
    struct impact_side before, after;
};

enum impact_verdict {
    IMPACT_UNKNOWN, /* too little on one side */
    IMPACT_SAME,    /* the interval holds no difference too */
    IMPACT_BETTER,
    IMPACT_WORSE,
    IMPACT_CHANGED, /* different, and neither way is better */
};
const char *impact_verdict_name(enum impact_verdict verdict);

struct impact_line {
    const char *name, *unit; /* "latency_p95", "ms" */
    enum outcome_direction direction;
    struct estimate_value before, after, difference; /* NaN: not known */
    double relative;                                 /* difference / before; NaN when before is 0 */
    int64_t before_count, after_count;               /* what each side's figure is made of */
    double matured; /* share of the after side's outcomes that should be in; NaN: not asked or not
                       known */
    enum impact_verdict verdict;
};

struct impact_volume {
    int64_t requests, rows, labelled;
    double coverage;
};

struct impact {
    struct impact_query query;
    struct impact_volume before, after;
    int line_count, note_count;
    struct impact_line lines[IMPACT_LINES_MAX];
    const char *notes[IMPACT_NOTES_MAX]; /* what it cannot know */
    const char *headline;                /* one sentence */
};

/* Everything lives in `arena`. A reader of the caller's own. */
enum err_code impact_measure(struct store *store, const struct impact_query *query,
                             struct arena *arena, struct impact *impact, struct err *err);

/* A page of Markdown below the caller's heading; and the members of an open JSON object. */
void impact_write_markdown(const struct impact *impact, struct buf *out);
void impact_write_json(const struct impact *impact, struct json_writer *w);

#endif
