/* record_tally.h - how many records were handed over, in memory that outlives the process.
 *
 * Data threads count into a page of shared memory named after the data folder. A process that is
 * killed leaves it behind, so the next one can say exactly how many records did not reach a file.
 * A machine that loses power, or has no shared memory, leaves nothing; then the loss has only its
 * bound.
 */
#ifndef SLIPWAY_MONITOR_RECORD_TALLY_H
#define SLIPWAY_MONITOR_RECORD_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct record_tally;

/* What the process before left behind. */
struct record_tally_last {
    bool is_known;
    uint64_t run[2];
    uint64_t record_count;
};

/* Look at what was left, and begin anew for `run`. Without shared memory a private page is used.
 * `folder_fd` names the folder; its lock is held. */
struct record_tally *record_tally_open(int folder_fd, const uint64_t run[2],
                                       struct record_tally_last *last);

/* Where data thread `index` counts. */
_Atomic uint64_t *record_tally_counter(struct record_tally *tally, int index);

/* Ended well: nothing is left behind. NULL is allowed. */
void record_tally_close(struct record_tally *tally);

#endif
