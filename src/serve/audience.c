/* audience.c - one atomic word a batch: its turn, and how many are left.
 *
 * A submitter first says that the task is cancelled, then looks for its audience; the lane's thread
 * first gives it one, then looks whether it is cancelled (sequentially consistent): one of them
 * sees the other, and if both do, has_gone lets one count.
 */
#include "serve/audience.h"

#include <sched.h>

#define COUNT_MASK UINT64_C(0xffffffff)

static void go(struct lane_task *task)
{
    struct audience *audience = atomic_load(&task->audience);
    if (!audience || atomic_exchange(&task->has_gone, true))
        return;
    uint64_t state = atomic_load(&audience->state);
    do {
        if (state >> 32 != task->turn || (state & COUNT_MASK) == 0)
            return; /* its batch is over */
    } while (!atomic_compare_exchange_weak(&audience->state, &state, state - 1));
    if ((state & COUNT_MASK) == 1)
        atomic_store(&audience->has_left, true);
}

void lane_task_leave(struct lane_task *task)
{
    atomic_store(&task->is_cancelled, true);
    go(task);
}

void audience_begin(struct audience *audience, const struct batch *batch)
{
    uint32_t turn = (uint32_t)(atomic_load(&audience->state) >> 32) + 1;
    atomic_store(&audience->has_left, false);
    atomic_store(&audience->state, (uint64_t)turn << 32 | (uint64_t)batch->count);
    for (struct lane_task *task = batch->first; task; task = task->next_in_batch) {
        task->turn = turn;
        atomic_store(&task->audience, audience);
        if (atomic_load(&task->is_cancelled))
            go(task);
    }
}

/* The last one to leave may still be about to say so: it must not say it of the next batch. */
void audience_end(struct audience *audience)
{
    uint64_t state = atomic_fetch_and(&audience->state, ~COUNT_MASK);
    while ((state & COUNT_MASK) == 0 && !atomic_load(&audience->has_left))
        sched_yield();
}
