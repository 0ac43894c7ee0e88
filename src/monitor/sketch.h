/* sketch.h - live rows counted into the baseline's bins, on the data threads.
 *
 *     data thread t, arm a: block[t][a] = rows | column 0: slots | column 1: slots | ... | answer
 *     slots of a column:    0 .. 6 what is no ordinary value | bin 0 | bin 1 | ...
 *
 * A row adds one to one slot of each column and of the answer; nothing else happens: no lock, no
 * heap, no branch on a value. Counters only grow and wrap at 2^32; each is written by one thread
 * alone (relaxed) and read by any, so two sums differ by what came in between. A block's memory is
 * zero pages until it is written. Counts of replicas, threads and arms add up exactly.
 *
 * A column takes 4 * (7 + bins) bytes in a block: 68 for ten bins, at most 1052.
 */
#ifndef SLIPWAY_MONITOR_SKETCH_H
#define SLIPWAY_MONITOR_SKETCH_H

#include "monitor/baseline.h"
#include "monitor/record.h"

/* The first five are enum cell_state (check.h). */
enum sketch_slot {
    SLOT_NAN,
    SLOT_ABSENT,
    SLOT_NULL,
    SLOT_MARKER,
    SLOT_UNSEEN, /* a category the contract does not list */
    SLOT_INFINITE,
    SLOT_NEGATIVE_INFINITE,
    SLOT_BINS, /* the first bin */
};

struct sketch;

/* `baseline` must outlive it. */
struct sketch *sketch_new(const struct baseline *baseline, int thread_count);
void sketch_free(struct sketch *sketch); /* NULL is allowed */

/* Data thread `thread`: rows as struct rows has them, [row_count, baseline->value_count]. */
void sketch_add_rows(struct sketch *sketch, int thread, enum arm arm, const float *values,
                     int64_t row_count);

/* Data thread: one answer, the score or value, or the class as a whole number. */
void sketch_add_answer(struct sketch *sketch, int thread, enum arm arm, float answer);

/* Any thread: slots of all columns in order, added up over threads. `slots` has room for
 * sketch_slot_count. Returns how many rows were counted. */
int sketch_slot_count(const struct sketch *sketch);
int sketch_first_slot(const struct sketch *sketch, int column);
uint32_t sketch_sum(const struct sketch *sketch, enum arm arm, uint32_t *slots);

bool sketch_has_rows(const struct sketch *sketch, enum arm arm); /* or answers */

size_t sketch_block_bytes(const struct sketch *sketch); /* of one thread and arm */

/* ---- for tests ---- */

/* How bins are found: 0 plain C, 1 AVX2, 2 AVX-512; the same counts from each. False when this
 * machine cannot. */
enum { SKETCH_TIERS = 3 };
bool sketch_set_tier(struct sketch *sketch, int tier);

#endif
