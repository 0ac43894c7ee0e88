/* onnx_trees.c - the attributes of a TreeEnsemble operator -> forest.
 *
 * Versions 1 and 3 have one table of nodes, leaves among them, tree after tree, and a table of
 * weights (class_* or target_*) that names each leaf by tree and node:
 *
 *     nodes_treeids 0 0 0   nodes_nodeids 0 1 2   nodes_modes BRANCH_LEQ LEAF LEAF
 *     nodes_featureids, nodes_values   nodes_truenodeids, nodes_falsenodeids
 *     target_treeids 0 0   target_nodeids 1 2   target_ids 0 0   target_weights 0.5 1.5
 *
 * Version 5 is read by onnx_tree_splits.c.
 *
 * A split asks x OP value and goes to the true node or to the false one. The forest knows x < value
 * and "x is one of", so true and false change sides for some. NaN goes to the false node, unless
 * nodes_missing_value_tracks_true says otherwise (or the question is "x != value").
 */
#include "runtime/onnx_trees.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_tree.h"

enum { COPIES_MAX = 4, COPIES_DEPTH_MAX = 8 };

bool onnx_is_trees(const struct onnx_node *node)
{
    return onnx_is(node, "TreeEnsembleRegressor") || onnx_is(node, "TreeEnsembleClassifier") ||
           onnx_is(node, "TreeEnsemble");
}

enum err_code onnx_tree_refuse(struct onnx_tree_reader *r, const char *what)
{
    return err_set(r->err, ERR_INVALID, "ONNX: node %d (%.*s): %s", r->node->index,
                   STR_ARG(r->node->op), what);
}

enum err_code onnx_tree_leave(struct onnx_tree_reader *r, const char *what)
{
    err_set(r->err, ERR_UNSUPPORTED, "ONNX: node %d (%.*s): %s", r->node->index,
            STR_ARG(r->node->op), what);
    return err_hint(r->err, "runtime onnx can serve it: --runtime onnx");
}

enum err_code onnx_tree_no_room(struct onnx_tree_reader *r)
{
    return err_set(r->err, ERR_LIMIT, "no room for the trees");
}

/* --- lists --- */

enum err_code onnx_tree_ints(struct onnx_tree_reader *r, const char *name, size_t count,
                             const int64_t **out)
{
    size_t found;
    enum err_code rc = onnx_ints(r->node, name, r->arena, out, &found, r->err);
    if (!rc && found != count)
        rc = err_set(r->err, ERR_INVALID, "ONNX: node %d (%.*s): %s has %zu elements, expected %zu",
                     r->node->index, STR_ARG(r->node->op), name, found, count);
    return rc;
}

static enum err_code floats_of(struct onnx_tree_reader *r, const char *name, size_t count,
                               const float **out)
{
    size_t found;
    enum err_code rc = onnx_floats(r->node, name, r->arena, out, &found, r->err);
    if (!rc && found != count)
        rc = err_set(r->err, ERR_INVALID, "ONNX: node %d (%.*s): %s has %zu elements, expected %zu",
                     r->node->index, STR_ARG(r->node->op), name, found, count);
    return rc;
}

bool onnx_tree_reserve(struct onnx_tree *t, size_t count, struct arena *arena)
{
    t->count = count;
    t->modes = arena_calloc(arena, count, sizeof(*t->modes));
    t->features = arena_calloc(arena, count, sizeof(*t->features));
    t->yes = arena_calloc(arena, count, sizeof(*t->yes));
    t->no = arena_calloc(arena, count, sizeof(*t->no));
    t->tracks = arena_calloc(arena, count, sizeof(*t->tracks));
    t->values = arena_calloc(arena, count, sizeof(*t->values));
    t->entries = arena_alloc(arena, count * sizeof(*t->entries));
    if (t->entries)
        memset(t->entries, 0xff, count * sizeof(*t->entries));
    return t->modes && t->features && t->yes && t->no && t->tracks && t->values && t->entries;
}

