/* waiting.c - entries by deadline, earliest first, and a libuv timer for the first one. */
#include "serve/waiting.h"

#include <stdlib.h>
#include <uv.h>

#include "base/check.h"
#include "base/clock.h"

enum { NS_PER_MS = 1000 * 1000 };

struct waiting {
    struct loop *loop;
    struct waiting_entry *first, *last;
    uv_timer_t timer;
    bool has_timer;
    int64_t armed_ns; /* what the timer waits for; 0: nothing */
};

struct waiting *waiting_new(struct loop *loop)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        abort();
    waiting->loop = loop;
    return waiting;
}

void waiting_free(struct waiting *waiting)
{
    free(waiting);
}

static void link_entry(struct waiting *waiting, struct waiting_entry *entry)
{
    struct waiting_entry *before = waiting->last;
    while (before && before->deadline_ns > entry->deadline_ns)
        before = before->previous;
    entry->previous = before;
    entry->next = before ? before->next : waiting->first;
    if (entry->next)
        entry->next->previous = entry;
    else
        waiting->last = entry;
    if (before)
        before->next = entry;
    else
        waiting->first = entry;
    entry->is_listed = true;
}

void waiting_remove(struct waiting *waiting, struct waiting_entry *entry)
{
    if (!entry->is_listed)
        return;
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        waiting->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        waiting->last = entry->previous;
    entry->is_listed = false;
}

static void arm(struct waiting *waiting);

/* A timer that was set for an entry that has left meanwhile rings for nobody. */
static void on_time(uv_timer_t *timer)
{
    struct waiting *waiting = timer->data;
    int64_t now_ns = clock_monotonic_ns();
    struct waiting_entry *entry;
    waiting->armed_ns = 0;
    while ((entry = waiting->first) && entry->deadline_ns <= now_ns) {
        waiting_remove(waiting, entry);
        entry->late(entry);
    }
    arm(waiting);
}

/* Set anew only when the first deadline is earlier than what the timer waits for. */
static void arm(struct waiting *waiting)
{
    const struct waiting_entry *first = waiting->first;
    if (!first || (waiting->armed_ns && waiting->armed_ns <= first->deadline_ns))
        return;
    int64_t left_ns = first->deadline_ns - clock_monotonic_ns();
    uint64_t ms = left_ns > 0 ? (uint64_t)(left_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    waiting->armed_ns = first->deadline_ns;
    uv_update_time(loop_uv(waiting->loop));
    uv_timer_start(&waiting->timer, on_time, ms, 0);
}

void waiting_add(struct waiting *waiting, struct waiting_entry *entry)
{
    assert(loop_is_current(waiting->loop));
    if (!waiting->has_timer) {
        uv_timer_init(loop_uv(waiting->loop), &waiting->timer);
        waiting->timer.data = waiting;
        waiting->has_timer = true;
    }
    link_entry(waiting, entry);
    arm(waiting);
}
