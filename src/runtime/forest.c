/* forest.c - proving that arrays from a file are trees, and copying them.
 *
 * A tree is copied breadth-first, so both children of a node lie side by side and one index
 * leads to both. Walking marks every node it meets; a mark met twice is a cycle or a shared
 * subtree. Nodes that no path reaches (XGBoost leaves pruned ones in place) are dropped.
 */
#include "runtime/forest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static enum err_code check_size(const char *what, int64_t value, int64_t min, int64_t max,
                                struct err *err)
{
    if (value < min)
        return err_set(err, ERR_INVALID, "the model has %lld %s", (long long)value, what);
    if (value > max)
        return err_set(err, ERR_LIMIT, "the model has %lld %s, the limit is %lld", (long long)value,
                       what, (long long)max);
    return ERR_OK;
}

enum err_code forest_init(struct forest *forest, const struct forest_size *size,
                          struct arena *arena, struct err *err)
{
    enum err_code rc = check_size("features", size->features, 1, FOREST_FEATURES_MAX, err);
    if (!rc)
        rc = check_size("outputs", size->outputs, 1, FOREST_OUTPUTS_MAX, err);
    if (!rc)
        rc = check_size("trees", size->trees, 0, FOREST_TREES_MAX, err);
    if (!rc)
        rc = check_size("nodes", size->nodes, 0, FOREST_NODES_MAX, err);
    if (!rc)
        rc = check_size("category codes", size->categories, 0, FOREST_NODES_MAX, err);
    if (!rc)
        rc = check_size("linear terms", size->terms, 0, FOREST_NODES_MAX, err);
    if (!rc)
        rc = check_size("numbers at leaves", size->vectors * size->leaf_width, 0, FOREST_NODES_MAX,
                        err);
    if (rc)
        return rc;
    *forest = (struct forest){
        .feature_count = (int)size->features,
        .output_count = (int)size->outputs,
        .trees_max = (int)size->trees,
        .nodes_max = (int)size->nodes,
        .categories_max = (uint32_t)size->categories,
        .leaf_width = size->leaf_width > 1 ? (int)size->leaf_width : 1,
        .arena = arena,
    };
    if (size->leaf_width > 1)
        forest->vectors = arena_calloc(arena, (size_t)(size->vectors * size->leaf_width),
                                       sizeof(*forest->vectors));
    forest->terms = arena_calloc(arena, (size_t)size->terms, sizeof(*forest->terms));
    forest->plains = arena_calloc(arena, (size_t)size->terms, sizeof(*forest->plains));
    forest->base = arena_calloc(arena, (size_t)size->outputs, sizeof(*forest->base));
    forest->trees = arena_calloc(arena, (size_t)size->trees, sizeof(*forest->trees));
    forest->nodes = arena_calloc(arena, (size_t)size->nodes, sizeof(*forest->nodes));
    forest->categories = arena_calloc(arena, (size_t)size->categories, sizeof(*forest->categories));
    if (!forest->base || !forest->trees || !forest->nodes || !forest->categories ||
        !forest->terms || !forest->plains || (size->leaf_width > 1 && !forest->vectors))
        return err_set(err, ERR_LIMIT, "no room for %lld nodes", (long long)size->nodes);
    return ERR_OK;
}

/* What copying one tree needs to know. */
struct copy {
    struct forest *forest;
    const struct tree_arrays *tree;
    struct err *err;
    int32_t *sources;   /* [node_count] node of the file, in the order of the copy */
    int32_t *depths;    /* [node_count] by node of the file; -1: not met yet */
    int32_t *set_of;    /* [node_count] k of set_nodes, -1: none; NULL without categorical splits */
    int32_t first, end; /* the copy so far is forest->nodes[first ... end) */
};

static enum err_code refuse(struct copy *c, int32_t node, const char *what)
{
    return err_set(c->err, ERR_INVALID, "tree %lld, node %d: %s", (long long)c->tree->index, node,
                   what);
}

