/* snapshot.c - endpoints, snapshots, and their passage from the control thread to the readers. */
#include "serve/snapshot.h"

#include <stdlib.h>

#include "base/check.h"
#include "serve/response_cache.h"

enum { SNAPSHOT_MAGIC = 0x534e4150 };

void endpoint_ref(struct endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->refs, 1, memory_order_relaxed);
}

void endpoint_unref(struct endpoint *endpoint)
{
    if (atomic_fetch_sub_explicit(&endpoint->refs, 1, memory_order_acq_rel) != 1)
        return;
    loaded_unref(endpoint->champion);
    loaded_unref(endpoint->previous);
    for (int i = 0; i < endpoint->pinned_count; i++)
        loaded_unref(endpoint->pinned[i]);
    for (int i = 0; i < endpoint->alias_count; i++)
        loaded_unref(endpoint->aliases[i].loaded);
    response_cache_unref(endpoint->responses);
    arena_free(endpoint->arena);
}

static enum err_code choose_champion(const struct endpoint *endpoint, struct loaded **loaded,
                                     struct err *err)
{
    *loaded = endpoint->champion;
    if (*loaded)
        return ERR_OK;
    if (endpoint->champion_version == 0) {
        err_set(err, ERR_UNAVAILABLE, "model '%s' has no champion", endpoint->name);
        return err_hint(err, "choose one: slipway alias set %s champion VERSION", endpoint->name);
    }
    err_set(err, ERR_UNAVAILABLE, "model '%s' version %lld is not loaded: %s", endpoint->name,
            (long long)endpoint->champion_version,
            endpoint->problem ? endpoint->problem : "still loading");
    return err_hint(err,
                    "see /readyz; another version answers after: slipway alias set %s "
                    "champion VERSION",
                    endpoint->name);
}

static bool alias_names(const struct endpoint_alias *alias, struct str version, int64_t number)
{
    return number > 0 ? alias->version == number : str_equal_c(version, alias->name);
}

static bool names_unloaded(const struct endpoint *endpoint, struct str version, int64_t number)
{
    for (int i = 0; i < endpoint->alias_count; i++)
        if (!endpoint->aliases[i].loaded && alias_names(&endpoint->aliases[i], version, number))
            return true;
    return false;
}

static enum err_code refuse_unloaded(const struct endpoint *endpoint, struct str version,
                                     struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "model '%s' version '%.*s' is not loaded", endpoint->name,
            STR_ARG(version));
    return err_hint(err, "the log and /readyz say why; slipway doctor verifies the files");
}

enum err_code endpoint_choose(const struct endpoint *endpoint, struct str version,
                              struct loaded **loaded, struct err *err)
{
    int64_t number = 0;
    if (version.len == 0)
        return choose_champion(endpoint, loaded, err);
    if (!str_to_i64(version, &number))
        number = 0;
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        if (alias->loaded && alias_names(alias, version, number)) {
            *loaded = alias->loaded;
            return ERR_OK;
        }
    }
    if (number > 0 && endpoint->previous && endpoint->previous->number == number) {
        *loaded = endpoint->previous;
        return ERR_OK;
    }
    for (int i = 0; number > 0 && i < endpoint->pinned_count; i++) {
        if (endpoint->pinned[i]->number == number) {
            *loaded = endpoint->pinned[i];
            return ERR_OK;
        }
    }
    if (names_unloaded(endpoint, version, number))
        return refuse_unloaded(endpoint, version, err);
    err_set(err, ERR_NOT_FOUND, "model '%s' has no loaded version '%.*s'", endpoint->name,
            STR_ARG(version));
    if (number > 0)
        return err_hint(err,
                        "a version answers while an alias names it: slipway alias set %s NAME "
                        "%.*s",
                        endpoint->name, STR_ARG(version));
    return err_hint(err, "if it is to be an alias: slipway alias set %s %.*s VERSION",
                    endpoint->name, STR_ARG(version));
}

bool endpoint_is_cold(const struct endpoint *endpoint, struct str version)
{
    int64_t number = 0;
    if (version.len == 0)
        return endpoint->is_cold;
    if (!str_to_i64(version, &number))
        number = 0;
    for (int i = 0; i < endpoint->alias_count; i++)
        if (endpoint->aliases[i].is_cold && alias_names(&endpoint->aliases[i], version, number))
            return true;
    return false;
}

static void add_once(struct loaded *loaded, struct loaded **versions, int *count)
{
    for (int i = 0; i < *count; i++)
        if (versions[i] == loaded)
            return;
    if (loaded && *count < ENDPOINT_LOADED_MAX)
        versions[(*count)++] = loaded;
}

int endpoint_each_loaded(const struct endpoint *endpoint, struct loaded **versions)
{
    int count = 0;
    add_once(endpoint->champion, versions, &count);
    add_once(endpoint->previous, versions, &count);
    for (int i = 0; i < endpoint->pinned_count; i++)
        add_once(endpoint->pinned[i], versions, &count);
    for (int i = 0; i < endpoint->alias_count; i++)
        add_once(endpoint->aliases[i].loaded, versions, &count);
    return count;
}

