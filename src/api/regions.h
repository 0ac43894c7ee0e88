/* regions.h - shared memory that a client on this machine has handed over, by file descriptor.
 *
 * A region is part of a memfd. It belongs to the connection that registered it and ends with that,
 * so nobody can name another one's, and nothing is left behind. Nothing is mapped: bytes are copied
 * out and in by pread and pwrite. What a client changes meanwhile is seen before the copy or not at
 * all, and what it cuts off is an error, not a signal; it cannot cut off anything, since the memfd
 * must be sealed against shrinking and growing.
 *
 * One thread at a time: that of the request which its connection has under way.
 */
#ifndef SLIPWAY_API_REGIONS_H
#define SLIPWAY_API_REGIONS_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

enum {
    REGIONS_MAX = 64,            /* of a connection */
    REGION_NAME_BYTES_MAX = 256, /* also of a key */
    REGION_BYTES_MAX = 1024 * 1024 * 1024,
};

struct regions;

struct regions *regions_new(void);
void regions_free(struct regions *regions); /* NULL is allowed */

/* What a client says of a region. */
struct region_claim {
    struct str name, key; /* the key is only told again */
    uint64_t offset, size;
};

/* Take the descriptor; closed when it is refused. ERR_INVALID: it is no memfd, not sealed, or
 * smaller than claimed. ERR_EXISTS: the name is taken. ERR_LIMIT: there are too many. */
enum err_code regions_add(struct regions *regions, const struct region_claim *claim, int fd,
                          struct err *err);

/* Forget one, or all of an empty name. That it is not there is no error. */
void regions_remove(struct regions *regions, struct str name);

/* An array of {name, key, offset, byte_size}; of one of them with a name. NULL: there are none. */
void regions_write(struct json_writer *w, const struct regions *regions, struct str name);

/* Has the region these bytes? ERR_INVALID: there is no such region (`regions` may be NULL), or it
 * ends before them. */
enum err_code region_check(const struct regions *regions, struct str name, uint64_t offset,
                           uint64_t size, struct err *err);

/* Copy `size` bytes at `offset` of the region out, or in. Errors of region_check, and those of
 * the memory itself: sealed against writing. */
enum err_code region_read(const struct regions *regions, struct str name, uint64_t offset,
                          void *bytes, size_t size, struct err *err);
enum err_code region_write(const struct regions *regions, struct str name, uint64_t offset,
                           const void *bytes, size_t size, struct err *err);

#endif
