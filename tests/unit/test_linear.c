/* test_linear.c - pipelines against ONNX Runtime, slipway-linear against arithmetic. */
#include "golden_onnx_ml.h"
#include "runtime/linear.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 24 };

/* Sums of products have another order in ONNX Runtime, and its logistic function is its own. */
static const double tolerance = 1e-5;

static void check_outputs(const struct onnx_golden *g, const struct runtime_call *call,
                          int64_t first)
{
    for (int i = 0; i < call->out_count; i++) {
        const struct tensor *out = &call->out[i], *expected = onnx_golden_output(g, out->name);
        if (!expected)
            fail_msg("%s: ONNX Runtime has no output %s", g->stem, out->name);
        if (out->dtype != expected->dtype || out->rank != expected->rank)
            fail_msg("%s: output %s is %s of rank %d, ONNX Runtime says %s, %d", g->stem, out->name,
                     dtype_name(out->dtype), out->rank, dtype_name(expected->dtype),
                     expected->rank);
        int64_t at = onnx_golden_differs(out, expected, first, tolerance);
        if (at >= 0 && out->dtype == DTYPE_F32)
            fail_msg("%s: element %lld of %s, ONNX Runtime says %.9g", g->stem, (long long)at,
                     out->name, (double)((float *)expected->data)[at]);
        if (at >= 0)
            fail_msg("%s: element %lld of %s differs", g->stem, (long long)at, out->name);
    }
}

static void check_model(const struct onnx_golden *g, const void *model)
{
    static const int64_t pieces[] = {1 << 20, 1, 7};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    int64_t rows = g->inputs[0].shape[0];
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
        for (int64_t first = 0; first < rows; first += pieces[p]) {
            struct tensor in[RUNTIME_TENSORS_MAX], out[RUNTIME_TENSORS_MAX];
            struct runtime_call call = {
                .in = in, .in_count = g->input_count, .arena = arena, .out = out};
            for (int i = 0; i < g->input_count; i++) {
                in[i] = g->inputs[i];
                size_t element =
                    in[i].dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(in[i].dtype);
                in[i].shape[0] = rows - first < pieces[p] ? rows - first : pieces[p];
                in[i].data = (char *)in[i].data + (size_t)(first * in[i].shape[1]) * element;
            }
            if (runtime_linear.predict(model, &call, &err))
                fail_msg("%s: %s", g->stem, err.msg);
            assert_int_equal(call.out_count, g->output_count);
            check_outputs(g, &call, first);
            arena_reset(arena);
        }
    arena_free(arena);
}

static void pipelines_give_the_answers_of_onnx_runtime(void **state)
{
    glob_t list;
    (void)state;
    assert_int_equal(glob("tests/golden/onnx_ml/linear/*.json", 0, NULL, &list), 0);
    assert_true(list.gl_pathc > 20);
    for (size_t i = 0; i < list.gl_pathc; i++) {
        struct onnx_golden g;
        struct err err = {0};
        void *model = NULL;
        if (!onnx_golden_read(list.gl_pathv[i], NULL, &g))
            fail_msg("%s cannot be read", list.gl_pathv[i]);
        const struct runtime_file file = {.bytes = g.model.data, .size = g.model.len};
        if (runtime_linear.load(&file, &model, &err))
            fail_msg("%s: %s", g.stem, err.msg);
        if (runtime_recognise(g.model.data, g.model.len) != &runtime_linear)
            fail_msg("%s is not recognised", g.stem);
        check_model(&g, model);
        runtime_linear.free(model);
        onnx_golden_done(&g);
    }
    print_message("%zu pipelines\n", list.gl_pathc);
    globfree(&list);
}

/* --- slipway-linear ------------------------------------------------------------------------ */

static enum err_code load_text(const char *text, void **model, struct err *err)
{
    const struct runtime_file file = {.bytes = text, .size = strlen(text)};
    return runtime_linear.load(&file, model, err);
}

static const char numbers[] =
    "{\"format\":\"slipway-linear\",\"version\":1,\"features\":["
    "{\"name\":\"age\",\"missing\":30,\"center\":20,\"scale\":4},{\"name\":\"fare\"}],"
    "\"weights\":[[1,2],[0.5,-1],[0,0.25]],\"intercept\":[0.5,0,1]}";

/* age 24 is (24 - 20) / 4 = 1; missing counts as 30, so 2.5. */
static void numbers_are_filled_scaled_and_weighed(void **state)
{
    static float rows[2][2] = {{24, 3}, {NAN, -1}};
    static const float expected[2][3] = {
        {1 + 2 * 3 + 0.5f, 0.5f - 3, 0.25f * 3 + 1},
        {2.5f - 2 + 0.5f, 1.25f + 1, -0.25f + 1},
    };
    struct tensor out[1], in = {.dtype = DTYPE_F32, .rank = 2, .shape = {2, 2}, .data = rows};
    struct arena *arena = arena_new(1 << 16);
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    struct err err = {0};
    void *model = NULL;
    (void)state;
    assert_int_equal(load_text(numbers, &model, &err), ERR_OK);
    const struct signature *s = runtime_linear.describe(model);
    assert_string_equal(s->platform, "slipway_linear");
    assert_int_equal(s->feature_count, 2);
    assert_string_equal(s->feature_names[1], "fare");
    assert_int_equal(s->class_count, 1);
    assert_int_equal(runtime_linear.predict(model, &call, &err), ERR_OK);
    assert_int_equal(out[0].shape[1], 3);
    assert_memory_equal(out[0].data, expected, sizeof(expected));
    runtime_linear.free(model);
    arena_free(arena);
}

