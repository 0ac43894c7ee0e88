/* segment_format.h - how a segment file of prediction records is laid out.
 *
 *     predictions/0000000042.seg   (numbers grow by one; a file is never reused)
 *
 *     head | block block block ... | index block | trailer          <- sealed
 *     head | block block bl                                         <- being written, or torn
 *
 * All numbers are little-endian; every part has a multiple of 8 bytes and follows the one before
 * it, so each byte is under a CRC-32C. A file without a whole trailer is read block by block up to
 * the first one whose CRC does not match; at the next start it is cut there and sealed.
 *
 *     head, 64 bytes                            block, 64 bytes and its body
 *      0  8  "SLIPSEG\1"                         0  u32  "SBLK"
 *      8  u64  number of the file                4  u32  1 records, 2 schema, 3 index
 *     16  i64  created, microseconds             8  u32  bytes of the body
 *     24  16   id of the run, key of hashes     12  u32  records in it, or the schema's serial
 *     40  16   zero                             16  u64  records taken in the run before it
 *     56  u32  zero                             24  u64  ... and with it: a gap to the next block's
 *     60  u32  CRC of bytes 0..59                        first is what was dropped or left out
 *                                               32  i64  time of its first record
 *     trailer, 64 bytes                         40  i64  time of its last
 *      0  8  "SLIPEND\1"                        48  u64  offset of this block in the file
 *      8  u64  offset of the index block        56  u32  CRC of the body
 *     16  u64  records                          60  u32  CRC of bytes 0..59
 *     24  u64  rows                             64  the body
 *     32  i64  time of the first record
 *     40  i64  time of the last
 *     48  u64  records taken in this run up to its end
 *     56  u32  zero
 *     60  u32  CRC of bytes 0..59
 *
 *     body of a records block: records as record_code.h has them, one after the other
 *     body of a schema block: JSON as segment_schema.h has it; before the first record of it
 *     body of the index block:
 *      0  u32 blocks, u32 schemas, u64 ids, u64 keys
 *     24  blocks   { u64 offset, u32 bytes of the body, u32 records, i64 first time, i64 last time
 * } schemas  { u64 offset, u32 serial, u32 zero } ids      { u64 hash of the request id, u64 offset
 * of the record } keys     { u64 hash of a business key, u64 offset of the record << 24 | row }
 *
 * Blocks stand in the order of the file, ids and keys in the order of (hash, place). A hash is
 * SipHash-2-4 of the text as it is kept, under the run's id as the key.
 */
#ifndef SLIPWAY_MONITOR_SEGMENT_FORMAT_H
#define SLIPWAY_MONITOR_SEGMENT_FORMAT_H

#include <stdint.h>

#define SEGMENT_MAGIC "SLIPSEG\1"
#define SEGMENT_END_MAGIC "SLIPEND\1"

enum {
    SEGMENT_MAGIC_BYTES = 8,
    SEGMENT_PART_BYTES = 64, /* of a head, a block's head, a trailer */
    SEGMENT_BLOCK_MAGIC = 0x4b4c4253,
    SEGMENT_KEY_ROW_BITS = 24,
    SEGMENT_BODY_BYTES = 64 * 1024,       /* a block is closed when its body has so many */
    SEGMENT_BODY_BYTES_MAX = 1 << 30,     /* one with a single record may have these */
    SEGMENT_SCHEMA_BYTES_MAX = 256 << 20, /* a contract's texts, escaped */
    SEGMENT_NAME_BYTES = 32,
};

enum segment_kind { SEGMENT_RECORDS = 1, SEGMENT_SCHEMA = 2, SEGMENT_INDEX = 3 };

struct segment_head {
    char magic[SEGMENT_MAGIC_BYTES];
    uint64_t number;
    int64_t created_us;
    uint64_t run[2];
    uint64_t unused[2];
    uint32_t zero, crc;
};

struct segment_block_head {
    uint32_t magic, kind, body_bytes, record_count;
    uint64_t taken_before, taken_with;
    int64_t first_us, last_us;
    uint64_t offset;
    uint32_t body_crc, crc;
};

struct segment_trailer {
    char magic[SEGMENT_MAGIC_BYTES];
    uint64_t index_offset;
    uint64_t record_count, row_count;
    int64_t first_us, last_us;
    uint64_t taken_with;
    uint32_t zero, crc;
};

struct segment_index_head {
    uint32_t block_count, schema_count;
    uint64_t id_count, key_count;
};

struct segment_index_block {
    uint64_t offset;
    uint32_t body_bytes, record_count;
    int64_t first_us, last_us;
};

struct segment_index_schema {
    uint64_t offset;
    uint32_t serial, zero;
};

struct segment_index_entry {
    uint64_t hash, place;
};

_Static_assert(sizeof(struct segment_head) == SEGMENT_PART_BYTES, "as drawn");
_Static_assert(sizeof(struct segment_block_head) == SEGMENT_PART_BYTES, "as drawn");
_Static_assert(sizeof(struct segment_trailer) == SEGMENT_PART_BYTES, "as drawn");
_Static_assert(sizeof(struct segment_index_head) == 24, "as drawn");
_Static_assert(sizeof(struct segment_index_block) == 32, "as drawn");

#endif
