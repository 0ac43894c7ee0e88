/* record_code.h - a record as bytes: in a ring, in memory and in segment files alike.
 *
 * All numbers are little-endian; every part begins at a multiple of 8 from the record's start.
 *
 *      0  u32  bytes of the whole record, a multiple of 8
 *      4  u32  serial of its schema
 *      8  i64  time of the reply, microseconds since 1970 (in a ring: monotonic)
 *     16  i64  rollout, 0: none
 *     24  u64  hash of the routing key
 *     32  u32  latency, microseconds
 *     36  u32  rows
 *     40  u32  violations of the contract
 *     44  u32  rules they broke, a bit each
 *     48  f32  share of requests that is kept
 *     52  u16  HTTP status
 *     54  u16  bytes of the request id
 *     56  u16  bytes of the traceparent
 *     58  u8   arm: 0 none, 1 stable, 2 canary, 3 shadow
 *     59  u8   1: a routing key was named; 2: has texts; 4: has flags of rows; 8: has outputs;
 *              16: from the response cache; 32: features are not kept; 64: kept when a shadow
 *              answers otherwise
 *     60  u32  0
 *     64  f32  values [rows, values of the schema]
 *         if it has outputs, for each of the schema: u32 elements (0xffffffff: not asked for), u32
 *         bytes of what follows; the elements: their numbers, or the texts as below
 *         if it has texts: [rows, texts of the schema]
 *         if it has flags: u8 [rows], 0 usual, 1 suspect, 2 erased
 *         request id, traceparent
 *
 *     texts: u32 lengths (0xffffffff: missing), then the bytes of all of them
 */
#ifndef SLIPWAY_MONITOR_RECORD_CODE_H
#define SLIPWAY_MONITOR_RECORD_CODE_H

#include "base/arena.h"
#include "base/err.h"
#include "monitor/record.h"

enum { RECORD_HEAD_BYTES = 64 };

/* Bytes that record_encode writes. */
size_t record_encoded_bytes(const struct record *record);

/* `out` is aligned to 8 and has room for record_encoded_bytes(). */
void record_encode(const struct record *record, size_t bytes, char *out);

/* What stands in a record's head, without its schema: bytes of the whole and the serial. False when
 * no record begins here. */
bool record_peek(const char *bytes, size_t size, size_t *record_bytes, uint32_t *serial);

/* The record in bytes[0..size), aligned to 8. Numbers and texts stay where they are; lists of texts
 * and tensors are made in `arena`. ERR_IO when the bytes are no record of this schema. */
enum err_code record_decode(const char *bytes, size_t size, const struct record_schema *schema,
                            struct arena *arena, struct record *record, struct err *err);

#endif
