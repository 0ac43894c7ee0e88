/* test_trees_load.c - what damaged, hostile and foreign model files get: an error that names the
 * tree and node, and what well-formed ones say about themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_trees.h"
#include "guard_page.h"
#include "runtime/trees.h"
#include "test.h"

/* Two trees on three features; the first splits f0 at 0.5, then f2 into the codes 1 and 4. */
static const char small[] =
    "{\"learner\":{\"attributes\":{},\"feature_names\":[\"a\",\"b\",\"c\"],"
    "\"feature_types\":[\"q\",\"int\",\"c\"],\"gradient_booster\":{\"model\":{"
    "\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"2\"},"
    "\"iteration_indptr\":[0,1,2],\"tree_info\":[0,0],\"trees\":[{"
    "\"categories\":[4,1],\"categories_nodes\":[2],\"categories_segments\":[0],"
    "\"categories_sizes\":[2],\"default_left\":[1,0,0,0,0],\"left_children\":[1,-1,3,-1,-1],"
    "\"parents\":[2147483647,0,0,2,2],\"right_children\":[2,-1,4,-1,-1],"
    "\"split_conditions\":[0.5,-1.5,1e-45,2.25,4.0],\"split_indices\":[0,0,2,0,0],"
    "\"split_type\":[0,0,1,0,0],\"tree_param\":{\"num_nodes\":\"5\",\"size_leaf_vector\":\"1\"}"
    "},{\"default_left\":[0],\"left_children\":[-1],\"parents\":[2147483647],"
    "\"right_children\":[-1],\"split_conditions\":[0.125],\"split_indices\":[0],"
    "\"split_type\":[0],\"tree_param\":{\"num_nodes\":\"1\",\"size_leaf_vector\":\"0\"}}]},"
    "\"name\":\"gbtree\"},\"learner_model_param\":{\"base_score\":\"[2E0]\",\"num_class\":\"0\","
    "\"num_feature\":\"3\",\"num_target\":\"1\"},\"objective\":{\"name\":\"reg:squarederror\"}},"
    "\"version\":[3,2,0]}";

/* `small` with the first `from` replaced. */
static char *edit(const char *from, const char *to)
{
    const char *at = strstr(small, from);
    assert_non_null(at);
    size_t size = sizeof(small) + strlen(to);
    char *text = malloc(size);
    snprintf(text, size, "%.*s%s%s", (int)(at - small), small, to, at + strlen(from));
    return text;
}

static enum err_code load_bytes(const void *bytes, size_t size, void **model, struct err *err)
{
    return runtime_trees.load(&(struct runtime_file){.bytes = bytes, .size = size}, model, err);
}

static enum err_code load_text(const char *text, void **model, struct err *err)
{
    return load_bytes(text, strlen(text), model, err);
}

static float margin_of(const void *model, const float *row, int features)
{
    static const bool wanted[2] = {false, true};
    struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {1, features}};
    struct tensor out[2];
    struct arena *arena = arena_new(1 << 16);
    struct err err = {0};
    struct runtime_call call = {
        .in = &in, .in_count = 1, .wanted = wanted, .arena = arena, .out = out};
    in.data = (void *)(uintptr_t)row;
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_OK);
    assert_int_equal(call.out_count, 1);
    float margin = *(float *)out[0].data;
    arena_free(arena);
    return margin;
}

