/* trees_sparse.c - the tier that takes any forest: nodes of 16 bytes, walked from the root.
 *
 * Numeric trees are walked eight at a time, so that eight loads are under way at once. A leaf is
 * its own child; the walk goes on until the deepest of the eight has arrived. Trees with splits by
 * sets are walked one by one. What leaves do to margins is one of the forms of enum leaf_form.
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
    uint32_t set;  /* split by a set: index in codes[] of the count, then the codes. Leaf: index in
                      wides[], linears[] or vectors[] */
    uint16_t feature;
    uint8_t is_split; /* 1, or 0 for a leaf: masks the step to the right */
    uint8_t flags;
};
_Static_assert(sizeof(struct node) == 16, "a cache line has four nodes");

enum { MISSING_RIGHT = 1, HAS_CODES = 2, HAS_VALUES = 4 };

struct tree {
    uint32_t root;
    uint32_t depth;
    bool has_sets;
};

enum leaf_form {
    LEAF_FLOAT,  /* added in float32 */
    LEAF_DOUBLE, /* added in double */
    LEAF_LINEAR, /* a double that depends on the row */
    LEAF_VECTOR, /* a float32 for each output */
    LEAF_MIN,    /* the smallest float32 counts */
    LEAF_MAX,
};

struct linear {
    double constant, plain;
    uint32_t first, count; /* in terms[] */
};

struct sparse {
    int feature_count, output_count;
    enum leaf_form form;
    float code_low;
    const float *base;
    const int *first_tree;
    const struct tree *trees;
    const struct node *nodes;
    const uint32_t *codes;
    const double *wides;
    const struct linear *linears;
    const struct forest_term *terms;
    const float *vectors;
};

/* One row: what splits look at, and the numbers as they came. */
struct row {
    const float *splits, *plain;
    const double *wide;
};

/* --- walking -------------------------------------------------------------------------- */

static bool set_has_code(const uint32_t *set, uint32_t code)
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

static float value_at(const uint32_t *values, uint32_t i)
{
    float value;
    memcpy(&value, values + i, sizeof(value));
    return value;
}

static bool set_has_value(const uint32_t *set, float x)
{
    uint32_t low = 0, high = set[0];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (value_at(set + 1, middle) < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set[0] && value_at(set + 1, low) == x;
}

static inline uint32_t step_numeric(const struct node *node, float x)
{
    uint32_t right = isnan(x) ? node->flags : !(x < node->value);
    return node->left + (right & node->is_split);
}

static uint32_t step(const struct sparse *m, const struct node *node, float x)
{
    if (!(node->flags & (HAS_CODES | HAS_VALUES)))
        return step_numeric(node, x);
    if (isnan(x))
        return node->left + (node->flags & MISSING_RIGHT);
    if (node->flags & HAS_VALUES)
        return node->left + set_has_value(m->codes + node->set, x);
    if (!(x >= m->code_low && x < FOREST_CATEGORY_END))
        return node->left;
    return node->left + set_has_code(m->codes + node->set, (uint32_t)(int32_t)x);
}

static const struct node *walk_one(const struct sparse *m, const struct tree *tree,
                                   const float *row)
{
    const struct node *node = &m->nodes[tree->root];
    while (node->is_split)
        node = &m->nodes[step(m, node, row[node->feature])];
    return node;
}

static void walk_eight(const struct sparse *m, const struct tree *tree, const float *row,
                       const struct node **leaves)
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
        leaves[k] = &m->nodes[at[k]];
}

static bool are_numeric(const struct tree *tree)
{
    for (int k = 0; k < LANES; k++)
        if (tree[k].has_sets)
            return false;
    return true;
}

/* The leaves that the row reaches in the next trees; how many. */
static int walk(const struct sparse *m, const struct tree *tree, const struct tree *end,
                const float *row, const struct node **leaves)
{
    if (end - tree >= LANES && are_numeric(tree)) {
        walk_eight(m, tree, row, leaves);
        return LANES;
    }
    leaves[0] = walk_one(m, tree, row);
    return 1;
}

/* --- adding ----------------------------------------------------------------------------- */

/* A product that a missing number spoils counts as none of them; zero as LightGBM takes it. */
static double linear_value(const struct sparse *m, const struct linear *leaf, const struct row *row)
{
    double sum = leaf->constant;
    for (uint32_t i = leaf->first; i < leaf->first + leaf->count; i++) {
        const struct forest_term *term = &m->terms[i];
        double x = row->wide ? row->wide[term->feature] : (double)row->plain[term->feature];
        if (isnan(x))
            return leaf->plain;
        sum += term->coefficient * (fabs(x) > (double)FOREST_ZERO ? x : 0);
    }
    return sum;
}

