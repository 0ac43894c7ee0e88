/* replay.h - kept requests asked again of another version, and its answers beside those of then.
 *
 *     record -> rows of the version's own contract (shadow_score.h) -> answers -> per row: change
 *
 * Nobody but the caller sees it: nothing is recorded, counted or watched. A row that cannot be
 * asked as it was is left out and counted by why, never asked differently.
 */
#ifndef SLIPWAY_SERVE_REPLAY_H
#define SLIPWAY_SERVE_REPLAY_H

#include "monitor/record.h"
#include "monitor/record_answer.h"
#include "runtime/loaded.h"

enum {
    REPLAY_SCRATCH_BYTES_MAX = 256 * 1024 * 1024, /* of one record */
    REPLAY_SEGMENTS_MAX = 64,                     /* further ones are summed in none */
    REPLAY_SEGMENT_BYTES = 96,
};

enum replay_change {
    REPLAY_EXACT,       /* the same bits */
    REPLAY_WITHIN,      /* the same class, and no further apart than the tolerance */
    REPLAY_CHANGED,     /* another class, or further apart */
    REPLAY_NOW_FAILS,   /* was answered then */
    REPLAY_NOW_ANSWERS, /* failed then */
    REPLAY_STILL_FAILS,
    REPLAY_CHANGE_COUNT,
};
const char *replay_change_name(enum replay_change change); /* "exact", "within", ... */

/* Why a row was not asked. */
enum replay_skip {
    REPLAY_NO_INPUTS, /* the record does not hold them: a model without rows, or left out */
    REPLAY_REDACTED,  /* a column it needs was kept as a pseudonym or not at all */
    REPLAY_ERASED,
    REPLAY_REFUSED,   /* the request was: what it held was never read to its end */
    REPLAY_NO_ANSWER, /* then or now there is nothing that can be compared */
    REPLAY_SKIP_COUNT,
};
const char *replay_skip_name(enum replay_skip skip); /* "no_inputs", "redacted", ... */

/* One row that was asked. Valid during the call it is given to. */
struct replay_row {
    const struct record *record;
    int64_t row;
    enum replay_change change;
    bool is_other_class;
    double difference; /* see replay_new; NaN when there are no two answers */
    bool has_answers;  /* both can be read as a class or a number: */
    struct record_answer was, now;
    struct str now_class; /* name of now's class; ptr NULL when it has none */
    int now_class_index;  /* in its own version */
    const char *reason;   /* why it fails now; NULL: it does not */
};
typedef void replay_row_fn(void *arg, const struct replay_row *row);

struct replay_segment {
    char name[REPLAY_SEGMENT_BYTES]; /* "country=BR" */
    uint64_t rows, changed;          /* changed: with those that fail now */
};

struct replay_counts {
    uint64_t rows; /* asked */
    uint64_t change[REPLAY_CHANGE_COUNT], other_class;
    uint64_t skipped[REPLAY_SKIP_COUNT];
    int segment_count;
    struct replay_segment segments[REPLAY_SEGMENTS_MAX];
};

struct replay;

/* The difference of two rows is the largest change of a class's probability, or |a - b| / max(1,
 * |a|, |b|) of numbers, the largest of all when an answer has several; 1 for other classes without
 * probabilities and other texts, infinity when one of both is no number. `see` is told of each row
 * that was asked. References nothing: `to` outlives it. */
struct replay *replay_new(struct loaded *to, double tolerance, replay_row_fn *see, void *arg);
void replay_free(struct replay *replay); /* NULL is allowed */

/* Ask one record. `epoch` changes when schemas of earlier records may have gone. */
void replay_take(struct replay *replay, const struct record *record, int64_t epoch);

const struct replay_counts *replay_counts(const struct replay *replay);

#endif
