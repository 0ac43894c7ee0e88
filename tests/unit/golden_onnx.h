/* golden_onnx.h - runs a folder of model.onnx, input_N.pb and output_N.pb, as the ONNX project
 * keeps its cases and tests/golden/onnx/make.py writes them.
 *
 *     TensorProto { dims = 1, data_type = 2, float_data = 4, int32_data = 5, string_data = 6,
 *                   int64_data = 7, name = 8, raw_data = 9, double_data = 10, uint64_data = 11 }
 */
#ifndef SLIPWAY_TESTS_UNIT_GOLDEN_ONNX_H
#define SLIPWAY_TESTS_UNIT_GOLDEN_ONNX_H

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/protobuf.h"
#include "runtime/onnx.h"
#include "runtime/onnx_library.h"

enum { ONNX_CASE_BYTES_MAX = 1 << 28 };

/* Where the tests' own Python environment has the library, else wherever it is found. */
static inline const struct runtime_host *onnx_test_host(void)
{
    static struct runtime_host host = {
        .work_dir = "", .python = "", .onnxruntime = "", .onnx_threads = 1, .thread_count = 1};
    if (access("build/venv/bin/python", X_OK) == 0)
        host.onnxruntime = "build/venv";
    return &host;
}

static inline enum err_code onnx_test_load(const void *bytes, size_t size, void **model,
                                           struct err *err)
{
    const struct runtime_file file = {
        .bytes = bytes, .size = size, .digest_hex = "", .host = onnx_test_host()};
    return runtime_onnx.load(&file, model, err);
}

/* Is it there? */
static inline bool onnx_test_library(void)
{
    const struct onnx_library *library = NULL;
    struct err err = {0};
    return onnx_library_open(onnx_test_host()->onnxruntime, 1, &library, &err) == ERR_OK;
}

/* --- a tensor of a file -------------------------------------------------------------- */

static inline enum dtype onnx_case_dtype(int64_t type)
{
    static const enum dtype of[] = {DTYPE_COUNT, DTYPE_F32, DTYPE_U8,  DTYPE_I8,    DTYPE_U16,
                                    DTYPE_I16,   DTYPE_I32, DTYPE_I64, DTYPE_BYTES, DTYPE_BOOL,
                                    DTYPE_F16,   DTYPE_F64, DTYPE_U32, DTYPE_U64,   DTYPE_COUNT,
                                    DTYPE_COUNT, DTYPE_BF16};
    return type > 0 && type < (int64_t)(sizeof(of) / sizeof(of[0])) ? of[type] : DTYPE_COUNT;
}

/* Numbers that stand in fields of their own kind; little-endian cuts them to their size. */
static inline void onnx_case_numbers(struct pb_field *f, enum pb_wire wire, struct tensor *t,
                                     size_t *filled, size_t room)
{
    size_t size = dtype_bytes(t->dtype);
    uint64_t value;
    while (*filled < room && pb_next_number(f, wire, &value))
        memcpy((char *)t->data + (*filled)++ * size, &value, size);
}

static inline void onnx_case_fill(struct str message, struct tensor *t, size_t room)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    size_t filled = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 9 && t->dtype != DTYPE_BYTES && f.bytes.len == room * dtype_bytes(t->dtype))
            memcpy(t->data, f.bytes.ptr, f.bytes.len);
        else if (f.number == 6 && filled < room)
            ((struct str *)t->data)[filled++] = f.bytes;
        else if (f.number == 4)
            onnx_case_numbers(&f, PB_FIXED32, t, &filled, room);
        else if (f.number == 10)
            onnx_case_numbers(&f, PB_FIXED64, t, &filled, room);
        else if (f.number == 5 || f.number == 7 || f.number == 11)
            onnx_case_numbers(&f, PB_VARINT, t, &filled, room);
    }
}

