/* contract.h - what a model accepts and returns: fields, bounds, categories, policies, profile.
 *
 * One contract belongs to one model version and never changes. It is read from an Open Data
 * Contract Standard v3.1 document (odcs.h), may be inferred from rows (infer.h), is compared with
 * the contract of the version before (compare.h) and with its model (fit.h), and is applied to
 * every request (check.h). docs/contract.md is the manual for people who write one.
 *
 * A contract is immutable after contract_parse(): any number of threads may read it. All its
 * memory is in one arena of its own.
 */
#ifndef SLIPWAY_CONTRACT_CONTRACT_H
#define SLIPWAY_CONTRACT_CONTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "base/tensor.h"

enum {
    CONTRACT_BYTES_MAX = 4 * 1024 * 1024,         /* of the document */
    CONTRACT_MEMORY_BYTES_MAX = 64 * 1024 * 1024, /* of the parsed form */
    CONTRACT_FIELDS_MAX = 4096,
    CONTRACT_NAME_BYTES_MAX = 128,        /* of a field */
    CONTRACT_CATEGORIES_MAX = 100 * 1000, /* per field */
    CONTRACT_MARKERS_MAX = 64,            /* missing markers per field */
    CONTRACT_EDGES_MAX = 256,             /* inner bin edges per field */
    CONTRACT_PATTERN_BYTES_MAX = 4096,
    CONTRACT_PATTERN_MATCH_MAX = 100000, /* PCRE2 match limit */
    CONTRACT_TEXT_BYTES_MAX = 64 * 1024, /* of one cell of text */
};

/* What a field is for (custom property `slipwayRole`). Only FEATURE fields go into the model; the
 * rest of an input row is checked, recorded and kept away from it. */
enum contract_role {
    ROLE_FEATURE,
    ROLE_KEY,        /* business key, joins outcomes later */
    ROLE_TIMESTAMP,  /* event time */
    ROLE_SEGMENT,    /* slice for monitoring */
    ROLE_PREDICTION, /* the answer: a class name or a number */
    ROLE_SCORE,      /* probability or margin of the answer */
    ROLE_LABEL,      /* the truth, arrives later */
};

/* ODCS logicalType. */
enum contract_type {
    TYPE_NUMBER,
    TYPE_INTEGER,
    TYPE_BOOLEAN,
    TYPE_STRING,
    TYPE_DATE,
    TYPE_TIMESTAMP,
};

/* What happens to a row that breaks a rule (custom property `slipwayPolicy`, one per rule). */
enum contract_policy {
    POLICY_REJECT,     /* the request fails; nothing is scored */
    POLICY_QUARANTINE, /* scored, flagged suspect, left out of references and retraining */
    POLICY_CLIP,       /* the value is moved to the nearest bound; counted */
    POLICY_WARN,       /* scored, counted */
    POLICY_OTHER,      /* unknown category only: becomes missing; counted */
};

enum contract_rule {
    RULE_TYPE,          /* always reject */
    RULE_MISSING,       /* a required field is absent, null, NaN or a missing marker */
    RULE_RANGE,         /* below minimum or above maximum */
    RULE_CATEGORY,      /* not in the list */
    RULE_PATTERN,       /* text does not match, or too long */
    RULE_UNKNOWN_FIELD, /* the row has a field the contract does not; always reject */
    RULE_SHAPE,         /* wrong number of columns or tensors; always reject */
    RULE_COUNT,
};

/* Counts of the training rows per reference bin: what monitoring compares live rows with. The
 * counts and missing_count sum to row_count. */
struct contract_profile {
    int64_t row_count;
    int64_t missing_count;
    int bin_count;
    const int64_t *counts; /* [bin_count] */

    /* Numeric: bin_count = edge_count + 1 bins (-inf, e0], (e0, e1], ... (e_last, +inf). Edges
     * are rounded to float32 as values are, so that a value equal to an edge stays below it. */
    int edge_count;
    const double *edges; /* [edge_count], ascending, distinct */
    double mean, std;    /* of the present values; std is that of the population */

    /* Categorical: the most frequent categories have a bin each, the last bin takes the rest. */
    const int *category_bins; /* [category_count] bin of a code; NULL when numeric */
};