int32_t onnx_tree_index(int64_t value)
{
    return value >= 0 && value <= INT32_MAX ? (int32_t)value : -1;
}

/* --- versions 1 and 3: one table of nodes
 * ---------------------------------------------------------- */

/* A node's or tree's id and where it is. */
struct place {
    int64_t id;
    size_t at;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int32_t find_place(const struct place *places, size_t count, int64_t id)
{
    const struct place key = {.id = id};
    const struct place *found = bsearch(&key, places, count, sizeof(*places), compare_places);
    return found ? (int32_t)found->at : -1;
}

/* Sorted; false when an id is there twice. */
static bool sort_places(struct place *places, size_t count)
{
    qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 1; i < count; i++)
        if (places[i].id == places[i - 1].id)
            return false;
    return true;
}

struct table {
    size_t count;
    const int64_t *trees, *ids, *features, *yes, *no, *tracks;
    const float *values;
    const struct str *modes;
    size_t track_count;
    struct place *nodes;  /* [count] places within each tree, tree after tree */
    struct place *blocks; /* [tree_count] by tree id: number of the tree */
    size_t *begins;       /* [tree_count + 1] */
};

static enum err_code read_table(struct onnx_tree_reader *r, struct table *t)
{
    enum err_code rc = onnx_texts(r->node, "nodes_modes", r->arena, &t->modes, &t->count, r->err);
    if (!rc && (t->count == 0 || t->count > FOREST_NODES_MAX))
        rc = onnx_tree_refuse(r, "it has no nodes or too many");
    if (!rc && (onnx_has(r->node, "nodes_values_as_tensor") ||
                onnx_has(r->node, "class_weights_as_tensor") ||
                onnx_has(r->node, "target_weights_as_tensor") ||
                onnx_has(r->node, "base_values_as_tensor")))
        rc = onnx_tree_leave(r, "its trees are of doubles");
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_treeids", t->count, &t->trees);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_nodeids", t->count, &t->ids);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_featureids", t->count, &t->features);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_truenodeids", t->count, &t->yes);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_falsenodeids", t->count, &t->no);
    if (!rc)
        rc = floats_of(r, "nodes_values", t->count, &t->values);
    if (!rc)
        rc = onnx_ints(r->node, "nodes_missing_value_tracks_true", r->arena, &t->tracks,
                       &t->track_count, r->err);
    return rc;
}

/* Trees are runs of one id; an id comes in one run only. */
static enum err_code find_blocks(struct onnx_tree_reader *r, struct table *t)
{
    size_t trees = 0;
    for (size_t i = 0; i < t->count; i++)
        trees += i == 0 || t->trees[i] != t->trees[i - 1];
    t->nodes = arena_calloc(r->arena, t->count, sizeof(*t->nodes));
    t->blocks = arena_calloc(r->arena, trees, sizeof(*t->blocks));
    t->begins = arena_calloc(r->arena, trees + 1, sizeof(*t->begins));
    if (!t->nodes || !t->blocks || !t->begins)
        return onnx_tree_no_room(r);
    r->tree_count = 0;
    for (size_t i = 0; i < t->count; i++)
        if (i == 0 || t->trees[i] != t->trees[i - 1]) {
            t->blocks[r->tree_count] = (struct place){t->trees[i], r->tree_count};
            t->begins[r->tree_count++] = i;
        }
    t->begins[trees] = t->count;
    if (!sort_places(t->blocks, trees))
        return onnx_tree_refuse(r, "the nodes of a tree do not follow each other");
    for (size_t b = 0; b < trees; b++) {
        size_t begin = t->begins[b], count = t->begins[b + 1] - begin;
        for (size_t i = 0; i < count; i++)
            t->nodes[begin + i] = (struct place){t->ids[begin + i], i};
        if (!sort_places(t->nodes + begin, count))
            return onnx_tree_refuse(r, "a tree has a node twice");
    }
    return ERR_OK;
}

