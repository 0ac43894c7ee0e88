/* serving_file.h - how a model is served: the serving file of a model, parsed.
 *
 *     instances: auto            calls of the model at once: a number, or as many as help
 *     batching:
 *       max_rows: 64             requests are joined up to this many rows; 1: never
 *       max_delay: 0ms           how long an idle instance waits for more rows
 *     queue:
 *       max_requests: 1000       requests that may wait; further ones are refused at once
 *       timeout: 30s             from a request's head to its answer, unless it asks for less
 *     priority: 5                1..9 of requests that say nothing; 1 goes first
 *     memory:
 *       pin: false               stay in memory although others are asked for more
 *     cache:
 *       max_bytes: 16M           of answers that are given again when the same is asked; off: none
 *       ttl: 5m                  an older answer is computed anew; 0: as long as there is room
 *     records:                   which requests are kept in files, instead of --record-share
 *       share: 0.05              of them, chosen by their ids
 *       errors: always           or share: those that ended in 4xx or 5xx
 *       held: always             or share: those whose answer waited for a person
 *       differing: always        or share: those that a shadow answers otherwise
 *       inputs: true             false: keys and segments alone, no features
 *     nan: "null"                in JSON replies: "null", string, bare or reject
 *     v1:
 *       inputs: rows             what a list under `inputs` of /v1 is: rows or columns
 *
 * Every key may be left out and has its preset then. A file that is taken is immutable and lives in
 * the arena it was parsed into.
 */
#ifndef SLIPWAY_SERVE_SERVING_FILE_H
#define SLIPWAY_SERVE_SERVING_FILE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "serve/nan_policy.h"

enum {
    SERVING_BYTES_MAX = 64 * 1024, /* of the file */
    SERVING_INSTANCES_MAX = 64,
    SERVING_BATCH_ROWS_MAX = 65536,
    SERVING_REQUESTS_MAX = 10000,
    SERVING_PRIORITY_FIRST = 1, /* the most urgent */
    SERVING_PRIORITY_LAST = 9,
};

/* A list under `inputs` of the V1 dialect. */
enum v1_inputs {
    V1_ROWS,    /* rows, answered with `predictions`: KServe, MLflow */
    V1_COLUMNS, /* the one input of the model, answered with `outputs`: TensorFlow Serving */
};

/* Which records of a model are kept in files, and what of them. */
struct serving_records {
    bool is_set; /* false: as the server's options say */
    double share;
    bool keeps_errors, keeps_held, keeps_differing; /* whatever the share is */
    bool leaves_inputs;                             /* features are not kept */
};

struct serving {
    int64_t revision;   /* the store's; 0: the model has no file */
    int instances;      /* 0: as many as help */
    int batch_rows_max; /* of joined requests; 1: never joined */
    int64_t batch_delay_us;
    int queue_requests_max;
    int64_t timeout_us;
    int priority; /* SERVING_PRIORITY_FIRST.._LAST */
    bool is_pinned;
    enum nan_policy nan;
    size_t cache_bytes;   /* of the response cache; 0: there is none */
    int64_t cache_ttl_us; /* 0: answers do not grow old */
    enum v1_inputs v1_inputs;
    struct serving_records records;
};

/* What holds for a model without a file. */
extern const struct serving serving_preset;

/* Read a serving file (YAML or JSON). ERR_INVALID names the place. */
enum err_code serving_parse(struct str document, struct arena *arena, struct serving **serving,
                            struct err *err);

/* The settings as members of the open object. */
void serving_write(struct json_writer *w, const struct serving *serving);

/* A time such as 250ms: a whole number with us, ms, s, m or h behind it, at most `max_us`; false on
 * anything else. */
bool serving_read_time(struct str text, int64_t max_us, int64_t *us);

#endif
