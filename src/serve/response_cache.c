/* response_cache.c - shards, their logs and indexes.
 *
 * Places in a log count upward for ever; a place modulo the log's size is where the bytes are. What
 * is between `oldest` and `end` is in use. An entry is never cut by the log's end: what would be is
 * preceded by a filler up to there.
 */
#include "serve/response_cache.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rand.h"

enum {
    SHARDS_MAX = 16,
    SHARD_BYTES_MIN = 1024 * 1024, /* a smaller budget is one shard */
    SLOT_EVERY = 128,              /* bytes of the shard a slot of the index */
    UNIT = 16,                     /* entries begin at multiples of it */
    SPINS_MAX = 200,
    MOVES_MAX = 8, /* answers that one put may move to the end */
};

struct entry {
    uint32_t bytes; /* with this head, a multiple of UNIT */
    uint32_t next;  /* in its slot: place / UNIT + 1; 0: the last */
    uint64_t digest[2];
    uint64_t serial;
    int64_t at_ns;
    uint32_t size; /* of the answer */
    bool is_live, was_used;
};

/* So short that every gap of a log has room for it. */
struct filler {
    uint32_t bytes;
    uint32_t is_filler; /* where an entry has `next`: UINT32_MAX, which no entry has */
};
#define IS_FILLER UINT32_MAX

_Static_assert(sizeof(struct entry) % UNIT == 0, "answers are aligned");

struct shard {
    _Alignas(64) _Atomic bool is_locked;
    uint32_t *slots; /* [slot_count], a power of two */
    size_t slot_count;
    char *log;
    size_t log_bytes;
    uint64_t oldest, end; /* places */
    uint64_t answers, bytes;
    uint64_t ended[RESPONSE_END_COUNT];
    uint64_t large, busy;
    _Atomic uint64_t missed; /* counted without the lock: it was locked */
};

struct response_cache {
    _Atomic int refs;
    uint64_t key[2];
    size_t bytes_max;
    char *memory;
    int shard_count; /* a power of two */
    struct shard shards[SHARDS_MAX];
};

/* ---- memory ---- */

static size_t power_of_two(size_t most)
{
    size_t power = 1;
    while (power * 2 <= most)
        power *= 2;
    return power;
}

static void shard_init(struct shard *shard, char *memory, size_t bytes)
{
    shard->slot_count = power_of_two(bytes / SLOT_EVERY);
    size_t index_bytes = shard->slot_count * sizeof(*shard->slots);
    shard->slots = (uint32_t *)(void *)memory;
    shard->log = memory + index_bytes;
    shard->log_bytes = (bytes - index_bytes) / UNIT * UNIT;
}

struct response_cache *response_cache_new(size_t bytes_max)
{
    assert(bytes_max >= RESPONSE_CACHE_BYTES_MIN && bytes_max <= RESPONSE_CACHE_BYTES_MAX);
    struct response_cache *cache = aligned_alloc(_Alignof(struct response_cache), sizeof(*cache));
    if (!cache)
        abort();
    memset(cache, 0, sizeof(*cache));
    cache->refs = 1;
    cache->bytes_max = bytes_max;
    rand_secret(cache->key, sizeof(cache->key));
    /* Zero, and nobody's until it is touched. */
    cache->memory = mmap(NULL, bytes_max, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cache->memory == MAP_FAILED)
        abort();
    size_t count = bytes_max / SHARD_BYTES_MIN;
    cache->shard_count = (int)power_of_two(count > SHARDS_MAX ? SHARDS_MAX : count ? count : 1);
    size_t bytes = bytes_max / (size_t)cache->shard_count / UNIT * UNIT;
    for (int i = 0; i < cache->shard_count; i++)
        shard_init(&cache->shards[i], cache->memory + (size_t)i * bytes, bytes);
    return cache;
}

void response_cache_ref(struct response_cache *cache)
{
    atomic_fetch_add_explicit(&cache->refs, 1, memory_order_relaxed);
}

void response_cache_unref(struct response_cache *cache)
{
    if (!cache || atomic_fetch_sub_explicit(&cache->refs, 1, memory_order_acq_rel) != 1)
        return;
    munmap(cache->memory, cache->bytes_max);
    free(cache);
}

const uint64_t *response_cache_key(const struct response_cache *cache)
{
    return cache->key;
}

size_t response_cache_bytes_max(const struct response_cache *cache)
{
    return cache->bytes_max;
}

size_t response_cache_answer_bytes_max(const struct response_cache *cache)
{
    return cache->shards[0].log_bytes / RESPONSE_CACHE_PARTS_MAX - sizeof(struct entry) - UNIT;
}

