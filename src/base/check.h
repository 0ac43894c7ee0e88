/* check.h - claims about our own code: asserts that stay on, object magic, array length. */
#ifndef SLIPWAY_BASE_CHECK_H
#define SLIPWAY_BASE_CHECK_H

/* assert() is for our own mistakes, never for input, and is on in every build. */
#undef NDEBUG
#include <assert.h>
#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Long-lived shared objects start with a `uint32_t magic`; their functions check it first. */
#define CHECK_MAGIC(object, value) assert((object) != NULL && (object)->magic == (value))

/* The struct that holds `member` at address `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#endif
