/* state_bytes.h - 64-bit words of a state file, written and read: evidence_file.c, compare_file.c.
 *
 * Little-endian, as every machine this runs on. Reading never leaves the bytes: what is missing is
 * 0 and said at the end by is_short.
 */
#ifndef SLIPWAY_ROLLOUT_STATE_BYTES_H
#define SLIPWAY_ROLLOUT_STATE_BYTES_H

#include <string.h>

#include "base/buf.h"

static inline void put_u64(struct buf *out, uint64_t value)
{
    buf_append(out, &value, sizeof(value));
}

static inline void put_i64(struct buf *out, int64_t value)
{
    put_u64(out, (uint64_t)value);
}

static inline void put_f64(struct buf *out, double value)
{
    buf_append(out, &value, sizeof(value));
}

struct reading {
    const char *at, *end;
    bool is_short;
};

/* `size` bytes, or zeroes when there are fewer. */
static inline void get_bytes(struct reading *r, void *out, size_t size)
{
    memset(out, 0, size);
    if (r->is_short || (size_t)(r->end - r->at) < size) {
        r->is_short = true;
        return;
    }
    memcpy(out, r->at, size);
    r->at += size;
}

static inline uint64_t get_u64(struct reading *r)
{
    uint64_t value;
    get_bytes(r, &value, sizeof(value));
    return value;
}

static inline int64_t get_i64(struct reading *r)
{
    return (int64_t)get_u64(r);
}

static inline double get_f64(struct reading *r)
{
    double value;
    get_bytes(r, &value, sizeof(value));
    return value;
}

/* A count up to `max` of things of `size` bytes each, which fit what is left. */
static inline int64_t get_count(struct reading *r, int64_t max, int64_t size)
{
    int64_t count = get_i64(r);
    if (count < 0 || count > max || count * size > r->end - r->at)
        r->is_short = true;
    return r->is_short ? 0 : count;
}

#endif