static enum err_code meet_child(struct copy *c, int32_t parent, int32_t child, const char *side)
{
    const struct tree_arrays *t = c->tree;
    if (child < 0 || (size_t)child >= t->node_count)
        return err_set(c->err, ERR_INVALID,
                       "tree %lld, node %d: %s child %d is not one of %zu nodes",
                       (long long)t->index, parent, side, child, t->node_count);
    if (c->depths[child] >= 0)
        return err_set(c->err, ERR_INVALID,
                       "tree %lld, node %d: %s child %d is reached twice from the root",
                       (long long)t->index, parent, side, child);
    if (t->parents && t->parents[child] != parent)
        return err_set(c->err, ERR_INVALID,
                       "tree %lld, node %d: its parent is %d, but node %d has it as %s child",
                       (long long)t->index, child, t->parents[child], parent, side);
    c->depths[child] = c->depths[parent] + 1;
    if (c->depths[child] > FOREST_DEPTH_MAX)
        return err_set(c->err, ERR_LIMIT, "tree %lld is deeper than %d splits", (long long)t->index,
                       FOREST_DEPTH_MAX);
    c->sources[c->end - c->first] = child;
    c->end++;
    return ERR_OK;
}

/* The numbers a leaf adds to each output. */
static enum err_code copy_vector(struct copy *c, int32_t source, size_t slot,
                                 struct forest_node *node)
{
    struct forest *f = c->forest;
    size_t width = (size_t)f->leaf_width;
    if ((slot + 1) * width > c->tree->leaf_value_count)
        return refuse(c, source, "a leaf without values");
    const float *from = c->tree->leaf_values + slot * width;
    for (size_t i = 0; i < width; i++)
        if (!isfinite(from[i]))
            return refuse(c, source, "the leaf's value is not a finite number");
    node->set = f->vector_count * (uint32_t)width;
    memcpy(f->vectors + node->set, from, width * sizeof(*from));
    f->vector_count++;
    return ERR_OK;
}

/* A leaf that is linear in the row; `node->value` is what it is when a feature is missing. */
static enum err_code copy_terms(struct copy *c, int32_t source, size_t slot,
                                struct forest_node *node)
{
    const struct tree_arrays *t = c->tree;
    struct forest *f = c->forest;
    int32_t at = slot ? t->term_ends[slot - 1] : 0, end = t->term_ends[slot];
    node->set = f->term_count;
    node->count = (uint32_t)(end - at);
    if (at < end)
        f->plains[node->set] = node->value;
    node->value = t->constants[slot];
    if (!isfinite(node->value))
        return refuse(c, source, "the leaf's constant is not a finite number");
    for (; at < end; at++) {
        int32_t feature = t->term_features[at];
        if (feature < 0 || feature >= f->feature_count || !isfinite(t->coefficients[at]))
            return refuse(c, source, "a linear leaf with a term that is none");
        f->terms[f->term_count++] =
            (struct forest_term){.coefficient = t->coefficients[at], .feature = (uint32_t)feature};
    }
    return ERR_OK;
}

static enum err_code copy_leaf(struct copy *c, int32_t source, struct forest_node *node)
{
    const struct tree_arrays *t = c->tree;
    size_t slot = (size_t)source;
    if (t->leaf_slots) {
        if (t->leaf_slots[source] < 0)
            return refuse(c, source, "a leaf without a value");
        slot = (size_t)t->leaf_slots[source];
    } else if (t->right[source] != -1) {
        return refuse(c, source, "has a right child but no left one");
    }
    if (c->forest->leaf_width > 1)
        return copy_vector(c, source, slot, node);
    size_t at = slot * t->leaf_stride + t->leaf_offset;
    if (at >= t->leaf_value_count)
        return refuse(c, source, "a leaf without a value");
    node->value = t->wide_leaves ? t->wide_leaves[at] : (double)(t->leaf_values[at] * t->weight);
    if (!isfinite(node->value))
        return refuse(c, source, "the leaf's value is not a finite number");
    return t->constants ? copy_terms(c, source, slot, node) : ERR_OK;
}

