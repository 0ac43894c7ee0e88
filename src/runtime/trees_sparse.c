/* trees_sparse.c - the tier that takes any forest: nodes of 16 bytes, walked from the root.
 *
 * Numeric trees are walked eight at a time, so that eight loads are under way at once. A leaf is
 * its own child; the walk goes on until the deepest of the eight has arrived. Trees with
 * categorical splits are walked one by one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/tier.h"

enum { LANES = 8 };

struct node {
    float value;   /* threshold or leaf */
    uint32_t left; /* the right child follows; of a leaf: itself */
    uint32_t set;  /* categorical split: index in codes[] of the count, then the codes */
    uint16_t feature;
    uint8_t is_split; /* 1, or 0 for a leaf: masks the step to the right */
    uint8_t missing;  /* where a missing value goes: 0 left, 1 right; 2 more: categorical */
};
_Static_assert(sizeof(struct node) == 16, "a cache line has four nodes");

enum { MISSING_RIGHT = 1, CATEGORICAL = 2 };

struct tree {
    uint32_t root;
    uint32_t depth;
    bool has_categorical;
};

struct sparse {
    int feature_count, output_count;
    const float *base;
    const int *first_tree;
    const struct tree *trees;
    const struct node *nodes;
    const uint32_t *codes;
};

static bool set_has(const uint32_t *set, uint32_t code)
{
    const uint32_t *codes = set + 1;
    uint32_t low = 0, high = set[0];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set[0] && codes[low] == code;
}

static inline uint32_t step_numeric(const struct node *node, float x)
{
    uint32_t right = isnan(x) ? node->missing : !(x < node->value);
    return node->left + (right & node->is_split);
}

static uint32_t step(const struct sparse *m, const struct node *node, float x)
{
    if (!(node->missing & CATEGORICAL))
        return step_numeric(node, x);
    if (isnan(x))
        return node->left + (node->missing & MISSING_RIGHT);
    if (!(x >= 0 && x < FOREST_CATEGORY_END))
        return node->left;
    return node->left + set_has(m->codes + node->set, (uint32_t)x);
}

static float walk_one(const struct sparse *m, const struct tree *tree, const float *row)
{
    const struct node *node = &m->nodes[tree->root];
    while (node->is_split)
        node = &m->nodes[step(m, node, row[node->feature])];
    return node->value;
}

static float add_eight(const struct sparse *m, const struct tree *tree, const float *row, float sum)
{
    uint32_t at[LANES], depth = 0;
    for (int k = 0; k < LANES; k++) {
        at[k] = tree[k].root;
        depth = tree[k].depth > depth ? tree[k].depth : depth;
    }
    for (uint32_t d = 0; d < depth; d++)
        for (int k = 0; k < LANES; k++) {
            const struct node *node = &m->nodes[at[k]];
            at[k] = step_numeric(node, row[node->feature]);
        }
    for (int k = 0; k < LANES; k++)
        sum += m->nodes[at[k]].value;
    return sum;
}

static bool are_numeric(const struct tree *tree)
{
    for (int k = 0; k < LANES; k++)
        if (tree[k].has_categorical)
            return false;
    return true;
}

static float score_output(const struct sparse *m, int output, const float *row)
{
    const struct tree *tree = m->trees + m->first_tree[output];
    const struct tree *end = m->trees + m->first_tree[output + 1];
    float sum = m->base[output];
    while (tree < end) {
        if (end - tree >= LANES && are_numeric(tree)) {
            sum = add_eight(m, tree, row, sum);
            tree += LANES;
        } else {
            sum += walk_one(m, tree++, row);
        }
    }
    return sum;
}

static void score(const void *built, const float *rows, int64_t row_count, float *margins)
{
    const struct sparse *m = built;
    for (int64_t r = 0; r < row_count; r++, rows += m->feature_count)
        for (int o = 0; o < m->output_count; o++)
            *margins++ = score_output(m, o, rows);
}

static bool fits(const struct forest *forest)
{
    (void)forest;
    return true;
}

static void copy_nodes(const struct forest *f, struct node *nodes, uint32_t *codes)
{
    uint32_t used = 0;
    for (int i = 0; i < f->node_count; i++) {
        const struct forest_node *from = &f->nodes[i];
        struct node *to = &nodes[i];
        *to = (struct node){.value = from->value, .feature = from->feature};
        to->is_split = from->left != 0;
        to->left = from->left ? (uint32_t)from->left : (uint32_t)i;
        to->missing = from->is_missing_left ? 0 : MISSING_RIGHT;
        if (!from->is_categorical)
            continue;
        to->missing |= CATEGORICAL;
        to->set = used;
        codes[used++] = from->count;
        memcpy(codes + used, f->categories + from->set, from->count * sizeof(*codes));
        used += from->count;
    }
}

static void copy_trees(const struct forest *f, struct tree *trees)
{
    for (int t = 0; t < f->tree_count; t++) {
        const struct forest_tree *from = &f->trees[t];
        trees[t] = (struct tree){.root = (uint32_t)from->root, .depth = (uint32_t)from->depth};
        for (int i = from->root; i < from->root + from->node_count; i++)
            trees[t].has_categorical |= f->nodes[i].is_categorical;
    }
}

/* Every set has at least one code, so its count fits in twice the room. */
static void *build(const struct forest *f, size_t *bytes)
{
    size_t outputs = (size_t)f->output_count;
    size_t at_nodes = TIER_ROUND(sizeof(struct sparse));
    size_t at_trees = TIER_ROUND(at_nodes + (size_t)f->node_count * sizeof(struct node));
    size_t at_codes = TIER_ROUND(at_trees + (size_t)f->tree_count * sizeof(struct tree));
    size_t at_base = TIER_ROUND(at_codes + 2 * (size_t)f->category_count * sizeof(uint32_t));
    size_t at_first = TIER_ROUND(at_base + outputs * sizeof(float));
    size_t size = TIER_ROUND(at_first + (outputs + 1) * sizeof(int));
    char *block = aligned_alloc(TIER_ALIGN, size);
    if (!block)
        return NULL;
    copy_nodes(f, (struct node *)(block + at_nodes), (uint32_t *)(block + at_codes));
    copy_trees(f, (struct tree *)(block + at_trees));
    memcpy(block + at_base, f->base, outputs * sizeof(float));
    memcpy(block + at_first, f->first_tree, (outputs + 1) * sizeof(int));
    *(struct sparse *)block = (struct sparse){
        .feature_count = f->feature_count,
        .output_count = f->output_count,
        .nodes = (const struct node *)(block + at_nodes),
        .trees = (const struct tree *)(block + at_trees),
        .codes = (const uint32_t *)(block + at_codes),
        .base = (const float *)(block + at_base),
        .first_tree = (const int *)(block + at_first),
    };
    *bytes = size;
    return block;
}

const struct tier tier_sparse = {"sparse", fits, build, score};