struct snapshot *snapshot_new(const struct snapshot *base, struct auth_keys *keys,
                              struct publisher *publisher)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        abort();
    snapshot->magic = SNAPSHOT_MAGIC;
    snapshot->refs = 1;
    snapshot->keys = keys;
    snapshot->publisher = publisher;
    snapshot->generation = base ? base->generation + 1 : 1;
    map_init(&snapshot->endpoints);
    for (size_t i = 0; base && i < base->endpoints.slot_count; i++) {
        const struct map_slot *slot = &base->endpoints.slots[i];
        if (!slot->key.ptr)
            continue;
        endpoint_ref(slot->value);
        map_put(&snapshot->endpoints, slot->key, slot->value);
    }
    return snapshot;
}

void snapshot_put(struct snapshot *snapshot, struct endpoint *endpoint)
{
    /* The map borrows its key from the endpoint, so the old slot is re-keyed, not only re-valued.
     */
    struct str name = str_of(endpoint->name);
    struct endpoint *old = map_find(&snapshot->endpoints, name);
    if (old) {
        struct map fresh;
        map_init(&fresh);
        for (size_t i = 0; i < snapshot->endpoints.slot_count; i++) {
            const struct map_slot *slot = &snapshot->endpoints.slots[i];
            if (slot->key.ptr && slot->value != old)
                map_put(&fresh, slot->key, slot->value);
        }
        map_done(&snapshot->endpoints);
        snapshot->endpoints = fresh;
        endpoint_unref(old);
    }
    map_put(&snapshot->endpoints, name, endpoint);
}

const struct endpoint *snapshot_find(const struct snapshot *snapshot, struct str model)
{
    return map_find(&snapshot->endpoints, model);
}

static void snapshot_free(struct snapshot *snapshot)
{
    CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++)
        if (snapshot->endpoints.slots[i].key.ptr)
            endpoint_unref(snapshot->endpoints.slots[i].value);
    map_done(&snapshot->endpoints);
    auth_keys_free(snapshot->keys);
    snapshot->magic = 0;
    free(snapshot);
}

void snapshot_ref(struct snapshot *snapshot)
{
    CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
}

void snapshot_unref(struct snapshot *snapshot)
{
    CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
    if (atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct publisher *publisher = snapshot->publisher;
    snapshot->retired_next = atomic_load_explicit(&publisher->retired, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&publisher->retired, &snapshot->retired_next,
                                                  snapshot, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

int snapshot_reap(struct publisher *publisher)
{
    struct snapshot *next;
    int count = 0;
    struct snapshot *snapshot =
        atomic_exchange_explicit(&publisher->retired, NULL, memory_order_acquire);
    for (; snapshot; snapshot = next, count++) {
        next = snapshot->retired_next;
        snapshot_free(snapshot);
    }
    return count;
}

void snapshot_reader_adopt(struct snapshot_reader *reader)
{
    struct snapshot *next = atomic_exchange_explicit(&reader->next, NULL, memory_order_acquire);
    if (!next)
        return;
    struct snapshot *old = reader->current;
    reader->current = next;
    if (old)
        snapshot_unref(old);
}

/* An idle thread has no next request: this message lets go of the old snapshot for it. */
static void wake_reader(struct loop_message *message)
{
    struct snapshot_reader *reader = CONTAINER_OF(message, struct snapshot_reader, wake);
    atomic_store_explicit(&reader->is_waking, false, memory_order_release);
    snapshot_reader_adopt(reader);
}

static void hand_over(struct snapshot_reader *reader, struct snapshot *snapshot, bool wakes)
{
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    struct snapshot *untaken =
        atomic_exchange_explicit(&reader->next, snapshot, memory_order_acq_rel);
    if (untaken)
        snapshot_unref(untaken);
    wakes = wakes && reader->loop;
    if (wakes && !atomic_exchange_explicit(&reader->is_waking, true, memory_order_acq_rel))
        loop_post(reader->loop, &reader->wake);
}

void publisher_add(struct publisher *publisher, struct snapshot_reader *reader, struct loop *loop)
{
    assert(publisher->reader_count < (int)ARRAY_LEN(publisher->readers));
    *reader = (struct snapshot_reader){.loop = loop, .wake = {.fn = wake_reader}};
    publisher->readers[publisher->reader_count++] = reader;
    if (publisher->current) {
        atomic_fetch_add_explicit(&publisher->current->refs, 1, memory_order_relaxed);
        reader->current = publisher->current;
    }
}

void publisher_forget_loops(struct publisher *publisher)
{
    publisher->has_no_loops = true;
}

void publisher_remove(struct publisher *publisher, const struct snapshot_reader *reader)
{
    for (int i = 0; i < publisher->reader_count; i++) {
        if (publisher->readers[i] != reader)
            continue;
        publisher->readers[i] = publisher->readers[--publisher->reader_count];
        return;
    }
}

void snapshot_publish(struct publisher *publisher, struct snapshot *snapshot)
{
    struct snapshot *old = publisher->current;
    CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
    publisher->current = snapshot;
    for (int i = 0; i < publisher->reader_count; i++)
        hand_over(publisher->readers[i], snapshot, !publisher->has_no_loops);
    if (old)
        snapshot_unref(old);
}

void snapshot_reader_done(struct snapshot_reader *reader)
{
    snapshot_reader_adopt(reader);
    if (reader->current)
        snapshot_unref(reader->current);
    reader->current = NULL;
}

void publisher_done(struct publisher *publisher)
{
    if (publisher->current)
        snapshot_unref(publisher->current);
    publisher->current = NULL;
    snapshot_reap(publisher);
}
