/* record.h - what is kept of an answered prediction request, and who gets to see it.
 *
 *     data thread: reply is known -> ring (bounded, never waits; full: dropped and counted)
 *     recorder thread: ring -> each sink in turn: segment files, guards, shadow, review rules
 *
 * A record is one request with all its rows; a row's own id is "<request_id>-<row>". It is given to
 * sinks as a view that is valid during the call; a sink copies what it keeps, never waits and never
 * fails: what it cannot keep it counts.
 */
#ifndef SLIPWAY_MONITOR_RECORD_H
#define SLIPWAY_MONITOR_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/tensor.h"

/* Which part of a rollout answered. */
enum arm {
    ARM_NONE,   /* no rollout was running: the champion, or the version the caller named */
    ARM_STABLE, /* the version that is to be replaced */
    ARM_CANARY, /* the version that gets a share of answered traffic */
    ARM_SHADOW, /* a copy; its answer went to nobody */
};
enum { ARM_COUNT = 4 };

const char *arm_name(enum arm arm); /* "", "stable", "canary", "shadow" */

/* How a column that is classified (as anything but "public") is kept in files. Sinks see it whole.
 */
enum kept_as {
    KEPT_AS_IS,
    KEPT_AS_PSEUDONYM, /* text: 32 hex digits of its HMAC (redact.h) */
    KEPT_AS_NOTHING,   /* missing */
};
enum { KEPT_AS_COUNT = 3, RECORD_OUTPUTS_MAX = 160 };

const char *kept_as_name(enum kept_as kept_as); /* "", "pseudonym", "nothing" */

/* How the columns of a version's records are to be read. Immutable, alive as long as the recorder:
 * records outlive the loaded version they came from. */
struct record_column {
    const char *name;
    const char *classification;   /* of the contract: "pii", ...; "" when absent */
    int category_count;           /* 0: not categorical */
    const struct str *categories; /* [category_count]: a value is an index into them */
    bool is_whole;                /* integers and booleans: printed without a fraction */
    bool is_boolean;
    bool is_key, is_segment, is_timestamp;
    bool is_group; /* rows with one value of it are ranked against one another */
    enum kept_as kept_as;
    const struct ood_column *training; /* what training rows had in it (ood.h); NULL: unknown */
};

/* Rows are found, cut or ranked by it: it stays when inputs are left out. */
static inline bool record_column_finds(const struct record_column *column)
{
    return column->is_key || column->is_segment || column->is_timestamp || column->is_group;
}

struct record_output {
    const char *name;
    enum dtype dtype;
    int64_t width; /* elements per row */
};

struct record_schema {
    uint32_t serial; /* 1, 2, ... unique in this process; the same when a version is loaded again */
    const char *model;
    int64_t version;
    int value_count, text_count, output_count;
    int aside_count; /* of the outputs, the last ones: kept, not replied; not on disk */
    const struct record_column *values;  /* [value_count], as struct rows has them */
    const struct record_column *texts;   /* [text_count] */
    const struct record_output *outputs; /* [output_count] of the usual answer */
    int class_count;                     /* 1: a number per row */
    bool is_probability;                 /* the answer is probabilities of classes */
    int answer;                          /* the output that is the answer of a row; -1: none is */
    const struct str *class_names;       /* [class_count], or NULL: the index is the name */
    double decision_threshold;           /* binary: probability >= this is class 1 */
};

enum { ROW_ERASED = 2 };
enum { RECORD_NEVER = -1, RECORD_ALWAYS = 2 }; /* shares */

struct record {
    const struct record_schema *schema;
    struct str request_id;
    struct str traceparent; /* as the caller sent it; empty when absent */
    uint64_t span_id;       /* of our part of that trace; 0 without one; not on disk */
    int64_t at_us;          /* wall time of the reply */
    int64_t latency_us;     /* from the request's complete head to its reply */
    int status;             /* HTTP status; outputs are there when it is 200, or 202: the
                               answer waits for a person */
    enum arm arm;
    int64_t rollout;           /* id of the rollout that chose; 0: none */
    bool has_key;              /* the caller named a routing key */
    uint64_t key_hash;         /* SipHash of it under the rollout's salt; 0 without a rollout */
    float share;               /* of requests like it that are kept. On the way to the store what
                                  its model asks for: 1: what the store does, or less, or
                                  RECORD_NEVER, RECORD_ALWAYS */
    bool leaves_inputs;        /* features are not kept, or were not */
    bool keeps_differing;      /* it is kept when a shadow answers otherwise */
    bool is_cached;            /* the answer was an earlier request's; nothing was computed */
    int64_t row_count;         /* 0 when the request failed before its rows were known; the cells
                                  behind the one that was refused may be missing */
    const float *values;       /* [row_count, value_count]; NaN cells keep their state (check.h) */
    const struct str *texts;   /* [row_count, text_count]; ptr NULL is missing; or NULL */
    const uint8_t *is_suspect; /* [row_count] 1: quarantined by the contract, ROW_ERASED: its
                                  contents were erased; or NULL */
    int violation_count;       /* cells that broke a rule of the contract, of any policy */
    uint32_t violated_rules;   /* bit 1 << rule (enum contract_rule) for each rule they broke */
    int output_count;          /* the schema's, or 0 when the request failed */
    const struct tensor *outputs; /* [output_count] as the schema says; data NULL: not asked for */
};

static inline bool record_is_erased(const struct record *record, int64_t row)
{
    return record->is_suspect && record->is_suspect[row] == ROW_ERASED;
}

/* The model has answered, though with 202 the caller may still wait for a person. */
static inline bool record_is_answered(const struct record *record)
{
    return record->status == 200 || record->status == 202;
}

/* Called on the recorder thread, in order of arrival per data thread. */
struct record_sink {
    const char *name; /* for counters: "segments", "guards", ... */
    void *arg;
    void (*take)(void *arg, const struct record *record);
    void (*flush)(void *arg); /* (optional) what had arrived has been taken; more may follow */
};

#endif
