/* check.h - rows of one request: filled by a dialect's decoder, then judged by a contract.
 *
 *     rows_begin -> rows_put_... per cell, or rows_put_matrix -> rows_check -> values, texts
 *
 * Numbers, booleans (0, 1) and categories (their code) are float32, as tree models take them;
 * missing is NaN. Bounds are rounded to float32 the same way, so that a value equal to its bound
 * passes. Free text (keys, timestamps, patterns) is kept as it came.
 *
 * The usual row costs one vector pass; only a row with a flagged cell is looked at cell by cell.
 */
#ifndef SLIPWAY_CONTRACT_CHECK_H
#define SLIPWAY_CONTRACT_CHECK_H

#include "contract/contract.h"

/* One broken rule, in words a caller can act on. Texts live in the rows' arena. */
struct violation {
    int64_t row;       /* 0-based */
    const char *field; /* name; "" for shape violations */
    enum contract_rule rule;
    enum contract_policy policy;
    const char *expected; /* "a number in [6.981, 28.11] mm" */
    const char *got;      /* "1799" ; text is cut at 64 characters */
};

struct rows {
    const struct contract *contract;
    struct arena *arena;
    int64_t count;
    float *values;     /* [count, contract->value_count], 64-byte aligned */
    struct str *texts; /* [count, contract->text_count]; ptr NULL is missing; may be NULL */

    /* Verdict, after rows_check. */
    bool has_violation;     /* any, of whatever policy */
    struct violation first; /* the first rejecting one, else the first one */
    int64_t violation_count[RULE_COUNT];
    uint8_t *is_suspect; /* [count] 1: quarantined; NULL when no row is */

    bool is_rejected; /* a put met a rejecting violation: `first` has it */
};

/* Room for `count` rows, every cell missing. ERR_LIMIT past the arena; texts are borrowed by the
 * later puts and must live as long as the arena. */
enum err_code rows_begin(struct rows *rows, const struct contract *contract, int64_t count,
                         struct arena *arena, struct err *err);

/* One cell. `field` is an input field of the contract. Wrong types, unknown categories and broken
 * patterns are noted as violations by their policy; the caller goes on and rows_check reports. */
void rows_put_f64(struct rows *rows, int64_t row, const struct contract_field *field, double value);
void rows_put_bool(struct rows *rows, int64_t row, const struct contract_field *field, bool value);
void rows_put_str(struct rows *rows, int64_t row, const struct contract_field *field,
                  struct str value); /* categories, text; numbers only when `field` is text */
void rows_put_missing(struct rows *rows, int64_t row, const struct contract_field *field);

/* Text as CSV has it: parsed by the field's type, missing markers become missing. */
void rows_put_csv(struct rows *rows, int64_t row, const struct contract_field *field,
                  struct str value);

/* A field the contract does not have: RULE_UNKNOWN_FIELD, with the nearest name as a hint. */
void rows_put_unknown(struct rows *rows, int64_t row, struct str name);

/* All feature columns at once: matrix [count, feature_count] float32, in the contract's feature
 * order. Codes of categorical fields must be whole numbers within their list. */
void rows_put_matrix(struct rows *rows, const float *matrix);

/* Judge everything. ERR_OK: score them (look at is_suspect). ERR_VIOLATION: rejected, and
 * `first` says why; the message reads "row 0: field 'mean_radius': expected a number in
 * [6.981, 28.11], got 1799" and the caller puts model and version in front. */
enum err_code rows_check(struct rows *rows, struct err *err);

/* The features as the model takes them, shape [count, feature_count]: rows->values itself when the
 * contract's columns are exactly the features, else a gathered copy in the arena (NULL at its
 * limit). */
const float *rows_features(struct rows *rows);

#endif
