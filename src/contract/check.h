/* check.h - rows of one request: filled by a dialect's decoder, then judged by a contract.
 *
 *     rows_begin -> rows_put_... per cell, or rows_put_matrix -> rows_check -> values, texts
 *
 * Numbers, booleans (0, 1) and categories (their code) are float32, as tree models take them;
 * missing is NaN. Bounds are rounded to float32 the same way, so that a value equal to its bound
 * passes. So are whole numbers: above 2^24 = 16,777,216 a float32 holds only every second (then
 * fourth, ...) one, and the value that is checked, recorded and scored is the nearest of those.
 * What must keep every digit is a key: keys, times and free text are kept as they came, as text.
 * -0.0 equals 0, subnormal numbers are numbers, and a number beyond float32 (3.4e38) breaks
 * RULE_TYPE.
 *
 * The usual row costs one vector pass; only a row with a flagged cell is looked at cell by cell.
 */
#ifndef SLIPWAY_CONTRACT_CHECK_H
#define SLIPWAY_CONTRACT_CHECK_H

#include <float.h>

#include "contract/contract.h"

enum {
    VIOLATION_TEXT_BYTES = 64,  /* of a text in `got`, before it is cut */
    VIOLATION_LIST_BYTES = 160, /* of categories in `expected`, before they are cut */
};

/* One broken rule, in words a caller can act on. Texts live in the rows' arena. */
struct violation {
    int64_t row;       /* 0-based */
    const char *field; /* name; "" for shape violations */
    enum contract_rule rule;
    enum contract_policy policy;
    const char *expected; /* "a number in [6.981, 28.11] mm" */
    const char *got;      /* "1799" ; text is cut at 64 characters */
    const char *hint;     /* "did you mean 'mean_radius'?"; "" when there is nothing to say */
};

typedef void violation_fn(void *arg, const struct violation *violation);

struct rows {
    const struct contract *contract;
    struct arena *arena;
    int64_t count;
    float *values;     /* [count, contract->value_count], 64-byte aligned */
    struct str *texts; /* [count, contract->text_count]; ptr NULL is missing; may be NULL */

    /* Verdict, after rows_check. */
    bool has_violation;     /* any, of whatever policy */
    struct violation first; /* the first rejecting one, else the first one: by row, then by the
                             * field's place in the contract */
    int64_t violation_count[RULE_COUNT]; /* up to and with the first rejected row */
    uint8_t *is_suspect;                 /* [count] 1: quarantined; NULL when no row is */

    bool is_rejected; /* a put met a rejecting violation: `first` has it */

    /* (optional) Called for every violation, as it is found; then no row ends the check early. Set
     * after rows_begin. */
    violation_fn *report;
    void *report_arg;

    int first_place;    /* of first.field in the contract */
    bool is_over_limit; /* the arena is full; rows_check says so */
};

/* Room for `count` rows, every cell missing. ERR_LIMIT past the arena; texts are borrowed by the
 * later puts and must live as long as the arena. */
enum err_code rows_begin(struct rows *rows, const struct contract *contract, int64_t count,
                         struct arena *arena, struct err *err);

/* The same with numbers that are there already, as rows_put_matrix takes them, for a contract whose
 * columns are exactly the features: values[count, value_count], 64-byte aligned, may be changed. */
enum err_code rows_begin_with(struct rows *rows, const struct contract *contract, float *values,
                              int64_t count, struct arena *arena, struct err *err);

/* One cell. `field` is an input field of the contract. Wrong types, unknown categories and broken
 * patterns are noted as violations by their policy; the caller goes on and rows_check reports. */
static inline void rows_put_f64(struct rows *rows, int64_t row, const struct contract_field *field,
                                double value);
void rows_put_bool(struct rows *rows, int64_t row, const struct contract_field *field, bool value);
void rows_put_str(struct rows *rows, int64_t row, const struct contract_field *field,
                  struct str value); /* categories, text; numbers only when `field` is text */
void rows_put_missing(struct rows *rows, int64_t row, const struct contract_field *field);

/* A whole number with all its digits, for keys; like rows_put_f64 otherwise. */
void rows_put_i64(struct rows *rows, int64_t row, const struct contract_field *field,
                  int64_t value);

/* The code of a category, a whole number within its list; like rows_put_f64 for other fields. */
void rows_put_code(struct rows *rows, int64_t row, const struct contract_field *field,
                   double value);

/* Something no field can be, such as an object or a list; `got` says what: "a list". */
void rows_put_wrong(struct rows *rows, int64_t row, const struct contract_field *field,
                    const char *got);

/* Text as CSV has it: parsed by the field's type; an empty cell and the field's missing markers
 * become missing. All but strings may stand between spaces; "nan" is missing. */
void rows_put_csv(struct rows *rows, int64_t row, const struct contract_field *field,
                  struct str value);

/* The cell is not judged: it held something that is not known any more, as a kept row may say. */
void rows_settle(struct rows *rows, int64_t row, const struct contract_field *field);

/* A field the contract does not have: RULE_UNKNOWN_FIELD, with the nearest name as a hint. */
void rows_put_unknown(struct rows *rows, int64_t row, struct str name);

/* The request as a whole has the wrong form: RULE_SHAPE. rows_put_shape("30 columns", "29"); both
 * texts must live as long as the arena. */
void rows_put_shape(struct rows *rows, const char *expected, const char *got);

/* All feature columns at once: matrix [count, feature_count] float32, in the contract's feature
 * order. Codes of categorical fields must be whole numbers within their list. */
void rows_put_matrix(struct rows *rows, const float *matrix);

/* Judge everything. ERR_OK: score them (look at is_suspect). ERR_VIOLATION: rejected, and
 * `first` says why; the message reads "row 0: field 'mean_radius': expected a number in
 * [6.981, 28.11], got 1799" and the caller puts model and version in front. ERR_LIMIT: the arena
 * was too small. */
enum err_code rows_check(struct rows *rows, struct err *err);

/* The features as the model takes them, shape [count, feature_count]: rows->values itself when the
 * contract's columns are exactly the features, else a gathered copy in the arena (NULL at its
 * limit). */
const float *rows_features(struct rows *rows);

/* rows_put_f64 of every other number and field. */
void rows_put_f64_other(struct rows *rows, int64_t row, const struct contract_field *field,
                        double value);

/* Inline for the usual case, a number in a field that takes any. */
static inline void rows_put_f64(struct rows *rows, int64_t row, const struct contract_field *field,
                                double value)
{
    if (__builtin_expect(field->is_plain && value <= (double)FLT_MAX && value >= -(double)FLT_MAX &&
                             row >= 0 && row < rows->count,
                         true))
        rows->values[row * rows->contract->value_count + field->column] = (float)value;
    else
        rows_put_f64_other(rows, row, field, value);
}

/* Why a cell is NaN. The model sees missing in every case; monitoring counts them apart. */
enum cell_state {
    CELL_NAN,    /* the caller sent NaN */
    CELL_ABSENT, /* the caller sent no such field */
    CELL_NULL,   /* null, or an empty cell of a CSV file */
    CELL_MARKER, /* a missing marker */
    CELL_OTHER,  /* an unknown category, or any violation that was noted already */
};

#define CELL_NAN_BITS UINT32_C(0x7fc00000)

static inline float cell_of(enum cell_state state)
{
    uint32_t bits = CELL_NAN_BITS + (uint32_t)state;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* State of a cell that is NaN. */
static inline enum cell_state cell_state(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t state = bits - CELL_NAN_BITS;
    return state <= CELL_OTHER ? (enum cell_state)state : CELL_NAN;
}

#endif