static const char mixed[] =
    "{\"format\":\"slipway-linear\",\"link\":\"logistic\",\"features\":["
    "{\"name\":\"age\",\"scale\":2},{\"name\":\"sex\",\"categories\":[\"f\",\"m\"]}],"
    "\"weights\":[1,-0.5,0.5],\"intercept\":0.25}";

/* 1 / (1 + e^-(age / 2 + 0.25 + {f: -0.5, m: 0.5, others: 0})) */
static void categories_are_columns(void **state)
{
    static float ages[3] = {2, 2, -1};
    static struct str sexes[3] = {{"f", 1}, {"m", 1}, {"x", 1}};
    const double scores[3] = {1 + 0.25 - 0.5, 1 + 0.25 + 0.5, -0.5 + 0.25};
    struct tensor out[1], in[2] = {
                              {.dtype = DTYPE_F32, .rank = 2, .shape = {3, 1}, .data = ages},
                              {.dtype = DTYPE_BYTES, .rank = 2, .shape = {3, 1}, .data = sexes},
                          };
    struct arena *arena = arena_new(1 << 16);
    struct runtime_call call = {.in = in, .in_count = 2, .arena = arena, .out = out};
    struct err err = {0};
    void *model = NULL;
    (void)state;
    assert_int_equal(load_text(mixed, &model, &err), ERR_OK);
    const struct signature *s = runtime_linear.describe(model);
    assert_string_equal(s->inputs[1].name, "sex");
    assert_int_equal(s->inputs[1].dtype, DTYPE_BYTES);
    assert_int_equal(s->feature_count, 0);
    assert_int_equal(s->class_count, 2);
    assert_true(s->is_probability);
    assert_int_equal(runtime_linear.predict(model, &call, &err), ERR_OK);
    assert_int_equal(out[0].rank, 1);
    for (int i = 0; i < 3; i++)
        assert_float_equal(((float *)out[0].data)[i], 1 / (1 + exp(-scores[i])), 1e-6);
    in[1].shape[0] = 2;
    assert_int_equal(runtime_linear.predict(model, &call, &err), ERR_INVALID);
    in[1].shape[0] = 3;
    in[0].dtype = DTYPE_F64;
    assert_int_equal(runtime_linear.predict(model, &call, &err), ERR_INVALID);
    call.in_count = 1;
    assert_int_equal(runtime_linear.predict(model, &call, &err), ERR_INVALID);
    runtime_linear.free(model);
    arena_free(arena);
}

static const struct {
    const char *from, *to, *says;
} damages[] = {
    {"[1,-0.5,0.5]", "[1,-0.5]", "weights is not a list of 3 numbers"},
    {"[1,-0.5,0.5]", "[1,\"x\",0.5]", "weights[1] is not a number"},
    {"[1,-0.5,0.5]", "[[1,-0.5,0.5],[1,2]]", "weights[1] is not a list of 3 numbers"},
    {"[1,-0.5,0.5]", "[[1,-0.5,0.5]]", "intercept is not a list of 1 numbers"},
    {"0.25", "\"x\"", "intercept is not a number"},
    {"0.25", "1e99", "intercept is not a number"},
    {"\"scale\":2", "\"scale\":0", "features[0]: scale is 0"},
    {"\"scale\":2", "\"scal\":2", "scal"},
    {"\"scale\":2", "\"scale\":[2]", "features[0]: scale is not a number"},
    {"[\"f\",\"m\"]", "[\"f\",\"f\"]", "features[1]: a category is there twice"},
    {"[\"f\",\"m\"]", "[\"f\",7]", "features[1]: categories[1] is not a text"},
    {"[\"f\",\"m\"]", "[]", "features[1]: categories is not a list"},
    {"\"sex\"", "\"age\"", "two features are named 'age'"},
    {"\"sex\"", "\"\"", "features[1]: name is not a text"},
    {"\"sex\"", "[1,2,3]", "features[1]: name is not a text"},
    {"logistic", "probit", "link is none of"},
    {"logistic", "softmax", "softmax needs weights of two classes"},
    {"slipway-linear\",\"link", "slipway-lineal\",\"link", ""},
    {"\"link\"", "\"version\":2,\"link\"", "version 1"},
    {"\"intercept\":0.25}", "\"intercept\":0.25", "JSON"},
};

static void damaged_documents_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char text[sizeof(mixed) + 64];
        void *untouched = &untouched, *model = untouched;
        struct err err = {0};
        const char *at = strstr(mixed, damages[i].from);
        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - mixed), mixed, damages[i].to,
                 at + strlen(damages[i].from));
        enum err_code code = load_text(text, &model, &err);
        if (code != ERR_INVALID || !strstr(err.msg, damages[i].says))
            fail_msg("%s -> %s: code %d, '%s'", damages[i].from, damages[i].to, code, err.msg);
        assert_ptr_equal(model, untouched);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelines_give_the_answers_of_onnx_runtime),
        cmocka_unit_test(numbers_are_filled_scaled_and_weighed),
        cmocka_unit_test(categories_are_columns),
        cmocka_unit_test(damaged_documents_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
