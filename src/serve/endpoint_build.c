/* endpoint_build.c - registry rows and loaded versions -> endpoint. */
#include "serve/endpoint_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "review/review.h"
#include "rollout/rollout_store.h"
#include "serve/response_cache.h"
#include "serve/serving_store.h"

enum { ENDPOINT_ARENA_BYTES_MAX = 4 * 1024 * 1024 };

struct loaded *endpoint_loaded(const struct endpoint *endpoint, int64_t version)
{
    struct loaded *found = NULL;
    if (endpoint->champion && endpoint->champion->number == version)
        found = endpoint->champion;
    else if (endpoint->previous && endpoint->previous->number == version)
        found = endpoint->previous;
    for (int i = 0; !found && i < endpoint->alias_count; i++)
        if (endpoint->aliases[i].loaded && endpoint->aliases[i].version == version)
            found = endpoint->aliases[i].loaded;
    for (int i = 0; !found && i < endpoint->pinned_count; i++)
        if (endpoint->pinned[i]->number == version)
            found = endpoint->pinned[i];
    if (found)
        loaded_ref(found);
    return found;
}

/* ---- the response cache ---- */

static bool lacks_version(const struct endpoint *endpoint, const struct loaded *loaded)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(endpoint, versions);
    for (int i = 0; i < count; i++)
        if (versions[i] == loaded)
            return false;
    return true;
}

/* Walking through a cache is for when there is something to be found. */
static bool has_lost_version(const struct endpoint *fresh, const struct endpoint *old)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(old, versions);
    for (int i = 0; i < count; i++)
        if (lacks_version(fresh, versions[i]))
            return true;
    return false;
}

static void forget_lost_versions(const struct endpoint *fresh)
{
    uint64_t serials[ENDPOINT_LOADED_MAX];
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    int count = endpoint_each_loaded(fresh, versions);
    for (int i = 0; i < count; i++)
        serials[i] = versions[i]->serial;
    response_cache_keep(fresh->responses, serials, count);
}

void endpoint_take_responses(struct endpoint *fresh, const struct endpoint *old)
{
    size_t bytes = fresh->serving->cache_bytes;
    struct response_cache *before = old ? old->responses : NULL;
    if (!bytes)
        return;
    if (!before || response_cache_bytes_max(before) != bytes) {
        fresh->responses = response_cache_new(bytes);
        return;
    }
    response_cache_ref(before);
    fresh->responses = before;
    if (has_lost_version(fresh, old))
        forget_lost_versions(fresh);
}

/* ---- building ---- */

static struct endpoint *endpoint_new(void)
{
    struct arena *arena = arena_new(ENDPOINT_ARENA_BYTES_MAX);
    struct endpoint *endpoint = arena_calloc(arena, 1, sizeof(*endpoint));
    endpoint->arena = arena;
    endpoint->refs = 1;
    return endpoint;
}

/* A version is looked for once, whatever number of aliases names it. */
static struct loaded *find_once(struct endpoint *endpoint, int64_t version,
                                const struct loaded_finder *finder, const char **problem)
{
    struct loaded *loaded = endpoint_loaded(endpoint, version);
    if (loaded)
        return loaded;
    return finder->find(finder->arg, endpoint->name, version, endpoint->arena, problem);
}

static void add_champion(struct endpoint *endpoint, const struct alias *alias,
                         struct loaded *loaded, const struct loaded_finder *finder,
                         const char *problem)
{
    const char *ignored = NULL;
    endpoint->champion_version = alias->version;
    endpoint->previous_version = alias->previous;
    endpoint->problem = loaded ? NULL : problem;
    endpoint->is_cold = !loaded && !problem;
    if (loaded) {
        loaded_ref(loaded);
        endpoint->champion = loaded;
    }
    if (alias->previous > 0)
        endpoint->previous = find_once(endpoint, alias->previous, finder, &ignored);
}

static void add_alias(struct endpoint *endpoint, const struct alias *alias,
                      const struct loaded_finder *finder)
{
    const char *problem = NULL;
    struct loaded *loaded = find_once(endpoint, alias->version, finder, &problem);
    endpoint->aliases[endpoint->alias_count++] = (struct endpoint_alias){
        .name = arena_copy(endpoint->arena, alias->name, strlen(alias->name)),
        .version = alias->version,
        .loaded = loaded,
        .is_cold = !loaded && !problem,
    };
    if (strcmp(alias->name, ALIAS_CHAMPION) == 0)
        add_champion(endpoint, alias, loaded, finder, problem);
}

/* A file that was taken is read again here. Should it not be readable any more, the model answers
 * without review rather than not at all. */
static enum err_code add_review(struct endpoint *endpoint, struct store *store, struct err *err)
{
    struct review_rules *rules = NULL;
    enum err_code rc = review_rules_load(store, endpoint->name, endpoint->arena, &rules, err);
    if (rc == ERR_INVALID || rc == ERR_LIMIT) {
        log_error("review rules not read, nothing is sent to review", "model=%s reason=%s",
                  endpoint->name, err->msg);
        return ERR_OK;
    }
    endpoint->review = rules;
    return rc;
}

