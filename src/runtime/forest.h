/* forest.h - decision trees, checked and free of file formats: what the tiers are built from.
 *
 * A reader of some file format describes each tree by its arrays (struct tree_arrays);
 * forest_add_tree() proves that they are a tree and copies it. A node that is not a leaf sends a
 * row left when
 *
 *     the feature is missing (NaN)   and is_missing_left
 *     numeric split                  and x < value, in float32
 *     categorical split              and the code is not in the node's set, or is no code at all
 *                                    (negative, 2^24 and more); 3.7 is the code 3
 *
 * and right otherwise. margin[o] = base[o] + the leaves of output o's trees, added in float32 in
 * the order of the file.
 *
 * Everything lives in the arena given to forest_init().
 */
#ifndef SLIPWAY_RUNTIME_FOREST_H
#define SLIPWAY_RUNTIME_FOREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum {
    FOREST_FEATURES_MAX = 65535,
    FOREST_OUTPUTS_MAX = 16384,
    FOREST_TREES_MAX = 1 << 20,
    FOREST_NODES_MAX = 1 << 26,
    FOREST_DEPTH_MAX = 1024,
    FOREST_CATEGORY_END = 1 << 24, /* codes are below; float32 holds all of them exactly */
};

struct forest_node {
    float value;  /* of a leaf: what it adds; of a numeric split: its threshold */
    int32_t left; /* index in forest.nodes, the right child follows it; 0: this is a leaf */
    uint32_t set,
        count; /* categorical split: its codes are forest.categories[set ...], ascending */
    uint16_t feature;
    bool is_missing_left;
    bool is_categorical;
};

struct forest_tree {
    int32_t root; /* index in forest.nodes; the tree's nodes follow in breadth-first order */
    int32_t node_count;
    int32_t depth; /* 0: the root is a leaf */
    int32_t output;
};

struct forest {
    int feature_count;
    int output_count;
    float *base; /* [output_count] margins before the first tree */

    int tree_count;
    struct forest_tree *trees; /* after forest_seal(): all of output 0 in file order, then 1, ... */
    int *first_tree;           /* [output_count + 1], set by forest_seal() */

    int node_count;
    struct forest_node *nodes;
    uint32_t category_count;
    uint32_t *categories;

    int depth; /* of the deepest tree */
    bool has_categorical;
    bool has_low_threshold; /* a threshold of -infinity: only "missing" is left of it */

    int trees_max, nodes_max;
    uint32_t categories_max;
    struct arena *arena;
};

/* Room for that many of each; ERR_LIMIT past the limits above. base is zero. */
struct forest_size {
    int64_t features, outputs, trees, nodes, categories;
};
enum err_code forest_init(struct forest *forest, const struct forest_size *size,
                          struct arena *arena, struct err *err);

/* One tree as its file has it. Arrays of node_count elements unless said otherwise. */
struct tree_arrays {
    int64_t index; /* for messages */
    size_t node_count;
    const int32_t *left, *right; /* child indexes; left -1: a leaf */
    const int32_t *parents;      /* NULL: not known */
    const int32_t *features;     /* of splits */
    const float *thresholds;     /* of numeric splits */
    const int32_t *default_left; /* missing goes left */
    const int32_t *split_types;  /* 1: categorical; NULL: none is */

    /* The leaf at node i adds leaf_values[slot * leaf_stride + leaf_offset] * weight, where slot
     * is i, or leaf_slots[i] when leaf_slots is not NULL. */
    const float *leaf_values; /* [leaf_value_count] */
    size_t leaf_value_count, leaf_stride, leaf_offset;
    const int32_t *leaf_slots;
    float weight;

    /* Node set_nodes[k] has the codes set_codes[set_begins[k] ... + set_counts[k]]. */
    size_t set_count, set_code_count;
    const int32_t *set_nodes, *set_begins, *set_counts; /* [set_count] */
    const int32_t *set_codes;                           /* [set_code_count] */
};

/* Check and copy the tree that adds to `output`. `scratch` is reset. Fails with ERR_INVALID that
 * names tree and node: a child index out of range, a node reached twice (so no cycle passes), a
 * parent that disagrees, a feature the model does not have, a NaN threshold, a leaf that is no
 * finite number, codes that are none; ERR_LIMIT past FOREST_DEPTH_MAX. */
enum err_code forest_add_tree(struct forest *forest, const struct tree_arrays *tree, int output,
                              struct arena *scratch, struct err *err);

/* All trees are there: order them by output. */
enum err_code forest_seal(struct forest *forest, struct err *err);

#endif