static bool find_mode(struct str text, enum onnx_tree_mode *mode)
{
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", NULL,         "LEAF"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i] && str_equal_c(text, names[i])) {
            *mode = (enum onnx_tree_mode)i;
            return true;
        }
    return false;
}

static enum err_code fill_block(struct onnx_tree_reader *r, const struct table *t, size_t block)
{
    struct onnx_tree *l = &r->trees[block];
    size_t begin = t->begins[block], count = t->begins[block + 1] - begin;
    if (!onnx_tree_reserve(l, count, r->arena))
        return onnx_tree_no_room(r);
    for (size_t i = 0; i < count; i++) {
        size_t at = begin + i;
        if (!find_mode(t->modes[at], &l->modes[i]))
            return onnx_tree_refuse(r, "nodes_modes has a mode that is none");
        l->features[i] = onnx_tree_index(t->features[at]);
        l->values[i] = t->values[at];
        l->tracks[i] = at < t->track_count && t->tracks[at] != 0;
        if (l->modes[i] == ONNX_TREE_LEAF)
            continue;
        l->yes[i] = find_place(t->nodes + begin, count, t->yes[at]);
        l->no[i] = find_place(t->nodes + begin, count, t->no[at]);
    }
    return ERR_OK;
}

/* Weights are appended to their leaf's list, in the order of the file. */
static enum err_code link_weights(struct onnx_tree_reader *r, const struct table *t,
                                  const int64_t *trees, const int64_t *nodes)
{
    struct onnx_tree_weights *w = &r->weights;
    w->next = arena_alloc(r->arena, w->count * sizeof(*w->next));
    if (!w->next)
        return onnx_tree_no_room(r);
    for (size_t e = w->count; e-- > 0;) {
        int32_t block = find_place(t->blocks, r->tree_count, trees[e]);
        if (block < 0)
            return onnx_tree_refuse(r, "a weight is for a tree that is not there");
        size_t begin = t->begins[block], count = t->begins[block + 1] - begin;
        int32_t node = find_place(t->nodes + begin, count, nodes[e]);
        if (node < 0 || r->trees[block].modes[node] != ONNX_TREE_LEAF)
            return onnx_tree_refuse(r, "a weight is for a node that is no leaf");
        w->next[e] = r->trees[block].entries[node];
        r->trees[block].entries[node] = (int32_t)e;
    }
    return ERR_OK;
}

static enum err_code read_weights(struct onnx_tree_reader *r, const struct table *t)
{
    bool classes = r->scores->is_classifier;
    const int64_t *trees, *nodes;
    struct onnx_tree_weights *w = &r->weights;
    enum err_code rc = onnx_ints(r->node, classes ? "class_ids" : "target_ids", r->arena,
                                 &w->targets, &w->count, r->err);
    if (!rc)
        rc = onnx_tree_ints(r, classes ? "class_treeids" : "target_treeids", w->count, &trees);
    if (!rc)
        rc = onnx_tree_ints(r, classes ? "class_nodeids" : "target_nodeids", w->count, &nodes);
    if (!rc)
        rc = floats_of(r, classes ? "class_weights" : "target_weights", w->count, &w->values);
    return rc ? rc : link_weights(r, t, trees, nodes);
}

enum err_code onnx_tree_reserve_all(struct onnx_tree_reader *r)
{
    if (r->tree_count == 0 || r->tree_count > FOREST_TREES_MAX)
        return onnx_tree_refuse(r, "it has no trees or too many");
    r->trees = arena_calloc(r->arena, r->tree_count, sizeof(*r->trees));
    return r->trees ? ERR_OK : onnx_tree_no_room(r);
}

static enum err_code read_nodes(struct onnx_tree_reader *r)
{
    struct table t = {0};
    enum err_code rc = read_table(r, &t);
    if (!rc)
        rc = find_blocks(r, &t);
    if (!rc)
        rc = onnx_tree_reserve_all(r);
    for (size_t b = 0; !rc && b < r->tree_count; b++)
        rc = fill_block(r, &t, b);
    return rc ? rc : read_weights(r, &t);
}

