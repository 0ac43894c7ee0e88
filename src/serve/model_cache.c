/* model_cache.c - who waits for which load, and whose turn it is to go. */
#include "serve/model_cache.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/sketch.h"

enum { NAME_BYTES = STR_NAME_BYTES_MAX + 1, EVICTIONS_MAX = 1024 };

/* One load under way, and who waits for it. */
struct flight {
    struct flight *next;
    struct model_cache *cache;
    struct pool_task task;
    char model[NAME_BYTES], version[NAME_BYTES];
    struct model_cache_wait *waits;
};

struct model_cache {
    struct control *control;
    struct pool *pool;
    size_t bytes_max;
    pthread_mutex_t lock; /* of `flights` */
    struct flight *flights;
    pthread_mutex_t room_lock; /* one makes room at a time */
    _Atomic size_t largest;    /* bytes of the largest model that was loaded on demand */
    _Atomic uint64_t loads, failures, evictions, waits;
};

struct model_cache *model_cache_new(struct control *control, struct pool *pool, size_t bytes_max)
{
    struct model_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        abort();
    cache->control = control;
    cache->pool = pool;
    cache->bytes_max = bytes_max;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_mutex_init(&cache->room_lock, NULL);
    return cache;
}

void model_cache_free(struct model_cache *cache)
{
    if (!cache)
        return;
    assert(!cache->flights);
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->room_lock);
    free(cache);
}

/* ---- what is in memory ---- */

static size_t endpoint_bytes(const struct endpoint *endpoint)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    size_t bytes = 0;
    int count = endpoint_each_loaded(endpoint, versions);
    for (int i = 0; i < count; i++)
        bytes += versions[i]->memory_bytes;
    return bytes;
}

/* When any of its versions last answered; of one that never did, when it was loaded is not kept, so
 * that it goes first. */
static int64_t used_ns(const struct endpoint *endpoint)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int64_t last = 0;
    int count = endpoint_each_loaded(endpoint, versions);
    for (int i = 0; i < count; i++)
        for (int t = 0; t < versions[i]->thread_count; t++) {
            int64_t at = atomic_load_explicit(&versions[i]->stats[t].used_ns, memory_order_relaxed);
            last = at > last ? at : last;
        }
    return last;
}

/* Versions that only other versions hold: those of graphs. */
struct held {
    struct loaded **versions; /* [count], some of them more than once */
    size_t count, room;
};

static void add_held(struct held *held, struct loaded *version)
{
    struct loaded *const *parts = NULL;
    int count = loaded_parts(version, &parts);
    for (int i = 0; i < count; i++) {
        if (held->count == held->room) {
            held->room = held->room ? 2 * held->room : 64;
            held->versions = realloc(held->versions, held->room * sizeof(struct loaded *));
            if (!held->versions)
                abort();
        }
        held->versions[held->count++] = parts[i];
        add_held(held, parts[i]); /* no deeper than graphs may be */
    }
}

static void find_held(const struct snapshot *snapshot, struct held *held)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++) {
        const struct map_slot *slot = &snapshot->endpoints.slots[i];
        int count = slot->key.ptr ? endpoint_each_loaded(slot->value, versions) : 0;
        for (int k = 0; k < count; k++)
            add_held(held, versions[k]);
    }
}

static bool is_served(const struct snapshot *snapshot, const struct loaded *version)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(version->model));
    int count = endpoint ? endpoint_each_loaded(endpoint, versions) : 0;
    for (int i = 0; i < count; i++)
        if (versions[i] == version)
            return true;
    return false;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(struct loaded *const *)a, y = (uintptr_t)*(struct loaded *const *)b;
    return (x > y) - (x < y);
}

/* Each of them once, and only those that no endpoint counts. */
static size_t held_bytes(const struct snapshot *snapshot)
{
    struct held held = {0};
    size_t bytes = 0;
    find_held(snapshot, &held);
    if (held.count)
        qsort(held.versions, held.count, sizeof(struct loaded *), by_address);
    for (size_t i = 0; i < held.count; i++)
        if ((i == 0 || held.versions[i] != held.versions[i - 1]) &&
            !is_served(snapshot, held.versions[i]))
            bytes += held.versions[i]->memory_bytes;
    free(held.versions);
    return bytes;
}

static size_t bytes_in_memory(const struct snapshot *snapshot, int *models)
{
    size_t bytes = 0;
    *models = 0;
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++) {
        const struct map_slot *slot = &snapshot->endpoints.slots[i];
        size_t more = slot->key.ptr ? endpoint_bytes(slot->value) : 0;
        bytes += more;
        *models += more > 0;
    }
    return bytes + held_bytes(snapshot);
}

