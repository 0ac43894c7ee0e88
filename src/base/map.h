/* map.h - a hash map from text to pointers, built once and then only read, or changed by one
 * thread.
 *
 * Keys are borrowed and must outlive the map. Hashing is keyed with a random key of the process, so
 * that nobody outside can choose colliding names.
 */
#ifndef SLIPWAY_BASE_MAP_H
#define SLIPWAY_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct map_slot {
    struct str key; /* ptr NULL: the slot is free */
    uint64_t hash;
    void *value;
};

struct map {
    struct map_slot *slots; /* owned; [slot_count], a power of two */
    size_t slot_count, count;
};

void map_init(struct map *map);
void map_done(struct map *map);

/* Put or replace. The value's ownership stays with the caller. */
void map_put(struct map *map, struct str key, void *value);

/* The value, or NULL when there is none. */
void *map_find(const struct map *map, struct str key);

#endif
