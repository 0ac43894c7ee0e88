/* realised.h - how good the answers of a model were, from the labels that have come so far.
 *
 *     labelled rows of the store + tallies of everything answered
 *         -> one section per version: metrics with intervals, days, worst slices, values
 *
 * Every figure comes with its coverage: of how many answers the truth is known. Labels take their
 * time, so a day's figure is provisional until it is as old as labels take; slow labels are often
 * other labels, and nobody may take 43 % for all.
 *
 * A shadow's answers went to nobody: they are a section of their own, never part of the version's.
 */
#ifndef SLIPWAY_MONITOR_REALISED_H
#define SLIPWAY_MONITOR_REALISED_H

#include "monitor/estimate.h"
#include "monitor/outcome_store.h"
#include "monitor/quality.h"
#include "monitor/tally.h"

enum {
    REALISED_ROWS_MAX = 200 * 1000, /* labelled rows of one question; the newest ones */
    REALISED_SECTIONS_MAX = 64,
    REALISED_DAYS_MAX = 400,
    REALISED_SLICES_MAX = 2000, /* values of segments that are looked at */
    REALISED_SLICES_SHOWN = 10,
    REALISED_SLICE_ROWS_MIN = 100, /* labelled rows below which a slice says nothing */
    REALISED_DELAY_LABELS_MIN = 100,
};
#define REALISED_FINAL_COVERAGE 0.95

struct realised_query {
    const char *model;
    int64_t version;        /* 0: all */
    const char *arm;        /* "": all */
    int64_t rollout;        /* 0: any */
    int64_t from_us, to_us; /* answered in [from, to) */
    int64_t label_delay_us; /* how long labels take, as documented; 0: as measured */
};

/* One labelled answer. */
struct realised_row {
    int64_t at_us, delay_us; /* of the label's arrival */
    int64_t version;
    int answer_class, truth_class; /* -1: a number */
    int class_count;
    double answer_number, truth_number;
    const float *probabilities; /* [class_count] or NULL */
    struct str segments;        /* JSON object; empty when there are none */
    struct str group;           /* what it is ranked within; empty when the model is no ranking */
    bool is_shadow;
};

/* How far labels are in. */
enum realised_state { REALISED_UNLABELLED, REALISED_PROVISIONAL, REALISED_FINAL };
const char *realised_state_name(enum realised_state state);

struct realised_coverage {
    int64_t answered; /* rows; -1 when nobody counted them */
    int64_t labelled;
    double ratio; /* labelled of answered; NaN when unknown */
    enum realised_state state;
};

struct realised_estimate {
    bool is_known;
    struct estimate estimate;
    int64_t label_count; /* behind its calibration */
    const char *missing; /* why there is none */
};

struct realised_day {
    int64_t start_us;
    struct realised_coverage coverage;
    struct estimate_value quality; /* accuracy, or mean absolute error; NaN without labels */
    struct realised_estimate estimate;
};

struct realised_slice {
    struct str field, value;
    int64_t labelled;
    double loss, rest;            /* share of wrong answers, or mean absolute error */
    double difference, low, high; /* loss - rest, with its 95 % interval */
    bool is_worse;                /* than the rest, Benjamini-Hochberg at 0.05 over all slices */
};

struct realised_value {
    const struct outcome_name *name;
    int64_t count; /* answers of which it is known */
    double sum;
    struct estimate_value per_answer; /* over all answers, those without one as 0 */
    struct estimate_value per_known;  /* over those of which it is known */
};

struct realised_section {
    int64_t version;
    bool is_shadow;
    bool is_class; /* else numbers */
    struct realised_coverage coverage;
    int64_t delay_us_p50, delay_us_p99; /* of label arrivals; 0 when too few */
    struct quality metrics[QUALITY_COUNT];
    struct realised_estimate estimate;
    int day_count, slice_count, value_count;
    struct realised_day *days;     /* [day_count] */
    struct realised_slice *slices; /* [slice_count] worst first */
    struct realised_value *values; /* [value_count] */
};

struct realised {
    int section_count;
    struct realised_section *sections; /* [section_count] newest version first */
    bool is_cut;                       /* more labelled rows than REALISED_ROWS_MAX */
};

/* Everything lives in `arena`. The store is a reader of the caller's own: it takes its time. */
enum err_code realised_measure(struct store *store, const struct realised_query *query,
                               struct arena *arena, struct realised *realised, struct err *err);

/* ---- for realised_*.c ---- */

struct realised_rows {
    int64_t count;
    struct realised_row *rows; /* [count] newest first */
    bool is_cut;
};
enum err_code realised_read(struct store *store, const struct realised_query *query,
                            struct arena *arena, struct realised_rows *rows, struct err *err);

/* Which way of being wrong is counted: 0 or 1 of a class, the absolute error of a number. */
double realised_loss(const struct realised_row *row);

/* Worst slices of the rows. */
enum err_code realised_slices(const struct realised_row *const *rows, int64_t count,
                              struct arena *arena, struct realised_slice **slices, int *slice_count,
                              struct err *err);

/* Fill NDCG, MAP and MRR of `metrics` from the rows that have a group; without any, they stay as
 * they are. Relevance is the label: a number, or 0 and 1 of two classes. */
enum err_code realised_rank(const struct realised_row *const *rows, int64_t count,
                            const struct quality_options *options, struct arena *arena,
                            struct quality metrics[QUALITY_COUNT], struct err *err);

/* Values of a version, over `answered` rows. */
enum err_code realised_values(struct store *store, const struct realised_query *query,
                              int64_t version, int64_t answered, struct arena *arena,
                              struct realised_value **values, int *value_count, struct err *err);

#endif
