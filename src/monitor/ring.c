/* ring.c - a byte ring for one producer and one consumer. */
#include "monitor/ring.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

enum { RING_HEAD_BYTES = 16, RING_BYTES_LIMIT = 1 << 30 };
#define RING_SKIP UINT32_MAX

static uint64_t position(uint32_t epoch, uint32_t bytes)
{
    return (uint64_t)epoch << 32 | bytes;
}

static uint32_t epoch_of(uint64_t position)
{
    return (uint32_t)(position >> 32);
}

static size_t item_bytes(size_t payload)
{
    return RING_HEAD_BYTES + ((payload + RING_ALIGN - 1) & ~(size_t)(RING_ALIGN - 1));
}

void ring_init(struct ring *ring, size_t bytes)
{
    size_t size = RING_BYTES_MIN;
    while (size < bytes && size < RING_BYTES_LIMIT)
        size *= 2;
    *ring = (struct ring){.size = size, .limit = size};
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (map == MAP_FAILED)
        abort();
    /* A huge page would make two megabytes of the first byte. */
    madvise(map, size, MADV_NOHUGEPAGE);
    ring->bytes = map;
}

void ring_done(struct ring *ring)
{
    if (ring->bytes)
        munmap(ring->bytes, ring->size);
    ring->bytes = NULL;
}

static uint32_t *head_at(const struct ring *ring, uint64_t at)
{
    return (uint32_t *)(void *)(ring->bytes + ((uint32_t)at & (ring->size - 1)));
}

static bool find_room(struct ring *ring, size_t bytes)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t limit = atomic_load_explicit(&ring->limit, memory_order_acquire);
    if (bytes > limit - RING_HEAD_BYTES)
        return false;
    if (head == tail) /* empty: everything was read, nobody looks at the bytes */
        head = tail = position(epoch_of(head) + 1, 0);
    else if (epoch_of(head) != epoch_of(tail)) /* nothing of this epoch was read yet */
        tail = position(epoch_of(head), 0);
    size_t used = (uint32_t)head - (uint32_t)tail, needed = item_bytes(bytes);
    size_t to_end = ring->size - ((uint32_t)head & (ring->size - 1));
    size_t skipped = needed > to_end ? to_end : 0;
    if (used + skipped + needed > limit)
        return false;
    if (skipped)
        *head_at(ring, head) = RING_SKIP;
    ring->reserved = position(epoch_of(head), (uint32_t)head + (uint32_t)skipped);
    return true;
}

void *ring_reserve(struct ring *ring, size_t bytes)
{
    atomic_store_explicit(&ring->is_writing, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* the other half is ring_trim's */
    if (find_room(ring, bytes))
        return (char *)head_at(ring, ring->reserved) + RING_HEAD_BYTES;
    atomic_store_explicit(&ring->is_writing, false, memory_order_release);
    return NULL;
}

void ring_commit(struct ring *ring, size_t bytes)
{
    uint64_t at = ring->reserved;
    *head_at(ring, at) = (uint32_t)bytes;
    uint64_t head = position(epoch_of(at), (uint32_t)at + (uint32_t)item_bytes(bytes));
    atomic_store_explicit(&ring->head, head, memory_order_release);
    atomic_store_explicit(&ring->is_writing, false, memory_order_release);
}

/* Where the next item is, past a skipped end; false when there is none. */
static bool next_item(const struct ring *ring, uint64_t *at)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (head == tail)
        return false;
    if (epoch_of(head) != epoch_of(tail))
        tail = position(epoch_of(head), 0);
    if (*head_at(ring, tail) == RING_SKIP) {
        size_t to_end = ring->size - ((uint32_t)tail & (ring->size - 1));
        tail = position(epoch_of(tail), (uint32_t)tail + (uint32_t)to_end);
    }
    *at = tail;
    return true;
}

const void *ring_peek(struct ring *ring, size_t *bytes)
{
    uint64_t at;
    if (!next_item(ring, &at))
        return NULL;
    *bytes = *head_at(ring, at);
    return (char *)head_at(ring, at) + RING_HEAD_BYTES;
}

void ring_release(struct ring *ring)
{
    uint64_t at = 0;
    bool has_item = next_item(ring, &at);
    assert(has_item);
    uint64_t tail = position(epoch_of(at), (uint32_t)at + (uint32_t)item_bytes(*head_at(ring, at)));
    size_t end = (uint32_t)tail < ring->size ? (uint32_t)tail : ring->size;
    ring->touched = end > ring->touched ? end : ring->touched;
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
}

uint64_t ring_mark(struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_acquire);
}

/* The tail stops at every place where the head ever stood: both go from item to item. */
bool ring_is_at(struct ring *ring, uint64_t mark)
{
    return atomic_load_explicit(&ring->tail, memory_order_relaxed) == mark;
}

size_t ring_used(struct ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == tail)
        return 0;
    return epoch_of(head) == epoch_of(tail) ? (uint32_t)head - (uint32_t)tail : (uint32_t)head;
}

/* ---- giving back ---- */

/* Every thread of the process has passed a full barrier when it returns true. */
static bool barrier_everywhere(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* A producer that began before the barrier is seen, by its flag or by its item; one that begins
 * after it sees the limit. */
static bool is_at_rest(struct ring *ring)
{
    return !atomic_load_explicit(&ring->is_writing, memory_order_acquire) &&
           atomic_load_explicit(&ring->head, memory_order_acquire) ==
               atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

bool ring_trim(struct ring *ring)
{
    bool is_done = false;
    if (ring->touched <= RING_KEPT_BYTES)
        return true;
    if (!is_at_rest(ring))
        return false;
    atomic_store_explicit(&ring->limit, RING_KEPT_BYTES, memory_order_relaxed);
    if (barrier_everywhere() && is_at_rest(ring))
        is_done = madvise(ring->bytes + RING_KEPT_BYTES, ring->size - RING_KEPT_BYTES,
                          MADV_DONTNEED) == 0;
    atomic_store_explicit(&ring->limit, ring->size, memory_order_release);
    if (is_done)
        ring->touched = 0;
    return is_done;
}
