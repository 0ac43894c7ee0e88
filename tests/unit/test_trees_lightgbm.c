/* test_trees_lightgbm.c - LightGBM's own raw scores and predictions, file by file. */
#include <math.h>
#include <unistd.h>

#include "golden_lightgbm.h"
#include "runtime/trees.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 24 };

/* The rows of a case, as the dtype under test. */
static void *rows_of(const struct lightgbm_golden *g, const double *inputs, enum dtype dtype)
{
    size_t count = (size_t)(g->rows * g->features);
    double *wide = malloc(count * sizeof(*wide));
    float *narrow = (float *)(void *)wide;
    memcpy(wide, inputs, count * sizeof(*wide));
    for (size_t i = 0; dtype == DTYPE_F32 && i < count; i++)
        narrow[i] = (float)inputs[i];
    return wide;
}

static void compare(const struct lightgbm_golden *g, const struct lightgbm_case *c, int first,
                    const struct tensor *out)
{
    const double *margins = out[1].data;
    const float *predictions = out[0].data;
    int rows = (int)out[0].shape[0];
    for (int i = 0; i < rows * g->margin_count; i++) {
        double expected = c->margins[first * g->margin_count + i];
        if (memcmp(&margins[i], &expected, sizeof(double)) != 0)
            fail_msg("%s: row %d has the raw score %.17g, LightGBM says %.17g", g->stem,
                     first + i / g->margin_count, margins[i], expected);
    }
    for (int i = 0; i < rows * g->prediction_count; i++) {
        double expected = c->predictions[first * g->prediction_count + i];
        if (memcmp(&predictions[i], &(float){(float)expected}, sizeof(float)) != 0)
            fail_msg("%s: row %d has the prediction %.9g, LightGBM says %.17g", g->stem,
                     first + i / g->prediction_count, (double)predictions[i], expected);
    }
}

static void check_case(const struct lightgbm_golden *g, const void *model,
                       const struct lightgbm_case *c, enum dtype dtype)
{
    static const bool both[2] = {true, true};
    static const int pieces[] = {1 << 20, 1, 7, 50};
    size_t row_bytes = (size_t)g->features * (dtype == DTYPE_F64 ? sizeof(double) : sizeof(float));
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    char *data = rows_of(g, c->inputs, dtype);
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
        for (int first = 0; first < g->rows; first += pieces[p]) {
            int rows = g->rows - first < pieces[p] ? g->rows - first : pieces[p];
            struct tensor out[2];
            struct tensor in = {.dtype = dtype, .rank = 2, .shape = {rows, g->features}};
            struct runtime_call call = {
                .in = &in, .in_count = 1, .wanted = both, .arena = arena, .out = out};
            in.data = data + (size_t)first * row_bytes;
            if (runtime_trees.predict(model, &call, &err))
                fail_msg("%s: %s", g->stem, err.msg);
            assert_int_equal(call.out_count, 2);
            assert_int_equal(out[1].dtype, DTYPE_F64);
            compare(g, c, first, out);
            arena_reset(arena);
        }
    free(data);
    arena_free(arena);
}

static void check_model(const struct lightgbm_golden *g, const char *path, enum trees_tier tier,
                        int *taken)
{
    struct buf bytes;
    struct err err = {0};
    void *model = NULL;
    assert_int_equal(file_read(path, LIGHTGBM_GOLDEN_BYTES_MAX, &bytes, &err), ERR_OK);
    assert_true(runtime_trees.recognise(bytes.data, bytes.len));
    enum err_code rc = trees_load_tier(bytes.data, bytes.len, tier, &model, &err);
    if (rc && (rc != ERR_UNSUPPORTED || tier == TREES_TIER_BEST))
        fail_msg("%s: %s", g->stem, err.msg);
    if (!rc) {
        assert_string_equal(runtime_trees.describe(model)->platform, "lightgbm_trees");
        check_case(g, model, &g->narrow, DTYPE_F32);
        check_case(g, model, &g->narrow, DTYPE_F64);
        check_case(g, model, &g->wide, DTYPE_F64);
        *taken += 1;
    }
    runtime_trees.free(model);
    buf_done(&bytes);
}