/* 2 + 0.125 + the leaf */
static void a_small_model_predicts_what_its_text_says(void **state)
{
    (void)state;
    static const struct {
        float row[3], margin;
    } cases[] = {
        {{0.25f, 0, 0}, 2 - 1.5f + 0.125f},     /* 0.25 < 0.5: left */
        {{NAN, 0, 4}, 2 - 1.5f + 0.125f},       /* missing: left */
        {{0.5f, 0, 0}, 2 + 2.25f + 0.125f},     /* right; code 0 is not in {1, 4}: left */
        {{0.5f, 0, 1}, 2 + 4.0f + 0.125f},      /* code 1 is: right */
        {{0.5f, 0, 4.9f}, 2 + 4.0f + 0.125f},   /* 4.9 is the code 4 */
        {{0.5f, 0, -4}, 2 + 2.25f + 0.125f},    /* no code: left */
        {{0.5f, 0, 1e30f}, 2 + 2.25f + 0.125f}, /* no code: left */
        {{0.5f, 0, NAN}, 2 + 4.0f + 0.125f},    /* missing: right */
    };
    void *model = NULL;
    struct err err = {0};
    assert_int_equal(load_text(small, &model, &err), ERR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(margin_of(model, cases[i].row, 3) == cases[i].margin);
    runtime_trees.free(model);
}

static void a_model_describes_itself(void **state)
{
    (void)state;
    void *model = NULL;
    struct err err = {0};
    assert_int_equal(load_text(small, &model, &err), ERR_OK);
    const struct signature *s = runtime_trees.describe(model);
    assert_string_equal(s->platform, "xgboost_trees");
    assert_int_equal(s->feature_count, 3);
    assert_string_equal(s->feature_names[1], "b");
    assert_int_equal(s->feature_kinds[0], FEATURE_NUMERIC);
    assert_int_equal(s->feature_kinds[1], FEATURE_INTEGER);
    assert_int_equal(s->feature_kinds[2], FEATURE_CATEGORICAL);
    assert_int_equal(s->category_counts[0], 0);
    assert_int_equal(s->category_counts[2], 5);
    assert_int_equal(s->class_count, 1);
    assert_false(s->is_probability);
    assert_string_equal(s->objective, "reg:squarederror");
    assert_string_equal(s->detail, "2 trees, depth 2, 6 nodes, tier sparse, from XGBoost 3.2.0");
    assert_int_equal(s->input_count, 1);
    assert_string_equal(s->inputs[0].name, "input");
    assert_int_equal(s->inputs[0].shape[1], 3);
    assert_true(s->outputs[1].is_on_request);
    assert_true(runtime_trees.memory_bytes(model) > 6 * 16);
    assert_int_equal(runtime_trees.warm(model, &err), ERR_OK);
    runtime_trees.free(model);
}

static void best_iteration_ends_the_model(void **state)
{
    (void)state;
    const float row[3] = {0, 0, 0};
    void *model = NULL;
    struct err err = {0};
    char *text = edit("\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"0\"}");
    assert_int_equal(load_text(text, &model, &err), ERR_OK);
    assert_true(margin_of(model, row, 3) == 2 - 1.5f);
    runtime_trees.free(model);
    free(text);
    text = edit("\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"7\"}");
    assert_int_equal(load_text(text, &model, &err), ERR_OK);
    assert_true(margin_of(model, row, 3) == 2 - 1.5f + 0.125f);
    runtime_trees.free(model);
    free(text);
}

/* Before 1.6 a file has best_ntree_limit and no num_parallel_tree: 2 trees at iteration 0. */
static void old_files_count_trees(void **state)
{
    (void)state;
    const float row[3] = {0, 0, 0};
    void *model = NULL;
    struct err err = {0};
    char *text = edit("\"attributes\":{},\"feature_names\":[\"a\",\"b\",\"c\"],"
                      "\"feature_types\":[\"q\",\"int\",\"c\"],\"gradient_booster\":{\"model\":{"
                      "\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"2\"},"
                      "\"iteration_indptr\":[0,1,2],",
                      "\"attributes\":{\"best_iteration\":\"0\",\"best_ntree_limit\":\"2\"},"
                      "\"gradient_booster\":{\"model\":{\"gbtree_model_param\":{},");
    assert_int_equal(load_text(text, &model, &err), ERR_OK);
    assert_true(margin_of(model, row, 3) == 2 - 1.5f + 0.125f);
    runtime_trees.free(model);
    free(text);
}

static const struct {
    const char *from, *to;
    enum err_code code;
    const char *says; /* part of the message */
} damages[] = {
    {"[1,-1,3,-1,-1]", "[1,-1,0,-1,-1]", ERR_INVALID,
     "tree 0, node 2: left child 0 is reached twice"},
    {"[1,-1,3,-1,-1]", "[1,-1,2,-1,-1]", ERR_INVALID,
     "tree 0, node 2: left child 2 is reached twice"},
    {"[1,-1,3,-1,-1]", "[1,-1,4,-1,-1]", ERR_INVALID,
     "tree 0, node 2: right child 4 is reached twice"},
    {"[1,-1,3,-1,-1]", "[1,-1,5,-1,-1]", ERR_INVALID, "left child 5 is not one of 5 nodes"},
    {"[1,-1,3,-1,-1]", "[1,-1,-7,-1,-1]", ERR_INVALID, "left child -7 is not one of 5 nodes"},
    {"[1,-1,3,-1,-1]", "[1,-1,3,-1]", ERR_INVALID, "right_children has 5 elements, expected 4"},
    {"[1,-1,3,-1,-1]", "[]", ERR_INVALID, "right_children has 5 elements, expected 0"},
    {"[1,-1,3,-1,-1]", "[1,-1,3,-1,\"x\"]", ERR_INVALID,
     "left_children: element 4 is not a 32-bit"},
    {"[1,-1,3,-1,-1]", "[1,-1,3,-1,1e12]", ERR_INVALID, "left_children: element 4 is not a 32-bit"},
    {"[1,-1,3,-1,-1]", "[1,-1,3,-1,0.5]", ERR_INVALID, "left_children: element 4 is not a 32-bit"},
    {"[1,-1,3,-1,-1]", "7", ERR_INVALID, "tree 0: left_children is not an array"},
    {"\"left_children\"", "\"left\"", ERR_INVALID, "tree 0: left_children is missing"},
    {"[2,-1,4,-1,-1]", "[2,-1,-1,-1,-1]", ERR_INVALID, "right child -1 is not one of 5 nodes"},
    {"[2,-1,4,-1,-1]", "[2,1,4,-1,-1]", ERR_INVALID,
     "tree 0, node 1: has a right child but no left"},
    {"[2147483647,0,0,2,2]", "[2147483647,0,0,2,1]", ERR_INVALID,
     "tree 0, node 4: its parent is 1"},
    {"[0,0,2,0,0]", "[3,0,2,0,0]", ERR_INVALID, "tree 0, node 0: feature 3 is not one of 3"},
    {"[0,0,2,0,0]", "[-1,0,2,0,0]", ERR_INVALID, "tree 0, node 0: feature -1 is not one of 3"},
    {"[0.5,-1.5", "[NaN,-1.5", ERR_INVALID,
     "tree 0, node 0: the split's threshold is not a number"},
    {"[0.5,-1.5", "[0.5,NaN", ERR_INVALID, "tree 0, node 1: the leaf's value is not a finite"},
    {"[0.5,-1.5", "[0.5,Infinity", ERR_INVALID, "tree 0, node 1: the leaf's value is not a finite"},
    {"[0.5,-1.5", "[0.5,1e300", ERR_INVALID, "tree 0, node 1: the leaf's value is not a finite"},
    {"[0.5,-1.5", "[null,-1.5", ERR_INVALID, "tree 0: split_conditions: element 0 is not a number"},
    {"[0.125]", "[0.125,1]", ERR_INVALID, "tree 1: split_conditions has 2 elements, expected 1"},
    {"\"categories_nodes\":[2]", "\"categories_nodes\":[]", ERR_INVALID,
     "tree 0, node 2: a categorical split without categories"},
    {"\"categories_nodes\":[2]", "\"categories_nodes\":[5]", ERR_INVALID,
     "tree 0, node 5: categories"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[3]", ERR_INVALID,
     "claim 3 categories of 2"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[0]", ERR_INVALID,
     "outside the tree's list"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[2,0]", ERR_INVALID,
     "has 2 elements, expected 1"},
    {"\"categories_segments\":[0]", "\"categories_segments\":[1]", ERR_INVALID,
     "outside the tree's"},
    {"\"categories_segments\":[0]", "\"categories_segments\":[-1]", ERR_INVALID,
     "outside the tree's"},
    {"\"categories\":[4,1]", "\"categories\":[4,-1]", ERR_INVALID,
     "tree 0, node 2: a category that"},
    {"\"categories\":[4,1]", "\"categories\":[16777216,1]", ERR_INVALID,
     "tree 0, node 2: a category"},
    {"\"num_nodes\":\"5\"", "\"num_nodes\":\"6\"", ERR_INVALID, "tree 0: num_nodes is 6, but 5"},
    {"\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"3\"", ERR_INVALID,
     "3 numbers for 1 outputs"},
    {"\"num_trees\":\"2\"", "\"num_trees\":\"3\"", ERR_INVALID, "num_trees is 3, but 2 trees"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0]", ERR_INVALID,
     "tree_info has 1 elements for 2 trees"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0,1]", ERR_INVALID,
     "tree 1: tree_info says output 1 of 1"},
    {"\"trees\":[{", "\"trees\":[5,{", ERR_INVALID, "num_trees is 2, but 3 trees are there"},
    {"\"name\":\"gbtree\"", "\"name\":\"gblinear\"", ERR_UNSUPPORTED, "the booster is 'gblinear'"},
    {"\"name\":\"gbtree\"", "\"name\":\"dart\"", ERR_INVALID,
     "gradient_booster.model.trees is not"},
    {"\"reg:squarederror\"", "\"my:own\"", ERR_UNSUPPORTED, "the objective 'my:own'"},
    {"\"reg:squarederror\"", "\"binary:logistic\"", ERR_INVALID, "base_score 2 is impossible"},
    {"\"reg:squarederror\"", "\"multi:softprob\"", ERR_INVALID, "multi:softprob with 0 classes"},
    {"\"[2E0]\"", "\"[2E0,3E0]\"", ERR_INVALID, "base_score"},
    {"\"[2E0]\"", "\"two\"", ERR_INVALID, "base_score is not a number"},
    {"\"[2E0]\"", "\"[]\"", ERR_INVALID, "base_score is not a number"},
    {"\"[2E0]\"", "[2]", ERR_INVALID, "base_score is missing"},
    {"\"num_feature\":\"3\"", "\"num_feature\":\"0\"", ERR_INVALID, "the model has 0 features"},
    {"\"num_feature\":\"3\"", "\"num_feature\":\"65536\"", ERR_LIMIT, "the limit is 65535"},
    {"\"num_feature\":\"3\"", "\"num_feature\":\"4\"", ERR_INVALID,
     "feature_names has 3 elements for 4"},
    {"\"num_feature\":\"3\"", "\"num_feature\":\"x\"", ERR_INVALID,
     "num_feature is not an integer"},
    {"\"num_class\":\"0\"", "\"num_class\":\"99999999\"", ERR_LIMIT,
     "the model has 99999999 outputs"},
    {"[\"a\",\"b\",\"c\"]", "[\"a\",\"b\",7]", ERR_INVALID,
     "feature_names: element 2 is not a text"},
    {"\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"-2\"}", ERR_INVALID,
     "best_iteration"},
    {"\"learner\"", "\"teacher\"", ERR_INVALID, "not an XGBoost model: it has no 'learner'"},
    {"\"version\":[3,2,0]}", "\"version\":[3,2,0]", ERR_INVALID, "JSON at byte"},
};

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
        if (code)
            assert_ptr_equal(model, untouched);
        else
            runtime_trees.free(model);
        free(text);
    }
}