/* ---- the lock ---- */

static void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static bool shard_try(struct shard *shard)
{
    for (int i = 0; i < SPINS_MAX; i++) {
        if (!atomic_load_explicit(&shard->is_locked, memory_order_relaxed) &&
            !atomic_exchange_explicit(&shard->is_locked, true, memory_order_acquire))
            return true;
        spin_pause();
    }
    atomic_fetch_add_explicit(&shard->missed, 1, memory_order_relaxed);
    return false;
}

/* For threads that may wait. */
static void shard_lock(struct shard *shard)
{
    while (atomic_exchange_explicit(&shard->is_locked, true, memory_order_acquire))
        sched_yield();
}

static void shard_unlock(struct shard *shard)
{
    atomic_store_explicit(&shard->is_locked, false, memory_order_release);
}

static struct shard *shard_of(struct response_cache *cache, const uint64_t digest[2])
{
    return &cache->shards[digest[0] & (uint64_t)(cache->shard_count - 1)];
}

/* ---- entries; the shard is locked ---- */

static size_t position(const struct shard *shard, uint64_t place)
{
    return (size_t)(place % shard->log_bytes);
}

static struct entry *entry_at(const struct shard *shard, size_t at)
{
    return (struct entry *)(void *)(shard->log + at);
}

static uint32_t *slot_of(const struct shard *shard, const uint64_t digest[2])
{
    return &shard->slots[digest[1] & (shard->slot_count - 1)];
}

/* What points at the entry with that digest; at 0 when there is none. */
static uint32_t *find_link(const struct shard *shard, const uint64_t digest[2])
{
    uint32_t *link = slot_of(shard, digest);
    while (*link) {
        struct entry *entry = entry_at(shard, (size_t)(*link - 1) * UNIT);
        if (entry->digest[0] == digest[0] && entry->digest[1] == digest[1])
            break;
        link = &entry->next;
    }
    return link;
}

static struct entry *entry_of(const struct shard *shard, const uint32_t *link)
{
    return *link ? entry_at(shard, (size_t)(*link - 1) * UNIT) : NULL;
}

static void unlink_entry(struct shard *shard, uint32_t *link)
{
    struct entry *entry = entry_of(shard, link);
    *link = entry->next;
    entry->next = 0;
    entry->is_live = false;
    shard->answers--;
    shard->bytes -= entry->bytes;
}

static void link_entry(struct shard *shard, struct entry *entry)
{
    uint32_t *slot = slot_of(shard, entry->digest);
    entry->next = *slot;
    entry->is_live = true;
    *slot = (uint32_t)((size_t)((char *)entry - shard->log) / UNIT) + 1;
    shard->answers++;
    shard->bytes += entry->bytes;
}

/* ---- the log; the shard is locked ---- */

/* Bytes up to the log's end that an entry of this size cannot have. */
static size_t gap_before(const struct shard *shard, size_t bytes)
{
    size_t left = shard->log_bytes - position(shard, shard->end);
    return left < bytes ? left : 0;
}

static size_t room(const struct shard *shard)
{
    return shard->log_bytes - (size_t)(shard->end - shard->oldest);
}

static bool has_room(const struct shard *shard, size_t bytes)
{
    return gap_before(shard, bytes) + bytes <= room(shard);
}

static struct entry *take_room(struct shard *shard, size_t bytes)
{
    size_t gap = gap_before(shard, bytes);
    if (gap) {
        struct filler filler = {(uint32_t)gap, IS_FILLER};
        memcpy(shard->log + position(shard, shard->end), &filler, sizeof(filler));
        shard->end += gap;
    }
    struct entry *entry = entry_at(shard, position(shard, shard->end));
    shard->end += bytes;
    return entry;
}

/* Its own bytes are free already, so there is room, unless the log's end is in between. */
static bool move_to_end(struct shard *shard, const struct entry *oldest)
{
    size_t bytes = oldest->bytes;
    if (!has_room(shard, bytes))
        return false;
    struct entry *moved = take_room(shard, bytes);
    memmove(moved, oldest, bytes);
    moved->was_used = false;
    link_entry(shard, moved);
    return true;
}

/* True when the oldest entry was moved instead of lost. */
static bool give_up_oldest(struct shard *shard, bool may_move)
{
    struct entry *oldest = entry_at(shard, position(shard, shard->oldest));
    if (oldest->next == IS_FILLER) {
        shard->oldest += oldest->bytes;
        return false;
    }
    shard->oldest += oldest->bytes;
    if (!oldest->is_live)
        return false;
    unlink_entry(shard, find_link(shard, oldest->digest));
    if (may_move && oldest->was_used && move_to_end(shard, oldest))
        return true;
    shard->ended[RESPONSE_END_ROOM]++;
    return false;
}