static int compare_codes(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static float value_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static int compare_values(const void *a, const void *b)
{
    float x = value_of_bits(*(const uint32_t *)a), y = value_of_bits(*(const uint32_t *)b);
    return (x > y) - (x < y);
}

/* The codes of a set, or its values, in order. */
static enum err_code copy_codes(struct copy *c, int32_t source, const int32_t *from,
                                const struct forest_node *node)
{
    bool are_codes = node->split == SPLIT_CODES;
    uint32_t *to = c->forest->categories + node->set;
    for (uint32_t i = 0; i < node->count; i++) {
        if (are_codes && (from[i] < 0 || from[i] >= FOREST_CATEGORY_END))
            return refuse(c, source, "a category that is no code from 0 to 16777215");
        if (!are_codes && isnan(value_of_bits((uint32_t)from[i])))
            return refuse(c, source, "the split's value is not a number");
        to[i] = (uint32_t)from[i];
    }
    qsort(to, node->count, sizeof(*to), are_codes ? compare_codes : compare_values);
    return ERR_OK;
}

static enum err_code copy_set(struct copy *c, int32_t source, struct forest_node *node)
{
    const struct tree_arrays *t = c->tree;
    struct forest *f = c->forest;
    int32_t k = c->set_of[source];
    if (k < 0)
        return refuse(c, source, "a categorical split without categories");
    int64_t begin = t->set_begins[k], count = t->set_counts[k];
    if (begin < 0 || count < 1 || begin + count > (int64_t)t->set_code_count)
        return refuse(c, source, "its categories are outside the tree's list of them");
    assert(f->category_count + count <= f->categories_max);
    node->set = f->category_count;
    node->count = (uint32_t)count;
    f->category_count += (uint32_t)count;
    f->has_sets = true;
    return copy_codes(c, source, t->set_codes + begin, node);
}

static enum err_code copy_split(struct copy *c, int32_t source, struct forest_node *node)
{
    const struct tree_arrays *t = c->tree;
    int32_t feature = t->features[source];
    if (feature < 0 || feature >= c->forest->feature_count)
        return err_set(c->err, ERR_INVALID, "tree %lld, node %d: feature %d is not one of %d",
                       (long long)t->index, source, feature, c->forest->feature_count);
    node->feature = (uint16_t)feature;
    node->is_missing_left = t->default_left[source] != 0;
    if (t->split_types &&
        (t->split_types[source] == SPLIT_CODES || t->split_types[source] == SPLIT_VALUES)) {
        node->split = (uint8_t)t->split_types[source];
        return copy_set(c, source, node);
    }
    node->value = t->wide_thresholds ? t->wide_thresholds[source] : (double)t->thresholds[source];
    if (isnan(node->value))
        return refuse(c, source, "the split's threshold is not a number");
    if (node->value == -INFINITY)
        c->forest->has_low_threshold = true;
    return ERR_OK;
}

static enum err_code copy_node(struct copy *c, int32_t at)
{
    const struct tree_arrays *t = c->tree;
    int32_t source = c->sources[at - c->first];
    struct forest_node *node = &c->forest->nodes[at];
    *node = (struct forest_node){0};
    if (t->left[source] == -1)
        return copy_leaf(c, source, node);
    node->left = c->end;
    enum err_code rc = copy_split(c, source, node);
    if (!rc)
        rc = meet_child(c, source, t->left[source], "left");
    if (!rc)
        rc = meet_child(c, source, t->right[source], "right");
    return rc;
}

/* Which set each node has. Sets together are no longer than the list they come from, so that a
 * few bytes cannot ask for much memory. */
static enum err_code index_sets(struct copy *c, struct arena *scratch)
{
    const struct tree_arrays *t = c->tree;
    int64_t total = 0;
    if (t->set_count == 0 && !t->split_types)
        return ERR_OK;
    c->set_of = arena_alloc(scratch, t->node_count * sizeof(*c->set_of));
    if (!c->set_of)
        return err_set(c->err, ERR_LIMIT, "no room for tree %lld", (long long)t->index);
    memset(c->set_of, 0xff, t->node_count * sizeof(*c->set_of));
    for (size_t k = 0; k < t->set_count; k++) {
        int32_t node = t->set_nodes[k];
        if (node < 0 || (size_t)node >= t->node_count || c->set_of[node] >= 0)
            return refuse(c, node, "categories for a node that is not there or has some already");
        c->set_of[node] = (int32_t)k;
        total += t->set_counts[k] > 0 ? t->set_counts[k] : 0;
    }
    if (total > (int64_t)t->set_code_count)
        return err_set(c->err, ERR_INVALID, "tree %lld: its nodes claim %lld categories of %zu",
                       (long long)t->index, (long long)total, t->set_code_count);
    return ERR_OK;
}

static enum err_code prepare(struct copy *c, struct arena *scratch)
{
    size_t bytes = c->tree->node_count * sizeof(int32_t);
    arena_reset(scratch);
    c->sources = arena_alloc(scratch, bytes);
    c->depths = arena_alloc(scratch, bytes);
    if (!c->sources || !c->depths)
        return err_set(c->err, ERR_LIMIT, "no room for tree %lld", (long long)c->tree->index);
    memset(c->depths, 0xff, bytes);
    return index_sets(c, scratch);
}

enum err_code forest_add_tree(struct forest *forest, const struct tree_arrays *tree, int output,
                              struct arena *scratch, struct err *err)
{
    struct copy c = {.forest = forest, .tree = tree, .err = err, .first = forest->node_count};
    assert(forest->tree_count < forest->trees_max);
    assert(output >= 0 && output < forest->output_count);
    if (tree->node_count == 0)
        return err_set(err, ERR_INVALID, "tree %lld has no nodes", (long long)tree->index);
    assert(tree->node_count <= (size_t)(forest->nodes_max - forest->node_count));
    enum err_code rc = prepare(&c, scratch);
    if (rc)
        return rc;
    c.end = c.first + 1;
    c.sources[0] = 0;
    c.depths[0] = 0;
    for (int32_t at = c.first; at < c.end; at++) {
        rc = copy_node(&c, at);
        if (rc)
            return rc;
    }
    int32_t depth = c.depths[c.sources[c.end - c.first - 1]];
    forest->trees[forest->tree_count++] = (struct forest_tree){
        .root = c.first, .node_count = c.end - c.first, .depth = depth, .output = output};
    forest->node_count = c.end;
    forest->depth = depth > forest->depth ? depth : forest->depth;
    return ERR_OK;
}

enum err_code forest_seal(struct forest *forest, struct err *err)
{
    size_t outputs = (size_t)forest->output_count, trees = (size_t)forest->tree_count;
    int *first = arena_calloc(forest->arena, outputs + 1, sizeof(*first));
    int *next = arena_calloc(forest->arena, outputs, sizeof(*next));
    struct forest_tree *sorted = arena_calloc(forest->arena, trees, sizeof(*sorted));
    if (!first || !next || !sorted)
        return err_set(err, ERR_LIMIT, "no room for %d trees", forest->tree_count);
    for (size_t t = 0; t < trees; t++)
        first[forest->trees[t].output + 1]++;
    for (size_t o = 0; o < outputs; o++) {
        first[o + 1] += first[o];
        next[o] = first[o];
    }
    for (size_t t = 0; t < trees; t++)
        sorted[next[forest->trees[t].output]++] = forest->trees[t];
    forest->trees = sorted;
    forest->first_tree = first;
    return ERR_OK;
}

bool forest_is_plain(const struct forest *forest)
{
    return !forest->has_sets && forest->term_count == 0 && forest->leaf_width == 1 &&
           forest->total == TOTAL_SUM;
}

float forest_threshold(const struct forest_node *node)
{
    float nearest = (float)node->value;
    return (double)nearest < node->value ? nextafterf(nearest, INFINITY) : nearest;
}