/* --- targets
 * ------------------------------------------------------------------------------------------ */

/* Which leaves of a tree have spoken of a target. */
struct seen {
    int32_t last, count; /* number of the last leaf that did, from 1; how many did */
};

static enum err_code cover_leaf(struct onnx_tree_reader *r, int32_t entry, int32_t leaf,
                                struct seen *seen)
{
    if (entry < 0)
        return onnx_tree_refuse(r, "a leaf has no weight");
    r->is_plain = r->is_plain && r->weights.next[entry] < 0;
    for (int32_t e = entry; e >= 0; e = r->weights.next[e]) {
        int64_t target = r->weights.targets[e];
        if (target < 0 || target >= r->scores->count)
            return onnx_tree_refuse(r, "a weight is for a target that is not there");
        if (seen[target].last == leaf)
            return onnx_tree_refuse(r, "a leaf has two weights for one target");
        seen[target].last = leaf;
        seen[target].count++;
    }
    return ERR_OK;
}

/* Which targets all of a tree's leaves speak of. */
static enum err_code cover_tree(struct onnx_tree_reader *r, size_t tree)
{
    const struct onnx_tree *l = &r->trees[tree];
    size_t width = (size_t)r->scores->count;
    int32_t leaves = 0;
    struct seen *seen = arena_calloc(r->arrays, width, sizeof(*seen));
    enum err_code rc = seen ? ERR_OK : onnx_tree_no_room(r);
    for (size_t i = 0; !rc && i < l->count; i++)
        if (l->modes[i] == ONNX_TREE_LEAF)
            rc = cover_leaf(r, l->entries[i], ++leaves, seen);
    for (size_t k = 0; !rc && k < width; k++)
        r->covers[tree * width + k] = leaves > 0 && seen[k].count == leaves;
    return rc;
}

/* A class must be spoken of in every row or in none: ONNX Runtime's choice depends on it. */
static enum err_code cover_classes(struct onnx_tree_reader *r)
{
    size_t width = (size_t)r->scores->count;
    bool *has_score = arena_calloc(r->keep, width, sizeof(*has_score));
    bool *is_named = arena_calloc(r->arrays, width, sizeof(*is_named));
    if (!has_score || !is_named)
        return onnx_tree_no_room(r);
    for (size_t t = 0; t < r->tree_count; t++)
        for (size_t k = 0; k < width; k++)
            has_score[k] = has_score[k] || r->covers[t * width + k];
    for (size_t e = 0; e < r->weights.count; e++)
        is_named[r->weights.targets[e]] = true;
    for (size_t k = 0; r->scores->is_classifier && k < width; k++)
        if (is_named[k] && !has_score[k])
            return onnx_tree_leave(r, "some rows have no score for a class, others have");
    r->scores->has_score = has_score;
    return ERR_OK;
}

static enum err_code cover(struct onnx_tree_reader *r)
{
    size_t width = (size_t)r->scores->count;
    enum err_code rc = ERR_OK;
    r->covers = arena_calloc(r->arena, r->tree_count * width, sizeof(*r->covers));
    if (!r->covers)
        return onnx_tree_no_room(r);
    r->is_plain = true;
    for (size_t i = 0; !rc && i < r->tree_count; i++) {
        arena_reset(r->arrays);
        rc = cover_tree(r, i);
    }
    /* One weight a leaf, and the same target in all leaves of the tree. */
    for (size_t i = 0; !rc && r->is_plain && i < r->tree_count; i++) {
        bool is_covered = false;
        for (size_t k = 0; k < width; k++)
            is_covered |= r->covers[i * width + k];
        r->is_plain = is_covered;
    }
    return rc ? rc : cover_classes(r);
}

/* --- forest
 * --------------------------------------------------------------------------------------------- */

struct nodes {
    int32_t *left, *right, *default_left, *split_types, *set_nodes, *set_begins, *set_counts;
    int32_t *codes;
    double *values;
    float *leaves; /* [count] or [count, width] */
    size_t set_count, code_count;
};

