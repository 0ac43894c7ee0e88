/* test_evidence_file.c - evidence survives a restart as it was; torn bytes are as good as none. */
#include "rollout/evidence_file.h"

#include "base/check.h"
#include "test.h"

static const struct guard_rule rule = {
    .worse_than = 1, .alpha = 0.01, .no_worse_than = 2, .beta = 0.05, .rate_below = 0.001};

static uint64_t key_of(uint64_t number)
{
    return (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

static void begin(struct evidence_state *state)
{
    *state = (struct evidence_state){.rollout = 7, .guard_count = 2};
    guard_init(&state->guards[0], &rule);
    guard_init(&state->guards[1], &rule);
}

static void end(struct evidence_state *state)
{
    guard_done(&state->guards[0]);
    guard_done(&state->guards[1]);
    exposure_done(&state->exposure);
}

static void fill(struct evidence_state *state)
{
    begin(state);
    state->step = 2;
    state->step_us = 123456;
    state->age_us = 654321;
    state->saved_wall_us = 999;
    state->canary_harm = 4;
    for (uint64_t i = 0; i < 200; i++) {
        const uint64_t hash = key_of(i);
        int side = i % 10 == 0 ? SIDE_CANARY : SIDE_STABLE;
        state->exposure.requests[side]++;
        state->exposure.keyed_requests[side]++;
        key_sketch_add(&state->exposure.keys[side], hash);
        if (i % 7 == 0)
            guard_event(&state->guards[0], &state->exposure, 0.1, side, &hash);
    }
}

static void write(const struct evidence_state *state, struct buf *bytes)
{
    buf_init(bytes, EVIDENCE_BYTES_MAX);
    evidence_format(state, bytes);
    assert_false(bytes->is_full);
}

static void what_was_written_is_read(void **state)
{
    struct evidence_state before, after;
    struct guard_reading read_before, read_after;
    struct buf bytes;
    (void)state;
    fill(&before);
    begin(&after);
    write(&before, &bytes);
    assert_true(evidence_parse(buf_view(&bytes), &after));
    assert_int_equal(after.step, 2);
    assert_int_equal(after.step_us, 123456);
    assert_int_equal(after.age_us, 654321);
    assert_int_equal(after.canary_harm, 4);
    guard_read(&before.guards[0], &before.exposure, &read_before);
    guard_read(&after.guards[0], &after.exposure, &read_after);
    assert_true(read_before.e_fail == read_after.e_fail);
    assert_true(read_before.e_safe == read_after.e_safe);
    assert_int_equal(read_after.keys[SIDE_STABLE], 180);
    assert_int_equal(read_after.keys[SIDE_CANARY], 20);
    assert_int_equal(read_after.counted[SIDE_STABLE] + read_after.counted[SIDE_CANARY], 29);

    /* A key that had its event still counts once. */
    const uint64_t known = key_of(7);
    guard_event(&after.guards[0], &after.exposure, 0.1, SIDE_STABLE, &known);
    guard_read(&after.guards[0], &after.exposure, &read_after);
    assert_true(read_before.e_fail == read_after.e_fail);
    buf_done(&bytes);
    end(&before);
    end(&after);
}

static void torn_or_foreign_bytes_change_nothing(void **state)
{
    struct evidence_state before, after;
    struct buf bytes;
    (void)state;
    fill(&before);
    begin(&after);
    after.step_us = 5;
    write(&before, &bytes);
    for (size_t len = 0; len < bytes.len; len += 97)
        assert_false(evidence_parse((struct str){bytes.data, len}, &after));
    bytes.data[bytes.len / 2] ^= 1;
    assert_false(evidence_parse(buf_view(&bytes), &after));
    bytes.data[bytes.len / 2] ^= 1;
    after.rollout = 8;
    assert_false(evidence_parse(buf_view(&bytes), &after));
    assert_int_equal(after.step_us, 5);
    buf_done(&bytes);
    end(&before);
    end(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(torn_or_foreign_bytes_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