static bool may_go(const struct endpoint *endpoint, const char *kept)
{
    return endpoint->pinned_count == 0 && !endpoint->serving->is_pinned &&
           (!kept || strcmp(endpoint->name, kept) != 0) && endpoint_bytes(endpoint) > 0;
}

/* The longest unused model but `kept`. */
static bool find_oldest(const struct snapshot *snapshot, const char *kept, char name[NAME_BYTES])
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++) {
        const struct map_slot *slot = &snapshot->endpoints.slots[i];
        const struct endpoint *endpoint = slot->key.ptr ? slot->value : NULL;
        if (!endpoint || !may_go(endpoint, kept) || used_ns(endpoint) >= oldest)
            continue;
        oldest = used_ns(endpoint);
        snprintf(name, NAME_BYTES, "%s", endpoint->name);
    }
    return oldest != INT64_MAX;
}

/* One model less; false when none may go or the budget holds with `more` bytes. */
static bool evict_one(struct model_cache *cache, size_t more, const char *kept)
{
    char name[NAME_BYTES];
    struct err err = {0};
    int models;
    struct snapshot *snapshot = control_snapshot(cache->control);
    bool is_over = bytes_in_memory(snapshot, &models) + more > cache->bytes_max;
    bool has_one = is_over && find_oldest(snapshot, kept, name);
    snapshot_unref(snapshot);
    if (!has_one)
        return false;
    if (control_unload(cache->control, name, &err)) {
        log_warn("model not let go", "model=%s reason=%s", name, err.msg);
        return false;
    }
    cache->evictions++;
    log_debug("model let go", "model=%s", name);
    return true;
}

/* Room for `more` bytes, as far as others may go. Pages are given back once for all of them. */
static void make_room(struct model_cache *cache, size_t more, const char *kept)
{
    int count = 0;
    pthread_mutex_lock(&cache->room_lock);
    while (count < EVICTIONS_MAX && evict_one(cache, more, kept))
        count++;
    pthread_mutex_unlock(&cache->room_lock);
    if (count)
        malloc_trim(0);
}

static size_t bytes_now(struct model_cache *cache)
{
    int models;
    struct snapshot *snapshot = control_snapshot(cache->control);
    size_t bytes = bytes_in_memory(snapshot, &models);
    snapshot_unref(snapshot);
    return bytes;
}

void model_cache_trim(struct model_cache *cache)
{
    if (bytes_now(cache) > cache->bytes_max)
        make_room(cache, 0, NULL);
}

/* ---- loading ---- */