static void every_tier_gives_the_scores_of_lightgbm(void **state)
{
    static const enum trees_tier tiers[] = {TREES_TIER_BEST, TREES_TIER_SPARSE, TREES_TIER_HEAP,
                                            TREES_TIER_VBMI};
    int taken[4] = {0};
    glob_t list;
    (void)state;
    assert_int_equal(glob("tests/golden/lightgbm/[0-9]*/*.golden", 0, NULL, &list), 0);
    assert_true(list.gl_pathc > 40);
    for (size_t i = 0; i < list.gl_pathc; i++) {
        struct lightgbm_golden g;
        if (!lightgbm_golden_read(list.gl_pathv[i], &g))
            fail_msg("%s cannot be read", list.gl_pathv[i]);
        char path[LIGHTGBM_PATH_MAX + 8];
        snprintf(path, sizeof(path), "%s.txt", g.stem);
        for (int t = 0; t < 4; t++)
            check_model(&g, path, tiers[t], &taken[t]);
        free(g.numbers);
    }
    print_message("models by tier: best %d, sparse %d, heap %d, vbmi %d\n", taken[0], taken[1],
                  taken[2], taken[3]);
    assert_true(taken[0] == (int)list.gl_pathc);
    assert_true(taken[2] > 0);
    globfree(&list);
}