static bool reserve_nodes(struct onnx_tree_reader *r, const struct onnx_tree *l, size_t width,
                          struct nodes *n)
{
    size_t codes = l->count;
    for (size_t i = 0; l->member_counts && i < l->count; i++)
        codes += (size_t)l->member_counts[i];
    n->left = arena_calloc(r->arrays, l->count, sizeof(*n->left));
    n->right = arena_calloc(r->arrays, l->count, sizeof(*n->right));
    n->default_left = arena_calloc(r->arrays, l->count, sizeof(*n->default_left));
    n->split_types = arena_calloc(r->arrays, l->count, sizeof(*n->split_types));
    n->set_nodes = arena_calloc(r->arrays, l->count, sizeof(*n->set_nodes));
    n->set_begins = arena_calloc(r->arrays, l->count, sizeof(*n->set_begins));
    n->set_counts = arena_calloc(r->arrays, l->count, sizeof(*n->set_counts));
    n->codes = arena_calloc(r->arrays, codes, sizeof(*n->codes));
    n->values = arena_calloc(r->arrays, l->count, sizeof(*n->values));
    n->leaves = arena_calloc(r->arrays, l->count * width, sizeof(*n->leaves));
    return n->left && n->right && n->default_left && n->split_types && n->set_nodes &&
           n->set_begins && n->set_counts && n->codes && n->values && n->leaves;
}

/* left and right of x < value, from true and false. */
static void put_sides(const struct onnx_tree *l, struct nodes *n, size_t i, bool is_true_left)
{
    n->left[i] = is_true_left ? l->yes[i] : l->no[i];
    n->right[i] = is_true_left ? l->no[i] : l->yes[i];
    n->default_left[i] = is_true_left == l->tracks[i];
}

static void put_set(const struct onnx_tree *l, struct nodes *n, size_t i)
{
    bool is_list = l->modes[i] == ONNX_TREE_MEMBER;
    size_t count = is_list ? (size_t)l->member_counts[i] : 1;
    const float *values = is_list ? l->members + l->member_begins[i] : &l->values[i];
    n->split_types[i] = SPLIT_VALUES;
    n->set_nodes[n->set_count] = (int32_t)i;
    n->set_begins[n->set_count] = (int32_t)n->code_count;
    n->set_counts[n->set_count++] = (int32_t)count;
    memcpy(n->codes + n->code_count, values, count * sizeof(*values));
    n->code_count += count;
}

static void put_split_of(const struct onnx_tree *l, struct nodes *n, size_t i)
{
    const double value = (double)l->values[i];
    switch (l->modes[i]) {
    case ONNX_TREE_LT:
    case ONNX_TREE_GTE:
        n->values[i] = value;
        put_sides(l, n, i, l->modes[i] == ONNX_TREE_LT);
        break;
    case ONNX_TREE_LEQ:
    case ONNX_TREE_GT:
        n->values[i] = nextafter(value, INFINITY);
        put_sides(l, n, i, l->modes[i] == ONNX_TREE_LEQ);
        if (l->values[i] == INFINITY) { /* all numbers are <= it, and none is < -infinity */
            n->values[i] = -INFINITY;
            put_sides(l, n, i, l->modes[i] != ONNX_TREE_LEQ);
        }
        break;
    case ONNX_TREE_EQ:
    case ONNX_TREE_NEQ:
    case ONNX_TREE_MEMBER:
        put_set(l, n, i);
        put_sides(l, n, i, l->modes[i] == ONNX_TREE_NEQ);
        if (l->modes[i] == ONNX_TREE_NEQ)
            n->default_left[i] = 1;
        break;
    case ONNX_TREE_LEAF:
        break;
    }
}

