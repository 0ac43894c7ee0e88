/* fuzz_rollout.c - any bytes as a rollout file, and as the evidence of one.
 *
 * A file that parses decides something about each of its steps without reaching past them.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "rollout/evidence_file.h"
#include "rollout/rollout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct rollout_spec *spec)
{
    struct rollout_view view = {.spec = spec};
    struct rollout_decision decision;
    struct rollout rollout = {.id = 1, .model = spec->model, .author = "key:a"};
    struct err err = {0};
    for (int i = 0; i < spec->step_count; i++) {
        struct rollout_change change = {0};
        view.step = rollout.step = i;
        view.step_us = spec->steps[i].max_us;
        rollout_decide(&view, &decision);
        if (spec->steps[i].kind != STEP_PROMOTE && i + 1 < spec->step_count)
            assert(rollout_next(&rollout, spec, ACT_ADVANCE, &change, &err) == ERR_OK);
    }
}

static void check_file(struct str text)
{
    struct rollout_spec *spec = NULL;
    struct err err = {0};
    struct arena *arena = arena_new(ROLLOUT_MEMORY_BYTES_MAX);
    if (rollout_file_parse(text, arena, &spec, &err))
        assert(err.msg[0] && !spec);
    else
        walk(spec);
    arena_free(arena);
}

/* With a checksum that fits, so that more than the head is read. */
static void check_evidence(const uint8_t *data, size_t size)
{
    static const struct guard_rule rule = {.worse_than = 1, .alpha = 0.01};
    struct evidence_state state = {.rollout = 1, .guard_count = 1};
    struct buf bytes;
    uint32_t crc = hash_crc32c(0, data, size);
    buf_init(&bytes, EVIDENCE_BYTES_MAX);
    buf_lit(&bytes, "SWEV");
    buf_append(&bytes, &crc, sizeof(crc));
    buf_append(&bytes, data, size);
    guard_init(&state.guards[0], &rule);
    evidence_parse(buf_view(&bytes), &state);
    guard_done(&state.guards[0]);
    exposure_done(&state.exposure);
    buf_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_file((struct str){(const char *)data, size});
    check_evidence(data, size);
    return 0;
}