/* Models that others have published. */
static void published_models_give_the_scores_of_lightgbm(void **state)
{
    static const struct {
        const char *golden, *model;
    } models[] = {
        {"tests/golden/lightgbm/shared/kserve.golden",
         "../shared/data/kserve/python/lgbserver/lgbserver/example_model/model/model.bst"},
        {"tests/golden/lightgbm/shared/mlserver.golden",
         "../shared/data/mlserver/docs/examples/lightgbm/iris-lightgbm.bst"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct lightgbm_golden g;
        int taken = 0;
        if (access(models[i].model, R_OK) != 0) {
            print_message("skipped: %s is not here\n", models[i].model);
            continue;
        }
        assert_true(lightgbm_golden_read(models[i].golden, &g));
        check_model(&g, models[i].model, TREES_TIER_BEST, &taken);
        assert_int_equal(taken, 1);
        free(g.numbers);
    }
}

/* Two splits and three leaves: x[0] <= 0.5, then x[1] in {1, 33}. */
static const char small[] = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n"
                            "label_index=0\nmax_feature_idx=1\nobjective=regression\n"
                            "feature_names=size wood\nfeature_infos=[0:1] 1:33:2\n"
                            "tree_sizes=300\n\nTree=0\nnum_leaves=3\nnum_cat=1\n"
                            "split_feature=0 1\nthreshold=0.5 0\ndecision_type=2 1\n"
                            "left_child=-1 -2\nright_child=1 -3\nleaf_value=0.25 1.5 2.75\n"
                            "cat_boundaries=0 2\ncat_threshold=2 2\nis_linear=0\nshrinkage=1\n"
                            "\n\nend of trees\n";

static char *edit(const char *from, const char *to)
{
    const char *at = strstr(small, from);
    assert_non_null(at);
    size_t size = sizeof(small) + strlen(to);
    char *text = malloc(size);
    snprintf(text, size, "%.*s%s%s", (int)(at - small), small, to, at + strlen(from));
    return text;
}

static enum err_code load_text(const char *text, void **model, struct err *err)
{
    const struct runtime_file file = {.bytes = text, .size = strlen(text)};
    return runtime_trees.load(&file, model, err);
}

static void a_small_model_describes_itself(void **state)
{
    void *model = NULL;
    struct err err = {0};
    (void)state;
    assert_int_equal(load_text(small, &model, &err), ERR_OK);
    const struct signature *s = runtime_trees.describe(model);
    assert_string_equal(s->detail, "1 trees, depth 2, 5 nodes, tier sparse, from LightGBM, "
                                   "format v4");
    assert_string_equal(s->objective, "regression");
    assert_string_equal(s->feature_names[1], "wood");
    assert_int_equal(s->feature_kinds[0], FEATURE_NUMERIC);
    assert_int_equal(s->feature_kinds[1], FEATURE_CATEGORICAL);
    assert_int_equal(s->category_counts[1], 34);
    assert_int_equal(s->class_count, 1);
    assert_int_equal(runtime_trees.warm(model, &err), ERR_OK);
    runtime_trees.free(model);
}

static const struct {
    const char *from, *to;
    enum err_code code;
    const char *says;
} damages[] = {
    {"left_child=-1 -2", "left_child=0 -2", ERR_INVALID, "left child 0 is reached twice"},
    {"left_child=-1 -2", "left_child=-1 -1", ERR_INVALID, "is reached twice"},
    {"left_child=-1 -2", "left_child=-1 -4", ERR_INVALID, "left_child: element 1 is not"},
    {"left_child=-1 -2", "left_child=-1 2", ERR_INVALID, "left_child: element 1 is not"},
    {"left_child=-1 -2", "left_child=-1", ERR_INVALID, "left_child has 1 elements, expected 2"},
    {"left_child=", "leftchild=", ERR_INVALID, "tree 0: left_child is missing"},
    {"split_feature=0 1", "split_feature=0 2", ERR_INVALID, "split_feature: element 1 is not"},
    {"threshold=0.5", "threshold=nan", ERR_INVALID, "threshold: element 0 is not a finite"},
    {"threshold=0.5", "threshold=-inf", ERR_INVALID, "threshold: element 0 is not a finite"},
    {"leaf_value=0.25", "leaf_value=inf", ERR_INVALID, "leaf_value: element 0 is not a finite"},
    {"threshold=0.5 0", "threshold=0.5 1", ERR_INVALID, "threshold: element 1 is not the index"},
    {"decision_type=2 1", "decision_type=2 16", ERR_INVALID, "decision_type: element 1"},
    {"leaf_value=0.25", "leaf_value=x", ERR_INVALID, "leaf_value: element 0 is not a finite"},
    {"leaf_value=0.25", "leaf_value=1 0.25", ERR_INVALID, "leaf_value has 4 elements, expected 3"},
    {"cat_boundaries=0 2", "cat_boundaries=0 3", ERR_INVALID, "cat_boundaries: element 1"},
    {"cat_boundaries=0 2", "cat_boundaries=2 1", ERR_INVALID, "cat_boundaries: element 1"},
    {"cat_threshold=2 2", "cat_threshold=0 0", ERR_INVALID, "categories"},
    {"num_leaves=3", "num_leaves=0", ERR_INVALID, "num_leaves is not"},
    {"num_leaves=3", "num_leaves=90000", ERR_INVALID, "num_leaves is more than the file has"},
    {"num_leaves=3", "num_leaves=2", ERR_INVALID, "expected 2"},
    {"is_linear=0", "is_linear=1", ERR_INVALID, "num_features is missing"},
    {"objective=regression", "objective=mine", ERR_UNSUPPORTED, "the objective 'mine'"},
    {"objective=regression", "objective=multiclass num_class:3", ERR_INVALID,
     "multiclass with num_tree_per_iteration=1"},
    {"objective=regression", "objective=binary sigmoid:0", ERR_INVALID, "sigmoid"},
    {"num_tree_per_iteration=1", "num_tree_per_iteration=0", ERR_INVALID,
     "num_tree_per_iteration is missing or 0"},
    {"max_feature_idx=1", "max_feature_idx=99999", ERR_LIMIT, "the limit is 65535"},
    {"max_feature_idx=1", "max_feature_idx=2", ERR_INVALID, "feature_names has 2 elements for 3"},
    {"end of trees", "", ERR_INVALID, "no line 'end of trees'"},
};

/* Two splits of x[0], then of x[1] <= 7. */
static const char numeric[] = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n"
                              "label_index=0\nmax_feature_idx=1\nobjective=regression\n"
                              "feature_names=a b\nfeature_infos=[0:1] [0:9]\n"
                              "tree_sizes=300\n\nTree=0\nnum_leaves=3\nnum_cat=0\n"
                              "split_feature=0 1\nthreshold=inf 7\ndecision_type=%d 8\n"
                              "left_child=-1 -2\nright_child=1 -3\nleaf_value=0.25 1.5 2.75\n"
                              "is_linear=0\nshrinkage=1\n\n\nend of trees\n";

static float score_one(const void *model, enum dtype dtype, double a, double b)
{
    double wide[2] = {a, b};
    float narrow[2] = {(float)a, (float)b};
    struct err err = {0};
    struct arena *arena = arena_new(1 << 16);
    struct tensor in = {.dtype = dtype,
                        .rank = 2,
                        .shape = {1, 2},
                        .data = dtype == DTYPE_F64 ? (void *)wide : (void *)narrow};
    struct tensor out[2];
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    if (runtime_trees.predict(model, &call, &err))
        fail_msg("%s", err.msg);
    float score = *(float *)out[0].data;
    arena_free(arena);
    return score;
}

/* LightGBM writes inf where a split only asks whether a number is there. Missing goes left by bit 1
 * of decision_type, which is 2 + 8 or 8 where NaN is missing; else NaN is 0, a number. x[1] parts
 * the right side: 7 goes left to 1.5, infinity and what is missing (8) right to 2.75. */
static void a_threshold_of_infinity_parts_numbers_from_missing(void **state)
{
    static const struct {
        int decision;
        float missing;
    } cases[] = {{8, 1.5f}, {10, 0.25f}, {2, 0.25f}};
    static const enum trees_tier tiers[] = {TREES_TIER_SPARSE, TREES_TIER_HEAP};
    static const double numbers[] = {INFINITY, -INFINITY, 0, 3.4028234663852886e38, -1};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        char text[sizeof(numeric) + 16];
        struct err err = {0};
        void *model = NULL;
        snprintf(text, sizeof(text), numeric, cases[i / 2].decision);
        if (trees_load_tier(text, strlen(text), tiers[i % 2], &model, &err))
            fail_msg("%s", err.msg);
        for (int wide = 0; wide < 2; wide++) {
            enum dtype dtype = wide ? DTYPE_F64 : DTYPE_F32;
            for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
                assert_true(score_one(model, dtype, numbers[k], 7) == 0.25f);
            assert_true(score_one(model, dtype, NAN, 7) == cases[i / 2].missing);
            if (cases[i / 2].decision == 8) {
                assert_true(score_one(model, dtype, NAN, INFINITY) == 2.75f);
                assert_true(score_one(model, dtype, NAN, NAN) == 2.75f);
                assert_true(score_one(model, dtype, NAN, -INFINITY) == 1.5f);
            }
        }
        runtime_trees.free(model);
    }
}

static void damage_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        void *untouched = &untouched, *model = untouched;
        struct err err = {0};
        char *text = edit(damages[i].from, damages[i].to);
        enum err_code code = load_text(text, &model, &err);
        if (code != damages[i].code || !strstr(err.msg, damages[i].says))
            fail_msg("%s -> %s: code %d, '%s'", damages[i].from, damages[i].to, code, err.msg);
        assert_ptr_equal(model, untouched);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier_gives_the_scores_of_lightgbm),
        cmocka_unit_test(published_models_give_the_scores_of_lightgbm),
        cmocka_unit_test(a_small_model_describes_itself),
        cmocka_unit_test(a_threshold_of_infinity_parts_numbers_from_missing),
        cmocka_unit_test(damage_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
