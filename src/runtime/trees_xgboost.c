/* trees_xgboost.c - an XGBoost model file (JSON or UBJSON) -> forest.
 *
 *     learner
 *       learner_model_param   num_feature, num_class, num_target, base_score: all as text
 *       objective.name        "binary:logistic"
 *       attributes            best_iteration, as text, when training stopped early
 *       feature_names, feature_types
 *       gradient_booster      name "gbtree": model, below
 *                             name "dart":   gbtree.model, and weight_drop, a weight per tree
 *         model
 *           gbtree_model_param   num_trees, num_parallel_tree
 *           tree_info            the output each tree adds to
 *           iteration_indptr     2.0 and later: the first tree of each iteration
 *           cats                 3.1 and later: names of categories; only their number is used
 *           trees[]              parallel arrays with one element per node
 *     version
 *
 * base_score is on the scale of the prediction: "5E-1", and since 3.1 "[5E-1,2E-1]" with one
 * number per output. A tree with size_leaf_vector > 1 adds to all outputs at once; 2.x keeps its
 * leaves in base_weights by node, 3.x in leaf_weights by the number in right_children. Such a tree
 * becomes one tree per output here.
 */
#include "runtime/trees_model.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "runtime/document.h"
#include "runtime/objective.h"

enum { HEAD_BYTES = 256 };

/* Memory a file may ask for while it is read: many times what real ones need. */
enum { MEMORY_FACTOR = 64, MEMORY_FREE = 1 << 20 };

struct reader {
    struct arena *arena;   /* the caller's: the model */
    struct arena *keep;    /* the caller's: what outlives reading */
    struct arena *arrays;  /* one tree's arrays */
    struct arena *scratch; /* of forest_add_tree() */
    struct err *err;
    struct trees_model *model;
    const struct objective *objective;
    struct document_value learner, param, booster, trees, tree_info;
    int64_t outputs, tree_count; /* trees to read */
    const float *weights;        /* [tree_count] dart; NULL: all 1 */
};

static bool recognise(const void *head, size_t size)
{
    static const char member[] = "learner";
    const char *bytes = head;
    size = size < HEAD_BYTES ? size : HEAD_BYTES;
    while (size && (*bytes == ' ' || *bytes == '\n' || *bytes == '\r' || *bytes == '\t')) {
        bytes++;
        size--;
    }
    return size && *bytes == '{' && memmem(bytes, size, member, strlen(member));
}

/* For messages. */
static struct str shorten(struct str text)
{
    text.len = text.len < TREES_NAME_BYTES_MAX ? text.len : TREES_NAME_BYTES_MAX;
    return text;
}

/* --- parameters: numbers that XGBoost writes as text --------------------------------- */

static bool integer_of(struct document_value value, int64_t *out)
{
    double number;
    if (document_kind(value) == DOCUMENT_TEXT)
        return str_to_i64(document_text(value), out);
    if (!document_number(value, &number) || !(number >= -1e15 && number <= 1e15))
        return false;
    *out = (int64_t)number;
    return (double)*out == number;
}

static enum err_code get_integer(struct reader *r, struct document_value object, const char *what,
                                 const char *key, int64_t *out)
{
    struct document_value value = document_find(object, key);
    if (integer_of(value, out))
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "%s.%s is %s", what, key,
                   document_kind(value) == DOCUMENT_ABSENT ? "missing" : "not an integer");
}

static enum err_code get_integer_opt(struct reader *r, struct document_value object,
                                     const char *what, const char *key, int64_t *out)
{
    if (document_kind(document_find(object, key)) == DOCUMENT_ABSENT)
        return ERR_OK;
    return get_integer(r, object, what, key, out);
}

/* --- base_score ------------------------------------------------------------------------ */

static enum err_code set_base(struct reader *r, int64_t output, double base_score)
{
    return objective_base_margin(r->objective, (float)base_score, &r->model->forest.base[output],
                                 r->err);
}

