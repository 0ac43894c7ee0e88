/* graph_file.h - a graph of models as people write it: YAML -> nodes, not yet joined.
 *
 *     graph: 1
 *     features: [amount, age, country]     what a request's row holds; or `inputs`, or neither
 *     nodes:
 *       fast:  {model: fraud-trees, alias: champion, deadline: 20ms, fallback: {value: 0.5}}
 *       large: {model: fraud-large, version: 3, columns: [amount, age, fast]}
 *       route:
 *         switch: [{if: amount > 1000, then: large}]
 *         default: fast
 *       blend: {ensemble: average, of: [fast, large], weights: [1, 3]}
 *       parts:
 *         split: {home: {model: half, columns: [amount]}, away: {model: half, columns: [age]}}
 *         aggregate: sum
 *     outputs: {score: route, blend: blend}
 *
 * A name is a feature, an input, a node (its answer), or NODE.OUTPUT; NAME[2] is its third column.
 * A split is read as a node for each part, "parts/home", and an ensemble of them.
 */
#ifndef SLIPWAY_SERVE_GRAPH_FILE_H
#define SLIPWAY_SERVE_GRAPH_FILE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "runtime/runtime.h"

enum {
    GRAPH_FORMAT = 1,
    GRAPH_BYTES_MAX = 256 * 1024,
    GRAPH_NODES_MAX = 32,
    GRAPH_CASES_MAX = 16,   /* of a switch */
    GRAPH_OUTPUTS_MAX = 16, /* of the graph */
    GRAPH_COLUMNS_MAX = 4096,
    GRAPH_NAME_BYTES_MAX = 32, /* of a node or of a part */
    GRAPH_DEADLINE_S_MAX = 3600,
};

/* Where a value comes from, as it is written. */
struct graph_term {
    struct str text; /* empty: a number */
    double number;
};

enum graph_compare {
    COMPARE_LESS,
    COMPARE_LESS_EQUAL,
    COMPARE_GREATER,
    COMPARE_GREATER_EQUAL,
    COMPARE_EQUAL,
    COMPARE_NOT_EQUAL,
    COMPARE_MISSING, /* NaN */
};

/* "amount > 1000", then what answers the row. */
struct graph_case {
    struct graph_term left;
    enum graph_compare compare;
    double right;
    struct graph_term then;
};

enum graph_kind { GRAPH_MODEL, GRAPH_SWITCH, GRAPH_ENSEMBLE };

enum graph_how { HOW_AVERAGE, HOW_VOTE, HOW_SUM, HOW_MIN, HOW_MAX, HOW_CONCAT };

enum graph_fallback { FALLBACK_NONE, FALLBACK_NODE, FALLBACK_VALUE, FALLBACK_SKIP };

struct graph_feed {
    struct str input;
    struct graph_term from;
};

struct graph_file_node {
    const char *name;
    enum graph_kind kind;

    struct str model, alias, digest; /* empty: not given */
    int64_t version;                 /* 0: not given */
    int column_count;                /* 0: by name */
    struct graph_term *columns;
    int feed_count;
    struct graph_feed *feeds; /* inputs that are not fed by the graph's input of that name */
    int64_t deadline_us;      /* 0: the request's own */
    enum graph_fallback fallback;
    struct graph_term fallback_to; /* a node's name or a number */

    int case_count;
    struct graph_case *cases;
    struct graph_term otherwise;

    enum graph_how how;
    int member_count;
    struct graph_term *members;
    double *weights; /* [member_count], or NULL: all the same */
};

struct graph_file_output {
    const char *name;
    struct graph_term from;
};

struct graph_file {
    int feature_count;
    const char **feature_names; /* [feature_count], or NULL */
    int input_count;
    struct signature_tensor *inputs;
    int node_count;
    struct graph_file_node nodes[GRAPH_NODES_MAX];
    int output_count; /* 0: the last node's answer */
    struct graph_file_output outputs[GRAPH_OUTPUTS_MAX];
    struct str answer; /* which output is the answer; empty: the first */
};

/* Is the first line that says something "graph:"? */
bool graph_recognise(const void *head, size_t size);

const char *graph_how_name(enum graph_how how);
const char *graph_compare_name(enum graph_compare compare);

/* The file as a tree in `arena`. */
enum err_code graph_file_tree(struct str bytes, struct arena *arena, yyjson_val **root,
                              struct err *err);

/* On success *file lives in `arena`, as the tree must. Errors name the place:
 * "nodes.fast.deadline". */
enum err_code graph_file_read(yyjson_val *root, struct arena *arena, struct graph_file **file,
                              struct err *err);

#endif
