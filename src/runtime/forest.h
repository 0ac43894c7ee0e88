/* forest.h - decision trees, checked and free of file formats: what the tiers are built from.
 *
 * A reader of some file format describes each tree by its arrays (struct tree_arrays);
 * forest_add_tree() proves that they are a tree and copies it. A node that is not a leaf sends a
 * row left when
 *
 *     the feature is missing (NaN)   and is_missing_left
 *     SPLIT_NUMBER                   and x < value, exactly, also where value is no float32
 *     SPLIT_CODES                    and the code is not in the node's set, or is no code at all
 *                                    (below code_low, 2^24 and more); 3.7 is the code 3
 *     SPLIT_VALUES                   and x is none of the values in the node's set
 *
 * and right otherwise. A leaf adds a number to the margin of its tree's output, a number for each
 * output, or a sum of products with the row. Margins begin at base[o] and take the leaves of
 * output o's trees in the order of the file, in float32 or in double.
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

/* Where zero_missing says so, numbers from -FOREST_ZERO to it are missing. */
#define FOREST_ZERO 1e-35f

enum forest_split { SPLIT_NUMBER, SPLIT_CODES, SPLIT_VALUES };

/* What becomes of the leaves of one output's trees. */
enum forest_total { TOTAL_SUM, TOTAL_MIN, TOTAL_MAX };

struct forest_node {
    double value; /* of a leaf: what it adds; of a split of numbers: its threshold */
    int32_t left; /* index in forest.nodes, the right child follows it; 0: this is a leaf */

    /* A split by codes or values: they are forest.categories[set ... + count], ascending (values as
     * the bits of their float32, in the order of the numbers). A leaf of a forest with leaf_width:
     * forest.vectors[set ...]. A leaf of one with terms: forest.terms[set ... + count]. */
    uint32_t set, count;
    uint16_t feature;
    bool is_missing_left;
    uint8_t split; /* enum forest_split */
};

/* A part of what a linear leaf adds: coefficient * x[feature]. */
struct forest_term {
    double coefficient;
    uint32_t feature;
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
    uint8_t *zero_missing; /* [feature_count] 1: numbers of FOREST_ZERO are NaN; NULL: nowhere */
    float code_low;        /* the smallest number that is code 0; 0 at first */

    enum forest_total total;
    bool is_double;     /* leaves are added in double, else in float32 */
    bool has_threshold; /* in double: a threshold that is no float32 */
    int leaf_width;     /* numbers of a leaf: 1, or one for each output */
    float *vectors;     /* [vector_count, leaf_width] when that is more than 1 */
    uint32_t vector_count;

    /* Linear leaves: value + the sum of the terms, in order; plain[set] instead where one of the
     * features is NaN. */
    struct forest_term *terms;
    double *plains; /* [term_count] by the first of a leaf's terms */
    uint32_t term_count;

    int depth; /* of the deepest tree */
    bool has_sets;
    bool has_low_threshold; /* a threshold of -infinity: only "missing" is left of it */

    int trees_max, nodes_max;
    uint32_t categories_max;
    struct arena *arena;
};

/* Room for that many of each; ERR_LIMIT past the limits above. base is zero. */
struct forest_size {
    int64_t features, outputs, trees, nodes, categories;
    int64_t vectors, leaf_width; /* 0: leaves have one number */
    int64_t terms;
};
enum err_code forest_init(struct forest *forest, const struct forest_size *size,
                          struct arena *arena, struct err *err);

/* One tree as its file has it. Arrays of node_count elements unless said otherwise. */
struct tree_arrays {
    int64_t index; /* for messages */
    size_t node_count;
    const int32_t *left, *right;   /* child indexes; left -1: a leaf */
    const int32_t *parents;        /* NULL: not known */
    const int32_t *features;       /* of splits */
    const float *thresholds;       /* of splits of numbers */
    const double *wide_thresholds; /* instead of them */
    const int32_t *default_left;   /* missing goes left */
    const int32_t *split_types;    /* enum forest_split; NULL: all are SPLIT_NUMBER */

    /* The leaf at node i adds leaf_values[slot * leaf_stride + leaf_offset] * weight, where slot
     * is i, or leaf_slots[i] when leaf_slots is not NULL. */
    const float *leaf_values; /* [leaf_value_count] */
    size_t leaf_value_count, leaf_stride, leaf_offset;
    const int32_t *leaf_slots;
    float weight;
    const double *wide_leaves; /* instead of leaf_values, without weight */

    /* Node set_nodes[k] has the codes set_codes[set_begins[k] ... + set_counts[k]]. */
    size_t set_count, set_code_count;
    const int32_t *set_nodes, *set_begins, *set_counts; /* [set_count] */
    const int32_t *set_codes; /* [set_code_count] of SPLIT_VALUES: the bits of a float32 */

    /* Linear leaves, by slot; NULL: there are none. term_ends[slot - 1] ... term_ends[slot]. */
    const double *constants;
    const int32_t *term_ends;
    const int32_t *term_features;
    const double *coefficients;
};

/* Check and copy the tree that adds to `output`. `scratch` is reset. Fails with ERR_INVALID that
 * names tree and node: a child index out of range, a node reached twice (so no cycle passes), a
 * parent that disagrees, a feature the model does not have, a NaN threshold, a leaf that is no
 * finite number, codes that are none; ERR_LIMIT past FOREST_DEPTH_MAX. */
enum err_code forest_add_tree(struct forest *forest, const struct tree_arrays *tree, int output,
                              struct arena *scratch, struct err *err);

/* All trees are there: order them by output. */
enum err_code forest_seal(struct forest *forest, struct err *err);

/* Splits of numbers, leaves of one number, summed: what every tier can do. */
bool forest_is_plain(const struct forest *forest);

/* The float32 t for which x < t is x < node->value for every float32 x. */
float forest_threshold(const struct forest_node *node);

#endif
