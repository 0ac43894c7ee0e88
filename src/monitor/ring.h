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
 * What a burst touched is given back by ring_trim, on the consumer's thread, while nothing waits:
 *
 *     consumer                                 producer
 *     limit = RING_KEPT_BYTES                  is_writing = true
 *     a barrier in all threads (membarrier)    reads limit, and stays below it
 *     is_writing? anything there? -> leave it  ...
 *     pages behind the limit go                is_writing = false
 *     limit = size
 *
 * The barrier is the kernel's, so the producer pays for none.
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

enum { RING_ALIGN = 16, RING_BYTES_MIN = 4096, RING_KEPT_BYTES = 64 * 1024 };

struct ring {
    char *bytes; /* [size], mapped, touched on use */
    size_t size; /* a power of two */

    _Alignas(64) _Atomic uint64_t head; /* written by the producer: epoch << 32 | position */
    uint64_t reserved;                  /* producer's own: head before the item in the making */
    _Atomic bool is_writing;            /* the producer is between ring_reserve and ring_commit */

    _Alignas(64) _Atomic uint64_t tail; /* written by the consumer */
    _Atomic size_t limit;               /* of what may be used: size, but during ring_trim */
    size_t touched;                     /* consumer's own: bytes that were read since ring_trim */
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

/* Give back the memory behind RING_KEPT_BYTES, if some was used since the last time and nothing
 * waits or is on its way. While it runs, for microseconds, a larger item is refused. Consumer only;
 * for times of rest. False when it was not done: try again later. */
bool ring_trim(struct ring *ring);

/* Bytes that wait, about. Any thread. */
size_t ring_used(struct ring *ring);

#endif
