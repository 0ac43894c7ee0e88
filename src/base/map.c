/* map.c - open addressing with linear probing, at most half full, hashed by SipHash. */
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/rand.h"

enum { SLOTS_MIN = 16 };

static uint64_t process_key[2];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void draw_process_key(void)
{
    rand_secret(process_key, sizeof(process_key));
}

static struct map_slot *slots_new(size_t count)
{
    struct map_slot *slots = calloc(count, sizeof(*slots));
    if (!slots)
        abort();
    return slots;
}

/* The slot that holds `key`, or the free one where it belongs. */
static struct map_slot *slot_of(struct map_slot *slots, size_t slot_count, struct str key,
                                uint64_t hash)
{
    size_t i = (size_t)hash & (slot_count - 1);
    while (slots[i].key.ptr && !(slots[i].hash == hash && str_equal(slots[i].key, key)))
        i = (i + 1) & (slot_count - 1);
    return &slots[i];
}

static void grow(struct map *map)
{
    size_t slot_count = map->slot_count ? 2 * map->slot_count : SLOTS_MIN;
    struct map_slot *slots = slots_new(slot_count);
    for (size_t i = 0; i < map->slot_count; i++) {
        const struct map_slot *old = &map->slots[i];
        if (old->key.ptr)
            *slot_of(slots, slot_count, old->key, old->hash) = *old;
    }
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
}

void map_init(struct map *map)
{
    pthread_once(&process_key_once, draw_process_key);
    *map = (struct map){0};
}

void map_done(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

void map_put(struct map *map, struct str key, void *value)
{
    if (!key.ptr)
        key.ptr = ""; /* an empty text may come without bytes; a slot's key may not */
    if (2 * (map->count + 1) > map->slot_count)
        grow(map);
    uint64_t hash = hash_sip(process_key, key.ptr, key.len);
    struct map_slot *slot = slot_of(map->slots, map->slot_count, key, hash);
    map->count += slot->key.ptr == NULL;
    *slot = (struct map_slot){key, hash, value};
}

void *map_find(const struct map *map, struct str key)
{
    if (map->count == 0)
        return NULL;
    uint64_t hash = hash_sip(process_key, key.ptr, key.len);
    return slot_of(map->slots, map->slot_count, key, hash)->value;
}
