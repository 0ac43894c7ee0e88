/* violation.h - a broken rule as the checks find it, and its way into words.
 *
 * Words are made only for the violation that is reported; all others are counted.
 */
#ifndef SLIPWAY_CONTRACT_VIOLATION_H
#define SLIPWAY_CONTRACT_VIOLATION_H

#include "contract/check.h"

enum got_kind {
    GOT_NUMBER, /* of got.number */
    GOT_FLOAT,  /* of got.number, which is a float32: fewer digits */
    GOT_TEXT,   /* of got.text, shown in quotes */
    GOT_WORDS,  /* of got.text, shown as it is: "null", "true" */
};

struct finding {
    int64_t row;
    const struct contract_field *field; /* NULL for an unknown field or a shape */
    enum contract_rule rule;
    bool is_final;        /* rejects whatever the field's policy is */
    const char *expected; /* NULL: made from the field and the rule */
    enum got_kind kind;
    double number;
    struct str text; /* unknown field: its name */
};

/* What stands in a cell of text that has had its violation. */
extern const char rows_settled_text[1];

/* Count it, act on its policy (reject, mark the row suspect), keep it when it is the first. */
void rows_note(struct rows *rows, const struct finding *finding);

#endif