static void add_vectors(const struct sparse *m, const struct node *const *leaves, int count,
                        float *margins)
{
    for (int k = 0; k < count; k++) {
        const float *vector = m->vectors + leaves[k]->set;
        for (int o = 0; o < m->output_count; o++)
            margins[o] += vector[o];
    }
}

static float sum_floats(const struct sparse *m, const struct tree *tree, const struct tree *end,
                        const float *row, float sum)
{
    const struct node *leaves[LANES];
    while (tree < end) {
        int count = walk(m, tree, end, row, leaves);
        for (int k = 0; k < count; k++)
            sum += leaves[k]->value;
        tree += count;
    }
    return sum;
}

static double sum_doubles(const struct sparse *m, const struct tree *tree, const struct tree *end,
                          const struct row *row)
{
    const struct node *leaves[LANES];
    double sum = 0;
    while (tree < end) {
        int count = walk(m, tree, end, row->splits, leaves);
        for (int k = 0; k < count; k++)
            sum += m->form == LEAF_LINEAR ? linear_value(m, &m->linears[leaves[k]->set], row)
                                          : m->wides[leaves[k]->set];
        tree += count;
    }
    return sum;
}

static float choose_one(const struct sparse *m, const struct tree *tree, const struct tree *end,
                        const float *row, float chosen)
{
    const struct node *leaves[LANES];
    while (tree < end) {
        int count = walk(m, tree, end, row, leaves);
        for (int k = 0; k < count; k++)
            if (m->form == LEAF_MIN ? leaves[k]->value < chosen : leaves[k]->value > chosen)
                chosen = leaves[k]->value;
        tree += count;
    }
    return chosen;
}

static void score_vectors(const struct sparse *m, const float *row, float *margins)
{
    const struct node *leaves[LANES];
    const struct tree *tree = m->trees, *end = m->trees + m->first_tree[m->output_count];
    memcpy(margins, m->base, (size_t)m->output_count * sizeof(*margins));
    while (tree < end) {
        int count = walk(m, tree, end, row, leaves);
        add_vectors(m, leaves, count, margins);
        tree += count;
    }
}

static void score_row(const struct sparse *m, const struct row *row, float *floats, double *doubles)
{
    if (m->form == LEAF_VECTOR) {
        score_vectors(m, row->splits, floats);
        return;
    }
    for (int o = 0; o < m->output_count; o++) {
        const struct tree *tree = m->trees + m->first_tree[o];
        const struct tree *end = m->trees + m->first_tree[o + 1];
        if (m->form == LEAF_FLOAT)
            floats[o] = sum_floats(m, tree, end, row->splits, m->base[o]);
        else if (m->form == LEAF_DOUBLE || m->form == LEAF_LINEAR)
            doubles[o] = sum_doubles(m, tree, end, row);
        else
            floats[o] = choose_one(m, tree, end, row->splits, m->base[o]);
    }
}

static void score(const void *built, const struct tier_rows *rows, void *margins)
{
    const struct sparse *m = built;
    size_t features = (size_t)m->feature_count, outputs = (size_t)m->output_count;
    for (size_t r = 0; r < (size_t)rows->count; r++) {
        struct row row = {.splits = rows->rows + r * features};
        if (m->form == LEAF_LINEAR) {
            row.plain = rows->wide ? NULL : rows->plain + r * features;
            row.wide = rows->wide ? rows->wide + r * features : NULL;
        }
        score_row(m, &row, (float *)margins + r * outputs, (double *)margins + r * outputs);
    }
}

/* --- building --------------------------------------------------------------------------- */

static bool fits(const struct forest *forest)
{
    return !forest->is_double || (forest->leaf_width == 1 && forest->total == TOTAL_SUM);
}

/* What is being filled. */
struct fill {
    const struct forest *forest;
    struct node *nodes;
    uint32_t *codes;
    double *wides;
    struct linear *linears;
    uint32_t code_count, leaf_count;
};

static void copy_set(struct fill *fill, const struct forest_node *from, struct node *to)
{
    if (from->split == SPLIT_NUMBER)
        return;
    to->flags |= from->split == SPLIT_CODES ? HAS_CODES : HAS_VALUES;
    to->set = fill->code_count;
    fill->codes[fill->code_count++] = from->count;
    memcpy(fill->codes + fill->code_count, fill->forest->categories + from->set,
           from->count * sizeof(*fill->codes));
    fill->code_count += from->count;
}

static void copy_leaf(struct fill *fill, const struct forest_node *from, struct node *to)
{
    const struct forest *f = fill->forest;
    to->value = (float)from->value;
    to->set = f->leaf_width > 1 ? from->set : fill->leaf_count++;
    if (f->term_count)
        fill->linears[to->set] =
            (struct linear){.constant = from->value,
                            .plain = from->count ? f->plains[from->set] : from->value,
                            .first = from->set,
                            .count = from->count};
    else if (f->is_double)
        fill->wides[to->set] = from->value;
}

