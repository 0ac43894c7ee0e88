/* evidence_file.h - what a rollout's guards have seen, kept over a restart.
 *
 * Evidence is no control state: losing its last seconds makes a verdict later, never wrong. It is
 * written to one file a rollout every few seconds and when the server stops:
 *
 *     offset  size  meaning
 *     0       4     "SWEV"
 *     4       4     CRC-32C of what follows
 *     8       ...   version 1, rollout, step, times, exposure, guards: u64 and f64, little-endian
 *
 * A file that is torn, of another version or about another rollout is as good as none.
 */
#ifndef SLIPWAY_ROLLOUT_EVIDENCE_FILE_H
#define SLIPWAY_ROLLOUT_EVIDENCE_FILE_H

#include "base/buf.h"
#include "rollout/rollout_file.h"

enum {
    EVIDENCE_BYTES_MAX =
        64 + 2 * KEY_SKETCH_SIZE * 8 + ROLLOUT_CHECKS_MAX * (KEY_SET_MAX * 8 + 512),
};

struct evidence_state {
    int64_t rollout, step, step_us, age_us, saved_wall_us, canary_harm;
    struct exposure exposure;
    int guard_count;
    struct guard guards[ROLLOUT_CHECKS_MAX];
};

void evidence_format(const struct evidence_state *state, struct buf *out);

/* Into a state whose guards have been begun: their rules stay. False, and nothing changed, when the
 * bytes are not those of this rollout with as many guards. */
bool evidence_parse(struct str bytes, struct evidence_state *state);

#endif
