/* record_frame.h - a record as bytes in a ring: copied in by the data thread, read in place by the
 * recorder.
 *
 *     head | values | outputs' numbers | suspect flags | lengths of texts | id, trace, texts
 *
 * Both ends are one program, so the layout is the compiler's and may change at any time; what is
 * kept on disk has its own (segment.h).
 */
#ifndef SLIPWAY_MONITOR_RECORD_FRAME_H
#define SLIPWAY_MONITOR_RECORD_FRAME_H

#include "base/arena.h"
#include "monitor/record.h"
#include "monitor/ring.h"

/* Copy a record into the ring; false when it has no room for it. `now_ns` is monotonic time and
 * stands for record->at_us. No lock, no heap, no system call. */
bool record_push(struct ring *ring, const struct record *record, int64_t now_ns);

/* The record in a frame. Numbers stay in the frame; lists of texts and tensors are made in
 * `arena`. `wall_offset_us` is wall time less monotonic time. */
void record_read_frame(const void *frame, int64_t wall_offset_us, struct arena *arena,
                       struct record *record);

#endif