/* "5E-1", "[5E-1]" or "[5E-1,1E0,...]"; one number is for all outputs. */
static enum err_code read_base_text(struct reader *r, struct str text, int64_t *count)
{
    struct str part, rest = str_trim(text);
    if (rest.len >= 2 && rest.ptr[0] == '[' && rest.ptr[rest.len - 1] == ']')
        rest = (struct str){rest.ptr + 1, rest.len - 2};
    for (*count = 0; str_split(&rest, ',', &part); ++*count) {
        double number;
        if (*count == r->outputs || !str_to_f64(str_trim(part), &number))
            return err_set(
                r->err, ERR_INVALID,
                "learner_model_param.base_score is not a number for each of %lld outputs",
                (long long)r->outputs);
        enum err_code rc = set_base(r, *count, number);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_base(struct reader *r)
{
    struct document_value value = document_find(r->param, "base_score");
    float *base = r->model->forest.base;
    int64_t count = 1;
    enum err_code rc = ERR_OK;
    double number;
    if (document_number(value, &number))
        rc = set_base(r, 0, number);
    else if (document_kind(value) == DOCUMENT_TEXT)
        rc = read_base_text(r, document_text(value), &count);
    else
        return err_set(r->err, ERR_INVALID, "learner_model_param.base_score is missing");
    if (rc)
        return rc;
    if (count != 1 && count != r->outputs)
        return err_set(r->err, ERR_INVALID,
                       "learner_model_param.base_score has %lld numbers for %lld outputs",
                       (long long)count, (long long)r->outputs);
    for (int64_t o = count; o < r->outputs; o++)
        base[o] = base[0];
    return ERR_OK;
}

/* --- one tree ----------------------------------------------------------------------------- */

static enum err_code bad_length(struct reader *r, const struct tree_arrays *t, const char *key,
                                size_t count, size_t expected)
{
    return err_set(r->err, ERR_INVALID, "tree %lld: %s has %zu elements, expected %zu",
                   (long long)t->index, key, count, expected);
}

static enum err_code read_ints(struct reader *r, struct document_value tree,
                               const struct tree_arrays *t, const char *key, const int32_t **out,
                               size_t *count)
{
    char what[64];
    snprintf(what, sizeof(what), "tree %lld: %s", (long long)t->index, key);
    return document_ints(document_find(tree, key), what, r->arrays, out, count, r->err);
}

/* An array with one integer per node. */
static enum err_code read_node_ints(struct reader *r, struct document_value tree,
                                    const struct tree_arrays *t, const char *key,
                                    const int32_t **out)
{
    size_t count;
    enum err_code rc = read_ints(r, tree, t, key, out, &count);
    if (!rc && count != t->node_count)
        rc = bad_length(r, t, key, count, t->node_count);
    return rc;
}

static enum err_code read_node_ints_opt(struct reader *r, struct document_value tree,
                                        const struct tree_arrays *t, const char *key,
                                        const int32_t **out)
{
    if (document_kind(document_find(tree, key)) == DOCUMENT_ABSENT)
        return ERR_OK;
    return read_node_ints(r, tree, t, key, out);
}

static enum err_code read_floats(struct reader *r, struct document_value tree,
                                 const struct tree_arrays *t, const char *key, const float **out,
                                 size_t *count)
{
    char what[64];
    snprintf(what, sizeof(what), "tree %lld: %s", (long long)t->index, key);
    return document_floats(document_find(tree, key), what, r->arrays, out, count, r->err);
}

static enum err_code read_structure(struct reader *r, struct document_value tree,
                                    struct tree_arrays *t)
{
    size_t count;
    enum err_code rc = read_ints(r, tree, t, "left_children", &t->left, &t->node_count);
    if (!rc)
        rc = read_node_ints(r, tree, t, "right_children", &t->right);
    if (!rc)
        rc = read_node_ints_opt(r, tree, t, "parents", &t->parents);
    if (!rc)
        rc = read_node_ints(r, tree, t, "split_indices", &t->features);
    if (!rc)
        rc = read_node_ints(r, tree, t, "default_left", &t->default_left);
    if (!rc)
        rc = read_node_ints_opt(r, tree, t, "split_type", &t->split_types);
    if (!rc)
        rc = read_floats(r, tree, t, "split_conditions", &t->thresholds, &count);
    if (!rc && count != t->node_count)
        rc = bad_length(r, t, "split_conditions", count, t->node_count);
    return rc;
}

static enum err_code read_sets(struct reader *r, struct document_value tree, struct tree_arrays *t)
{
    size_t begins = 0, counts = 0;
    if (document_count(document_find(tree, "categories_nodes")) == 0)
        return ERR_OK;
    enum err_code rc = read_ints(r, tree, t, "categories_nodes", &t->set_nodes, &t->set_count);
    if (!rc)
        rc = read_ints(r, tree, t, "categories_segments", &t->set_begins, &begins);
    if (!rc)
        rc = read_ints(r, tree, t, "categories_sizes", &t->set_counts, &counts);
    if (!rc)
        rc = read_ints(r, tree, t, "categories", &t->set_codes, &t->set_code_count);
    if (rc)
        return rc;
    if (begins != t->set_count)
        return bad_length(r, t, "categories_segments", begins, t->set_count);
    if (counts != t->set_count)
        return bad_length(r, t, "categories_sizes", counts, t->set_count);
    return ERR_OK;
}

/* Numbers at a leaf: 1, or one per output. */
static enum err_code read_leaf_size(struct reader *r, struct document_value tree,
                                    struct tree_arrays *t)
{
    struct document_value param = document_find(tree, "tree_param");
    int64_t size = 1, nodes = (int64_t)t->node_count;
    enum err_code rc = get_integer_opt(r, param, "tree_param", "size_leaf_vector", &size);
    if (!rc)
        rc = get_integer_opt(r, param, "tree_param", "num_nodes", &nodes);
    if (rc)
        return err_wrap(r->err, "tree %lld", (long long)t->index);
    if (nodes != (int64_t)t->node_count)
        return err_set(r->err, ERR_INVALID, "tree %lld: num_nodes is %lld, but %zu are there",
                       (long long)t->index, (long long)nodes, t->node_count);
    if (size > 1 && size != r->outputs)
        return err_set(r->err, ERR_INVALID,
                       "tree %lld: its leaves have %lld numbers for %lld outputs",
                       (long long)t->index, (long long)size, (long long)r->outputs);
    t->leaf_stride = size > 1 ? (size_t)size : 1;
    return ERR_OK;
}

static enum err_code read_leaves(struct reader *r, struct document_value tree,
                                 struct tree_arrays *t)
{
    enum err_code rc = read_leaf_size(r, tree, t);
    if (rc)
        return rc;
    t->weight = r->weights ? r->weights[t->index] : 1.0f;
    t->leaf_values = t->thresholds;
    t->leaf_value_count = t->node_count;
    if (t->leaf_stride == 1)
        return ERR_OK;
    bool is_packed = document_kind(document_find(tree, "leaf_weights")) != DOCUMENT_ABSENT;
    if (is_packed)
        t->leaf_slots = t->right;
    return read_floats(r, tree, t, is_packed ? "leaf_weights" : "base_weights", &t->leaf_values,
                       &t->leaf_value_count);
}

static enum err_code add_tree(struct reader *r, struct tree_arrays *t, int64_t output)
{
    struct forest *forest = &r->model->forest;
    enum err_code rc = ERR_OK;
    if (t->leaf_stride == 1)
        return forest_add_tree(forest, t, (int)output, r->scratch, r->err);
    for (int o = 0; !rc && o < forest->output_count; o++) {
        t->leaf_offset = (size_t)o;
        rc = forest_add_tree(forest, t, o, r->scratch, r->err);
    }
    return rc;
}

static enum err_code read_tree(struct reader *r, struct document_value tree, int64_t index,
                               int32_t output)
{
    struct tree_arrays t = {.index = index};
    arena_reset(r->arrays);
    if (output < 0 || output >= r->outputs)
        return err_set(r->err, ERR_INVALID, "tree %lld: tree_info says output %d of %lld",
                       (long long)index, output, (long long)r->outputs);
    if (document_kind(tree) != DOCUMENT_OBJECT)
        return err_set(r->err, ERR_INVALID, "tree %lld is not an object", (long long)index);
    enum err_code rc = read_structure(r, tree, &t);
    if (!rc)
        rc = read_sets(r, tree, &t);
    if (!rc)
        rc = read_leaves(r, tree, &t);
    return rc ? rc : add_tree(r, &t, output);
}

/* --- all trees ------------------------------------------------------------------------------ */

/* Trees of ours that one of the file becomes. */
static int64_t copies_of(struct reader *r, struct document_value tree)
{
    int64_t size = 1;
    integer_of(document_find(document_find(tree, "tree_param"), "size_leaf_vector"), &size);
    return size > 1 ? r->outputs : 1;
}

/* Sums what the trees to read will need; the arrays themselves are checked when they are read. */
static enum err_code measure(struct reader *r, struct forest_size *size)
{
    struct document_walk walk;
    int64_t left = r->tree_count;
    for (struct document_value tree = document_first(r->trees, &walk); left > 0;
         tree = document_next(tree, &walk), left--) {
        int64_t copies = copies_of(r, tree);
        size->trees += copies;
        size->nodes += copies * (int64_t)document_count(document_find(tree, "left_children"));
        size->categories += copies * (int64_t)document_count(document_find(tree, "categories"));
        if (size->nodes > FOREST_NODES_MAX || size->categories > FOREST_NODES_MAX)
            return err_set(r->err, ERR_LIMIT, "the model has more than %d nodes or category codes",
                           FOREST_NODES_MAX);
    }
    return ERR_OK;
}

static enum err_code read_trees(struct reader *r)
{
    struct document_walk walk;
    const int32_t *info;
    size_t info_count;
    enum err_code rc =
        document_ints(r->tree_info, "tree_info", r->arena, &info, &info_count, r->err);
    if (rc)
        return rc;
    if (info_count != document_count(r->trees))
        return err_set(r->err, ERR_INVALID, "tree_info has %zu elements for %zu trees", info_count,
                       document_count(r->trees));
    struct document_value tree = document_first(r->trees, &walk);
    for (int64_t i = 0; !rc && i < r->tree_count; i++, tree = document_next(tree, &walk))
        rc = read_tree(r, tree, i, info[i]);
    return rc;
}

/* Trees of one iteration; files before 1.6 do not say, but have best_ntree_limit, the trees of an
 * output up to and with the best iteration. */
static enum err_code count_parallel(struct reader *r, struct document_value model, int64_t best,
                                    int64_t *parallel)
{
    struct document_value param = document_find(model, "gbtree_model_param");
    struct document_value attributes = document_find(r->learner, "attributes");
    int64_t limit;
    *parallel = 1;
    if (document_kind(document_find(param, "num_parallel_tree")) != DOCUMENT_ABSENT) {
        enum err_code rc =
            get_integer(r, param, "gbtree_model_param", "num_parallel_tree", parallel);
        if (rc)
            return rc;
    } else if (integer_of(document_find(attributes, "best_ntree_limit"), &limit)) {
        *parallel = limit / (best + 1);
    }
    if (*parallel < 1 || *parallel > FOREST_TREES_MAX)
        return err_set(r->err, ERR_INVALID, "%lld trees per iteration", (long long)*parallel);
    return ERR_OK;
}

/* The trees of iterations 0 ... best. */
static enum err_code trees_until(struct reader *r, struct document_value model, int64_t best,
                                 int64_t *limit)
{
    struct document_value indptr = document_find(model, "iteration_indptr");
    const int32_t *first;
    int64_t parallel;
    size_t count;
    enum err_code rc;
    if (document_kind(indptr) != DOCUMENT_ARRAY) {
        rc = count_parallel(r, model, best, &parallel);
        if (!rc)
            *limit = (best + 1) * parallel * r->outputs;
        return rc;
    }
    rc = document_ints(indptr, "iteration_indptr", r->arena, &first, &count, r->err);
    if (!rc && (size_t)best + 1 < count)
        *limit = first[best + 1];
    if (!rc && *limit < 0)
        rc = err_set(r->err, ERR_INVALID, "iteration_indptr has a negative number");
    return rc;
}

/* All trees without the attribute, or when there are no more (a sliced model keeps it). */
static enum err_code limit_trees(struct reader *r, struct document_value model)
{
    struct document_value attributes = document_find(r->learner, "attributes");
    struct document_value best_value = document_find(attributes, "best_iteration");
    int64_t best, limit = r->tree_count;
    if (document_kind(best_value) == DOCUMENT_ABSENT)
        return ERR_OK;
    if (!integer_of(best_value, &best) || best < 0 || best >= FOREST_TREES_MAX)
        return err_set(r->err, ERR_INVALID, "attributes.best_iteration is not a number of trees");
    enum err_code rc = trees_until(r, model, best, &limit);
    if (!rc && limit < r->tree_count)
        r->tree_count = limit;
    return rc;
}

static enum err_code read_weights(struct reader *r)
{
    size_t count;
    enum err_code rc = document_floats(document_find(r->booster, "weight_drop"), "weight_drop",
                                       r->arena, &r->weights, &count, r->err);
    if (!rc && count != document_count(r->trees))
        rc = err_set(r->err, ERR_INVALID, "weight_drop has %zu elements for %zu trees", count,
                     document_count(r->trees));
    return rc;
}

static enum err_code open_booster(struct reader *r, struct document_value *model)
{
    struct document_value booster = document_find(r->learner, "gradient_booster");
    struct str name = document_text(document_find(booster, "name"));
    r->booster = booster;
    if (str_equal_c(name, "dart")) {
        *model = document_find(document_find(booster, "gbtree"), "model");
    } else if (str_equal_c(name, "gbtree")) {
        *model = document_find(booster, "model");
    } else {
        err_set(r->err, ERR_UNSUPPORTED, "the booster is '%.*s', not gbtree or dart",
                STR_ARG(shorten(name)));
        return err_hint(r->err, "train with booster=gbtree, or export the model to ONNX");
    }
    r->trees = document_find(*model, "trees");
    r->tree_info = document_find(*model, "tree_info");
    r->tree_count = (int64_t)document_count(r->trees);
    if (document_kind(r->trees) != DOCUMENT_ARRAY)
        return err_set(r->err, ERR_INVALID, "gradient_booster.model.trees is not an array");
    return ERR_OK;
}

static enum err_code check_tree_count(struct reader *r, struct document_value model)
{
    int64_t claimed = r->tree_count;
    enum err_code rc = get_integer_opt(r, document_find(model, "gbtree_model_param"),
                                       "gbtree_model_param", "num_trees", &claimed);
    if (!rc && claimed != r->tree_count)
        rc = err_set(r->err, ERR_INVALID, "num_trees is %lld, but %lld trees are there",
                     (long long)claimed, (long long)r->tree_count);
    return rc;
}

/* --- what is said about features -------------------------------------------------------------- */

static enum feature_kind kind_of(struct str type)
{
    if (str_equal_c(type, "q") || str_equal_c(type, "float"))
        return FEATURE_NUMERIC;
    if (str_equal_c(type, "int"))
        return FEATURE_INTEGER;
    if (str_equal_c(type, "i"))
        return FEATURE_INDICATOR;
    if (str_equal_c(type, "c"))
        return FEATURE_CATEGORICAL;
    return FEATURE_UNKNOWN;
}

/* The texts of learner.<key>, one per feature; *texts stays NULL when the file has none. */
static enum err_code read_texts(struct reader *r, const char *key, const char *const **texts)
{
    struct document_value array = document_find(r->learner, key);
    size_t features = (size_t)r->model->forest.feature_count, i = 0;
    struct document_walk walk;
    if (document_count(array) == 0)
        return ERR_OK;
    if (document_count(array) != features)
        return err_set(r->err, ERR_INVALID, "%s has %zu elements for %zu features", key,
                       document_count(array), features);
    const char **copy = arena_calloc(r->arena, features, sizeof(*copy));
    if (!copy)
        return err_set(r->err, ERR_LIMIT, "no room for %s", key);
    for (struct document_value v = document_first(array, &walk); document_kind(v);
         v = document_next(v, &walk), i++) {
        struct str text = document_text(v);
        if (document_kind(v) != DOCUMENT_TEXT || text.len > TREES_NAME_BYTES_MAX ||
            !str_is_utf8(text) || memchr(text.ptr, '\0', text.len))
            return err_set(r->err, ERR_INVALID, "%s: element %zu is not a text of up to %d bytes",
                           key, i, TREES_NAME_BYTES_MAX);
        copy[i] = arena_copy(r->arena, text.ptr, text.len);
        if (!copy[i])
            return err_set(r->err, ERR_LIMIT, "no room for %s", key);
    }
    *texts = copy;
    return ERR_OK;
}

/* Codes a feature is known to have: as many as the file names, or up to the largest in a split. */
static void count_split_codes(const struct forest *f, int *counts)
{
    for (int i = 0; i < f->node_count; i++) {
        const struct forest_node *node = &f->nodes[i];
        if (node->split != SPLIT_CODES)
            continue;
        int count = (int)f->categories[node->set + node->count - 1] + 1;
        if (counts[node->feature] < count)
            counts[node->feature] = count;
    }
}

static enum err_code count_named_codes(struct reader *r, struct document_value model, int *counts)
{
    struct document_value segments =
        document_find(document_find(model, "cats"), "feature_segments");
    size_t features = (size_t)r->model->forest.feature_count, count;
    const int32_t *begin;
    if (document_count(segments) != features + 1)
        return ERR_OK;
    enum err_code rc =
        document_ints(segments, "cats.feature_segments", r->arena, &begin, &count, r->err);
    for (size_t i = 0; !rc && i < features; i++) {
        int64_t named = (int64_t)begin[i + 1] - begin[i];
        if (named < 0 || named > FOREST_CATEGORY_END)
            return err_set(r->err, ERR_INVALID,
                           "cats.feature_segments: feature %zu has %lld categories", i,
                           (long long)named);
        counts[i] = named > counts[i] ? (int)named : counts[i];
    }
    return rc;
}

static enum err_code read_features(struct reader *r, struct document_value model)
{
    struct trees_model *m = r->model;
    size_t features = (size_t)m->forest.feature_count;
    const char *const *types = NULL;
    enum feature_kind *kinds = arena_calloc(r->arena, features, sizeof(*kinds));
    int *counts = arena_calloc(r->arena, features, sizeof(*counts));
    if (!kinds || !counts)
        return err_set(r->err, ERR_LIMIT, "no room for %zu features", features);
    enum err_code rc = read_texts(r, "feature_names", &m->feature_names);
    if (!rc)
        rc = read_texts(r, "feature_types", &types);
    if (!rc)
        rc = count_named_codes(r, model, counts);
    if (rc)
        return rc;
    count_split_codes(&m->forest, counts);
    for (size_t i = 0; i < features; i++)
        kinds[i] = types ? kind_of(str_of(types[i])) : FEATURE_UNKNOWN;
    for (size_t i = 0; i < features; i++)
        if (counts[i])
            kinds[i] = FEATURE_CATEGORICAL;
    m->feature_kinds = kinds;
    m->category_counts = counts;
    return ERR_OK;
}

/* --- the whole file ------------------------------------------------------------------------------
 */

static enum err_code read_objective(struct reader *r)
{
    struct document_value objective = document_find(r->learner, "objective");
    struct str name = document_text(document_find(objective, "name"));
    r->objective = objective_find(name);
    if (r->objective)
        return ERR_OK;
    err_set(r->err, ERR_UNSUPPORTED, "the objective '%.*s' is not one this program knows",
            STR_ARG(shorten(name)));
    return err_hint(r->err,
                    "a model trained with an own objective can be saved with a standard one");
}

static enum err_code read_shape(struct reader *r, struct forest_size *size)
{
    int64_t classes = 0, targets = 1;
    enum err_code rc =
        get_integer(r, r->param, "learner_model_param", "num_feature", &size->features);
    if (!rc)
        rc = get_integer_opt(r, r->param, "learner_model_param", "num_class", &classes);
    if (!rc)
        rc = get_integer_opt(r, r->param, "learner_model_param", "num_target", &targets);
    if (rc)
        return rc;
    size->outputs = classes > 1 ? classes : targets > 1 ? targets : 1;
    enum objective_task task = r->objective->task;
    if (task == TASK_CLASSES && classes < 2)
        return err_set(r->err, ERR_INVALID, "%s with %lld classes", r->objective->name,
                       (long long)classes);
    r->model->class_count = 1;
    if (task == TASK_BINARY && size->outputs == 1)
        r->model->class_count = 2;
    if (task == TASK_CLASSES && size->outputs <= FOREST_OUTPUTS_MAX)
        r->model->class_count = (int)size->outputs;
    r->outputs = size->outputs;
    return ERR_OK;
}

static enum err_code read_version(struct reader *r, struct document_value root)
{
    struct document_value array = document_find(root, "version");
    struct document_walk walk;
    int version[3] = {0}, i = 0;
    for (struct document_value v = document_first(array, &walk); document_kind(v) && i < 3;
         v = document_next(v, &walk)) {
        int64_t number = 0;
        if (integer_of(v, &number) && number >= 0 && number < 10000)
            version[i++] = (int)number;
    }
    r->model->writer =
        arena_printf(r->keep, "XGBoost %d.%d.%d", version[0], version[1], version[2]);
    if (!r->model->writer)
        return err_set(r->err, ERR_LIMIT, "no room for the version");
    return ERR_OK;
}

/* --- answers ------------------------------------------------------------------------------- */

enum { PREDICT = 0, MARGIN = 1 };

/* Alone, predictions take the place of the margins they are made from. */
static enum err_code run_answer(const struct trees_answer *answer, void *margins, int64_t rows,
                                struct runtime_call *call, struct err *err)
{
    const bool *wanted = call->wanted;
    bool wants_predict = !wanted || wanted[PREDICT], wants_margin = wanted && wanted[MARGIN];
    size_t bytes = (size_t)rows * (size_t)answer->margin_count * sizeof(float);
    float *predictions = wants_predict && wants_margin ? arena_alloc(call->arena, bytes) : margins;
    if (!predictions)
        return err_set(err, ERR_LIMIT, "no room for the predictions of %lld rows", (long long)rows);
    int count = 0;
    if (wants_predict) {
        objective_predict(answer->detail, margins, rows, answer->margin_count, predictions);
        trees_tensor(&answer->outputs[PREDICT], rows, predictions, &call->out[count++]);
    }
    if (wants_margin)
        trees_tensor(&answer->outputs[MARGIN], rows, margins, &call->out[count++]);
    call->out_count = count;
    return ERR_OK;
}

static void set_answer(struct reader *r)
{
    struct trees_model *m = r->model;
    enum objective_link link = r->objective->link;
    int margins = m->forest.output_count;
    m->platform = "xgboost_trees";
    m->input_name = "input";
    m->objective = r->objective->name;
    m->is_probability = m->class_count > 1 && (link == LINK_LOGISTIC || link == LINK_SOFTMAX);
    m->answer.run = run_answer;
    m->answer.detail = r->objective;
    trees_answer_numbers(&m->answer, objective_predictions(r->objective, margins), margins,
                         DTYPE_F32);
}

static enum err_code read_model(struct reader *r)
{
    struct forest_size size = {0};
    struct document_value model = {0};
    enum err_code rc = read_objective(r);
    if (!rc)
        rc = read_shape(r, &size);
    if (!rc)
        rc = open_booster(r, &model);
    if (!rc)
        rc = check_tree_count(r, model);
    if (!rc)
        rc = limit_trees(r, model);
    if (!rc && str_equal_c(document_text(document_find(r->booster, "name")), "dart"))
        rc = read_weights(r);
    if (!rc)
        rc = measure(r, &size);
    if (!rc)
        rc = forest_init(&r->model->forest, &size, r->arena, r->err);
    if (!rc)
        rc = read_base(r);
    if (!rc)
        rc = read_trees(r);
    if (!rc)
        rc = forest_seal(&r->model->forest, r->err);
    return rc ? rc : read_features(r, model);
}

static enum err_code read_learner(struct reader *r, struct document_value root)
{
    r->learner = document_find(root, "learner");
    if (document_kind(r->learner) != DOCUMENT_OBJECT) {
        err_set(r->err, ERR_INVALID, "not an XGBoost model: it has no 'learner'");
        return err_hint(r->err, "save it with Booster.save_model(\"model.ubj\") or \"model.json\"");
    }
    r->param = document_find(r->learner, "learner_model_param");
    if (document_kind(r->param) != DOCUMENT_OBJECT)
        return err_set(r->err, ERR_INVALID, "learner.learner_model_param is missing");
    enum err_code rc = read_version(r, root);
    if (!rc)
        rc = read_model(r);
    if (!rc)
        set_answer(r);
    return rc;
}

/* Reads trees up to and including `best_iteration` when the file has one, as the scikit-learn
 * wrapper predicts. */
static enum err_code read_file(struct str bytes, struct arena *arena, struct arena *keep,
                               struct trees_model *model, struct err *err)
{
    size_t memory = MEMORY_FREE + MEMORY_FACTOR * bytes.len;
    struct trees_model result = {0};
    struct document_value root;
    struct reader r = {.arena = arena, .keep = keep, .err = err, .model = &result};
    r.arrays = arena_new(memory);
    r.scratch = arena_new(memory);
    enum err_code rc = document_read(bytes.ptr, bytes.len, arena, &root, err);
    if (!rc)
        rc = read_learner(&r, root);
    arena_free(r.scratch);
    arena_free(r.arrays);
    if (!rc)
        *model = result;
    return rc;
}

const struct trees_format trees_xgboost = {recognise, read_file};