static size_t bytes_of(struct model_cache *cache, const char *model)
{
    struct snapshot *snapshot = control_snapshot(cache->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    size_t bytes = endpoint ? endpoint_bytes(endpoint) : 0;
    snapshot_unref(snapshot);
    return bytes;
}

/* It is in memory; is that within the budget when everybody else who may has gone? */
static enum err_code check_fit(struct model_cache *cache, const char *model, struct err *err)
{
    struct err ignored = {0};
    size_t bytes = bytes_of(cache, model), now;
    if (bytes > cache->largest)
        cache->largest = bytes;
    make_room(cache, 0, model);
    now = bytes_now(cache);
    if (now <= cache->bytes_max || bytes == 0)
        return ERR_OK;
    if (control_unload(cache->control, model, &ignored))
        return ERR_OK; /* pinned: it was meant to be here */
    err_set(err, ERR_UNAVAILABLE,
            "model '%s' takes %zu bytes of memory; of %zu, %zu are held by pinned models", model,
            bytes, cache->bytes_max, now - bytes);
    return err_hint(err, "raise model_memory_bytes_max, or pin fewer models");
}

enum err_code model_cache_load_now(struct model_cache *cache, const char *model,
                                   const char *version, struct err *err)
{
    make_room(cache, cache->largest, model);
    enum err_code rc = control_load(cache->control, model, str_of(version), err);
    if (!rc)
        rc = check_fit(cache, model, err);
    cache->loads++;
    cache->failures += rc != ERR_OK;
    return rc;
}

/* What is counted about it comes with its publication, and is about as much as the champion's. */
static size_t sketch_bytes(struct model_cache *cache, const char *model)
{
    struct snapshot *snapshot = control_snapshot(cache->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    const struct loaded *loaded = endpoint ? endpoint->champion : NULL;
    size_t bytes = loaded && loaded->sketch
                       ? (size_t)loaded->thread_count * sketch_block_bytes(loaded->sketch)
                       : 0;
    snapshot_unref(snapshot);
    return bytes;
}

/* One that has turned out not to fit is not kept. */
static enum err_code keep_previous(struct model_cache *cache, const char *model,
                                   struct loaded *loaded, struct err *err)
{
    size_t bytes = loaded->memory_bytes + sketch_bytes(cache, model);
    make_room(cache, bytes, model);
    if (bytes_now(cache) + bytes > cache->bytes_max)
        return err_set(err, ERR_UNAVAILABLE, "version %lld takes %zu bytes of memory beside it",
                       (long long)loaded->number, bytes);
    enum err_code rc = control_keep(cache->control, model, loaded, err);
    make_room(cache, 0, model);
    return rc;
}

/* Of a champion that is in memory; 0: there is none, or it is there too. */
static int64_t missing_previous(struct model_cache *cache, const char *model)
{
    struct snapshot *snapshot = control_snapshot(cache->control);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(model));
    int64_t version =
        endpoint && endpoint->champion && !endpoint->previous ? endpoint->previous_version : 0;
    snapshot_unref(snapshot);
    return version;
}

/* Room is made for about as much as the champion takes: what the version before takes is known when
 * it is there. */
void model_cache_load_previous(struct model_cache *cache, const char *model)
{
    struct err err = {0};
    struct loaded *loaded = NULL;
    int64_t version = missing_previous(cache, model);
    if (version == 0)
        return;
    make_room(cache, bytes_of(cache, model), model);
    enum err_code rc = control_acquire(cache->control, model, version, &loaded, &err);
    if (!rc)
        rc = keep_previous(cache, model, loaded, &err);
    if (rc)
        log_warn("a rollback would have to load", "model=%s reason=%s", model, err.msg);
    loaded_unref(loaded);
}

static void tell(struct model_cache_wait *waits, enum err_code rc, const struct err *err)
{
    for (struct model_cache_wait *wait = waits, *next; wait; wait = next) {
        next = wait->next;
        wait->rc = rc;
        if (rc)
            wait->err = *err;
        loop_post(wait->loop, &wait->message);
    }
}

static struct model_cache_wait *end_flight(struct flight *flight)
{
    struct model_cache *cache = flight->cache;
    pthread_mutex_lock(&cache->lock);
    struct flight **at = &cache->flights;
    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    struct model_cache_wait *waits = flight->waits;
    pthread_mutex_unlock(&cache->lock);
    return waits;
}

static void run_flight(struct pool_task *task)
{
    struct flight *flight = CONTAINER_OF(task, struct flight, task);
    struct model_cache *cache = flight->cache;
    struct err err = {0};
    enum err_code rc = model_cache_load_now(cache, flight->model, flight->version, &err);
    tell(end_flight(flight), rc, &err);
    if (!rc)
        model_cache_load_previous(cache, flight->model);
    free(flight);
}

static struct flight *find_flight(struct model_cache *cache, struct str model, struct str version)
{
    struct flight *flight = cache->flights;
    while (flight && !(str_equal_c(model, flight->model) && str_equal_c(version, flight->version)))
        flight = flight->next;
    return flight;
}

static struct flight *new_flight(struct model_cache *cache, struct str model, struct str version)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    if (!flight)
        abort();
    flight->cache = cache;
    flight->task.fn = run_flight;
    snprintf(flight->model, NAME_BYTES, "%.*s", STR_ARG(model));
    snprintf(flight->version, NAME_BYTES, "%.*s", STR_ARG(version));
    flight->next = cache->flights;
    cache->flights = flight;
    return flight;
}

void model_cache_load(struct model_cache *cache, struct str model, struct str version,
                      struct model_cache_wait *wait)
{
    struct err err = {0};
    cache->waits++;
    pthread_mutex_lock(&cache->lock);
    struct flight *flight = find_flight(cache, model, version);
    bool is_new = !flight;
    if (is_new)
        flight = new_flight(cache, model, version);
    wait->next = flight->waits;
    flight->waits = wait;
    pthread_mutex_unlock(&cache->lock);
    enum err_code rc = is_new ? pool_submit(cache->pool, &flight->task, &err) : ERR_OK;
    if (!rc)
        return;
    tell(end_flight(flight), rc == ERR_LIMIT ? ERR_UNAVAILABLE : rc, &err);
    free(flight);
}

void model_cache_stats(struct model_cache *cache, struct model_cache_stats *stats)
{
    struct snapshot *snapshot = control_snapshot(cache->control);
    *stats = (struct model_cache_stats){
        .bytes_max = cache->bytes_max,
        .loads = cache->loads,
        .failures = cache->failures,
        .evictions = cache->evictions,
        .waits = cache->waits,
    };
    stats->bytes = bytes_in_memory(snapshot, &stats->models);
    snapshot_unref(snapshot);
}
