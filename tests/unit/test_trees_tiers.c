/* test_trees_tiers.c - all tiers give the same bits on random models that no training would make:
 * every shape of tree, features with thousands of thresholds, splits at denormals, zeros and
 * infinities.
 *
 * The forest is built directly; the expected margins come from a walk over it by the definition in
 * forest.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "runtime/tier.h"
#include "test.h"

enum { NODES_MAX = 1023, ROWS = 600, ARENA_BYTES = 1 << 28 };

struct shape {
    const char *name;
    int features, outputs, trees, depth;
    int thresholds;   /* distinct ones of a feature; 0: any float */
    int leaf_percent; /* chance of a leaf above the full depth */
    bool has_categories, has_low;
    int tiers; /* at least these take it: 1 sparse, 2 and heap, 3 and vbmi */
    bool is_double;
    int leaves; /* of a tree at most; 0: any number */
};

static const struct shape shapes[] = {
    {"one leaf each", 3, 1, 20, 0, 5, 0, false, false, 3, false, 0},
    {"stumps", 4, 1, 33, 1, 9, 0, false, false, 3, false, 0},
    {"no tree", 2, 3, 0, 0, 1, 0, false, false, 3, false, 0},
    {"depth 6, full", 30, 1, 100, 6, 40, 0, false, false, 3, false, 0},
    {"depth 6, saturated", 5, 1, 60, 6, 256, 0, false, false, 3, false, 0},
    {"depth 6, ragged", 9, 1, 17, 6, 255, 20, false, false, 3, false, 0},
    {"depth 7, ragged", 12, 1, 25, 7, 254, 10, false, false, 3, false, 0},
    {"depth 8, full", 30, 1, 70, 8, 256, 0, false, false, 3, false, 0},
    {"depth 8, two features", 2, 1, 64, 8, 256, 5, false, false, 3, false, 0},
    {"many splits, several chunks", 60, 1, 220, 8, 256, 0, false, false, 3, false, 0},
    {"33 slots and more", 33, 1, 30, 5, 30, 10, false, false, 3, false, 0},
    {"65 features", 65, 1, 30, 6, 12, 10, false, false, 3, false, 0},
    {"128 features", 128, 1, 40, 6, 20, 10, false, false, 3, false, 0},
    {"four slot words, deep", 128, 2, 40, 8, 50, 10, false, false, 3, false, 0},
    {"129 features", 129, 1, 60, 6, 20, 0, false, false, 2, false, 0},
    {"257 thresholds", 3, 1, 60, 6, 400, 0, false, false, 3, false, 0},
    {"900 thresholds", 30, 1, 100, 8, 900, 5, false, false, 3, false, 0},
    {"900 thresholds of the first and last", 2, 2, 90, 7, 900, 5, false, false, 3, false, 0},
    {"512 thresholds", 3, 1, 60, 8, 512, 0, false, false, 3, false, 0},
    {"513 thresholds", 3, 1, 60, 8, 513, 0, false, false, 3, false, 0},
    {"16 thresholds", 40, 1, 60, 5, 16, 0, false, false, 3, false, 0},
    {"9000 thresholds", 2, 1, 250, 8, 9000, 0, false, false, 3, false, 0},
    {"too many thresholds", 60, 1, 250, 8, 4000, 0, false, false, 2, false, 0},
    {"1000 features", 1000, 1, 40, 6, 20, 10, false, false, 2, false, 0},
    {"classes", 10, 7, 91, 4, 60, 15, false, false, 3, false, 0},
    {"classes, deep", 10, 3, 50, 8, 200, 15, false, false, 3, false, 0},
    {"classes without a tree", 10, 40, 31, 6, 60, 15, false, false, 3, false, 0},
    {"doubles", 30, 1, 60, 6, 40, 10, false, false, 3, true, 0},
    {"doubles, deep", 30, 2, 90, 8, 700, 5, false, false, 3, true, 0},
    {"doubles, 300 features", 300, 3, 40, 7, 20, 5, false, false, 2, true, 0},
    {"32 leaves", 30, 1, 100, 40, 60, 0, false, false, 3, false, 32},
    {"32 leaves, doubles", 30, 1, 100, 12, 900, 10, false, false, 3, true, 32},
    {"5 leaves, classes", 70, 9, 77, 12, 300, 20, false, false, 3, false, 5},
    {"9 leaves, doubles, classes", 12, 4, 50, 8, 100, 20, false, false, 3, true, 9},
    {"33 leaves", 30, 1, 20, 30, 60, 0, false, false, 1, false, 33},
    {"any floats", 20, 1, 30, 5, 0, 10, false, false, 3, false, 0},
    {"low thresholds", 6, 1, 30, 5, 20, 10, false, true, 2, false, 0},
    {"low thresholds, doubles", 30, 3, 60, 8, 200, 10, false, true, 2, true, 0},
    {"low thresholds of 400 features", 400, 1, 40, 6, 20, 10, false, true, 2, false, 0},
    {"low and any thresholds", 6, 1, 30, 5, 0, 10, false, true, 2, false, 0},
    {"depth 9", 6, 1, 12, 9, 100, 10, false, false, 1, false, 0},
    {"categories", 6, 2, 40, 6, 20, 10, true, false, 1, false, 0},
};