/* No beginning of a file is a model, and reading stops at its end. */
static void check_truncations(const char *bytes, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        struct err err = {0};
        void *model = NULL;
        struct guard guard = guard_init(bytes, n);
        enum err_code code = load_bytes(guard.text.ptr, n, &model, &err);
        guard_done(&guard);
        if (code == ERR_OK || err.msg[0] == '\0')
            fail_msg("the first %zu of %zu bytes were read as a model", n, size);
    }
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    struct golden g;
    struct buf bytes;
    check_truncations(small, strlen(small));
    assert_true(golden_read("tests/golden/trees/2.1.4/reg_squarederror.golden", &g));
    assert_true(golden_model(&g, ".ubj", &bytes));
    check_truncations(bytes.data, bytes.len);
    buf_done(&bytes);
    golden_done(&g);
}

static void append_numbers(struct buf *text, const char *name, int depth, int right_of)
{
    buf_printf(text, "%s\"%s\":[", name[0] == 'l' ? "" : ",", name);
    for (int i = 0; i <= 2 * depth; i++) {
        int child = i % 2 || i == 2 * depth ? -1 : i + right_of;
        buf_printf(text, "%s%d", i ? "," : "", right_of ? child : 0);
    }
    buf_printf(text, "]");
}

/* Splits one below the other: node 2i has the children 2i + 1, a leaf, and 2i + 2. */
static struct buf chain(int depth)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "{\"learner\":{\"learner_model_param\":{\"base_score\":\"0\","
                      "\"num_feature\":\"1\"},\"objective\":{\"name\":\"reg:linear\"},"
                      "\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{"
                      "\"tree_info\":[0],\"trees\":[{");
    append_numbers(&text, "left_children", depth, 1);
    append_numbers(&text, "right_children", depth, 2);
    append_numbers(&text, "split_indices", depth, 0);
    append_numbers(&text, "default_left", depth, 0);
    append_numbers(&text, "split_conditions", depth, 0);
    buf_printf(&text, "}]}}}}");
    assert_false(text.is_full);
    return text;
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    void *model = NULL;
    struct err err = {0};
    struct buf text = chain(1024);
    assert_int_equal(load_bytes(text.data, text.len, &model, &err), ERR_OK);
    runtime_trees.free(model);
    buf_done(&text);
    text = chain(1025);
    assert_int_equal(load_bytes(text.data, text.len, &model, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "tree 0 is deeper than 1024 splits");
    buf_done(&text);
}

