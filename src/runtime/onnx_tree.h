/* onnx_tree.h - trees of a TreeEnsemble operator on their way from its attributes to the forest.
 *
 *     versions 1 and 3 --onnx_trees.c-->
 *     version 5 --onnx_tree_splits.c--> onnx_tree[], weights --onnx_trees.c--> forest
 */
#ifndef SLIPWAY_RUNTIME_ONNX_TREE_H
#define SLIPWAY_RUNTIME_ONNX_TREE_H

#include "runtime/onnx_trees.h"

enum onnx_tree_mode {
    ONNX_TREE_LEQ,
    ONNX_TREE_LT,
    ONNX_TREE_GTE,
    ONNX_TREE_GT,
    ONNX_TREE_EQ,
    ONNX_TREE_NEQ,
    ONNX_TREE_MEMBER,
    ONNX_TREE_LEAF
};

/* One tree: node 0 is the root, children are indexes here. */
struct onnx_tree {
    size_t count;
    enum onnx_tree_mode *modes;
    int32_t *features, *yes, *no;
    bool *tracks;
    float *values;
    int32_t *entries;     /* a leaf's first weight; -1: none */
    const float *members; /* of ONNX_TREE_MEMBER: members + member_begins[i], member_counts[i] */
    int32_t *member_begins, *member_counts;
};

/* Weights of leaves, as lists: entry e is followed by next[e], -1 ends. */
struct onnx_tree_weights {
    size_t count;
    const int64_t *targets;
    const float *values;
    int32_t *next;
};

struct onnx_tree_reader {
    const struct onnx_node *node;
    struct arena *arena, *keep, *arrays, *scratch;
    struct err *err;
    struct forest *forest;
    struct onnx_scores *scores;
    struct onnx_tree *trees; /* [tree_count] */
    size_t tree_count;
    struct onnx_tree_weights weights;
    bool *covers;  /* [tree_count, targets] every leaf speaks of the target */
    bool is_plain; /* each tree speaks of one target */
    int64_t features;
};

/* The operator is wrong; it is right, but ONNX Runtime's; it is too large. */
enum err_code onnx_tree_refuse(struct onnx_tree_reader *r, const char *what);
enum err_code onnx_tree_leave(struct onnx_tree_reader *r, const char *what);
enum err_code onnx_tree_no_room(struct onnx_tree_reader *r);

/* An attribute that has `count` elements. */
enum err_code onnx_tree_ints(struct onnx_tree_reader *r, const char *name, size_t count,
                             const int64_t **out);

/* Room for r->tree_count trees, and for a tree's nodes. */
enum err_code onnx_tree_reserve_all(struct onnx_tree_reader *r);
bool onnx_tree_reserve(struct onnx_tree *tree, size_t count, struct arena *arena);

/* -1: it is no index. */
int32_t onnx_tree_index(int64_t value);

/* Version 5: fills r->trees and r->weights. */
enum err_code onnx_tree_read_splits(struct onnx_tree_reader *r);

#endif