static uint64_t below(struct rand *rand, uint64_t end)
{
    return rand_u64(rand) % end;
}

static float any_float(struct rand *rand)
{
    static const float odd[] = {0.0f,     -0.0f,    1e-45f, -1e-45f,    1e-39f, -1e-39f, 3.4e38f,
                                -3.4e38f, INFINITY, 1.0f,   0.9999999f, -1.0f,  0.5f};
    uint64_t pick = below(rand, 20);
    if (pick < sizeof(odd) / sizeof(odd[0]))
        return odd[pick];
    uint32_t bits = (uint32_t)rand_u64(rand);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return isnan(value) || value == -INFINITY ? 2.5f : value;
}

/* A threshold of a feature: one of few, so that they repeat. */
static float threshold_of(const struct shape *shape, struct rand *rand)
{
    if (shape->has_low && below(rand, 10) == 0)
        return -INFINITY;
    if (!shape->thresholds)
        return any_float(rand);
    return (float)below(rand, (uint64_t)shape->thresholds) / 16.0f - 4.0f;
}

struct arrays {
    int32_t left[NODES_MAX], right[NODES_MAX], features[NODES_MAX], default_left[NODES_MAX];
    int32_t types[NODES_MAX], set_nodes[NODES_MAX], set_begins[NODES_MAX], set_counts[NODES_MAX];
    int32_t codes[8 * NODES_MAX];
    float values[NODES_MAX];
    size_t nodes, sets, code_count;
};

static void add_set(struct arrays *a, int32_t node, struct rand *rand)
{
    size_t count = 1 + below(rand, 8);
    a->types[node] = 1;
    a->set_nodes[a->sets] = node;
    a->set_begins[a->sets] = (int32_t)a->code_count;
    a->set_counts[a->sets++] = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        a->codes[a->code_count++] = (int32_t)below(rand, below(rand, 5) ? 12 : 1 << 24);
}

static void grow(const struct shape *shape, struct arrays *a, int32_t node, int depth,
                 struct rand *rand)
{
    bool is_full = shape->leaves && (int)a->nodes >= 2 * shape->leaves - 1;
    bool is_leaf = is_full || depth == shape->depth || (int)below(rand, 100) < shape->leaf_percent;
    a->left[node] = a->right[node] = -1;
    a->types[node] = 0;
    a->values[node] =
        is_leaf ? (float)below(rand, 2000) / 999.0f - 1.0f : threshold_of(shape, rand);
    if (is_leaf)
        return;
    a->features[node] = (int32_t)below(rand, (uint64_t)shape->features);
    a->default_left[node] = (int32_t)below(rand, 2);
    if (shape->has_categories && below(rand, 3) == 0)
        add_set(a, node, rand);
    a->left[node] = (int32_t)a->nodes++;
    a->right[node] = (int32_t)a->nodes++;
    bool is_right_first = below(rand, 2);
    grow(shape, a, (is_right_first ? a->right : a->left)[node], depth + 1, rand);
    grow(shape, a, (is_right_first ? a->left : a->right)[node], depth + 1, rand);
}

static void add_random_tree(const struct shape *shape, struct forest *forest, int index,
                            struct arena *scratch, struct rand *rand)
{
    static struct arrays a;
    struct err err = {0};
    a.nodes = 1;
    a.sets = a.code_count = 0;
    grow(shape, &a, 0, 0, rand);
    struct tree_arrays t = {
        .index = index,
        .node_count = a.nodes,
        .left = a.left,
        .right = a.right,
        .features = a.features,
        .thresholds = a.values,
        .default_left = a.default_left,
        .split_types = a.types,
        .leaf_values = a.values,
        .leaf_value_count = a.nodes,
        .leaf_stride = 1,
        .weight = 1,
        .set_count = a.sets,
        .set_code_count = a.code_count,
        .set_nodes = a.set_nodes,
        .set_begins = a.set_begins,
        .set_counts = a.set_counts,
        .set_codes = a.codes,
    };
    int output = (int)below(rand, (uint64_t)shape->outputs);
    if (forest_add_tree(forest, &t, output, scratch, &err))
        fail_msg("%s: %s", shape->name, err.msg);
}

static void make_forest(const struct shape *shape, struct arena *arena, struct forest *forest,
                        struct rand *rand)
{
    struct forest_size size = {.features = shape->features,
                               .outputs = shape->outputs,
                               .trees = shape->trees,
                               .nodes = (int64_t)shape->trees * NODES_MAX};
    struct arena *scratch = arena_new(ARENA_BYTES);
    struct err err = {0};
    size.categories = shape->has_categories ? 8 * size.nodes : 0;
    assert_int_equal(forest_init(forest, &size, arena, &err), ERR_OK);
    forest->is_double = shape->is_double;
    for (int t = 0; t < shape->trees; t++)
        add_random_tree(shape, forest, t, scratch, rand);
    for (int o = 0; o < shape->outputs && !shape->is_double; o++)
        forest->base[o] = (float)o / 3.0f;
    assert_int_equal(forest_seal(forest, &err), ERR_OK);
    arena_free(scratch);
}