static void put_leaf_of(const struct onnx_tree_reader *r, const struct onnx_tree *l,
                        struct nodes *n, size_t i, size_t width)
{
    n->left[i] = n->right[i] = -1;
    for (int32_t e = l->entries[i]; e >= 0; e = r->weights.next[e])
        n->leaves[i * width + (width > 1 ? (size_t)r->weights.targets[e] : 0)] =
            r->weights.values[e];
}

/* The tree goes into the forest: once, or once for each target (leaf_offset), or with vectors. */
static enum err_code add_tree(struct onnx_tree_reader *r, size_t tree, bool are_copies)
{
    const struct onnx_tree *l = &r->trees[tree];
    size_t width = r->is_plain ? 1 : (size_t)r->scores->count;
    struct nodes n = {0};
    enum err_code rc = ERR_OK;
    arena_reset(r->arrays);
    if (!reserve_nodes(r, l, width, &n))
        return onnx_tree_no_room(r);
    for (size_t i = 0; i < l->count; i++) {
        if (l->modes[i] == ONNX_TREE_LEAF)
            put_leaf_of(r, l, &n, i, width);
        else
            put_split_of(l, &n, i);
    }
    struct tree_arrays arrays = {
        .index = (int64_t)tree,
        .node_count = l->count,
        .left = n.left,
        .right = n.right,
        .features = l->features,
        .wide_thresholds = n.values,
        .default_left = n.default_left,
        .split_types = n.split_types,
        .leaf_values = n.leaves,
        .leaf_value_count = l->count * width,
        .leaf_stride = width,
        .weight = 1,
        .set_count = n.set_count,
        .set_code_count = n.code_count,
        .set_nodes = n.set_nodes,
        .set_begins = n.set_begins,
        .set_counts = n.set_counts,
        .set_codes = n.codes,
    };
    int output = 0;
    for (int k = 0; r->is_plain && k < r->scores->count; k++)
        if (r->covers[tree * (size_t)r->scores->count + (size_t)k])
            output = k;
    if (!are_copies)
        return forest_add_tree(r->forest, &arrays, output, r->scratch, r->err);
    for (int k = 0; !rc && k < r->scores->count; k++) {
        arrays.leaf_offset = (size_t)k;
        rc = forest_add_tree(r->forest, &arrays, k, r->scratch, r->err);
    }
    return rc;
}

static enum err_code measure(struct onnx_tree_reader *r, bool are_copies, struct forest_size *size)
{
    int64_t copies = are_copies ? r->scores->count : 1;
    *size = (struct forest_size){.features = r->features, .outputs = r->scores->count};
    size->leaf_width = r->is_plain || are_copies ? 1 : r->scores->count;
    for (size_t t = 0; t < r->tree_count; t++) {
        const struct onnx_tree *l = &r->trees[t];
        size->trees += copies;
        size->nodes += copies * (int64_t)l->count;
        size->vectors += size->leaf_width > 1 ? (int64_t)l->count : 0;
        for (size_t i = 0; i < l->count; i++)
            if (l->modes[i] != ONNX_TREE_LEAF)
                size->categories +=
                    copies * (l->modes[i] == ONNX_TREE_MEMBER ? l->member_counts[i] : 1);
        if (size->nodes > FOREST_NODES_MAX || size->categories > FOREST_NODES_MAX)
            return err_set(r->err, ERR_LIMIT, "the model has more than %d nodes", FOREST_NODES_MAX);
    }
    return ERR_OK;
}

static enum err_code fill_forest(struct onnx_tree_reader *r, bool are_copies,
                                 enum forest_total total)
{
    struct forest_size size;
    enum err_code rc = measure(r, are_copies, &size);
    if (!rc)
        rc = forest_init(r->forest, &size, r->arena, r->err);
    if (rc)
        return rc;
    r->forest->total = total;
    for (int i = 0; i < r->scores->count && total != TOTAL_SUM; i++)
        r->forest->base[i] = total == TOTAL_MIN ? INFINITY : -INFINITY;
    for (size_t t = 0; !rc && t < r->tree_count; t++)
        rc = add_tree(r, t, are_copies);
    return rc ? rc : forest_seal(r->forest, r->err);
}

