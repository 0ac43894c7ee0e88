/* evidence_file.c - guards and exposure to bytes and back. */
#include "rollout/evidence_file.h"

#include "base/check.h"
#include "base/hash.h"
#include "rollout/state_bytes.h"

enum { EVIDENCE_VERSION = 1, HEAD_BYTES = 8 };

/* ---- writing ---- */

static void put_evidence(struct buf *out, const struct evidence *evidence)
{
    for (int i = 0; i < GUARD_ALTERNATIVES; i++)
        put_f64(out, evidence->fail[i]);
    put_f64(out, evidence->safe);
    for (int side = 0; side < SIDE_COUNT; side++)
        put_i64(out, evidence->events[side]);
}

static void put_guard(struct buf *out, const struct guard *guard)
{
    put_evidence(out, &guard->by_key);
    put_evidence(out, &guard->by_request);
    put_i64(out, guard->window);
    put_i64(out, guard->key_events);
    for (int side = 0; side < SIDE_COUNT; side++)
        put_i64(out, guard->events[side]);
    put_i64(out, guard->is_safe | guard->is_failed << 1 | guard->is_failed_by_key << 2);
    put_i64(out, guard->seen.count);
    for (int i = 0; i < guard->seen.slot_count; i++)
        if (guard->seen.slots[i])
            put_u64(out, guard->seen.slots[i]);
}

void evidence_format(const struct evidence_state *state, struct buf *out)
{
    uint32_t crc = 0;
    buf_lit(out, "SWEV");
    buf_append(out, &crc, sizeof(crc));
    put_u64(out, EVIDENCE_VERSION);
    put_i64(out, state->rollout);
    put_i64(out, state->guard_count);
    put_i64(out, state->step);
    put_i64(out, state->step_us);
    put_i64(out, state->age_us);
    put_i64(out, state->saved_wall_us);
    put_i64(out, state->canary_harm);
    for (int side = 0; side < SIDE_COUNT; side++) {
        const struct key_sketch *keys = &state->exposure.keys[side];
        put_i64(out, state->exposure.requests[side]);
        put_i64(out, state->exposure.keyed_requests[side]);
        put_i64(out, keys->count);
        buf_append(out, keys->smallest, (size_t)keys->count * sizeof(*keys->smallest));
    }
    for (int i = 0; i < state->guard_count; i++)
        put_guard(out, &state->guards[i]);
    if (out->is_full)
        return;
    crc = hash_crc32c(0, out->data + HEAD_BYTES, out->len - HEAD_BYTES);
    memcpy(out->data + 4, &crc, sizeof(crc));
}

/* ---- reading ---- */

static void get_evidence(struct reading *r, struct evidence *evidence)
{
    for (int i = 0; i < GUARD_ALTERNATIVES; i++)
        evidence->fail[i] = get_f64(r);
    evidence->safe = get_f64(r);
    for (int side = 0; side < SIDE_COUNT; side++)
        evidence->events[side] = get_i64(r);
}

static void get_guard(struct reading *r, struct guard *guard)
{
    get_evidence(r, &guard->by_key);
    get_evidence(r, &guard->by_request);
    guard->window = (int)get_i64(r);
    guard->key_events = get_i64(r);
    for (int side = 0; side < SIDE_COUNT; side++)
        guard->events[side] = get_i64(r);
    int64_t flags = get_i64(r);
    guard->is_safe = flags & 1;
    guard->is_failed = flags >> 1 & 1;
    guard->is_failed_by_key = flags >> 2 & 1;
    int64_t count = get_count(r, KEY_SET_MAX, 8);
    for (int64_t i = 0; i < count; i++)
        key_set_add(&guard->seen, get_u64(r));
    if (guard->window < 1)
        r->is_short = true;
}

static void get_exposure(struct reading *r, struct exposure *exposure)
{
    for (int side = 0; side < SIDE_COUNT; side++) {
        exposure->requests[side] = get_i64(r);
        exposure->keyed_requests[side] = get_i64(r);
        int64_t count = get_count(r, KEY_SKETCH_SIZE, 8);
        for (int64_t i = 0; i < count; i++)
            key_sketch_restore(&exposure->keys[side], get_u64(r));
    }
}

static void done(struct evidence_state *state)
{
    for (int i = 0; i < state->guard_count; i++)
        guard_done(&state->guards[i]);
    exposure_done(&state->exposure);
}

static void begin_like(struct evidence_state *fresh, const struct evidence_state *state)
{
    *fresh = (struct evidence_state){.rollout = state->rollout, .guard_count = state->guard_count};
    for (int i = 0; i < state->guard_count; i++)
        guard_init(&fresh->guards[i], &state->guards[i].rule);
}

static bool is_whole(struct str bytes)
{
    uint32_t crc;
    if (bytes.len < HEAD_BYTES || memcmp(bytes.ptr, "SWEV", 4) != 0)
        return false;
    memcpy(&crc, bytes.ptr + 4, sizeof(crc));
    return crc == hash_crc32c(0, bytes.ptr + HEAD_BYTES, bytes.len - HEAD_BYTES);
}

bool evidence_parse(struct str bytes, struct evidence_state *state)
{
    struct evidence_state fresh;
    if (!is_whole(bytes))
        return false;
    struct reading r = {bytes.ptr + HEAD_BYTES, bytes.ptr + bytes.len, false};
    if (get_u64(&r) != EVIDENCE_VERSION || get_i64(&r) != state->rollout ||
        get_i64(&r) != state->guard_count)
        return false;
    begin_like(&fresh, state);
    fresh.step = get_i64(&r);
    fresh.step_us = get_i64(&r);
    fresh.age_us = get_i64(&r);
    fresh.saved_wall_us = get_i64(&r);
    fresh.canary_harm = get_i64(&r);
    get_exposure(&r, &fresh.exposure);
    for (int i = 0; i < fresh.guard_count; i++)
        get_guard(&r, &fresh.guards[i]);
    if (r.is_short || r.at != r.end) {
        done(&fresh);
        return false;
    }
    done(state);
    *state = fresh;
    return true;
}
