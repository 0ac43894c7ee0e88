/* fuzz_yaml.c - any bytes through yaml_read: what is accepted must be written so that it reads back
 * as the same tree. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/yaml.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* JSON text may be deeper than YAML; only what YAML itself can hold is read back. */
static void check_round_trip(yyjson_val *root, struct arena *arena)
{
    struct buf text;
    struct err err;
    yyjson_val *again = NULL;
    buf_init(&text, ARENA_BYTES);
    yaml_write(&text, root);
    assert(!text.is_full);
    enum err_code code = yaml_read(buf_view(&text), arena, &again, &err);
    assert(code == ERR_LIMIT || (code == ERR_OK && yyjson_equals(root, again)));
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err;
    yyjson_val *root = NULL;
    if (yaml_read((struct str){(const char *)data, size}, arena, &root, &err) == ERR_OK)
        check_round_trip(root, arena);
    arena_free(arena);
    return 0;
}