/* Where the input does not say how many features it has. */
static void count_features(struct onnx_tree_reader *r)
{
    for (size_t t = 0; t < r->tree_count; t++)
        for (size_t i = 0; i < r->trees[t].count; i++)
            if (r->trees[t].modes[i] != ONNX_TREE_LEAF && r->trees[t].features[i] >= r->features)
                r->features = (int64_t)r->trees[t].features[i] + 1;
}

/* Few outputs and shallow trees: a copy of the tree for each output goes through a fast tier. Else
 * leaves have vectors. */
static enum err_code make_forest(struct onnx_tree_reader *r, enum forest_total total)
{
    size_t covers = r->tree_count * (size_t)r->scores->count;
    enum err_code rc = cover(r);
    bool are_copies = !r->is_plain && (r->scores->count <= COPIES_MAX || total != TOTAL_SUM);
    for (size_t i = 0; !rc && total != TOTAL_SUM && !r->is_plain && i < covers; i++)
        if (!r->covers[i])
            rc = onnx_tree_leave(r, "the smallest or largest of leaves that do not speak of all");
    if (!rc && r->features == 0)
        count_features(r);
    if (!rc)
        rc = fill_forest(r, are_copies, total);
    if (!rc && are_copies && total == TOTAL_SUM && r->forest->depth > COPIES_DEPTH_MAX)
        rc = fill_forest(r, false, total);
    return rc;
}

/* --- the node
 * ---------------------------------------------------------------------------------------------- */

static enum err_code read_labels(struct onnx_tree_reader *r)
{
    const int64_t *labels;
    const struct str *names;
    size_t count, name_count;
    enum err_code rc = onnx_ints(r->node, "classlabels_int64s", r->keep, &labels, &count, r->err);
    if (!rc)
        rc = onnx_texts(r->node, "classlabels_strings", r->arena, &names, &name_count, r->err);
    if (rc)
        return rc;
    struct str *copies = arena_calloc(r->keep, name_count, sizeof(*copies));
    if (!copies)
        return onnx_tree_no_room(r);
    for (size_t i = 0; i < name_count; i++) {
        if (!str_is_utf8(names[i]))
            return onnx_tree_refuse(r, "a class label is no UTF-8 text");
        copies[i] = (struct str){arena_copy(r->keep, names[i].ptr, names[i].len), names[i].len};
        if (!copies[i].ptr)
            return onnx_tree_no_room(r);
    }
    r->scores->labels = name_count ? NULL : labels;
    r->scores->names = name_count ? copies : NULL;
    count = name_count ? name_count : count;
    if (count < 2 || count > FOREST_OUTPUTS_MAX)
        return onnx_tree_leave(r, "it has fewer than two class labels or too many");
    r->scores->count = (int)count;
    return ERR_OK;
}

static enum err_code read_targets(struct onnx_tree_reader *r)
{
    int64_t targets = 0;
    enum err_code rc = onnx_int_opt(r->node, "n_targets", &targets, r->err);
    if (!rc && (targets < 1 || targets > FOREST_OUTPUTS_MAX))
        rc = onnx_tree_refuse(r, "n_targets is no number of targets");
    r->scores->count = (int)targets;
    return rc;
}

static enum err_code read_base(struct onnx_tree_reader *r)
{
    size_t count;
    enum err_code rc =
        onnx_floats(r->node, "base_values", r->keep, &r->scores->base, &count, r->err);
    size_t width = (size_t)r->scores->count;
    if (!rc && count != 0 && count != width &&
        !(r->scores->is_classifier && width == 2 && count == 1))
        rc = onnx_tree_refuse(r, "base_values has not as many elements as there are targets");
    r->scores->base_count = (int)count;
    return rc;
}

enum aggregate { AGGREGATE_AVERAGE, AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX };

