/* test_trees_onnx.c - ONNX Runtime's own scores and labels, model by model, tier by tier. */
#include "golden_onnx_ml.h"
#include "runtime/trees.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 24, TIER_COUNT = 4 };

static void compare(const struct onnx_golden *g, const struct runtime_call *call, int64_t first,
                    const char *tier)
{
    for (int i = 0; i < call->out_count; i++) {
        const struct tensor *out = &call->out[i], *expected = onnx_golden_output(g, out->name);
        if (!expected)
            fail_msg("%s: ONNX Runtime has no output %s", g->stem, out->name);
        assert_int_equal(out->dtype, expected->dtype);
        assert_int_equal(out->rank, expected->rank);
        if (out->rank == 2)
            assert_int_equal(out->shape[1], expected->shape[1]);
        int64_t at = onnx_golden_differs(out, expected, first, 0);
        if (at >= 0 && out->dtype == DTYPE_F32)
            fail_msg(
                "%s, %s: element %lld of %s is %.9g, ONNX Runtime says %.9g", g->stem, tier,
                (long long)at, out->name,
                (double)((float *)out->data)[at - first * (out->rank == 2 ? out->shape[1] : 1)],
                (double)((float *)expected->data)[at]);
        if (at >= 0)
            fail_msg("%s, %s: element %lld of %s differs", g->stem, tier, (long long)at, out->name);
    }
}

static void check_model(const struct onnx_golden *g, const void *model, const char *tier)
{
    static const int64_t pieces[] = {1 << 20, 1, 7};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    int64_t rows = g->inputs[0].shape[0], columns = g->inputs[0].shape[1];
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
        for (int64_t first = 0; first < rows; first += pieces[p]) {
            struct tensor in = g->inputs[0], out[RUNTIME_TENSORS_MAX];
            struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
            in.shape[0] = rows - first < pieces[p] ? rows - first : pieces[p];
            in.data = (float *)g->inputs[0].data + first * columns;
            if (runtime_trees.predict(model, &call, &err))
                fail_msg("%s: %s", g->stem, err.msg);
            assert_int_equal(call.out_count, g->output_count);
            compare(g, &call, first, tier);
            arena_reset(arena);
        }
    arena_free(arena);
}

static int taken[TIER_COUNT];

static void check_tiers(const struct onnx_golden *g)
{
    static const enum trees_tier tiers[TIER_COUNT] = {TREES_TIER_BEST, TREES_TIER_SPARSE,
                                                      TREES_TIER_HEAP, TREES_TIER_VBMI};
    static const char *const names[TIER_COUNT] = {"best", "sparse", "heap", "vbmi"};
    if (!runtime_trees.recognise(g->model.data, g->model.len))
        fail_msg("%s is not recognised", g->stem);
    for (int t = 0; t < TIER_COUNT; t++) {
        void *model = NULL;
        struct err err = {0};
        enum err_code rc = trees_load_tier(g->model.data, g->model.len, tiers[t], &model, &err);
        if (rc == ERR_UNSUPPORTED && t > 1)
            continue;
        if (rc)
            fail_msg("%s: %s", g->stem, err.msg);
        assert_string_equal(runtime_trees.describe(model)->platform, "onnx_trees");
        check_model(g, model, names[t]);
        runtime_trees.free(model);
        taken[t]++;
    }
}

static void every_tier_gives_the_scores_of_onnx_runtime(void **state)
{
    glob_t list;
    (void)state;
    assert_int_equal(glob("tests/golden/onnx_ml/trees/*.json", 0, NULL, &list), 0);
    assert_true(list.gl_pathc > 80);
    for (size_t i = 0; i < list.gl_pathc; i++) {
        struct onnx_golden g;
        if (!onnx_golden_read(list.gl_pathv[i], NULL, &g))
            fail_msg("%s cannot be read", list.gl_pathv[i]);
        check_tiers(&g);
        onnx_golden_done(&g);
    }
    print_message("models by tier: sparse %d, heap %d, vbmi %d\n", taken[1], taken[2], taken[3]);
    assert_true(taken[1] == taken[0] && taken[2] > 15);
    globfree(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier_gives_the_scores_of_onnx_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
