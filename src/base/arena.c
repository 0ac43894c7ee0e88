/* arena.c - a list of blocks, bumped from the newest one.
 *
 *     arena -> [ block 2 | used....free.... ] -> [ block 1 | used......... ]
 *
 * The oldest block is part of the arena's own allocation and survives a reset.
 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BLOCK_BYTES = 32 * 1024 };

struct arena_block {
    struct arena_block *next; /* older block */
    size_t size;              /* bytes of data[] */
    unsigned char *data;      /* aligned to ARENA_ALIGN_MAX */
};

struct arena_deferred {
    struct arena_deferred *next; /* deferred earlier */
    void (*fn)(void *arg);
    void *arg;
};

/* An arena and its oldest block are one allocation; the block's bytes stand behind. */
struct whole {
    struct arena arena;
    struct arena_block first;
};

static void *aligned_must(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, ARENA_ALIGN_MAX, bytes) != 0)
        abort();
    return p;
}

static size_t round_up(size_t bytes, size_t align)
{
    return (bytes + align - 1) & ~(align - 1);
}

static void begin_block(struct arena *arena, struct arena_block *block)
{
    arena->blocks = block;
    arena->at = block->data;
    arena->end = block->data + block->size;
}

struct arena *arena_new(size_t bytes_max)
{
    size_t head = round_up(sizeof(struct whole), ARENA_ALIGN_MAX);
    struct whole *whole = aligned_must(head + BLOCK_BYTES);
    whole->arena = (struct arena){.bytes_max = bytes_max};
    whole->first = (struct arena_block){.size = BLOCK_BYTES, .data = (unsigned char *)whole + head};
    begin_block(&whole->arena, &whole->first);
    return &whole->arena;
}

static void add_block(struct arena *arena, size_t need)
{
    size_t head = round_up(sizeof(struct arena_block), ARENA_ALIGN_MAX);
    size_t size = need > BLOCK_BYTES ? round_up(need, ARENA_ALIGN_MAX) : BLOCK_BYTES;
    struct arena_block *b = aligned_must(head + size);
    *b = (struct arena_block){
        .next = arena->blocks, .size = size, .data = (unsigned char *)b + head};
    begin_block(arena, b);
}

void *arena_alloc_slow(struct arena *arena, size_t bytes, size_t align)
{
    assert(align <= ARENA_ALIGN_MAX && (align & (align - 1)) == 0);
    if (bytes > arena->bytes_max - arena->bytes)
        return NULL;
    add_block(arena, bytes); /* begins aligned to the most */
    return arena_alloc_aligned(arena, bytes, align);
}

void *arena_calloc(struct arena *arena, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *p = arena_alloc(arena, total);
    if (p)
        memset(p, 0, total);
    return p;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
    char *p = size < SIZE_MAX ? arena_alloc(arena, size + 1) : NULL;
    if (!p)
        return NULL;
    if (size)
        memcpy(p, bytes, size);
    p[size] = '\0';
    return p;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    char small[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    assert(n >= 0);
    if ((size_t)n < sizeof(small))
        return arena_copy(arena, small, (size_t)n);
    char *p = arena_alloc(arena, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return p;
}

int arena_defer(struct arena *arena, void (*fn)(void *arg), void *arg)
{
    struct arena_deferred *d = arena_alloc(arena, sizeof(*d));
    if (!d)
        return -1;
    *d = (struct arena_deferred){.next = arena->deferred, .fn = fn, .arg = arg};
    arena->deferred = d;
    return 0;
}

size_t arena_bytes(const struct arena *arena)
{
    return arena->bytes;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *first = &((struct whole *)(void *)arena)->first;
    /* A deferred function may not touch the arena, so the list stays whole while it runs. */
    for (struct arena_deferred *d = arena->deferred; d; d = d->next)
        d->fn(d->arg);
    arena->deferred = NULL;
    while (arena->blocks != first) {
        struct arena_block *b = arena->blocks;
        arena->blocks = b->next;
        free(b);
    }
    arena->bytes = 0;
    begin_block(arena, first);
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    arena_reset(arena);
    free(arena);
}