/* Thresholds themselves, their neighbours, missing values, codes, and the odd values. */
static float random_value(const struct shape *shape, struct rand *rand)
{
    float threshold = threshold_of(shape, rand);
    switch (below(rand, 8)) {
    case 0:
        return NAN;
    case 1:
        return nextafterf(threshold, INFINITY);
    case 2:
        return nextafterf(threshold, -INFINITY);
    case 3:
        return any_float(rand);
    case 4:
        return below(rand, 2) ? -INFINITY : (float)below(rand, 14) - 1.0f;
    case 5:
        return (float)below(rand, 100000) / 5000.0f - 5.0f;
    default:
        return threshold;
    }
}

static bool set_has(const struct forest *f, const struct forest_node *node, uint32_t code)
{
    for (uint32_t i = 0; i < node->count; i++)
        if (f->categories[node->set + i] == code)
            return true;
    return false;
}

static bool goes_left(const struct forest *f, const struct forest_node *node, float x)
{
    if (isnan(x))
        return node->is_missing_left;
    if (node->split == SPLIT_NUMBER)
        return (double)x < node->value;
    return x < 0 || x >= 16777216.0f || !set_has(f, node, (uint32_t)x);
}

static double expected_margin(const struct forest *f, int output, const float *row)
{
    float sum = f->base[output];
    double wide_sum = 0;
    for (int t = f->first_tree[output]; t < f->first_tree[output + 1]; t++) {
        const struct forest_node *node = &f->nodes[f->trees[t].root];
        while (node->left)
            node = &f->nodes[node->left + !goes_left(f, node, row[node->feature])];
        sum += (float)node->value;
        wide_sum += node->value;
    }
    return f->is_double ? wide_sum : (double)sum;
}

/* Bit by bit, as the forest's type. */
static bool is_margin(const struct shape *shape, const void *margins, int i, double expected)
{
    if (shape->is_double)
        return memcmp((const double *)margins + i, &expected, sizeof(expected)) == 0;
    return memcmp((const float *)margins + i, &(float){(float)expected}, sizeof(float)) == 0;
}

static bool check_tier(const struct shape *shape, const struct forest *forest,
                       const struct tier *tier, const float *rows, const double *expected)
{
    static const int pieces[] = {ROWS, 256, 49, 1};
    size_t margin_bytes = shape->is_double ? sizeof(double) : sizeof(float);
    size_t row_bytes = (size_t)shape->outputs * margin_bytes;
    char *margins = malloc(ROWS * row_bytes);
    size_t bytes = 0;
    if (!tier->fits(forest)) {
        free(margins);
        return false;
    }
    void *built = tier->build(forest, &bytes);
    assert_non_null(built);
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
        for (int r = 0; r < ROWS; r += pieces[p]) {
            int count = ROWS - r < pieces[p] ? ROWS - r : pieces[p];
            const struct tier_rows part = {.count = count, .rows = rows + r * shape->features};
            tier->score(built, &part, margins + (size_t)r * row_bytes);
        }
        for (int i = 0; i < ROWS * shape->outputs; i++)
            if (!is_margin(shape, margins, i, expected[i]))
                fail_msg("%s, tier %s, pieces of %d: margin %d is not %.17g", shape->name,
                         tier->name, pieces[p], i, expected[i]);
    }
    free(built);
    free(margins);
    return true;
}

static void check_shape(const struct shape *shape, uint64_t seed)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct forest forest;
    struct rand rand;
    rand_seed(&rand, seed);
    make_forest(shape, arena, &forest, &rand);
    float *rows = arena_alloc(arena, (size_t)(ROWS * shape->features) * sizeof(float));
    double *expected = arena_alloc(arena, (size_t)(ROWS * shape->outputs) * sizeof(double));
    for (int i = 0; i < ROWS * shape->features; i++)
        rows[i] = random_value(shape, &rand);
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < shape->outputs; o++)
            expected[r * shape->outputs + o] =
                expected_margin(&forest, o, rows + r * shape->features);
    assert_true(check_tier(shape, &forest, &tier_sparse, rows, expected));
    bool is_heap = shape->tiers >= 2 && forest.depth <= 8;
    assert_int_equal(check_tier(shape, &forest, &tier_heap, rows, expected), is_heap);
#ifdef __x86_64__
    bool is_able = __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512bitalg");
    assert_int_equal(check_tier(shape, &forest, &tier_vbmi, rows, expected),
                     is_able && shape->tiers >= 3);
#endif
    arena_free(arena);
}

static void tiers_agree_on_random_forests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        check_shape(&shapes[i], 1000 + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_agree_on_random_forests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
