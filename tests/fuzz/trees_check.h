/* trees_check.h - the property of the fuzz targets for model files of trees: loading fails with a
 * message, or the model predicts the same bits in every tier that takes it. */
#ifndef SLIPWAY_TESTS_FUZZ_TREES_CHECK_H
#define SLIPWAY_TESTS_FUZZ_TREES_CHECK_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/trees.h"
#include "runtime/trees_model.h"

enum { TREES_ROWS = 70, TREES_VALUES_MAX = 1 << 20, TREES_ARENA_BYTES = 1 << 28 };

/* Small numbers as codes and thresholds have them, odd floats, and the file's own bytes. */
static inline void trees_fill(float *rows, size_t count, const uint8_t *data, size_t size)
{
    static const float odd[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, 1e-45f, 16777216.0f, -1.0f};
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0;
        if (size >= sizeof(bits))
            memcpy(&bits, data + i * 7 % (size - sizeof(bits) + 1), sizeof(bits));
        if (i % 3 == 0)
            rows[i] = odd[bits % (sizeof(odd) / sizeof(odd[0]))];
        else if (i % 3 == 1)
            rows[i] = (float)(bits % 64) / 4.0f - 4.0f;
        else
            memcpy(&rows[i], &bits, sizeof(bits));
    }
}

static inline void trees_predict(const void *model, float *rows, int row_count, struct arena *arena,
                                 struct tensor *out)
{
    static const bool all[TREES_OUTPUTS_MAX] = {true, true, true};
    const struct signature *s = runtime_trees.describe(model);
    struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {row_count, s->feature_count}};
    struct err err = {0};
    struct runtime_call call = {
        .in = &in, .in_count = 1, .wanted = all, .arena = arena, .out = out};
    in.data = rows;
    enum err_code code = runtime_trees.predict(model, &call, &err);
    assert(code == ERR_OK && call.out_count == s->output_count);
}

/* The rows of `a` are the first of `b`. Margins may overflow to infinities and so to NaN, whose
 * bits say nothing. */
static inline void trees_compare(const struct tensor *a, const struct tensor *b)
{
    const float *x = a->data, *y = b->data;
    const double *wide_x = a->data, *wide_y = b->data;
    const struct str *text_x = a->data, *text_y = b->data;
    int64_t count = tensor_elements(a->shape, a->rank);
    assert(a->dtype == b->dtype && count <= tensor_elements(b->shape, b->rank));
    for (int64_t i = 0; i < count; i++)
        if (a->dtype == DTYPE_F32)
            assert(memcmp(&x[i], &y[i], sizeof(float)) == 0 || (isnan(x[i]) && isnan(y[i])));
        else if (a->dtype == DTYPE_BYTES)
            assert(str_equal(text_x[i], text_y[i]));
        else
            assert(memcmp(&wide_x[i], &wide_y[i], sizeof(double)) == 0 ||
                   (a->dtype == DTYPE_F64 && isnan(wide_x[i]) && isnan(wide_y[i])));
}

static inline void trees_check_tiers(const uint8_t *data, size_t size, const void *best)
{
    const struct signature *s = runtime_trees.describe(best);
    size_t per_row = (size_t)s->feature_count + 2 * (size_t)s->outputs[0].shape[1];
    int rows = TREES_ROWS * per_row > TREES_VALUES_MAX ? 1 : TREES_ROWS;
    struct arena *arena = arena_new(TREES_ARENA_BYTES);
    size_t count = (size_t)rows * (size_t)s->feature_count;
    float *values = arena_alloc(arena, count * sizeof(float));
    struct tensor expected[TREES_OUTPUTS_MAX], out[TREES_OUTPUTS_MAX];
    trees_fill(values, count, data, size);
    trees_predict(best, values, rows, arena, expected);
    for (int tier = TREES_TIER_SPARSE; tier <= TREES_TIER_VBMI; tier++) {
        struct err err = {0};
        void *model = NULL;
        enum err_code code = trees_load_tier(data, size, (enum trees_tier)tier, &model, &err);
        assert(code == ERR_OK || (code == ERR_UNSUPPORTED && tier != TREES_TIER_SPARSE));
        if (code)
            continue;
        trees_predict(model, values, rows, arena, out);
        for (int i = 0; i < s->output_count; i++)
            trees_compare(&expected[i], &out[i]);
        trees_predict(model, values, 1, arena, out);
        for (int i = 0; i < s->output_count; i++)
            trees_compare(&out[i], &expected[i]);
        runtime_trees.free(model);
    }
    arena_free(arena);
}

static inline void trees_check(const uint8_t *data, size_t size)
{
    struct err err = {0};
    void *model = NULL;
    const struct runtime_file file = {.bytes = data, .size = size};
    (void)runtime_trees.recognise(data, size);
    if (runtime_trees.load(&file, &model, &err)) {
        assert(err.msg[0] != '\0' && model == NULL);
        return;
    }
    trees_check_tiers(data, size, model);
    runtime_trees.free(model);
}

#endif
