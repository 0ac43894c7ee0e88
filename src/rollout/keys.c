/* keys.c - an open-addressed set of hashes, and a sketch of the smallest of them. */
#include "rollout/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SLOTS_MIN = 64 };

/* ---- the set ---- */

void key_set_done(struct key_set *set)
{
    free(set->slots);
    *set = (struct key_set){0};
}

/* The slot that has `hash`, or the free one where it belongs. */
static uint64_t *find_slot(const struct key_set *set, uint64_t hash)
{
    size_t mask = (size_t)set->slot_count - 1;
    size_t at = (size_t)hash & mask;
    while (set->slots[at] && set->slots[at] != hash)
        at = (at + 1) & mask;
    return &set->slots[at];
}

static void grow(struct key_set *set)
{
    struct key_set larger = {.slot_count = set->slot_count ? set->slot_count * 2 : SLOTS_MIN};
    larger.slots = calloc((size_t)larger.slot_count, sizeof(*larger.slots));
    if (!larger.slots)
        abort();
    for (int i = 0; i < set->slot_count; i++)
        if (set->slots[i])
            *find_slot(&larger, set->slots[i]) = set->slots[i];
    larger.count = set->count;
    free(set->slots);
    *set = larger;
}

enum key_added key_set_add(struct key_set *set, uint64_t hash)
{
    uint64_t key = hash ? hash : 1;
    if (set->count * 2 >= set->slot_count)
        grow(set);
    uint64_t *slot = find_slot(set, key);
    if (*slot)
        return KEY_IS_KNOWN;
    if (set->count >= KEY_SET_MAX)
        return KEY_SET_IS_FULL;
    *slot = key;
    set->count++;
    return KEY_IS_NEW;
}

/* ---- the sketch ---- */

void key_sketch_done(struct key_sketch *sketch)
{
    free(sketch->smallest);
    *sketch = (struct key_sketch){0};
}

/* The arm of a key is decided by how large its hash is, so the sketch looks at other bits: the
 * finalizer of SplitMix64, a bijection. */
static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94D049BB133111EB);
    return hash ^ hash >> 31;
}

static int first_not_below(const struct key_sketch *sketch, uint64_t value)
{
    int low = 0, high = sketch->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (sketch->smallest[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void key_sketch_add(struct key_sketch *sketch, uint64_t hash)
{
    key_sketch_restore(sketch, mix(hash));
}

void key_sketch_restore(struct key_sketch *sketch, uint64_t value)
{
    bool is_whole = sketch->count == KEY_SKETCH_SIZE;
    if (!sketch->smallest) {
        sketch->smallest = malloc(KEY_SKETCH_SIZE * sizeof(*sketch->smallest));
        if (!sketch->smallest)
            abort();
    }
    if (is_whole && value >= sketch->smallest[KEY_SKETCH_SIZE - 1])
        return;
    int at = first_not_below(sketch, value);
    if (at < sketch->count && sketch->smallest[at] == value)
        return;
    int behind = (is_whole ? KEY_SKETCH_SIZE - 1 : sketch->count) - at;
    memmove(sketch->smallest + at + 1, sketch->smallest + at,
            (size_t)behind * sizeof(*sketch->smallest));
    sketch->smallest[at] = value;
    sketch->count += !is_whole;
}

int64_t key_sketch_count(const struct key_sketch *sketch)
{
    if (sketch->count < KEY_SKETCH_SIZE)
        return sketch->count;
    double share = (double)sketch->smallest[KEY_SKETCH_SIZE - 1] * 0x1p-64;
    return (int64_t)((KEY_SKETCH_SIZE - 1) / share + 0.5);
}
