/* fuzz_python_settings.c - any bytes as slipway.yaml: refused, or a signature that holds together.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "runtime/python_settings.h"

enum { MEMORY_BYTES_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct python_settings *settings = NULL;
    struct err err = {0};
    struct arena *arena = arena_new(MEMORY_BYTES_MAX);
    if (python_settings_read((struct str){(const char *)data, size}, arena, &settings, &err) ==
        ERR_OK) {
        const struct signature *sig = &settings->signature;
        assert(sig->input_count > 0 && sig->input_count <= RUNTIME_TENSORS_MAX);
        assert(sig->output_count > 0 && sig->output_count <= RUNTIME_TENSORS_MAX);
        for (int i = 0; i < sig->input_count; i++)
            assert(sig->inputs[i].name && sig->inputs[i].rank <= TENSOR_RANK_MAX);
        assert(settings->json.len > 0 && settings->threads > 0);
    } else {
        assert(err.msg[0]);
    }
    arena_free(arena);
    return 0;
}
