/* gate_data.h - the held-out rows of a gate, answered by the candidate and the champion.
 *
 *     CSV: features, the truth, columns to slice by -> rows of either contract -> answers
 *
 * A row without truth, or that one of the contracts refuses, is counted and left out, so that both
 * models are measured on the same rows. Everything lives in the arena.
 */
#ifndef SLIPWAY_ROLLOUT_GATE_DATA_H
#define SLIPWAY_ROLLOUT_GATE_DATA_H

#include "contract/check.h"
#include "monitor/quality.h"
#include "rollout/gate_file.h"
#include "runtime/loaded.h"

enum {
    GATE_DATA_ROWS_MAX = 1000 * 1000,
    GATE_MEMORY_BYTES_MAX = 2000 * 1024 * 1024,
    GATE_BATCH_ROWS = 1024,
    GATE_KEPT_MAX = 3 * GATE_COLUMNS_MAX + 2, /* slices, groups, segments; group, target */
};

/* A column that rows are sliced by: texts as the file has them, "" missing. */
struct gate_column {
    const char *name;
    const struct str *cells; /* [count] of the rows that are measured */
};

/* One model's side. */
struct gate_side {
    struct loaded *loaded;       /* NULL: there is no champion */
    struct rows rows;            /* [row_count], all rows of the file */
    struct loaded_rows taken;    /* [row_count] as the model takes them */
    struct quality_rows quality; /* [count] */
    float *values;               /* [count] number, or probability of the answer's class 1 */
};

struct gate_data {
    int64_t row_count;               /* of the file */
    int64_t count;                   /* measured */
    const int64_t *origin;           /* [count] place in the file, from 0 */
    int64_t rejected_count;          /* by the candidate's contract */
    int64_t champion_rejected_count; /* by the champion's alone */
    int64_t without_truth_count;
    const char *first_rejection; /* "row 3: field 'age': expected ..., got ..."; NULL: none */
    const char *ignored_columns; /* "notes, comment"; "" when none */
    const char *target;
    int class_count; /* >= 2, or 0 for numbers */
    struct gate_side candidate, champion;
    int column_count;
    struct gate_column columns[GATE_KEPT_MAX];
    char digest[SHA256_HEX_BYTES + 1]; /* of the file */
};

/* Read, check and answer. ERR_INVALID says which column, line or class does not fit. */
enum err_code gate_data_read(struct str csv, const char *target, const struct gate_file *file,
                             struct loaded *candidate, struct loaded *champion, struct arena *arena,
                             struct gate_data *data, struct err *err);

/* The kept column of that name, or NULL. */
const struct gate_column *gate_data_column(const struct gate_data *data, const char *name);

/* Answer rows into one number per row (value, or probability of class 1, or of
 * several classes that of the answer) and, when `classes` is not NULL, the class. */
enum err_code gate_answer(const struct loaded *loaded, const struct loaded_rows *rows,
                          float *values, int32_t *classes, double *probabilities, struct err *err);

#endif