/* False when it is no tensor of a type that requests carry. */
static inline bool onnx_case_tensor(struct str message, struct arena *arena, struct tensor *t)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    *t = (struct tensor){.name = "", .dtype = DTYPE_COUNT};
    while (pb_next(&r, &f)) {
        uint64_t dim;
        if (f.number == 1)
            while (t->rank < TENSOR_RANK_MAX && pb_next_number(&f, PB_VARINT, &dim))
                t->shape[t->rank++] = (int64_t)dim;
        else if (f.number == 2)
            t->dtype = onnx_case_dtype((int64_t)f.value);
        else if (f.number == 8 && f.wire == PB_BYTES)
            t->name = arena_copy(arena, f.bytes.ptr, f.bytes.len);
    }
    if (r.problem || t->dtype == DTYPE_COUNT)
        return false;
    int64_t elements = tensor_elements(t->shape, t->rank);
    size_t size = t->dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(t->dtype);
    if (elements < 0 || elements > ONNX_CASE_BYTES_MAX)
        return false; /* a sequence or a map, whose fields mean something else */
    t->data = arena_calloc(arena, (size_t)elements + 1, size);
    onnx_case_fill(message, t, (size_t)elements);
    return true;
}

/* --- a case ------------------------------------------------------------------------------- */

struct onnx_case {
    const char *folder; /* of the model */
    struct arena *arena;
    struct tensor in[RUNTIME_TENSORS_MAX], expected[RUNTIME_TENSORS_MAX];
    int in_count, expected_count;
    double tolerance; /* relative */
    char problem[256];
};

static inline bool onnx_case_read(struct onnx_case *c, const char *path, struct str *bytes)
{
    struct err err = {0};
    struct buf file;
    bool is_read = !file_read(path, ONNX_CASE_BYTES_MAX, &file, &err);
    if (is_read)
        *bytes = (struct str){arena_copy(c->arena, file.data, file.len), file.len};
    buf_done(&file);
    return is_read;
}

/* PATTERN has %d for 0, 1, ...; -1: one of them is no tensor. */
static inline int onnx_case_tensors(struct onnx_case *c, const char *data, const char *noun,
                                    struct tensor *tensors)
{
    int count = 0;
    for (;; count++) {
        char path[1024];
        struct str bytes;
        snprintf(path, sizeof(path), "%s/%s_%d.pb", data, noun, count);
        if (access(path, R_OK) != 0 || count == RUNTIME_TENSORS_MAX)
            return count;
        if (!onnx_case_read(c, path, &bytes) || !onnx_case_tensor(bytes, c->arena, &tensors[count]))
            return -1;
    }
}

