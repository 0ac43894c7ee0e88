/* segment_own.h - what the files segment*.c know of a segment together. */
#ifndef SLIPWAY_MONITOR_SEGMENT_OWN_H
#define SLIPWAY_MONITOR_SEGMENT_OWN_H

#include <pthread.h>
#include <stdatomic.h>

#include "monitor/segment.h"

struct segment {
    uint32_t magic;
    _Atomic int refs;
    int fd;
    struct segment_head head;
    bool is_sealed;
    struct segment_trailer trailer;       /* when sealed */
    struct segment_index_head index_head; /* when sealed */
    uint64_t torn_bytes;

    pthread_mutex_t lock;       /* of what follows */
    uint64_t end;               /* bytes of whole blocks, and of the rest when sealed */
    struct segment_index index; /* when not sealed */
    uint64_t record_count, row_count;
    int64_t first_us, last_us;
    uint64_t taken_with;
    struct arena *schema_arena;
    const struct record_schema **schemas; /* owned; [schema_count] read so far */
    size_t schema_count;
};

enum { SEGMENT_MAGIC_NUMBER = 0x53454731 };

struct segment *segment_new(int fd, const struct segment_head *head);

/* Note a block that is whole now: in the index, in the counts. The lock is held, or nobody else has
 * the segment yet. */
void segment_note(struct segment *segment, const struct segment_block_head *head,
                  uint64_t row_count);

/* The lock is not held: bytes of whole blocks at this moment. */
uint64_t segment_whole_bytes(struct segment *segment);

/* Exactly `size` bytes of the file. */
bool segment_read_at(int fd, uint64_t offset, void *bytes, size_t size);

/* The block at `offset` of a file whose blocks end at `end`. */
enum err_code segment_read_whole(struct segment *segment, uint64_t offset, uint64_t end,
                                 struct segment_buffer *buffer, struct segment_block_head *head,
                                 struct err *err);

/* Where a schema's block is; 0: nowhere. The lock is held. */
uint64_t segment_schema_offset(struct segment *segment, uint32_t serial);

/* ERR_IO that names file and byte. */
enum err_code segment_refuse(const struct segment *segment, uint64_t offset, const char *what,
                             struct err *err);

uint32_t segment_crc(const void *part); /* of the first 60 bytes of a part */

/* CRC and length of a block's head fit at `offset` of a file of `end` bytes? */
bool segment_block_head_is_good(const struct segment_block_head *head, uint64_t offset,
                                uint64_t end);

/* Add the ids and keys of a records block at `offset` to the index. *row_count: its rows. */
enum err_code segment_index_block_records(struct segment *segment, uint64_t offset,
                                          const char *body, size_t bytes, uint64_t *row_count,
                                          struct err *err);

#endif
