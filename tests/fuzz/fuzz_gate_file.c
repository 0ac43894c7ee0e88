/* fuzz_gate_file.c - any bytes as a gate file: parsed or refused with a reason, never more. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "rollout/gate_file.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    struct gate_file *file = NULL;
    enum err_code rc = gate_file_parse((struct str){(const char *)data, size}, arena, &file, &err);
    assert(rc == ERR_OK ? file != NULL && file->alpha > 0 : err.msg[0] != '\0');
    arena_free(arena);
    return 0;
}