static void recognises_its_files_only(void **state)
{
    (void)state;
    static const char ubjson[] = "{L\0\0\0\0\0\0\0\7learner{";
    assert_true(runtime_trees.recognise(small, sizeof(small)));
    assert_true(runtime_trees.recognise(ubjson, sizeof(ubjson) - 1));
    assert_true(runtime_trees.recognise("\n {\"version\": [1], \"learner\": {", 31));
    assert_false(runtime_trees.recognise("", 0));
    assert_false(runtime_trees.recognise("{\"tree\":[]}", 11));
    assert_false(runtime_trees.recognise("\x08\x07learner", 9));
}

static void wrong_tensors_are_refused(void **state)
{
    (void)state;
    float row[4] = {0};
    void *model = NULL;
    struct err err = {0};
    struct tensor out[2];
    struct arena *arena = arena_new(64);
    assert_int_equal(load_text(small, &model, &err), ERR_OK);
    struct tensor in = {.dtype = DTYPE_I64, .rank = 2, .shape = {1, 3}, .data = row};
    struct runtime_call call = {
        .in = &in, .in_count = 1, .arena = arena, .out = out, .out_count = -1};
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_INVALID);
    assert_string_equal(err.msg, "the model takes FP32 or FP64, not INT64");
    in.dtype = DTYPE_F32;
    in.shape[1] = 4;
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_INVALID);
    in.shape[1] = 3;
    call.in_count = 2;
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_INVALID);
    call.in_count = 1;
    in.shape[0] = 17;
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_LIMIT);
    in.shape[0] = (int64_t)1 << 40;
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_LIMIT);
    assert_int_equal(call.out_count, -1);
    in.shape[0] = 0;
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_OK);
    assert_int_equal(out[0].shape[0], 0);
    runtime_trees.free(model);
    runtime_trees.free(NULL);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_model_predicts_what_its_text_says),
        cmocka_unit_test(a_model_describes_itself),
        cmocka_unit_test(best_iteration_ends_the_model),
        cmocka_unit_test(old_files_count_trees),
        cmocka_unit_test(damage_is_refused_by_name),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(recognises_its_files_only),
        cmocka_unit_test(wrong_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
