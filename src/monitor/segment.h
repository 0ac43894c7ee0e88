/* segment.h - reading one segment file of prediction records (segment_format.h draws it).
 *
 * A segment is shared and counted. A sealed one never changes; one that is being written grows, and
 * is read up to what was whole when one looked. What a file says is checked before it is used:
 * whatever its bytes are, reading it ends with records or with ERR_IO.
 */
#ifndef SLIPWAY_MONITOR_SEGMENT_H
#define SLIPWAY_MONITOR_SEGMENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "monitor/record.h"
#include "monitor/segment_format.h"
#include "monitor/segment_index.h"

struct segment;

/* Open file `number` in the folder. One without a trailer is walked through up to its end or to the
 * first block that is not whole. ERR_IO when it is no segment. `may_write`: for segment_writer.h */
enum err_code segment_open(int dir_fd, int64_t number, bool may_write, struct segment **segment,
                           struct err *err);
void segment_ref(struct segment *segment);
void segment_unref(struct segment *segment); /* NULL is allowed */

struct segment_info {
    int64_t number, created_us;
    uint64_t run[2];
    bool is_sealed;
    uint64_t bytes;      /* of the file that are whole */
    uint64_t torn_bytes; /* behind them, found by segment_open */
    uint64_t record_count, row_count;
    int64_t first_us, last_us; /* of its records; both 0 without any */
    uint64_t taken_with;       /* records taken in its run up to its end */
};
void segment_info(struct segment *segment, struct segment_info *info);

/* Memory for one block; grows to the largest one read. Zeroed is empty. */
struct segment_buffer {
    char *bytes; /* owned */
    size_t capacity;
};
void segment_buffer_done(struct segment_buffer *buffer);

struct segment_block {
    enum segment_kind kind;
    const char *body; /* in the buffer */
    size_t body_bytes;
    uint32_t record_count;
    uint64_t taken_before, taken_with;
    int64_t first_us, last_us;
    uint64_t next; /* offset of the block behind it */
};

/* Where the first block is. */
enum { SEGMENT_FIRST_OFFSET = SEGMENT_PART_BYTES };

/* The block at `offset`. ERR_NOT_FOUND at the end of what is whole, ERR_IO when it is damaged. */
enum err_code segment_read_block(struct segment *segment, uint64_t offset,
                                 struct segment_buffer *buffer, struct segment_block *block,
                                 struct err *err);

/* The offset of the first records block that has a record at or after `from_us`; a sealed segment
 * is searched by its index. */
uint64_t segment_seek(struct segment *segment, int64_t from_us);

/* The schema of that serial; lives as long as the segment. */
enum err_code segment_schema(struct segment *segment, uint32_t serial,
                             const struct record_schema **schema, struct err *err);

enum segment_table_kind { SEGMENT_IDS, SEGMENT_KEYS };

/* Places of a hash (segment_hash), newest first, without the `skip` newest ones: at most `max`. */
size_t segment_find(struct segment *segment, enum segment_table_kind kind, uint64_t hash,
                    size_t skip, uint64_t *places, size_t max);

/* Hash of a text under a run's id. */
uint64_t segment_hash(const uint64_t run[2], struct str text);

/* The record at an offset that segment_find gave; all of it lives in `arena`. */
enum err_code segment_read_record(struct segment *segment, uint64_t offset, struct arena *arena,
                                  struct record *record, struct err *err);

/* Walk through all of it, index included. ERR_IO names the first thing that is wrong. */
enum err_code segment_verify(struct segment *segment, struct err *err);

const char *segment_name(int64_t number, char name[SEGMENT_NAME_BYTES]);

/* Append all that is whole of the file to `out`. ERR_LIMIT when it has no room for it. */
enum err_code segment_copy(struct segment *segment, struct buf *out, struct err *err);

/* The number in a file's name, or 0 when it is no segment's. */
int64_t segment_number(const char *name);

#endif
