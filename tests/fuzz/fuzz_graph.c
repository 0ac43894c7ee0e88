/* fuzz_graph.c - any bytes as the file of a graph: rows go through, or an error with words. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "graph_models.h"

enum { ARENA_BYTES = 1 << 24, ROWS = 3, FEATURES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small numbers, or empty texts. */
static void make_input(const struct signature_tensor *from, struct arena *arena, struct tensor *in)
{
    *in = (struct tensor){.name = from->name, .dtype = from->dtype, .rank = from->rank};
    in->shape[0] = ROWS;
    for (int i = 1; i < from->rank; i++)
        in->shape[i] = from->shape[i] < 0 ? 1 : from->shape[i];
    int64_t count = tensor_elements(in->shape, in->rank);
    if (count < 0 || count > ROWS * FEATURES_MAX)
        return;
    in->data = arena_calloc(arena, (size_t)count, dtype_memory_bytes(in->dtype));
    for (int64_t i = 0; in->dtype == DTYPE_F32 && i < count; i++)
        ((float *)in->data)[i] = (float)i - 2;
    for (int64_t i = 0; in->dtype == DTYPE_BYTES && i < count; i++)
        ((struct str *)in->data)[i] = STR_LIT("");
}

static void check_tensor(const struct tensor *tensor, const struct signature_tensor *as)
{
    assert(tensor->dtype == as->dtype && tensor->rank == as->rank && tensor->shape[0] == ROWS);
    assert(strcmp(tensor->name, as->name) == 0);
}

static void check_answer(const struct signature *sig, const struct runtime_call *call)
{
    assert(call->out_count == sig->output_count);
    for (int i = 0; i < call->out_count; i++)
        check_tensor(&call->out[i], &sig->outputs[i]);
    for (int i = 0; i < sig->aside_count; i++)
        check_tensor(&call->aside[i], &sig->asides[i]);
}

static void ask(const void *model)
{
    const struct signature *sig = runtime_graph.describe(model);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct tensor in[RUNTIME_TENSORS_MAX], out[RUNTIME_TENSORS_MAX], aside[RUNTIME_ASIDES_MAX];
    struct runtime_call call = {
        .in = in, .in_count = sig->input_count, .arena = arena, .out = out, .aside = aside};
    struct err err = {0};
    bool is_small = true;
    assert(sig->input_count >= 1 && sig->input_count <= RUNTIME_TENSORS_MAX);
    assert(sig->aside_count <= RUNTIME_ASIDES_MAX);
    for (int i = 0; i < sig->input_count; i++) {
        make_input(&sig->inputs[i], arena, &in[i]);
        is_small = is_small && in[i].data;
    }
    if (is_small && runtime_graph.predict(model, &call, &err))
        assert(err.msg[0]);
    else if (is_small)
        check_answer(sig, &call);
    arena_free(arena);
}

/* What it is registered as loads as the file does. */
static void pin(const struct runtime_file *file)
{
    struct buf pinned;
    struct err err = {0};
    buf_init(&pinned, 4 * GRAPH_BYTES_MAX);
    if (graph_pin(file, &pinned, &err)) {
        assert(err.msg[0]);
    } else {
        const struct runtime_file again = {
            .bytes = pinned.data, .size = pinned.len, .versions = &graph_test_versions};
        void *model = NULL;
        if (pinned.len <= GRAPH_BYTES_MAX && !runtime_graph.load(&again, &model, &err))
            ask(model);
        runtime_graph.free(model);
    }
    buf_done(&pinned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct runtime_file file = {
        .bytes = data, .size = size, .versions = &graph_test_versions};
    struct err err = {0};
    void *model = NULL;
    (void)runtime_graph.recognise(data, size);
    if (runtime_graph.load(&file, &model, &err)) {
        assert(err.msg[0] && !model);
    } else {
        ask(model);
        runtime_graph.free(model);
    }
    pin(&file);
    return 0;
}
