/* model.c - models: a name, an accountable owner, a description. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define COLUMNS                                                                                    \
    "m.name, m.owner, m.description, m.created_us, m.latest_version, COALESCE(c.version, 0)"
#define TABLES                                                                                     \
    " FROM models m LEFT JOIN aliases c ON c.model = m.name AND c.name = '" ALIAS_CHAMPION "'"
#define SQL_GET "SELECT " COLUMNS TABLES " WHERE m.name = ?1"
#define SQL_LIST "SELECT " COLUMNS TABLES " ORDER BY m.name LIMIT ?1"
#define SQL_COUNT "SELECT COUNT(*) FROM models"
#define SQL_INSERT                                                                                 \
    "INSERT INTO models (name, owner, description, created_us, latest_version) "                   \
    "VALUES (?1, ?2, ?3, ?4, 0)"
#define SQL_UPDATE "UPDATE models SET owner = ?2, description = ?3 WHERE name = ?1"

struct model_list_context {
    struct arena *arena;
    struct model *list;
    int count;
};

static enum err_code read_model(struct store_rows *rows, void *arg, struct err *err)
{
    struct model_list_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read models");
    c->list[c->count++] = (struct model){
        .name = store_text_copy(rows, 0, c->arena, &is_full),
        .owner = store_text_copy(rows, 1, c->arena, &is_full),
        .description = store_text_copy(rows, 2, c->arena, &is_full),
        .created_us = store_i64(rows, 3),
        .latest_version = store_i64(rows, 4),
        .champion = store_i64(rows, 5),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read models") : ERR_OK;
}

/* *found false when there is none. */
static enum err_code find_model(struct store *store, const char *name, struct arena *arena,
                                struct model *model, bool *found, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(name)};
    struct model_list_context c = {.arena = arena};
    if (registry_each_row(store, SQL_GET, params, 1, read_model, &c, err))
        return err->code;
    *found = c.count > 0;
    if (*found)
        *model = c.list[0];
    return ERR_OK;
}

enum err_code model_get(struct store *store, const char *name, struct arena *arena,
                        struct model *model, struct err *err)
{
    bool found = false;
    if (registry_check_model(store, name, err) ||
        find_model(store, name, arena, model, &found, err))
        return err->code;
    return ERR_OK;
}

enum err_code model_list(struct store *store, struct arena *arena, struct model **models,
                         int *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(MODELS_MAX)};
    struct model_list_context c = {.arena = arena};
    if (registry_each_row(store, SQL_LIST, params, 1, read_model, &c, err))
        return err->code;
    *models = c.list;
    *count = c.count;
    return ERR_OK;
}

static void format_model(struct buf *out, const char *owner, const char *description)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "owner");
    json_put_text(&w, owner);
    json_key(&w, "description");
    json_put_text(&w, description);
    json_end_object(&w);
}

static enum err_code check_room(struct store *store, const char *name, const char *owner,
                                struct err *err)
{
    int64_t count = 0;
    if (!owner || !owner[0]) {
        err_set(err, ERR_INVALID, "model '%s' is new and needs an owner", name);
        return err_hint(err, "say who answers for it: --owner name@example.org");
    }
    if (registry_read_number(store, SQL_COUNT, NULL, 0, 0, &count, err))
        return err->code;
    if (count >= MODELS_MAX)
        return err_set(err, ERR_LIMIT, "there are %d models already", MODELS_MAX);
    return ERR_OK;
}

static enum err_code insert_model(struct store *store, const char *name, const char *owner,
                                  const char *description, const struct actor *actor,
                                  const char *subject, struct err *err)
{
    struct buf after;
    int64_t now_us = clock_wall_us();
    const struct store_value row[] = {STORE_CSTR(name), STORE_CSTR(owner), STORE_CSTR(description),
                                      STORE_INT(now_us)};
    if (store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err))
        return err->code;
    format_model(&after, owner, description);
    return registry_append(store, actor, "model.create", subject, NULL, &after, now_us, NULL, err);
}

static enum err_code update_model(struct store *store, const struct model *old, const char *owner,
                                  const char *description, const struct actor *actor,
                                  const char *subject, struct err *err)
{
    struct buf before, after;
    if (strcmp(old->owner, owner) == 0 && strcmp(old->description, description) == 0)
        return ERR_OK;
    const struct store_value row[] = {STORE_CSTR(old->name), STORE_CSTR(owner),
                                      STORE_CSTR(description)};
    if (store_exec(store, SQL_UPDATE, row, ARRAY_LEN(row), NULL, err))
        return err->code;
    format_model(&before, old->owner, old->description);
    format_model(&after, owner, description);
    return registry_append(store, actor, "model.update", subject, &before, &after, 0, NULL, err);
}

static enum err_code check_request(const char *name, const char *owner, const char *description,
                                   struct err *err)
{
    if (registry_check_name("the name of the model", name, err) ||
        registry_check_text("the owner", owner, OWNER_BYTES_MAX, err) ||
        registry_check_text("the description", description, NOTE_BYTES_MAX, err))
        return err->code;
    if (owner && str_trim(str_of(owner)).len == 0)
        return err_set(err, ERR_INVALID, "the owner of model '%s' may not be empty", name);
    return ERR_OK;
}

enum err_code model_ensure(struct store *store, const char *name, const char *owner,
                           const char *description, const struct actor *actor, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct model old = {0};
    bool found = false;
    if (check_request(name, owner, description, err))
        return err->code;
    snprintf(subject, sizeof(subject), "model/%s", name);
    struct arena *arena = arena_new(64 * 1024);
    enum err_code code = find_model(store, name, arena, &old, &found, err);
    if (!code && found)
        code = update_model(store, &old, owner ? owner : old.owner,
                            description ? description : old.description, actor, subject, err);
    else if (!code && !(code = check_room(store, name, owner, err)))
        code =
            insert_model(store, name, owner, description ? description : "", actor, subject, err);
    arena_free(arena);
    return code;
}
