/* infer_column.h - what one column of the training rows shows, before it becomes a field.
 *
 *     infer_column_add per cell -> infer_column_finish -> infer.c compares the columns' sentinels
 *     -> infer_column_drop_value for those that mean missing -> infer_column_measure
 */
#ifndef SLIPWAY_CONTRACT_INFER_COLUMN_H
#define SLIPWAY_CONTRACT_INFER_COLUMN_H

#include "contract/contract.h"
#include "contract/infer.h"

/* A number at one end of a column that may stand for "missing". */
struct infer_sentinel {
    bool is_there; /* often enough, in a column with enough different values */
    bool is_far;   /* and far from all others */
    double value;
};

struct infer_distinct {
    struct str text; /* in the arena */
    int64_t count;
};

struct infer_column {
    const char *name;
    enum contract_role role;
    bool is_ignored;
    const char *unit;                     /* "" when not given */
    const struct infer_categories *given; /* NULL: not given */

    /* Per row, [row_count]; owned, freed by infer_column_done. */
    double *values; /* NaN: missing or no number */
    int *codes;     /* index into distinct; -1 missing, -2 beyond INFER_DISTINCT_MAX */
    int64_t row_count, capacity;

    int64_t missing_count;
    int64_t whole_count, number_count, date_count, time_count, flag_count, word_flag_count;
    struct infer_distinct *distincts; /* [distinct_count], by first appearance; owned */
    int distinct_count;
    bool has_more_distinct;
    struct map distinct_by_text;
    int marker_count;
    struct str markers[CONTRACT_MARKERS_MAX]; /* texts of missing cells, as written; "" excluded */
    int number_marker_count;
    double number_markers[2];

    enum contract_type type;
    struct infer_sentinel low, high;

    /* After infer_column_measure. */
    bool is_measured;
    int64_t present_count;
    double *sorted; /* [present_count] numbers, ascending; owned; NULL for other types */
    int64_t number_distinct_count;
    bool is_id; /* all distinct and rising or falling throughout */
};

void infer_column_init(struct infer_column *column, const char *name);
void infer_column_done(struct infer_column *column);

/* The next row's cell. False: `arena`, which keeps the texts, is full. */
bool infer_column_add(struct infer_column *column, struct str cell, struct arena *arena);

/* Decides the type and looks for sentinels at both ends. */
void infer_column_finish(struct infer_column *column);

/* From now on `value` means missing. */
void infer_column_drop_value(struct infer_column *column, double value);

/* Counts and orders what is left. */
void infer_column_measure(struct infer_column *column);

/* The quantile `q` of ascending values, linear between the two nearest (numpy's default). */
double infer_quantile(const double *sorted, int64_t count, double q);

bool infer_column_is_number(const struct infer_column *column);

#endif
