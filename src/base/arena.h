/* arena.h - memory that lives exactly as long as one request (or one job).
 *
 * Everything a request needs is taken from its arena and given back whole. Nothing allocated here
 * is ever freed alone, so no error path can leak it. Resources that are not memory (a file, a
 * reference on a loaded model) join the arena's life through arena_defer().
 *
 * An arena that is reset keeps its first block, so a thread that reuses one allocates nothing
 * from the heap for an ordinary request. An arena belongs to one thread at a time.
 */
#ifndef SLIPWAY_BASE_ARENA_H
#define SLIPWAY_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read and written by arena.c and by the inline function below only. */
struct arena {
    unsigned char *at, *end; /* what is free of the newest block */
    size_t bytes, bytes_max;
    struct arena_block *blocks; /* newest first */
    struct arena_deferred *deferred;
};

enum { ARENA_ALIGN = 16, ARENA_ALIGN_MAX = 64 };

/* A new arena that refuses to hold more than `bytes_max`. Aborts when the machine itself is out
 * of memory, as every small allocation in Slipway does. */
struct arena *arena_new(size_t bytes_max);

/* `bytes` aligned for any type, contents undefined, or NULL once `bytes_max` is reached: the
 * caller turns NULL into ERR_LIMIT. Zero bytes gives a pointer that must not be read. */
static inline void *arena_alloc(struct arena *arena, size_t bytes);

/* The same, zeroed, for `count` things of `bytes` each; NULL also when the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t bytes);

/* The same, aligned to `align`, a power of two up to 64 (rows that vector code reads). */
static inline void *arena_alloc_aligned(struct arena *arena, size_t bytes, size_t align);

/* The same from a new block, or NULL. */
void *arena_alloc_slow(struct arena *arena, size_t bytes, size_t align);

static inline void *arena_alloc_aligned(struct arena *arena, size_t bytes, size_t align)
{
    size_t gap = (size_t)(-(uintptr_t)arena->at & (align - 1));
    size_t room = (size_t)(arena->end - arena->at);
    if (gap > room || bytes > room - gap || bytes > arena->bytes_max - arena->bytes)
        return arena_alloc_slow(arena, bytes, align);
    void *place = arena->at + gap;
    arena->at += gap + bytes;
    arena->bytes += bytes;
    return place;
}

static inline void *arena_alloc(struct arena *arena, size_t bytes)
{
    return arena_alloc_aligned(arena, bytes, ARENA_ALIGN);
}

/* A copy of bytes[0..size), followed by a NUL that does not count. NULL at the limit. */
char *arena_copy(struct arena *arena, const void *bytes, size_t size);

/* Formatted text, NUL-terminated. NULL at the limit. */
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Run fn(arg) when the arena is reset or freed, last deferred first. 0, or -1 at the limit (then
 * the caller still owns the resource). */
int arena_defer(struct arena *arena, void (*fn)(void *arg), void *arg);

/* Bytes handed out since the last reset. */
size_t arena_bytes(const struct arena *arena);

/* Run what was deferred and forget everything; the first block stays for the next use. */
void arena_reset(struct arena *arena);

/* Reset and free the arena itself. NULL is allowed. */
void arena_free(struct arena *arena);

#endif
