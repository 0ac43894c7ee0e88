/* onnx_tree_splits.c - version 5 of the TreeEnsemble operator: tables of splits and of leaves.
 *
 *     nodes_splits 3 7   nodes_featureids 0 1   tree_roots 0
 *     nodes_truenodeids 1 0   nodes_trueleafs 0 1   nodes_falsenodeids 1 2   nodes_falseleafs 1 1
 *     leaf_weights 0.5 1.5 2   leaf_targetids 0 0 0
 *
 * nodes_trueleafs and nodes_falseleafs say which of the tables an index means. Trees are gathered
 * from their roots on, breadth first.
 */
#include "runtime/onnx_tree.h"

#include <math.h>
#include <string.h>

/* A tensor attribute of float32. */
static enum err_code tensor_of(struct onnx_tree_reader *r, const char *name, size_t *count,
                               const float **out)
{
    struct onnx_constant c = {.type = ONNX_FLOAT};
    static const float none[1];
    *count = 0;
    *out = none;
    if (!onnx_has(r->node, name))
        return ERR_OK;
    enum err_code rc = onnx_tensor_opt(r->node, name, &c, r->err);
    if (!rc && c.type != ONNX_FLOAT)
        rc = onnx_tree_leave(r, "its trees are not of float32");
    if (!rc)
        rc = onnx_constant_floats(&c, r->arena, out, r->err);
    *count = (size_t)c.count;
    return rc;
}

struct tables {
    size_t splits, leaves, member_count, track_count;
    const int64_t *features, *yes, *no, *yes_leaf, *no_leaf, *tracks, *roots;
    const float *values, *members;
    const int64_t *modes;
    int32_t *member_begins, *member_counts; /* [splits] */
};

static enum err_code read_modes(struct onnx_tree_reader *r, struct tables *t)
{
    struct onnx_constant c = {0};
    enum err_code rc = onnx_tensor_opt(r->node, "nodes_modes", &c, r->err);
    if (!rc)
        rc = onnx_constant_ints(&c, r->arena, &t->modes, r->err);
    if (!rc && (size_t)c.count != t->splits)
        rc = onnx_tree_refuse(r, "nodes_modes has not as many elements as nodes_splits");
    for (size_t i = 0; !rc && i < t->splits; i++)
        if (t->modes[i] < ONNX_TREE_LEQ || t->modes[i] > ONNX_TREE_MEMBER)
            rc = onnx_tree_refuse(r, "nodes_modes has a mode that is none");
    return rc;
}

/* The members of each ONNX_TREE_MEMBER split, in the order of the splits, each list ended by NaN.
 */
static enum err_code read_members(struct onnx_tree_reader *r, struct tables *t)
{
    size_t at = 0;
    enum err_code rc = tensor_of(r, "membership_values", &t->member_count, &t->members);
    t->member_begins = arena_calloc(r->arena, t->splits, sizeof(*t->member_begins));
    t->member_counts = arena_calloc(r->arena, t->splits, sizeof(*t->member_counts));
    if (!rc && (!t->member_begins || !t->member_counts))
        rc = onnx_tree_no_room(r);
    for (size_t i = 0; !rc && i < t->splits; i++) {
        if (t->modes[i] != ONNX_TREE_MEMBER)
            continue;
        t->member_begins[i] = (int32_t)at;
        while (at < t->member_count && !isnan(t->members[at]))
            at++;
        t->member_counts[i] = (int32_t)at - t->member_begins[i];
        at++;
    }
    return rc;
}

static enum err_code read_leaves(struct onnx_tree_reader *r, struct tables *t)
{
    struct onnx_tree_weights *w = &r->weights;
    enum err_code rc = tensor_of(r, "leaf_weights", &w->count, &w->values);
    if (!rc)
        rc = onnx_tree_ints(r, "leaf_targetids", w->count, &w->targets);
    t->leaves = w->count;
    w->next = arena_alloc(r->arena, w->count * sizeof(*w->next));
    if (!rc && !w->next)
        rc = onnx_tree_no_room(r);
    if (!rc)
        memset(w->next, 0xff, w->count * sizeof(*w->next));
    return rc;
}

static enum err_code read_tables(struct onnx_tree_reader *r, struct tables *t)
{
    enum err_code rc = tensor_of(r, "nodes_splits", &t->splits, &t->values);
    if (!rc && (t->splits == 0 || t->splits > FOREST_NODES_MAX))
        rc = onnx_tree_refuse(r, "it has no nodes or too many");
    if (!rc)
        rc = read_modes(r, t);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_featureids", t->splits, &t->features);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_truenodeids", t->splits, &t->yes);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_falsenodeids", t->splits, &t->no);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_trueleafs", t->splits, &t->yes_leaf);
    if (!rc)
        rc = onnx_tree_ints(r, "nodes_falseleafs", t->splits, &t->no_leaf);
    if (!rc)
        rc = onnx_ints(r->node, "nodes_missing_value_tracks_true", r->arena, &t->tracks,
                       &t->track_count, r->err);
    if (!rc)
        rc = read_members(r, t);
    if (!rc)
        rc = read_leaves(r, t);
    return rc ? rc : onnx_ints(r->node, "tree_roots", r->arena, &t->roots, &r->tree_count, r->err);
}