static enum err_code read_aggregate(struct onnx_tree_reader *r, bool is_v5,
                                    enum aggregate *aggregate)
{
    static const char *const names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    struct str name = STR_LIT("SUM"), post = STR_LIT("NONE");
    int64_t number = AGGREGATE_SUM, post_number = ONNX_POST_NONE;
    enum err_code rc = is_v5 ? onnx_int_opt(r->node, "aggregate_function", &number, r->err)
                             : onnx_text_opt(r->node, "aggregate_function", &name, r->err);
    if (!rc)
        rc = is_v5 ? onnx_int_opt(r->node, "post_transform", &post_number, r->err)
                   : onnx_text_opt(r->node, "post_transform", &post, r->err);
    if (rc)
        return rc;
    for (int i = 0; !is_v5 && i < (int)ARRAY_LEN(names); i++)
        if (str_equal_c(name, names[i]))
            number = i;
    r->scores->post = (enum onnx_post)post_number;
    if (number < AGGREGATE_AVERAGE || number > AGGREGATE_MAX || post_number < 0 ||
        post_number > ONNX_POST_PROBIT || (!is_v5 && !onnx_post_find(post, &r->scores->post)))
        return onnx_tree_refuse(r, "its aggregate_function or post_transform is none");
    if (is_v5 && (post_number == ONNX_POST_SOFTMAX || post_number == ONNX_POST_LOGISTIC))
        return onnx_tree_leave(r,
                               "ONNX Runtime takes SOFTMAX for LOGISTIC and the other way round");
    if (r->scores->is_classifier && r->scores->post == ONNX_POST_PROBIT)
        return onnx_tree_leave(r, "PROBIT of a classifier");
    *aggregate = (enum aggregate)number;
    return ERR_OK;
}

/* What the weights say: whether one class stands for two. */
static void judge_weights(struct onnx_tree_reader *r)
{
    const struct onnx_tree_weights *w = &r->weights;
    bool is_single = true, is_positive = true;
    for (size_t e = 0; e < w->count; e++) {
        is_single = is_single && w->targets[e] == w->targets[0];
        is_positive = is_positive && !(w->values[e] < 0);
    }
    r->scores->is_single = r->scores->count == 2 && is_single;
    r->scores->is_positive = is_positive;
}

static enum err_code read_node(struct onnx_tree_reader *r)
{
    bool is_v5 = onnx_is(r->node, "TreeEnsemble");
    enum aggregate aggregate = AGGREGATE_SUM;
    r->scores->is_classifier = onnx_is(r->node, "TreeEnsembleClassifier");
    enum err_code rc = r->scores->is_classifier ? read_labels(r) : read_targets(r);
    if (!rc)
        rc = read_base(r);
    if (!rc)
        rc = read_aggregate(r, is_v5, &aggregate);
    if (!rc)
        rc = is_v5 ? onnx_tree_read_splits(r) : read_nodes(r);
    if (rc)
        return rc;
    enum forest_total total = aggregate == AGGREGATE_MIN   ? TOTAL_MIN
                              : aggregate == AGGREGATE_MAX ? TOTAL_MAX
                                                           : TOTAL_SUM;
    if (aggregate == AGGREGATE_AVERAGE)
        r->scores->divisor = (float)r->tree_count;
    rc = make_forest(r, total);
    judge_weights(r);
    return rc;
}

enum err_code onnx_trees_read(const struct onnx_node *node, int64_t feature_count,
                              struct arena *arena, struct arena *keep, struct forest *forest,
                              struct onnx_scores *scores, struct err *err)
{
    struct onnx_scores result = {0};
    struct onnx_tree_reader r = {.node = node,
                                 .arena = arena,
                                 .keep = keep,
                                 .err = err,
                                 .forest = forest,
                                 .scores = &result,
                                 .features = feature_count};
    r.arrays = arena_new(arena->bytes_max);
    r.scratch = arena_new(arena->bytes_max);
    enum err_code rc = read_node(&r);
    arena_free(r.scratch);
    arena_free(r.arrays);
    if (!rc)
        *scores = result;
    return rc;
}
