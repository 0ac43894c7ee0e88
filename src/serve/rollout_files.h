/* rollout_files.h - the state files of active rollouts: rollout-N.evidence, rollout-N.shadow.
 *
 * No control state: without them a rollout goes on and counts anew. They are replaced whole, and
 * removed with their rollout.
 */
#ifndef SLIPWAY_SERVE_ROLLOUT_FILES_H
#define SLIPWAY_SERVE_ROLLOUT_FILES_H

#include "base/buf.h"
#include "base/err.h"
#include "store/folder.h"

enum rollout_state_file { ROLLOUT_EVIDENCE, ROLLOUT_SHADOW };
enum { ROLLOUT_STATE_FILE_COUNT = 2 };

/* What cannot be written is logged; a buffer that is full was too small. */
void rollout_file_save(const struct folder *folder, int64_t rollout, enum rollout_state_file which,
                       const struct buf *bytes);

/* `bytes` is initialised in any case; empty when there is no such file of at most `bytes_max`. */
void rollout_file_load(const struct folder *folder, int64_t rollout, enum rollout_state_file which,
                       size_t bytes_max, struct buf *bytes);

void rollout_file_remove(const struct folder *folder, int64_t rollout,
                         enum rollout_state_file which);

/* Remove the files of every rollout that is not `kept`: a crash right after its end has left them
 * behind. */
void rollout_files_clean(const struct folder *folder, bool (*kept)(void *arg, int64_t rollout),
                         void *arg);

#endif
