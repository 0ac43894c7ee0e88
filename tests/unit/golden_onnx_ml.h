/* golden_onnx_ml.h - reads tests/golden/onnx_ml/FOLDER/NAME.json and .onnx, which make.py
 * describes. */
#ifndef SLIPWAY_TESTS_UNIT_GOLDEN_ONNX_ML_H
#define SLIPWAY_TESTS_UNIT_GOLDEN_ONNX_ML_H

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/tensor.h"
#include "runtime/runtime.h"

enum { ONNX_GOLDEN_BYTES_MAX = 1 << 24, ONNX_GOLDEN_PATH_MAX = 256, ONNX_GOLDEN_TENSORS = 64 };

struct onnx_golden {
    char stem[ONNX_GOLDEN_PATH_MAX];
    struct arena *arena;
    struct buf model;
    int input_count, output_count;
    struct tensor inputs[ONNX_GOLDEN_TENSORS], outputs[ONNX_GOLDEN_TENSORS];
};

static inline double onnx_golden_number(yyjson_val *value)
{
    if (yyjson_is_null(value))
        return NAN;
    if (yyjson_is_str(value))
        return yyjson_get_str(value)[0] == '-' ? -INFINITY : INFINITY;
    return yyjson_get_num(value);
}

static inline void onnx_golden_fill(struct tensor *t, yyjson_val *data)
{
    size_t i, max;
    yyjson_val *value;
    yyjson_arr_foreach(data, i, max, value)
    {
        switch (t->dtype) {
        case DTYPE_F32:
            ((float *)t->data)[i] = (float)onnx_golden_number(value);
            break;
        case DTYPE_F64:
            ((double *)t->data)[i] = onnx_golden_number(value);
            break;
        case DTYPE_I64:
            ((int64_t *)t->data)[i] = yyjson_get_sint(value);
            break;
        case DTYPE_I32:
            ((int32_t *)t->data)[i] = (int32_t)yyjson_get_sint(value);
            break;
        case DTYPE_BOOL:
            ((bool *)t->data)[i] = yyjson_get_bool(value);
            break;
        default:
            ((struct str *)t->data)[i] = json_str(value);
        }
    }
}

static inline int onnx_golden_tensors(struct arena *arena, yyjson_val *list, struct tensor *out)
{
    size_t i, max, d, dims;
    yyjson_val *item, *dim;
    yyjson_arr_foreach(list, i, max, item)
    {
        struct tensor *t = &out[i];
        *t = (struct tensor){.name = yyjson_get_str(yyjson_obj_get(item, "name"))};
        t->dtype = dtype_find(json_str(yyjson_obj_get(item, "datatype")));
        yyjson_arr_foreach(yyjson_obj_get(item, "shape"), d, dims, dim) t->shape[t->rank++] =
            yyjson_get_sint(dim);
        t->data = arena_calloc(arena, yyjson_arr_size(yyjson_obj_get(item, "data")) + 1,
                               sizeof(struct str));
        onnx_golden_fill(t, yyjson_obj_get(item, "data"));
    }
    return (int)yyjson_arr_size(list);
}

/* From the path of the JSON. onnx_golden_done() it. */
static inline bool onnx_golden_read(const char *path, const char *model, struct onnx_golden *g)
{
    struct buf json;
    struct err err = {0};
    yyjson_val *root;
    char name[ONNX_GOLDEN_PATH_MAX + 8];
    memset(g, 0, sizeof(*g));
    snprintf(g->stem, sizeof(g->stem), "%.*s", (int)(strlen(path) - strlen(".json")), path);
    snprintf(name, sizeof(name), "%s.onnx", g->stem);
    g->arena = arena_new(ONNX_GOLDEN_BYTES_MAX);
    if (file_read(path, ONNX_GOLDEN_BYTES_MAX, &json, &err) ||
        file_read(model ? model : name, ONNX_GOLDEN_BYTES_MAX, &g->model, &err) ||
        json_read((struct str){json.data, json.len}, g->arena, &root, &err))
        return false;
    buf_done(&json);
    g->input_count = onnx_golden_tensors(g->arena, yyjson_obj_get(root, "inputs"), g->inputs);
    g->output_count = onnx_golden_tensors(g->arena, yyjson_obj_get(root, "outputs"), g->outputs);
    return true;
}

static inline void onnx_golden_done(struct onnx_golden *g)
{
    buf_done(&g->model);
    arena_free(g->arena);
}

static inline const struct tensor *onnx_golden_output(const struct onnx_golden *g, const char *name)
{
    for (int i = 0; i < g->output_count; i++)
        if (strcmp(g->outputs[i].name, name) == 0)
            return &g->outputs[i];
    return NULL;
}

/* Equal bits, or both NaN; or within `tolerance` of each other, relative to the larger of the
 * number and 1. */
static inline bool onnx_golden_equal(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (a == b)
        return tolerance > 0 || signbit(a) == signbit(b);
    return fabs(a - b) <= tolerance * fmax(1, fabs(b));
}

/* Where `out`, whose rows begin at row `first` of `expected`, differs; -1: nowhere. */
static inline int64_t onnx_golden_differs(const struct tensor *out, const struct tensor *expected,
                                          int64_t first, double tolerance)
{
    int64_t count = tensor_elements(out->shape, out->rank);
    int64_t offset = out->shape[0] ? first * (count / out->shape[0]) : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t j = offset + i;
        bool is_equal;
        if (out->dtype == DTYPE_F32)
            is_equal = onnx_golden_equal((double)((float *)out->data)[i],
                                         (double)((float *)expected->data)[j], tolerance);
        else if (out->dtype == DTYPE_F64)
            is_equal = onnx_golden_equal(((double *)out->data)[i], ((double *)expected->data)[j],
                                         tolerance);
        else if (out->dtype == DTYPE_I64)
            is_equal = ((int64_t *)out->data)[i] == ((int64_t *)expected->data)[j];
        else
            is_equal = str_equal(((struct str *)out->data)[i], ((struct str *)expected->data)[j]);
        if (!is_equal)
            return j;
    }
    return -1;
}

#endif