/* The same: a file that cannot be read any more leaves the presets. */
static enum err_code add_serving(struct endpoint *endpoint, struct store *store, struct err *err)
{
    enum err_code rc =
        serving_load(store, endpoint->name, endpoint->arena, &endpoint->serving, err);
    if (rc != ERR_INVALID && rc != ERR_LIMIT)
        return rc;
    log_error("serving file not read, the presets hold", "model=%s reason=%s", endpoint->name,
              err->msg);
    endpoint->serving = &serving_preset;
    return ERR_OK;
}

/* ---- the rollout ---- */

static struct loaded *pin(struct endpoint *endpoint, int64_t version,
                          const struct loaded_finder *finder)
{
    const char *ignored = NULL;
    struct loaded *loaded = find_once(endpoint, version, finder, &ignored);
    if (loaded)
        endpoint->pinned[endpoint->pinned_count++] = loaded;
    return loaded;
}

static const char *copy_text(struct endpoint *endpoint, const char *text)
{
    return text ? arena_copy(endpoint->arena, text, strlen(text)) : NULL;
}

/* What its file says about the key. A file that this program cannot read any more shares nothing:
 * the champion answers everybody. */
static enum err_code put_rollout(struct endpoint *endpoint, const struct rollout *rollout,
                                 struct loaded *from, struct loaded *to, struct arena *scratch,
                                 struct err *err)
{
    struct rollout_spec *spec;
    if (rollout_file_parse(str_of(rollout->file), scratch, &spec, err)) {
        log_error("rollout file not read, the champion answers", "model=%s rollout=%lld reason=%s",
                  rollout->model, (long long)rollout->id, err->msg);
        return ERR_OK;
    }
    struct endpoint_rollout *shared = arena_calloc(endpoint->arena, 1, sizeof(*shared));
    if (!shared)
        return err_set(err, ERR_LIMIT, "no room for rollout %lld", (long long)rollout->id);
    *shared = (struct endpoint_rollout){
        .id = rollout->id,
        .choose = {{rollout->salt[0], rollout->salt[1]}, choose_threshold(rollout->weight_ppm)},
        .from = from,
        .to = to,
        .key_header = copy_text(endpoint, spec->key_header),
        .key_field = copy_text(endpoint, spec->key_field),
    };
    endpoint->rollout = shared;
    return ERR_OK;
}

/* Both versions are pinned while it runs and as long as they are to stay warm; traffic is shared
 * when both are in memory. */
static enum err_code add_rollout(struct endpoint *endpoint, struct store *store,
                                 const struct loaded_finder *finder, struct arena *scratch,
                                 struct err *err)
{
    struct rollout rollout;
    bool is_there = false;
    enum err_code rc =
        rollout_find_newest(store, endpoint->name, scratch, &rollout, &is_there, err);
    if (rc == ERR_UNSUPPORTED) {
        log_error("rollout not read, the champion answers", "model=%s reason=%s", endpoint->name,
                  err->msg);
        err->code = ERR_OK;
        return ERR_OK;
    }
    if (rc || !is_there || (rollout.ended_us && rollout.warm_until_us <= clock_wall_us()))
        return rc;
    struct loaded *from = pin(endpoint, rollout.from, finder);
    struct loaded *to = pin(endpoint, rollout.to, finder);
    if (rollout.ended_us || rollout.weight_ppm == 0 || !from || !to)
        return ERR_OK;
    return put_rollout(endpoint, &rollout, from, to, scratch, err);
}

static enum err_code read_rows(struct endpoint *endpoint, struct store *store, const char *name,
                               const struct loaded_finder *finder, struct arena *scratch,
                               struct err *err)
{
    struct model model;
    struct alias *aliases;
    int count = 0;
    enum err_code rc = model_get(store, name, scratch, &model, err);
    if (!rc)
        rc = alias_list(store, name, scratch, &aliases, &count, err);
    if (rc)
        return rc;
    if (count > ENDPOINT_ALIASES_MAX)
        return err_set(err, ERR_LIMIT, "model '%s' has %d aliases, at most %d are served", name,
                       count, ENDPOINT_ALIASES_MAX);
    endpoint->name = arena_copy(endpoint->arena, name, strlen(name));
    endpoint->owner = arena_copy(endpoint->arena, model.owner, strlen(model.owner));
    endpoint->aliases = arena_calloc(endpoint->arena, (size_t)count, sizeof(*endpoint->aliases));
    assert(endpoint->name && endpoint->owner && endpoint->aliases);
    for (int i = 0; i < count; i++)
        add_alias(endpoint, &aliases[i], finder);
    rc = add_rollout(endpoint, store, finder, scratch, err);
    if (!rc)
        rc = add_serving(endpoint, store, err);
    return rc ? rc : add_review(endpoint, store, err);
}

enum err_code endpoint_build(struct store *store, const char *model,
                             const struct loaded_finder *finder, struct endpoint **out,
                             struct err *err)
{
    struct endpoint *endpoint = endpoint_new();
    struct arena *scratch = arena_new(ENDPOINT_ARENA_BYTES_MAX);
    enum err_code rc = read_rows(endpoint, store, model, finder, scratch, err);
    arena_free(scratch);
    if (rc)
        endpoint_unref(endpoint);
    else
        *out = endpoint;
    return rc;
}
