/* burn.h - how fast a model spends its error budget: counts of the last five minutes to three days.
 *
 *     slots of a minute for the last hour, of five minutes for six hours, of an hour for three days
 *     burn rate = (bad / all) / (1 - objective)        1: the whole budget, no more
 *
 * A window is answered from the finest ring that is long enough and includes the slot that is being
 * filled, so it is up to one slot longer than asked. 5 KiB a model, whatever its traffic. One
 * thread.
 */
#ifndef SLIPWAY_MONITOR_BURN_H
#define SLIPWAY_MONITOR_BURN_H

#include <stdint.h>

#include "base/buf.h"

enum burn_count {
    BURN_REQUESTS, /* answered, whatever the status */
    BURN_ERRORS,   /* with 5xx */
    BURN_SLOW,     /* later than the objective's bound */
    BURN_REJECTS,  /* refused by the contract */
    BURN_ROWS,     /* predicted */
    BURN_SUSPECTS, /* predicted and quarantined */
    BURN_COUNTS,
};

struct burn_sums {
    uint64_t counts[BURN_COUNTS];
};

struct burn;

struct burn *burn_new(void);
void burn_free(struct burn *burn); /* NULL is allowed */

/* What was counted since the last call. Wall time: when it jumps back by more than an hour the
 * history is forgotten, else it is counted in the newest slot. */
void burn_add(struct burn *burn, int64_t now_us, const struct burn_sums *counted);

/* Sums over the window that ends now. */
void burn_window(const struct burn *burn, int64_t now_us, int64_t window_us,
                 struct burn_sums *sums);

/* bad / all over the share that the objective allows; 0 when there is nothing. */
double burn_rate(uint64_t bad, uint64_t all, double objective);

/* As text for the store, and back; false (and empty) when it is not such a text. */
void burn_save(const struct burn *burn, struct buf *out);
bool burn_load(struct burn *burn, struct str text);

#endif
