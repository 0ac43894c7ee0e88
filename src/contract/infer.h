/* infer.h - a contract from the rows a model was trained on, as a draft that a person completes.
 *
 *     csv rows -> types, required, categories, markers of missing values, expected ranges,
 *                 counts per bin -> ODCS v3.1 document, status "draft"
 *
 * What it decides and how:
 *   type        all whole -> integer, all numbers -> number, ISO dates -> date or timestamp,
 *               true/false -> boolean, else string
 *   missing     empty, NA, N/A, nan, null, UNK, unknown, ?, - (any case); and a number that is the
 *               column's least or greatest, in 0.3 % of the rows or more, with 10 distinct values
 *               or more in the column, when the gap to the next value is above 2 interquartile
 *               ranges of the others, or the same extreme was found so in one column and occurs in
 *               3 or more (sensors that write -200)
 *   required    none missing, in required_rows_min rows or more
 *   categories  text with at most 100 distinct values; whole numbers with at most 20, each seen 50
 *               times or more on average (they stay numbers, with a list of known values). Sorted
 *               by bytes unless given
 *   range       [min - R/2, max + R/2], R = max - min, rounded outward, marked as inferred, so that
 *               a value outside is flagged and not refused; not below 0 when no row was: that is a
 *               length, count, price or share far more often than a temperature, and what goes
 *               wrong with one is the sign, or a -1 for "none". No range for a column of ids
 *               (rising or falling throughout, all distinct) and for a constant
 *   profile     numbers: inner edges at the deciles (those that differ), a value in more than 20 %
 *               of the rows gets a bin of its own. Categories: the 30 most frequent
 *   leakage     a hint when one input alone tells the label: AUC above 0.95 (of a class against the
 *               others; of the upper half of a numeric label against the lower)
 *
 * The same rows and options give the same bytes. The whole file is read once; numbers are kept.
 */
#ifndef SLIPWAY_CONTRACT_INFER_H
#define SLIPWAY_CONTRACT_INFER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/csv.h"
#include "base/err.h"

enum {
    INFER_CELLS_MAX = 20 * 1000 * 1000, /* rows x columns; a cell takes up to 20 bytes */
    INFER_DISTINCT_MAX = 1000,          /* texts counted per column, more are just many */
    INFER_REQUIRED_ROWS_MIN = 1000,     /* default of the option */
    INFER_CATEGORIES_MAX = 100,         /* the same */
    INFER_CLASSES_MAX = 20,             /* more values of a numeric label: a regression */
    INFER_HINTS_MAX = 256,
};

struct infer_unit {
    const char *field, *unit;
};

struct infer_categories {
    const char *field;
    const char *const *names; /* [count], in code order */
    int count;
};

struct infer_options {
    const char *model;          /* name of the model; NULL: "model" */
    const char *owner;          /* NULL: the document names none, and a hint says so */
    const char *label;          /* column with the truth; NULL: none */
    const char *const *classes; /* names in code order; NULL: the label's values, sorted */
    int class_count;
    const char *const *keys; /* columns that identify a row */
    int key_count;
    const char *const *segments; /* columns kept for slicing, not given to the model */
    int segment_count;
    const char *const *ignored; /* columns left out of the contract */
    int ignored_count;
    const struct infer_unit *units;
    int unit_count;
    const struct infer_categories *categories;
    int categories_count;
    int64_t required_rows_min; /* 0: INFER_REQUIRED_ROWS_MIN */
    int categories_max;        /* distinct texts of a category field; 0: INFER_CATEGORIES_MAX */
};

/* What a person should look at. */
struct infer_hint {
    const char *field; /* "" when it is about the whole */
    const char *text;  /* "alone separates the label (AUC 0.981): is it known when predicting?" */
};

struct infer_report {
    int64_t row_count;
    int field_count;
    int hint_count;
    struct infer_hint hints[INFER_HINTS_MAX]; /* texts in the arena */
};

/* Reads `csv` to its end and appends the document to `yaml`. ERR_INVALID names line and column of
 * rows that do not fit the header, and options that name no column; ERR_LIMIT past
 * INFER_CELLS_MAX. */
enum err_code contract_infer(struct csv *csv, const struct infer_options *options,
                             struct arena *arena, struct buf *yaml, struct infer_report *report,
                             struct err *err);

#endif
