/* fuzz_feedback.c - any bytes as feedback, JSON and CSV: read into outcomes, or refused in words.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "monitor/feedback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct feedback *feedback)
{
    assert(feedback->count <= OUTCOME_BATCH_MAX);
    for (int i = 0; i < feedback->count; i++) {
        const struct outcome *o = &feedback->outcomes[i];
        assert(feedback->items[i] >= 0 && feedback->items[i] < feedback->item_count);
        assert(i == 0 || feedback->items[i] >= feedback->items[i - 1]);
        if (o->result == OUTCOME_REFUSED) {
            assert(o->reason[0]);
            continue;
        }
        assert(o->result == OUTCOME_PENDING);
        assert((o->prediction_id.len > 0) != (o->key.len > 0));
        assert(o->key.len == 0 || str_is_name(str_of(o->model)));
        assert(o->kind != OUTCOME_LABEL || o->label.len > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(64 * 1024 * 1024);
    struct str text = {(const char *)data, size};
    struct feedback feedback;
    struct err err = {0};
    yyjson_val *root;
    if (!feedback_read_csv(text, "m", arena, &feedback, &err))
        check(&feedback);
    else
        assert(err.msg[0]);
    err = (struct err){0};
    if (!json_read_strict(text, arena, &root, &err) && yyjson_is_obj(root)) {
        if (!feedback_read_json(root, NULL, arena, &feedback, &err))
            check(&feedback);
        else
            assert(err.msg[0]);
    }
    arena_free(arena);
    return 0;
}
