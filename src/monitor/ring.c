/* ring.c - a byte ring for one producer and one consumer. */
#include "monitor/ring.h"

#include <stdlib.h>
#include <sys/mman.h>

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
    *ring = (struct ring){.size = size};
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

void *ring_reserve(struct ring *ring, size_t bytes)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (bytes > ring->size - RING_HEAD_BYTES)
        return NULL;
    if (head == tail) /* empty: everything was read, nobody looks at the bytes */
        head = tail = position(epoch_of(head) + 1, 0);
    else if (epoch_of(head) != epoch_of(tail)) /* nothing of this epoch was read yet */
        tail = position(epoch_of(head), 0);
    size_t used = (uint32_t)head - (uint32_t)tail, needed = item_bytes(bytes);
    size_t to_end = ring->size - ((uint32_t)head & (ring->size - 1));
    size_t skipped = needed > to_end ? to_end : 0;
    if (used + skipped + needed > ring->size)
        return NULL;
    if (skipped)
        *head_at(ring, head) = RING_SKIP;
    ring->reserved = position(epoch_of(head), (uint32_t)head + (uint32_t)skipped);
    return (char *)head_at(ring, ring->reserved) + RING_HEAD_BYTES;
}

void ring_commit(struct ring *ring, size_t bytes)
{
    uint64_t at = ring->reserved;
    *head_at(ring, at) = (uint32_t)bytes;
    uint64_t head = position(epoch_of(at), (uint32_t)at + (uint32_t)item_bytes(bytes));
    atomic_store_explicit(&ring->head, head, memory_order_release);
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
