/* fuzz_echo.c - any bytes as the file of an echo: a model that answers, or an error with words. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/tensor_element.h"
#include "runtime/echo.h"

enum { ARENA_BYTES = 1 << 24, ELEMENTS_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Zeros of the least shape; false when that is too much to try. */
static bool make_input(const struct signature_tensor *from, struct arena *arena, struct tensor *in)
{
    *in = (struct tensor){.name = from->name, .dtype = from->dtype, .rank = from->rank};
    for (int i = 0; i < from->rank; i++)
        in->shape[i] = from->shape[i] < 0 ? 1 : from->shape[i];
    int64_t count = tensor_elements(in->shape, in->rank);
    if (count < 0 || count > ELEMENTS_MAX)
        return false;
    if (!from->is_optional)
        in->data = arena_calloc(arena, (size_t)count, dtype_memory_bytes(in->dtype));
    return from->is_optional || in->data;
}

static void check_answer(const struct signature *sig, const struct runtime_call *call)
{
    assert(call->out_count == sig->output_count);
    for (int i = 0; i < call->out_count; i++) {
        assert(call->out[i].data && call->out[i].dtype == sig->outputs[i].dtype);
        if (call->in[i].data)
            assert(memcmp(call->out[i].shape, call->in[i].shape,
                          sizeof(int64_t) * (size_t)call->in[i].rank) == 0);
    }
}

static void ask(const void *model)
{
    const struct signature *sig = runtime_echo.describe(model);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct tensor in[RUNTIME_TENSORS_MAX], out[RUNTIME_TENSORS_MAX];
    struct runtime_call call = {.in = in, .in_count = sig->input_count, .arena = arena, .out = out};
    struct err err = {0};
    bool is_small = sig->place == RUNTIME_INLINE;
    assert(sig->input_count >= 1 && sig->input_count <= RUNTIME_TENSORS_MAX);
    for (int i = 0; is_small && i < sig->input_count; i++)
        is_small = make_input(&sig->inputs[i], arena, &in[i]);
    if (is_small) {
        if (runtime_echo.predict(model, &call, &err))
            assert(err.msg[0]);
        else
            check_answer(sig, &call);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct runtime_file file = {.bytes = data, .size = size};
    struct err err = {0};
    void *model = NULL;
    (void)runtime_echo.recognise(data, size);
    if (runtime_echo.load(&file, &model, &err)) {
        assert(err.msg[0] && !model);
        return 0;
    }
    ask(model);
    runtime_echo.free(model);
    return 0;
}
