/* ticker.h - one thread for what happens by the clock: monitor windows, rollout steps, expiries.
 *
 * Tasks run one after another, each when its interval has passed or somebody kicked it. A task may
 * read the store and change control state (control_execute), and must return within about a
 * second; longer work goes to a pool.
 */
#ifndef SLIPWAY_SERVE_TICKER_H
#define SLIPWAY_SERVE_TICKER_H

#include <stdint.h>

struct ticker;

enum { TICKER_TASKS_MAX = 16 };

struct ticker *ticker_new(void);

/* Before ticker_start. `name` lives as long as the ticker. Returns the task's number. */
int ticker_add(struct ticker *ticker, const char *name, int64_t every_ms, void (*run)(void *arg),
               void *arg);

void ticker_start(struct ticker *ticker);

/* Run the task as soon as the one that runs now has ended. Any thread, never blocks for long. */
void ticker_kick(struct ticker *ticker, int task);

/* Waits for the running task, ends the thread, frees. NULL is allowed. */
void ticker_free(struct ticker *ticker);

#endif
