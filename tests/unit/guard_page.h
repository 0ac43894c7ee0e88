/* guard_page.h - bytes whose end is the end of readable memory: reading one further crashes. */
#ifndef SLIPWAY_TESTS_UNIT_GUARD_PAGE_H
#define SLIPWAY_TESTS_UNIT_GUARD_PAGE_H

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

struct guard {
    struct str text; /* the copy; its last byte is the last one before the unreadable page */
    void *memory;
    size_t memory_bytes;
};

static inline struct guard guard_init(const void *bytes, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t readable = (size + page) / page * page;
    char *memory =
        mmap(NULL, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(memory != MAP_FAILED);
    int rc = mprotect(memory + readable, page, PROT_NONE);
    assert(rc == 0);
    char *copy = memory + readable - size;
    if (size)
        memcpy(copy, bytes, size);
    return (struct guard){{copy, size}, memory, readable + page};
}

static inline struct guard guard_init_text(const char *text)
{
    return guard_init(text, strlen(text));
}

static inline void guard_done(struct guard *guard)
{
    munmap(guard->memory, guard->memory_bytes);
}

#endif
