/* waiting.h - what a data thread waits for until a deadline: one list, one timer.
 *
 * On the thread's loop only. The entries are the waiters' memory. Most wait equally long, so a new
 * one has its place at the end of the list.
 */
#ifndef SLIPWAY_SERVE_WAITING_H
#define SLIPWAY_SERVE_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"

struct waiting_entry {
    int64_t deadline_ns;                       /* clock_monotonic_ns */
    void (*late)(struct waiting_entry *entry); /* it is out of the list by then */
    bool is_listed;
    struct waiting_entry *next, *previous;
};

struct waiting;

/* For the thread of `loop`; begins to exist there with the first entry. */
struct waiting *waiting_new(struct loop *loop);
void waiting_free(struct waiting *waiting); /* after the loop has ended; NULL is allowed */

void waiting_add(struct waiting *waiting, struct waiting_entry *entry);
void waiting_remove(struct waiting *waiting, struct waiting_entry *entry); /* if it is listed */

#endif