static inline double onnx_case_f16(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static inline double onnx_case_number(const struct tensor *t, size_t i)
{
    const void *data = t->data;
    uint32_t bits;
    float value;
    switch (t->dtype) {
    case DTYPE_F32:
        return (double)((const float *)data)[i];
    case DTYPE_F64:
        return ((const double *)data)[i];
    case DTYPE_F16:
        return onnx_case_f16(((const uint16_t *)data)[i]);
    default:
        bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        memcpy(&value, &bits, sizeof(value));
        return (double)value;
    }
}

/* The largest finite magnitude: sums of many terms are as exact as that, not as their result. */
static inline double onnx_case_scale(const struct tensor *t, size_t elements)
{
    double scale = 0;
    bool is_float = t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16 || t->dtype == DTYPE_F32 ||
                    t->dtype == DTYPE_F64;
    for (size_t i = 0; is_float && i < elements; i++) {
        double value = fabs(onnx_case_number(t, i));
        scale = isfinite(value) && value > scale ? value : scale;
    }
    return scale;
}

static inline bool onnx_case_same(const struct tensor *want, const struct tensor *got, size_t i,
                                  double tolerance, double scale)
{
    if (want->dtype == DTYPE_BYTES)
        return str_equal(((const struct str *)want->data)[i], ((const struct str *)got->data)[i]);
    if (want->dtype != DTYPE_F16 && want->dtype != DTYPE_BF16 && want->dtype != DTYPE_F32 &&
        want->dtype != DTYPE_F64) {
        size_t size = dtype_bytes(want->dtype);
        return memcmp((char *)want->data + i * size, (char *)got->data + i * size, size) == 0;
    }
    double a = onnx_case_number(want, i), b = onnx_case_number(got, i);
    double relative = want->dtype == DTYPE_F16 || want->dtype == DTYPE_BF16 ? 1e-2 : tolerance;
    return a == b || (isnan(a) && isnan(b)) ||
           fabs(a - b) <= 1e-6 + 1e-5 * scale + relative * fabs(a);
}

static inline bool onnx_case_compare(struct onnx_case *c, const struct tensor *want,
                                     const struct tensor *got)
{
    size_t elements = (size_t)tensor_elements(want->shape, want->rank);
    bool is_same = want->dtype == got->dtype && want->rank == got->rank &&
                   memcmp(want->shape, got->shape, (size_t)want->rank * sizeof(int64_t)) == 0;
    if (!is_same)
        snprintf(c->problem, sizeof(c->problem), "%s: output '%s' is %s of rank %d, not %s of %d",
                 c->folder, got->name, dtype_name(got->dtype), got->rank, dtype_name(want->dtype),
                 want->rank);
    double scale = is_same ? onnx_case_scale(want, elements) : 0;
    for (size_t i = 0; is_same && i < elements; i++) {
        is_same = onnx_case_same(want, got, i, c->tolerance, scale);
        if (!is_same)
            snprintf(c->problem, sizeof(c->problem), "%s: element %zu of output '%s' differs",
                     c->folder, i, got->name);
    }
    return is_same;
}

/* Inputs by name, or by place when the file gives them none. */
static inline void onnx_case_order(const struct onnx_case *c, const struct signature *s,
                                   struct tensor *in)
{
    for (int i = 0; i < s->input_count; i++) {
        in[i] = (struct tensor){.name = s->inputs[i].name};
        for (int k = 0; k < c->in_count; k++)
            if (strcmp(c->in[k].name, s->inputs[i].name) == 0 || (!*c->in[k].name && k == i))
                in[i] = c->in[k];
    }
}

static inline bool onnx_case_answer(struct onnx_case *c, const void *model)
{
    const struct signature *s = runtime_onnx.describe(model);
    struct tensor in[RUNTIME_TENSORS_MAX], out[RUNTIME_TENSORS_MAX];
    struct err err = {0};
    struct runtime_call call = {
        .in = in, .in_count = s->input_count, .arena = c->arena, .out = out};
    onnx_case_order(c, s, in);
    if (runtime_onnx.predict(model, &call, &err)) {
        snprintf(c->problem, sizeof(c->problem), "%s: %.200s", c->folder, err.msg);
        return false;
    }
    for (int i = 0; i < c->expected_count; i++) {
        const struct tensor *got = NULL;
        for (int k = 0; k < call.out_count; k++)
            if (strcmp(out[k].name, c->expected[i].name) == 0 || (!*c->expected[i].name && k == i))
                got = &out[k];
        if (!got) {
            snprintf(c->problem, sizeof(c->problem), "%s: output '%s' is missing", c->folder,
                     c->expected[i].name);
            return false;
        }
        if (!onnx_case_compare(c, &c->expected[i], got))
            return false;
    }
    return true;
}

enum onnx_verdict { ONNX_AGREES, ONNX_DIFFERS, ONNX_NOT_LOADED, ONNX_NO_TENSORS };

/* `model` and the folder with its tensors; c->problem says what is wrong. */
static inline enum onnx_verdict onnx_case_run(const char *model_path, const char *data,
                                              double tolerance, char *problem, size_t size)
{
    struct onnx_case c = {.folder = data, .arena = arena_new(SIZE_MAX), .tolerance = tolerance};
    struct str bytes = {0};
    struct err err = {0};
    void *model = NULL;
    enum onnx_verdict verdict = ONNX_NO_TENSORS;
    c.in_count = onnx_case_tensors(&c, data, "input", c.in);
    c.expected_count = onnx_case_tensors(&c, data, "output", c.expected);
    if (c.in_count >= 0 && c.expected_count > 0 && onnx_case_read(&c, model_path, &bytes)) {
        if (onnx_test_load(bytes.ptr, bytes.len, &model, &err)) {
            snprintf(c.problem, sizeof(c.problem), "%s: %.200s", data, err.msg);
            verdict = ONNX_NOT_LOADED;
        } else {
            verdict = onnx_case_answer(&c, model) ? ONNX_AGREES : ONNX_DIFFERS;
        }
        runtime_onnx.free(model);
    }
    snprintf(problem, size, "%s", c.problem);
    arena_free(c.arena);
    return verdict;
}

#endif