static void make_room(struct shard *shard, size_t bytes)
{
    int moves = 0;
    while (!has_room(shard, bytes))
        moves += give_up_oldest(shard, moves < MOVES_MAX);
}

/* ---- finding, putting ---- */

enum response_found response_cache_find(struct response_cache *cache, const uint64_t digest[2],
                                        int64_t since_ns, void *room, size_t *size)
{
    struct shard *shard = shard_of(cache, digest);
    enum response_found found = RESPONSE_NONE;
    if (!shard_try(shard))
        return found;
    uint32_t *link = find_link(shard, digest);
    struct entry *entry = entry_of(shard, link);
    if (entry && entry->at_ns < since_ns) {
        unlink_entry(shard, link);
        shard->ended[RESPONSE_END_AGE]++;
    } else if (entry) {
        found = entry->size > *size ? RESPONSE_LARGER : RESPONSE_FOUND;
        *size = entry->size;
        entry->was_used = true;
        if (found == RESPONSE_FOUND)
            memcpy(room, entry + 1, entry->size);
    }
    shard_unlock(shard);
    return found;
}

bool response_cache_put(struct response_cache *cache, const uint64_t digest[2], uint64_t serial,
                        int64_t now_ns, struct str answer)
{
    struct shard *shard = shard_of(cache, digest);
    bool fits = answer.len <= response_cache_answer_bytes_max(cache);
    if (!shard_try(shard))
        return false;
    if (fits) {
        size_t bytes = (sizeof(struct entry) + answer.len + UNIT - 1) / UNIT * UNIT;
        uint32_t *link = find_link(shard, digest);
        if (*link)
            unlink_entry(shard, link);
        make_room(shard, bytes);
        struct entry *entry = take_room(shard, bytes);
        *entry = (struct entry){.bytes = (uint32_t)bytes,
                                .digest = {digest[0], digest[1]},
                                .serial = serial,
                                .at_ns = now_ns,
                                .size = (uint32_t)answer.len};
        memcpy(entry + 1, answer.ptr, answer.len);
        link_entry(shard, entry);
    } else {
        shard->large++;
    }
    shard_unlock(shard);
    return fits;
}

/* ---- versions that are gone ---- */

static bool is_listed(const uint64_t *serials, int count, uint64_t serial)
{
    for (int i = 0; i < count; i++)
        if (serials[i] == serial)
            return true;
    return false;
}

/* Nothing is left in it: its pages go back to the system. */
static void empty_shard(struct shard *shard)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)shard->log + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)shard->log + shard->log_bytes) / page * page;
    shard->oldest = shard->end = 0;
    if (to > from)
        madvise(shard->log + (from - (uintptr_t)shard->log), to - from, MADV_DONTNEED);
}

static void keep_in_shard(struct shard *shard, const uint64_t *serials, int count)
{
    for (uint64_t place = shard->oldest; place != shard->end;) {
        struct entry *entry = entry_at(shard, position(shard, place));
        place += entry->bytes;
        if (entry->next == IS_FILLER || !entry->is_live || is_listed(serials, count, entry->serial))
            continue;
        unlink_entry(shard, find_link(shard, entry->digest));
        shard->ended[RESPONSE_END_VERSION]++;
    }
    if (shard->answers == 0 && shard->end)
        empty_shard(shard);
}

void response_cache_keep(struct response_cache *cache, const uint64_t *serials, int count)
{
    for (int i = 0; i < cache->shard_count; i++) {
        shard_lock(&cache->shards[i]);
        keep_in_shard(&cache->shards[i], serials, count);
        shard_unlock(&cache->shards[i]);
    }
}

/* ---- counts ---- */

const char *response_end_name(enum response_end end)
{
    static const char *const names[RESPONSE_END_COUNT] = {"room", "age", "version"};
    return names[end];
}

void response_cache_read(struct response_cache *cache, struct response_cache_stats *stats)
{
    *stats = (struct response_cache_stats){.bytes_max = cache->bytes_max};
    for (int i = 0; i < cache->shard_count; i++) {
        struct shard *shard = &cache->shards[i];
        shard_lock(shard);
        stats->answers += shard->answers;
        stats->bytes += shard->bytes;
        stats->large += shard->large;
        for (int end = 0; end < RESPONSE_END_COUNT; end++)
            stats->ended[end] += shard->ended[end];
        shard_unlock(shard);
        stats->busy += atomic_load_explicit(&shard->missed, memory_order_relaxed);
    }
}
