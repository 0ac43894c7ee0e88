/* fuzz_linear.c - any bytes as an ONNX pipeline or a slipway-linear document: loading fails with a
 * message, or the model answers rows or says why not. */
#include <string.h>

#include "base/check.h"
#include "runtime/linear.h"

enum { ROWS = 3, ARENA_BYTES = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fill(const struct signature_tensor *as, struct tensor *in, struct arena *arena,
                 const uint8_t *data, size_t size)
{
    size_t count = ROWS * (size_t)as->shape[1];
    *in = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = 2};
    in->shape[0] = ROWS;
    in->shape[1] = as->shape[1];
    in->data = arena_calloc(arena, count, sizeof(struct str));
    for (size_t i = 0; in->data && i < count; i++) {
        size_t at = i * 7 % size;
        if (as->dtype == DTYPE_F32)
            ((float *)in->data)[i] = (float)data[at] - 100;
        else if (as->dtype == DTYPE_I64)
            ((int64_t *)in->data)[i] = data[at];
        else
            ((struct str *)in->data)[i] = (struct str){(const char *)data + at, size - at < 3};
    }
    return in->data != NULL;
}

static void predict(const void *model, const uint8_t *data, size_t size)
{
    const struct signature *s = runtime_linear.describe(model);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct tensor in[RUNTIME_TENSORS_MAX], out[RUNTIME_TENSORS_MAX];
    struct runtime_call call = {.in = in, .in_count = s->input_count, .arena = arena, .out = out};
    struct err err = {0};
    bool has_room = true;
    for (int i = 0; i < s->input_count; i++)
        has_room = has_room && fill(&s->inputs[i], &in[i], arena, data, size);
    if (has_room && runtime_linear.predict(model, &call, &err))
        assert(err.msg[0] != '\0');
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    void *model = NULL;
    const struct runtime_file file = {.bytes = data, .size = size};
    bool is_ours = runtime_linear.recognise(data, size);
    if (runtime_linear.load(&file, &model, &err)) {
        assert(err.msg[0] != '\0' && model == NULL);
        return 0;
    }
    assert(is_ours);
    predict(model, data, size);
    runtime_linear.free(model);
    return 0;
}
