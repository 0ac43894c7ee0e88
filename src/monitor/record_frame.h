/* record_frame.h - a record in a ring: its schema's address, then the record as record_code.h has
 * it; copied in by the data thread, read in place by the recorder. */
#ifndef SLIPWAY_MONITOR_RECORD_FRAME_H
#define SLIPWAY_MONITOR_RECORD_FRAME_H

#include "monitor/record_code.h"
#include "monitor/ring.h"

/* Copy a record into the ring; false when it has no room for it. `now_ns` is monotonic time and
 * stands for record->at_us. No lock, no heap, no system call. */
bool record_push(struct ring *ring, const struct record *record, int64_t now_ns);

/* The record in a frame. Numbers and texts stay in the frame; lists of them are made in `arena`.
 * `wall_offset_us` is wall time less monotonic time. */
void record_read_frame(const void *frame, size_t bytes, int64_t wall_offset_us, struct arena *arena,
                       struct record *record);

#endif
