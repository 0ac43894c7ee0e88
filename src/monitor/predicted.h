/* predicted.h - one answered row, as what comes later is joined to it.
 *
 * It is found by its id or by its business key through a table of functions, so that the join does
 * not care whether records lie in segments, in memory or in a test.
 */
#ifndef SLIPWAY_MONITOR_PREDICTED_H
#define SLIPWAY_MONITOR_PREDICTED_H

#include "base/arena.h"
#include "base/err.h"
#include "monitor/record.h"

enum {
    PREDICTED_SEGMENTS_MAX = 32,
    PREDICTED_GROUP_BYTES_MAX = 256,
    PREDICTED_CLASSES_MAX = 64, /* of which all probabilities are kept; else the answer's alone */
};

struct predicted_segment {
    struct str name, value; /* value "" is missing */
};

struct predicted {
    struct str id; /* "<request id>-<row>" */
    const char *model;
    int64_t version;
    enum arm arm;
    int64_t rollout; /* 0: none */
    bool has_key;    /* a routing key was named */
    uint64_t key_hash;
    int64_t at_us;
    struct str key;   /* business key of the row; empty when the contract has none */
    struct str group; /* what it is ranked within; empty when its model is no ranking */
    bool is_suspect;

    struct str answer;          /* the class's name (its index when it has none), or the number */
    bool is_class;              /* else `value` is the answer */
    double value;               /* the number */
    int class_index;            /* the answered class */
    int class_count;            /* 1: a number */
    const struct str *classes;  /* [class_count] names; NULL: indexes are the names */
    const float *probabilities; /* [class_count]; NULL when unknown or too many */
    int segment_count;
    const struct predicted_segment *segments; /* [segment_count] */

    /* What another version would have answered to the same row, said to nobody; NULL: no shadow
     * (serve/shadow.h). Its truth is the same. */
    const struct predicted *shadow;
};

/* Results live in `arena`. ERR_NOT_FOUND: there is none (yet). */
struct prediction_lookup {
    void *arg;

    /* The answered row of that id, of one model or ("") of any; the newest when a caller used a
     * request id twice. ERR_CONFLICT when rows of several models have it and none is named. */
    enum err_code (*by_id)(void *arg, const char *model, struct str id, struct arena *arena,
                           struct predicted *predicted, struct err *err);

    /* The newest row of the model with that business key, answered at or before `until_us`. */
    enum err_code (*by_key)(void *arg, const char *model, struct str key, int64_t until_us,
                            struct arena *arena, struct predicted *predicted, struct err *err);
};

/* Row `row` of a record; ERR_NOT_FOUND when it has no answer. */
enum err_code predicted_read(const struct record *record, int64_t row, struct arena *arena,
                             struct predicted *predicted, struct err *err);

/* "<request id>-<row>" taken apart; false when it has another form. */
bool predicted_id_split(struct str id, struct str *request_id, int64_t *row);

#endif