/* A tree being gathered from its root on: what each local node is in the tables. */
struct gather {
    const struct tables *t;
    struct onnx_tree *l;
    int64_t *sources; /* of splits */
    size_t count, room;
};

static bool put_leaf(struct gather *g, size_t at, int64_t leaf)
{
    g->l->modes[at] = ONNX_TREE_LEAF;
    g->l->entries[at] = onnx_tree_index(leaf);
    return leaf >= 0 && leaf < (int64_t)g->t->leaves;
}

/* A child of a split; false when it is not in the tables or the tree has more nodes than they. */
static bool put_child(struct gather *g, int64_t index, bool is_leaf, int32_t *child)
{
    if (g->count == g->room)
        return false;
    *child = (int32_t)g->count++;
    if (is_leaf)
        return put_leaf(g, (size_t)*child, index);
    g->sources[*child] = index;
    return index >= 0 && index < (int64_t)g->t->splits;
}

static bool put_split(struct gather *g, size_t at)
{
    const struct tables *t = g->t;
    struct onnx_tree *l = g->l;
    size_t from = (size_t)g->sources[at];
    l->modes[at] = (enum onnx_tree_mode)t->modes[from];
    l->features[at] = onnx_tree_index(t->features[from]);
    l->values[at] = t->values[from];
    l->tracks[at] = from < t->track_count && t->tracks[from] != 0;
    l->member_begins[at] = t->member_begins[from];
    l->member_counts[at] = t->member_counts[from];
    return put_child(g, t->yes[from], t->yes_leaf[from] != 0, &l->yes[at]) &&
           put_child(g, t->no[from], t->no_leaf[from] != 0, &l->no[at]);
}

/* Both answers of a root that lead to one leaf mean a tree of one leaf. */
static bool is_lone_leaf(const struct tables *t, int64_t root)
{
    return t->yes_leaf[root] && t->no_leaf[root] && t->yes[root] == t->no[root];
}

/* Splits a tree can reach: marks them, counts them; -1 when one is reached twice or not there. */
static int64_t count_reached(const struct tables *t, int64_t root, int64_t *queue, bool *marks)
{
    int64_t count = 0;
    if (root < 0 || root >= (int64_t)t->splits || marks[root])
        return -1;
    marks[root] = true;
    queue[count++] = root;
    for (int64_t at = 0; at < count; at++) {
        const int64_t next[2] = {t->yes[queue[at]], t->no[queue[at]]};
        const bool are_leaves[2] = {t->yes_leaf[queue[at]] != 0, t->no_leaf[queue[at]] != 0};
        for (int k = 0; k < 2; k++) {
            if (are_leaves[k])
                continue;
            if (next[k] < 0 || next[k] >= (int64_t)t->splits || marks[next[k]])
                return -1;
            marks[next[k]] = true;
            queue[count++] = next[k];
        }
    }
    return count;
}

static enum err_code gather_tree(struct onnx_tree_reader *r, const struct tables *t, size_t tree,
                                 int64_t *queue, bool *marks)
{
    struct onnx_tree *l = &r->trees[tree];
    int64_t root = t->roots[tree], splits = count_reached(t, root, queue, marks);
    if (splits < 0)
        return onnx_tree_refuse(r, "a split is reached twice or is not there");
    if (splits > 0 && is_lone_leaf(t, root))
        splits = 0;
    size_t nodes = 2 * (size_t)splits + 1;
    struct gather g = {.t = t, .l = l, .count = 1, .room = nodes};
    g.sources = arena_calloc(r->arena, nodes, sizeof(*g.sources));
    l->members = t->members;
    l->member_begins = arena_calloc(r->arena, nodes, sizeof(*l->member_begins));
    l->member_counts = arena_calloc(r->arena, nodes, sizeof(*l->member_counts));
    if (!onnx_tree_reserve(l, nodes, r->arena) || !g.sources || !l->member_begins ||
        !l->member_counts)
        return onnx_tree_no_room(r);
    bool is_whole = true;
    g.sources[0] = root;
    if (splits == 0)
        is_whole = put_leaf(&g, 0, t->yes[root]);
    for (size_t at = 0; splits && is_whole && at < g.count; at++)
        if (l->modes[at] != ONNX_TREE_LEAF)
            is_whole = put_split(&g, at);
    return is_whole ? ERR_OK : onnx_tree_refuse(r, "a leaf is not there");
}

enum err_code onnx_tree_read_splits(struct onnx_tree_reader *r)
{
    struct tables t = {0};
    enum err_code rc = read_tables(r, &t);
    if (!rc)
        rc = onnx_tree_reserve_all(r);
    int64_t *queue = arena_calloc(r->arena, t.splits, sizeof(*queue));
    bool *marks = arena_calloc(r->arena, t.splits, sizeof(*marks));
    if (!rc && (!queue || !marks))
        rc = onnx_tree_no_room(r);
    for (size_t i = 0; !rc && i < r->tree_count; i++)
        rc = gather_tree(r, &t, i, queue, marks);
    return rc;
}
