/* graph_run.h - one batch through a graph.
 *
 * What the request holds and what nodes give is passed on by reference; rows are copied only where
 * a node sees some of them. A graph whose models all run inline takes the caller's thread alone: no
 * lock, no memory but the call's arena. Other models run in the lanes of their own versions, where
 * they are joined with other callers' rows, while this thread goes on with what does not need them.
 */
#ifndef SLIPWAY_SERVE_GRAPH_RUN_H
#define SLIPWAY_SERVE_GRAPH_RUN_H

#include "serve/graph_plan.h"

/* How a node answered; its name is what records and metrics show. */
enum graph_outcome {
    OUTCOME_UNUSED, /* no row came to it */
    OUTCOME_OK,
    OUTCOME_LATE, /* not within its deadline: its fallback stands in */
    OUTCOME_FAILED,
    OUTCOME_COUNT,
};
const char *graph_outcome_name(enum graph_outcome outcome);

/* What one node has done since it was loaded. */
struct graph_count {
    _Alignas(64) _Atomic uint64_t calls[OUTCOME_COUNT];
    _Atomic uint64_t ns;
};

/* Rows that a node sees: `index[i]` of the request; NULL: all of them. */
struct graph_rows {
    int64_t count;
    const int64_t *index;
};

struct graph_flight;
struct graph_flights;

struct graph_visit {
    enum graph_outcome outcome;
    int64_t begin_ns, deadline_ns, took_ns;
    uint8_t *choice;             /* a switch: [count] branch of each row */
    struct graph_flight *flight; /* in its lane; NULL: here, or done */
};

struct graph_run {
    const struct graph_plan *plan;
    struct graph_count *counts;
    struct graph_flights *flights; /* NULL: models run here */
    struct runtime_call *call;
    struct tensor *values;      /* [plan->value_count]; data NULL: not there */
    struct graph_rows *scopes;  /* [plan->scope_count] */
    struct graph_visit *visits; /* [plan->node_count] */
    uint64_t begun, done;       /* steps */
    struct err *err;
};

/* Score the call. `flights` NULL: every model is asked here, one after the other. */
enum err_code graph_run(const struct graph_plan *plan, struct graph_count *counts,
                        struct graph_flights *flights, struct runtime_call *call, struct err *err);

/* ---- for the parts of a run ---- */

/* Inputs of a model for the rows of its scope, in `arena`; `copies`: nothing is borrowed. */
enum err_code graph_run_inputs(struct graph_run *run, const struct graph_node *node,
                               struct arena *arena, bool copies, struct tensor **in);

/* A model has answered, or failed with `rc`: out[out_count] are the outputs that were wanted. */
enum err_code graph_run_answer(struct graph_run *run, int node, enum err_code rc,
                               const struct tensor *out, int out_count, struct err *why);

/* Numbers of the source for the rows of a scope: [count, columns], columns of each from `column`.
 */
enum err_code graph_run_numbers(struct graph_run *run, const struct graph_source *source, int scope,
                                int64_t columns, double *out);

/* False: what the source names was left out. */
bool graph_run_has(const struct graph_run *run, const struct graph_source *source);

/* Fill call->aside, when all steps are done. */
enum err_code graph_aside(struct graph_run *run);

/* The rows of an ensemble -> its value. */
enum err_code graph_ensemble(struct graph_run *run, const struct graph_node *node);

#endif
