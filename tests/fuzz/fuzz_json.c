/* fuzz_json.c - any bytes through json_read: accepted text must survive being written and read. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/json.h"
#include "base/yaml.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Numbers print as the shortest text that reads back, so a second round changes nothing. */
static void check_round_trip(yyjson_val *root, struct arena *arena)
{
    struct buf text;
    struct err err;
    yyjson_val *again = NULL;
    buf_init(&text, ARENA_BYTES);
    json_write(&text, root);
    assert(!text.is_full);
    enum err_code code = json_read(buf_view(&text), arena, &again, &err);
    assert(code == ERR_OK && yyjson_equals(root, again));
    buf_clear(&text);
    yaml_write(&text, root);
    assert(!text.is_full);
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct str bytes = {(const char *)data, size};
    struct err err, strict_err;
    yyjson_val *root = NULL, *strict = NULL;
    enum err_code code = json_read(bytes, arena, &root, &err);
    enum err_code strict_code = json_read_strict(bytes, arena, &strict, &strict_err);
    assert(strict_code != ERR_OK || code == ERR_OK);
    if (strict_code == ERR_OK)
        check_round_trip(strict, arena);
    arena_free(arena);
    return 0;
}
