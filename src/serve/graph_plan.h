/* graph_plan.h - a graph ready to be run: its versions held, names resolved, types checked, steps
 * in order.
 *
 * Which rows a node sees is its scope. Scope 0 is every row of the request; a switch makes one for
 * each node it may choose, and a fallback node has one with the rows of the node that failed, or
 * none. A node's scope is the smallest that all who use it have in common, so what only one branch
 * needs is computed for the rows of that branch alone:
 *
 *     scope 0         amount --+--> fast ----------------+--> route (a row from one of them)
 *     rows of large            +--> embed --> large -----+
 *
 * A step begins a node or ends it. A model begins (its version is asked, here or in its lane) and
 * ends (its answer is there, or what stands in for it); a switch begins (each row chooses) and ends
 * (the rows come together); an ensemble only ends.
 */
#ifndef SLIPWAY_SERVE_GRAPH_PLAN_H
#define SLIPWAY_SERVE_GRAPH_PLAN_H

#include "runtime/loaded.h"
#include "serve/graph_file.h"

enum {
    GRAPH_DEPTH_MAX = 4, /* graphs within graphs */
    GRAPH_SCOPES_MAX = GRAPH_NODES_MAX * (GRAPH_CASES_MAX + 2),
    GRAPH_STEPS_MAX = 2 * GRAPH_NODES_MAX, /* bits of a step set */
    GRAPH_RECORDED_WIDTH_MAX = 16,         /* elements of an answer that is recorded */
    GRAPH_MEMORY_BYTES_MAX = 8 * 1024 * 1024,
};

enum graph_from { FROM_INPUT, FROM_NODE, FROM_NUMBER };

struct graph_source {
    enum graph_from from;
    int index;  /* of the input or the node */
    int output; /* of the node */
    int column; /* -1: the whole row */
    double number;
};

struct graph_branch {
    struct graph_source then;
    int scope; /* of a node; -1: a number */
};

struct graph_test {
    struct graph_source left;
    enum graph_compare compare;
    double right;
    int branch;
};

struct graph_node {
    const char *name;
    enum graph_kind kind;
    int scope;
    int output_count;
    const struct signature_tensor *outputs; /* a model's, or the one that is computed here */
    int answer;
    int value;       /* its outputs are values[value..value + output_count) of a run */
    int class_count; /* of the answer */
    bool is_probability;

    /* a model */
    struct loaded *loaded; /* held */
    bool *wanted;          /* [output_count] that somebody uses, and the answer */
    int column_count, feed_count;
    struct graph_source *columns; /* as the file has them; with their types known a source for each
                                     feature; none: not tabular */
    bool passes_input;            /* the columns are the graph's input as it is */
    struct graph_source *feeds;   /* [input_count] of a model that is not tabular */
    int64_t deadline_ns;
    enum graph_fallback fallback;
    int fallback_node, fallback_scope;
    int *stand_ins; /* [output_count] the fallback node's output for each */
    double fallback_value;
    bool is_in_lane; /* its version runs in a lane of its own */

    /* a switch */
    int test_count, branch_count;
    struct graph_test *tests;
    struct graph_branch *branches; /* each thing it may choose, once */
    int otherwise;                 /* the branch of rows that no test holds for */

    /* an ensemble */
    enum graph_how how;
    int member_count;
    struct graph_source *members;
    const double *weights; /* NULL: all the same */
    int64_t width;         /* columns of the result */

    int aside;           /* where its record begins among the signature's asides */
    bool records_answer; /* a number or some for each row */
};

struct graph_scope {
    int parent, depth;
    int owner; /* the node that says which rows; -1: scope 0 */
};

struct graph_step {
    int node;
    bool is_end;
    uint64_t needs; /* steps, by their place in the list */
};

struct graph_plan {
    struct arena *arena;
    const struct graph_file *file;
    struct signature signature;
    int node_count;
    struct graph_node nodes[GRAPH_NODES_MAX];
    int value_count;
    int scope_count;
    struct graph_scope scopes[GRAPH_SCOPES_MAX];
    int step_count;
    struct graph_step steps[GRAPH_STEPS_MAX];
    int output_count;
    struct graph_source outputs[GRAPH_OUTPUTS_MAX];
    int depth; /* 1, and more with graphs in it */

    /* What a request holds. */
    int feature_count;
    const char *const *feature_names; /* NULL: they have none */
    int input_count;                  /* 1 with features */
    const struct signature_tensor *inputs;
};

/* Elements of a row; -1 when they are not known before it has been computed. */
int64_t graph_row_elements(const struct signature_tensor *tensor);

/* Every source the node reads itself: fn for each; branches and fallbacks are not among them. */
void graph_each_source(const struct graph_node *node,
                       void (*fn)(void *arg, const struct graph_source *source), void *arg);

/* What the file calls things: sources, branches and outputs of a plan whose versions are held, and
 * what a request holds. */
enum err_code graph_resolve(struct graph_plan *plan, struct err *err);

/* Which node feeds which, in order: order[node_count], those that are read before their readers.
 * ERR_INVALID names the nodes of a cycle, or one that nobody reads. */
enum err_code graph_order(const struct graph_plan *plan, int *order, struct err *err);

/* Scopes and steps. */
enum err_code graph_schedule(struct graph_plan *plan, const int *order, struct err *err);

/* Types of the nodes in order, and the graph's signature. */
enum err_code graph_type_nodes(struct graph_plan *plan, const int *order, struct err *err);

#endif
