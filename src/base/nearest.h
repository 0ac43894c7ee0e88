/* nearest.h - the name somebody probably meant. */
#ifndef SLIPWAY_BASE_NEAREST_H
#define SLIPWAY_BASE_NEAREST_H

#include "base/str.h"

enum {
    NEAREST_BYTES_MAX = 64,  /* longer names are compared by their beginning */
    NEAREST_NAMES_MAX = 512, /* of a longer list only the beginning is looked at */
};

/* Index of the name in names[0..count) with the fewest edits (insert, drop, replace, swap of
 * neighbours; case and the choice of space, dash or underscore are free) from `got`, when at most
 * a third of its letters differ; else `count`. */
size_t nearest_name(struct str got, const char *const *names, size_t count);

#endif