static void copy_nodes(struct fill *fill)
{
    const struct forest *f = fill->forest;
    for (int i = 0; i < f->node_count; i++) {
        const struct forest_node *from = &f->nodes[i];
        struct node *to = &fill->nodes[i];
        *to = (struct node){.feature = from->feature};
        to->is_split = from->left != 0;
        to->left = from->left ? (uint32_t)from->left : (uint32_t)i;
        to->flags = from->is_missing_left ? 0 : MISSING_RIGHT;
        if (!from->left) {
            copy_leaf(fill, from, to);
            continue;
        }
        to->value = forest_threshold(from);
        copy_set(fill, from, to);
    }
}

static void copy_trees(const struct forest *f, struct tree *trees)
{
    for (int t = 0; t < f->tree_count; t++) {
        const struct forest_tree *from = &f->trees[t];
        trees[t] = (struct tree){.root = (uint32_t)from->root, .depth = (uint32_t)from->depth};
        for (int i = from->root; i < from->root + from->node_count; i++)
            trees[t].has_sets |= f->nodes[i].split != SPLIT_NUMBER;
    }
}

static enum leaf_form form_of(const struct forest *f)
{
    if (f->term_count)
        return LEAF_LINEAR;
    if (f->leaf_width > 1)
        return LEAF_VECTOR;
    if (f->total != TOTAL_SUM)
        return f->total == TOTAL_MIN ? LEAF_MIN : LEAF_MAX;
    return f->is_double ? LEAF_DOUBLE : LEAF_FLOAT;
}

/* Where each part lies in the block. Every set has at least one code, so its count fits in twice
 * the room. */
struct layout {
    size_t nodes, trees, codes, base, first, wides, linears, terms, vectors, size;
};

static struct layout lay_out(const struct forest *f)
{
    size_t outputs = (size_t)f->output_count, leaves = (size_t)f->node_count;
    struct layout at = {.nodes = TIER_ROUND(sizeof(struct sparse))};
    at.trees = TIER_ROUND(at.nodes + (size_t)f->node_count * sizeof(struct node));
    at.codes = TIER_ROUND(at.trees + (size_t)f->tree_count * sizeof(struct tree));
    at.base = TIER_ROUND(at.codes + 2 * (size_t)f->category_count * sizeof(uint32_t));
    at.first = TIER_ROUND(at.base + outputs * sizeof(float));
    at.wides = TIER_ROUND(at.first + (outputs + 1) * sizeof(int));
    leaves = (leaves + (size_t)f->tree_count + 1) / 2; /* of binary trees */
    at.linears =
        TIER_ROUND(at.wides + (f->is_double && !f->term_count ? leaves : 0) * sizeof(double));
    at.terms = TIER_ROUND(at.linears + (f->term_count ? leaves : 0) * sizeof(struct linear));
    at.vectors = TIER_ROUND(at.terms + f->term_count * sizeof(struct forest_term));
    size_t width = f->leaf_width > 1 ? (size_t)f->leaf_width : 0;
    at.size = TIER_ROUND(at.vectors + f->vector_count * width * sizeof(float));
    return at;
}

static void *build(const struct forest *f, size_t *bytes)
{
    const struct layout at = lay_out(f);
    size_t outputs = (size_t)f->output_count;
    char *block = aligned_alloc(TIER_ALIGN, at.size);
    if (!block)
        return NULL;
    struct fill fill = {.forest = f,
                        .nodes = (struct node *)(block + at.nodes),
                        .codes = (uint32_t *)(block + at.codes),
                        .wides = (double *)(block + at.wides),
                        .linears = (struct linear *)(block + at.linears)};
    copy_nodes(&fill);
    copy_trees(f, (struct tree *)(block + at.trees));
    memcpy(block + at.base, f->base, outputs * sizeof(float));
    memcpy(block + at.first, f->first_tree, (outputs + 1) * sizeof(int));
    memcpy(block + at.terms, f->terms, f->term_count * sizeof(*f->terms));
    if (f->leaf_width > 1)
        memcpy(block + at.vectors, f->vectors,
               (size_t)f->vector_count * (size_t)f->leaf_width * sizeof(*f->vectors));
    *(struct sparse *)block = (struct sparse){
        .feature_count = f->feature_count,
        .output_count = f->output_count,
        .form = form_of(f),
        .code_low = f->code_low,
        .nodes = fill.nodes,
        .trees = (const struct tree *)(block + at.trees),
        .codes = fill.codes,
        .base = (const float *)(block + at.base),
        .first_tree = (const int *)(block + at.first),
        .wides = fill.wides,
        .linears = fill.linears,
        .terms = (const struct forest_term *)(block + at.terms),
        .vectors = (const float *)(block + at.vectors),
    };
    *bytes = at.size;
    return block;
}

const struct tier tier_sparse = {"sparse", fits, build, score};
