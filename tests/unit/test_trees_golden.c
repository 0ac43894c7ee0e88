/* test_trees_golden.c - margins and predictions of XGBoost itself, file by file, tier by tier. */
#include <math.h>

#include "golden_trees.h"
#include "runtime/trees.h"
#include "test.h"

static const enum trees_tier tiers[] = {TREES_TIER_BEST, TREES_TIER_SPARSE, TREES_TIER_HEAP,
                                        TREES_TIER_VBMI};
enum { TIER_COUNT = 4, ARENA_BYTES = 1 << 24 };

struct scores {
    const float *predictions, *margins;
};

static void predict_rows(const void *model, const struct golden *g, int first, int rows,
                         struct arena *arena, struct scores *scores)
{
    static const bool both[2] = {true, true};
    struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {rows, g->features}};
    struct tensor out[2];
    struct err err = {0};
    struct runtime_call call = {
        .in = &in, .in_count = 1, .wanted = both, .arena = arena, .out = out};
    in.data = (void *)(uintptr_t)(g->inputs + first * g->features);
    assert_int_equal(runtime_trees.predict(model, &call, &err), ERR_OK);
    assert_int_equal(call.out_count, 2);
    assert_string_equal(out[0].name, "predict");
    assert_string_equal(out[1].name, "margin");
    assert_int_equal(out[0].shape[0], rows);
    assert_int_equal(tensor_elements(out[0].shape, out[0].rank), rows * g->prediction_count);
    assert_int_equal(tensor_elements(out[1].shape, out[1].rank), rows * g->margin_count);
    scores->predictions = out[0].data;
    scores->margins = out[1].data;
}

static void compare(const struct golden *g, const char *what, int first, int rows,
                    const struct scores *scores)
{
    const float *margins = g->margins + first * g->margin_count;
    const float *predictions = g->predictions + first * g->prediction_count;
    for (int i = 0; i < rows * g->margin_count; i++)
        if (memcmp(&margins[i], &scores->margins[i], sizeof(float)) != 0)
            fail_msg("%s%s: row %d has margin %.9g, XGBoost says %.9g", g->stem, what,
                     first + i / g->margin_count, (double)scores->margins[i], (double)margins[i]);
    for (int i = 0; i < rows * g->prediction_count; i++)
        if (!(fabsf(predictions[i] - scores->predictions[i]) <= 1e-6f * fabsf(predictions[i])))
            fail_msg("%s%s: row %d has prediction %.9g, XGBoost says %.9g", g->stem, what,
                     first + i / g->prediction_count, (double)scores->predictions[i],
                     (double)predictions[i]);
}

/* All rows at once, one by one, and in odd pieces that no block size divides. */
static void check_model(const void *model, const struct golden *g, const char *what)
{
    static const int pieces[] = {1 << 20, 1, 7, 37};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct scores scores;
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
        for (int first = 0; first < g->rows; first += pieces[p]) {
            int rows = g->rows - first < pieces[p] ? g->rows - first : pieces[p];
            predict_rows(model, g, first, rows, arena, &scores);
            compare(g, what, first, rows, &scores);
            arena_reset(arena);
        }
    arena_free(arena);
}

/* How many models each tier took, so that none passes by taking none. */
static int taken[TIER_COUNT];

static int check_file(const struct golden *g, const char *suffix)
{
    struct buf bytes;
    int checked = 0;
    if (!golden_model(g, suffix, &bytes))
        return 0;
    assert_true(runtime_trees.recognise(bytes.data, bytes.len));
    for (int t = 0; t < TIER_COUNT; t++) {
        void *model = NULL;
        struct err err = {0};
        enum err_code rc = trees_load_tier(bytes.data, bytes.len, tiers[t], &model, &err);
        if (rc == ERR_UNSUPPORTED && t >= 2)
            continue;
        if (rc)
            fail_msg("%s%s: %s", g->stem, suffix, err.msg);
        check_model(model, g, suffix);
        runtime_trees.free(model);
        taken[t]++;
        checked++;
    }
    buf_done(&bytes);
    return checked;
}

static void every_tier_gives_the_margins_of_xgboost(void **state)
{
    (void)state;
    glob_t list;
    assert_true(golden_list(&list));
    assert_true(list.gl_pathc > 100);
    for (size_t i = 0; i < list.gl_pathc; i++) {
        struct golden g;
        if (!golden_read(list.gl_pathv[i], &g))
            fail_msg("%s cannot be read", list.gl_pathv[i]);
        assert_true(check_file(&g, ".json") + check_file(&g, ".ubj") >= 2);
        golden_done(&g);
    }
    print_message("models by tier: sparse %d, heap %d, vbmi %d\n", taken[1], taken[2], taken[3]);
    assert_true(taken[1] == taken[0] && taken[2] > 100);
    assert_true(taken[3] == 0 || taken[3] > 100);
    globfree(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier_gives_the_margins_of_xgboost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
