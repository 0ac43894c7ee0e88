/* segment_writer.h - making a segment file: blocks are added, then it is sealed.
 *
 * What fails changes nothing: the same block can be added again once there is room. One thread
 * writes; others may read the segment meanwhile.
 */
#ifndef SLIPWAY_MONITOR_SEGMENT_WRITER_H
#define SLIPWAY_MONITOR_SEGMENT_WRITER_H

#include "monitor/record_block.h"
#include "monitor/segment.h"

/* Make file `name` for segment `number` with nothing but a head. The caller has one reference. */
enum err_code segment_create(int dir_fd, const char *name, int64_t number, const uint64_t run[2],
                             int64_t created_us, struct segment **segment, struct err *err);

/* Append the block, after its schemas where the file does not have them yet. */
enum err_code segment_add(struct segment *segment, struct record_block *block, struct err *err);

/* Cut what is torn, append index and trailer. The segment can take no more blocks, and is opened
 * again to be read with its index on disk. It is durable after segment_sync; what a power cut
 * leaves of it before that is told by its checksums and sealed again. */
enum err_code segment_seal(struct segment *segment, struct err *err);

/* Make what was added, or the seal, durable. Any thread. */
enum err_code segment_sync(struct segment *segment, struct err *err);

#endif
