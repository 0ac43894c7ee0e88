/* baseline.h - what live rows are compared with: bins and counts of the training rows, per column.
 *
 * Made once from a version's contract and copied, so that it outlives the version. At most
 * BASELINE_EDGES_MAX inner edges are kept of a number and BASELINE_CATEGORIES_MAX categories of a
 * categorical field: bins beyond are joined, which changes no count.
 *
 * The answer is one more column, the last. Its baseline is the contract's profile of the score or
 * prediction when it has one, else it is learnt from the first live windows in which no feature
 * drifts, over bins that suit the kind of answer.
 */
#ifndef SLIPWAY_MONITOR_BASELINE_H
#define SLIPWAY_MONITOR_BASELINE_H

#include "base/arena.h"
#include "base/str.h"
#include "runtime/loaded.h"

enum {
    BASELINE_EDGES_MAX = 15, /* of a feature */
    BASELINE_ANSWER_EDGES_MAX = 255,
    BASELINE_CATEGORIES_MAX = 30,
    BASELINE_ROWS_MIN = 100,   /* fewer are no baseline */
    BASELINE_ROWS_GOOD = 5000, /* ten windows; fewer are said, and refuse the long run */
};

struct baseline_column {
    const char *name; /* the field's; "score", "prediction" or "value" of an answer that has none */
    const char *unit; /* "" when the contract states none */
    bool is_private;  /* classified: its values are shown to nobody */
    bool is_answer;
    bool is_learnt; /* counts came, or will come, from live rows */
    int column;     /* of a row's values; -1: the answer */

    /* Numbers: bin i is (edges[i-1], edges[i]], the outer ones open. */
    int edge_count;
    const float *edges; /* [edge_count] */

    /* Categories: the bin of a code; the last bin takes those without one of their own. */
    int code_count;           /* 0: numbers */
    const uint8_t *code_bins; /* [code_count] */

    int bin_count;
    const struct str *bin_names; /* [bin_count], "other" for the last; NULL for numbers */
    double *counts;              /* [bin_count] */
    double missing, rows;        /* rows: counts and missing; 0 while nothing is learnt */
    double mean, std;            /* of the present values; NaN when not known */
};

struct baseline {
    int column_count;                /* with the answer */
    struct baseline_column *columns; /* [column_count] */
    int value_count;                 /* of a row */
};

/* Everything lives in `arena`, which must have no limit of its own. */
struct baseline *baseline_new(const struct loaded *loaded, struct arena *arena);

/* The same of a contract alone, for rows that nobody answers: the answer's column stays empty. */
struct baseline *baseline_of_contract(const struct contract *contract, struct arena *arena);

#endif
