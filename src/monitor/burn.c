/* burn.c - three rings of slots, each emptied as its time comes round again. */
#include "monitor/burn.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define MINUTE_US INT64_C(60000000)

/* One slot more than the longest window: the one that is being filled. */
enum { RING_COUNT = 3, MINUTES = 61, FIVES = 73, HOURS = 73, SLOT_COUNT = MINUTES + FIVES + HOURS };

static const struct {
    int64_t slot_us;
    int slots, first; /* of burn.slots */
} rings[RING_COUNT] = {
    {MINUTE_US, MINUTES, 0},
    {5 * MINUTE_US, FIVES, MINUTES},
    {60 * MINUTE_US, HOURS, MINUTES + FIVES},
};

struct slot {
    uint32_t counts[BURN_COUNTS]; /* stop at their end */
};

struct burn {
    int64_t last_us; /* newest time counted; 0: nothing yet */
    struct slot slots[SLOT_COUNT];
};

struct burn *burn_new(void)
{
    struct burn *burn = calloc(1, sizeof(*burn));
    if (!burn)
        abort();
    return burn;
}

void burn_free(struct burn *burn)
{
    free(burn);
}

static int place_of(int ring, int64_t number)
{
    return rings[ring].first + (int)(number % rings[ring].slots);
}

/* Empty the slots between the newest time and now. */
static void advance(struct burn *burn, int64_t now_us)
{
    for (int r = 0; r < RING_COUNT; r++) {
        int64_t from = burn->last_us / rings[r].slot_us, to = now_us / rings[r].slot_us;
        if (to - from > rings[r].slots)
            from = to - rings[r].slots;
        for (int64_t number = from + 1; number <= to; number++)
            memset(&burn->slots[place_of(r, number)], 0, sizeof(struct slot));
    }
    burn->last_us = now_us;
}

static void follow_clock(struct burn *burn, int64_t now_us)
{
    if (now_us < burn->last_us - 60 * MINUTE_US)
        memset(burn, 0, sizeof(*burn));
    if (now_us > burn->last_us)
        advance(burn, now_us);
}

void burn_add(struct burn *burn, int64_t now_us, const struct burn_sums *counted)
{
    assert(now_us > 0);
    follow_clock(burn, now_us);
    for (int r = 0; r < RING_COUNT; r++) {
        struct slot *slot = &burn->slots[place_of(r, burn->last_us / rings[r].slot_us)];
        for (int i = 0; i < BURN_COUNTS; i++) {
            uint64_t sum = slot->counts[i] + counted->counts[i];
            slot->counts[i] = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
        }
    }
}

static int ring_for(int64_t window_us)
{
    int r = 0;
    while (r < RING_COUNT - 1 && window_us > rings[r].slot_us * (rings[r].slots - 1))
        r++;
    return r;
}

void burn_window(const struct burn *burn, int64_t now_us, int64_t window_us, struct burn_sums *sums)
{
    int r = ring_for(window_us);
    int64_t last = burn->last_us / rings[r].slot_us;
    int64_t now = now_us > burn->last_us ? now_us / rings[r].slot_us : last;
    int64_t slots = (window_us + rings[r].slot_us - 1) / rings[r].slot_us + 1;
    if (slots > rings[r].slots)
        slots = rings[r].slots;
    *sums = (struct burn_sums){0};
    for (int64_t number = now - slots + 1; number <= last; number++)
        for (int i = 0; number >= 0 && i < BURN_COUNTS; i++)
            sums->counts[i] += burn->slots[place_of(r, number)].counts[i];
}

double burn_rate(uint64_t bad, uint64_t all, double objective)
{
    assert(objective > 0 && objective < 1);
    return all ? (double)bad / (double)all / (1 - objective) : 0;
}

/* ---- text: "1 <last_us> <count> ...", each slot's counts in the order of the rings ---- */

void burn_save(const struct burn *burn, struct buf *out)
{
    buf_lit(out, "1 ");
    buf_i64(out, burn->last_us);
    for (int i = 0; i < SLOT_COUNT; i++) {
        for (int k = 0; k < BURN_COUNTS; k++) {
            buf_char(out, ' ');
            buf_u64(out, burn->slots[i].counts[k]);
        }
    }
}

static bool take_count(struct str *rest, uint64_t max, uint64_t *value)
{
    struct str part;
    return rest->ptr && str_split(rest, ' ', &part) && str_to_u64(part, value) && *value <= max;
}

static bool load(struct burn *burn, struct str rest)
{
    uint64_t value;
    if (!take_count(&rest, 1, &value) || value != 1 || !take_count(&rest, INT64_MAX, &value))
        return false;
    burn->last_us = (int64_t)value;
    for (int i = 0; i < SLOT_COUNT; i++) {
        for (int k = 0; k < BURN_COUNTS; k++) {
            if (!take_count(&rest, UINT32_MAX, &value))
                return false;
            burn->slots[i].counts[k] = (uint32_t)value;
        }
    }
    return !rest.ptr;
}

bool burn_load(struct burn *burn, struct str text)
{
    bool is_good = load(burn, text);
    if (!is_good)
        memset(burn, 0, sizeof(*burn));
    return is_good;
}
