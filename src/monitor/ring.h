/* ring.h - items of bytes from one thread to another, in order, without a lock or a wait.
 *
 *     producer                                consumer
 *     ring_reserve -> fill -> ring_commit     ring_peek -> read -> ring_release
 *
 * An item lies in one piece, at an address that is a multiple of RING_ALIGN. A full ring refuses:
 * the producer counts and goes on. Positions are (epoch, bytes since the epoch began); a producer
 * that finds the ring empty begins a new epoch at its first byte, so an idle program touches only
 * as much of the ring as ever waited in it.
 *
 *     item   0  u32  bytes of the payload; RING_SKIP: the rest of the ring is unused
 *            4  12 bytes unused
 *           16  payload, rounded up to RING_ALIGN
 */
#ifndef SLIPWAY_MONITOR_RING_H
#define SLIPWAY_MONITOR_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_ALIGN = 16, RING_BYTES_MIN = 4096 };

struct ring {
    char *bytes; /* [size], mapped, touched on use */
    size_t size; /* a power of two */

    _Alignas(64) _Atomic uint64_t head; /* written by the producer: epoch << 32 | position */
    uint64_t reserved;                  /* producer's own: head before the item in the making */

    _Alignas(64) _Atomic uint64_t tail; /* written by the consumer */
};

/* `bytes` is rounded up to a power of two of at least RING_BYTES_MIN; at most 1 GiB. */
void ring_init(struct ring *ring, size_t bytes);
void ring_done(struct ring *ring);

/* Room for `bytes` in one piece, or NULL when there is none now. Producer only. */
void *ring_reserve(struct ring *ring, size_t bytes);

/* Hand over what ring_reserve gave, of which the first `bytes` are used. */
void ring_commit(struct ring *ring, size_t bytes);

/* The oldest item, or NULL when the ring is empty. Consumer only; valid until ring_release. */
const void *ring_peek(struct ring *ring, size_t *bytes);
void ring_release(struct ring *ring);

/* Behind the newest item of this moment; has everything before a mark been released? Consumer only.
 */
uint64_t ring_mark(struct ring *ring);
bool ring_is_at(struct ring *ring, uint64_t mark);

/* Bytes that wait, about. Any thread. */
size_t ring_used(struct ring *ring);

#endif
