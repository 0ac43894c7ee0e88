/* fuzz_serving.c - any bytes as a serving file; one that is taken keeps every limit it names. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "serve/serving_file.h"

enum { ARENA_BYTES = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_taken(const struct serving *serving)
{
    assert(serving->instances >= 0 && serving->instances <= SERVING_INSTANCES_MAX);
    assert(serving->batch_rows_max >= 1 && serving->batch_rows_max <= SERVING_BATCH_ROWS_MAX);
    assert(serving->batch_delay_us >= 0 && serving->timeout_us > 0);
    assert(serving->queue_requests_max >= 1 && serving->queue_requests_max <= SERVING_REQUESTS_MAX);
    assert(serving->priority >= SERVING_PRIORITY_FIRST);
    assert(serving->priority <= SERVING_PRIORITY_LAST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct serving *serving = NULL;
    struct err err = {0};
    if (serving_parse((struct str){(const char *)data, size}, arena, &serving, &err))
        assert(err.msg[0] && !serving);
    else
        check_taken(serving);
    arena_free(arena);
    return 0;
}