struct contract_field {
    const char *name;
    size_t name_len;
    int index;                  /* in contract->fields */
    int input_index;            /* in contract->inputs; -1 for prediction, score, label */
    const char *description;    /* "" when absent */
    const char *unit;           /* UCUM code or ISO 4217; "" when the source does not state one */
    const char *physical_type;  /* as written: "float32", "int64", "utf8"; "" when absent */
    const char *classification; /* as written: "pii", ...; "" when absent */
    enum contract_role role;
    enum contract_type type;
    bool is_required; /* a missing value breaks RULE_MISSING */
    bool is_range_inferred;
    bool has_min, has_max, is_min_exclusive, is_max_exclusive;
    double min, max;
    int64_t length_min, length_max; /* characters of text; length_max -1 is unlimited */
    const char *pattern;            /* PCRE2 syntax; NULL when absent */
    void *pattern_code;             /* pcre2_code, owned by the contract */
    const char *format;             /* of dates and timestamps, "yyyy-MM-dd"; NULL: ISO 8601 */
    int category_count;             /* 0: not categorical */
    const struct str *categories;   /* [category_count], in code order: index is the code */
    struct map category_codes;      /* text -> code + 1 as pointer */
    bool is_coded;                  /* its column of values holds the category's code */
    int listed_count;               /* numeric field: the only values allowed; 0: any */
    const double *listed;           /* [listed_count], ascending */
    int missing_marker_count;
    const struct str *missing_markers; /* texts that mean missing; a category of that text wins */
    int missing_number_count;
    const double *missing_numbers; /* the markers that are numbers: -200, -999 */
    enum contract_policy policy[RULE_COUNT];
    bool has_profile;
    struct contract_profile profile;
    int column;    /* index into a row's values or texts; -1 for prediction, score, label */
    bool is_text;  /* its column counts in texts: free strings, dates, keys of any type */
    bool is_plain; /* a number without markers or list: rows_put_f64 just stores it */
};

struct contract {
    uint32_t magic;
    struct arena *arena;
    const char *id, *name, *version, *status; /* status "draft", "active", ... */
    const char *owner;                        /* "" when absent */
    const char *compatibility;                /* "backward", "none"; default "backward" */
    int64_t freshness_us;        /* SLA "latency": how old the newest row may be; 0 when absent */
    const char *freshness_field; /* whose time it is: "timestamp"; "" when absent */
    int field_count;
    struct contract_field *fields; /* [field_count], in document order */
    struct map field_by_name;      /* -> struct contract_field */

    /* Input fields (feature, key, timestamp, segment), all, and split by how a row holds them: */
    int input_count;
    const struct contract_field **inputs; /* [input_count], in document order */
    int value_count;                      /* columns of struct rows.values */
    const struct contract_field **values; /* [value_count] */
    int text_count;                       /* columns of struct rows.texts */
    const struct contract_field **texts;  /* [text_count] */
    int feature_count;                    /* FEATURE fields among values, in document order */
    const int *feature_columns;           /* [feature_count] column in values */
    bool is_feature_prefix;               /* feature_columns is 0, 1, 2, ...: no gather needed */

    /* For the vector pass of check.c, one entry per value column. */
    const float *low, *high; /* bounds, both allowed, in float32; its largest when there are none */
    const uint32_t *is_required; /* 1: NaN breaks RULE_MISSING */
    const uint32_t *is_whole;    /* 1: a fraction breaks RULE_TYPE */
    bool has_whole;
    int special_count;          /* columns with listed values or numeric missing markers */
    const int *special_columns; /* [special_count] */

    const struct contract_field *ranking_group; /* rows with one value of it are ranked against one
                                                   another; NULL: the model is no ranking */
    int64_t label_delay_us; /* how long the truth takes, by those who know; 0: nobody says */
    double accuracy_floor;  /* how good the model must be, in (0, 1); 0: nothing is said */

    /* The answer. */
    const struct contract_field *prediction; /* NULL when not described */
    const struct contract_field *score;      /* NULL when not described */
    double decision_threshold;               /* binary: score >= this is class 1; default 0.5 */
};

/* Parse an ODCS document (YAML or JSON). On success *contract is owned by the caller. Fails with
 * ERR_INVALID that names the place ("schema[0].properties[3].logicalType"), what was expected
 * and what was found. */
enum err_code contract_parse(struct str document, struct contract **contract, struct err *err);

/* NULL is allowed. */
void contract_free(struct contract *contract);

/* The input field of that name, or NULL. */
const struct contract_field *contract_field_find(const struct contract *contract, struct str name);

/* The same for a caller that walks a row: *position is a guess of the place among the inputs,
 * usually right because clients send fields in order, and moves behind the field that was found.
 * Begin a row with 0. */
static inline const struct contract_field *contract_field_next(const struct contract *contract,
                                                               int *position, struct str name)
{
    if (*position < contract->input_count) {
        const struct contract_field *guess = contract->inputs[*position];
        if (guess->name_len == name.len && memcmp(guess->name, name.ptr, name.len) == 0) {
            ++*position;
            return guess;
        }
    }
    const struct contract_field *field = contract_field_find(contract, name);
    if (field && field->input_index >= 0)
        *position = field->input_index + 1;
    return field;
}

/* The field whose name is most like `name`, or NULL when none is near: for "did you mean". */
const struct contract_field *contract_field_nearest(const struct contract *contract,
                                                    struct str name);

/* The unit for messages; "" when unknown or dimensionless ("1"). */
const char *contract_field_unit(const struct contract_field *field);

const char *contract_rule_name(enum contract_rule rule);       /* "range", "missing", ... */
const char *contract_policy_name(enum contract_policy policy); /* "reject", ... */
const char *contract_type_name(enum contract_type type);       /* "number", ... */
const char *contract_role_name(enum contract_role role);       /* "feature", ... */

#endif
