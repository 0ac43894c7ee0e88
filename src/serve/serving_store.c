/* serving_store.c - rows of serving_settings and their audit events. */
#include "serve/serving_store.h"

#include "base/check.h"
#include "registry/registry_check.h"

#define SQL_NEWEST                                                                                 \
    "SELECT revision, document FROM serving_settings "                                             \
    "WHERE model = ?1 ORDER BY revision DESC LIMIT 1"
#define SQL_INSERT                                                                                 \
    "INSERT INTO serving_settings (model, revision, document, created_by, created_us) "            \
    "VALUES (?1, ?2, ?3, ?4, ?5)"

struct read_context {
    struct arena *arena;
    struct document *document;
};

static enum err_code read_document(struct store_rows *rows, void *arg, struct err *err)
{
    const struct read_context *c = arg;
    bool is_full = false;
    *c->document = (struct document){
        .revision = store_i64(rows, 0),
        .text = store_text_copy(rows, 1, c->arena, &is_full),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read the serving file") : ERR_OK;
}

enum err_code serving_get(struct store *store, const char *model, struct arena *arena,
                          struct document *document, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    struct read_context context = {.arena = arena, .document = document};
    *document = (struct document){.text = ""};
    return registry_each_row(store, SQL_NEWEST, params, 1, read_document, &context, err);
}

enum err_code serving_load(struct store *store, const char *model, struct arena *arena,
                           const struct serving **out, struct err *err)
{
    struct document document;
    struct serving *serving = NULL;
    enum err_code rc = serving_get(store, model, arena, &document, err);
    if (rc)
        return rc;
    if (!document.text[0]) {
        *out = &serving_preset;
        return ERR_OK;
    }
    rc = serving_parse(str_of(document.text), arena, &serving, err);
    if (rc)
        return err_wrap(err, "serving file of '%s', revision %lld", model,
                        (long long)document.revision);
    serving->revision = document.revision;
    *out = serving;
    return ERR_OK;
}

static enum err_code insert(struct store *store, const char *model, int64_t revision,
                            const char *text, const struct actor *actor, int64_t now_us,
                            struct err *err)
{
    const struct store_value row[] = {STORE_CSTR(model), STORE_INT(revision), STORE_CSTR(text),
                                      STORE_CSTR(actor->name), STORE_INT(now_us)};
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}

enum err_code serving_put(struct store *store, const char *model, struct str document,
                          const struct actor *actor, int64_t now_us, int64_t *revision,
                          struct err *err)
{
    struct document old;
    if (registry_check_model(store, model, err))
        return err->code;
    struct arena *arena = arena_new(4 * SERVING_BYTES_MAX);
    const char *text = arena_copy(arena, document.ptr, document.len);
    assert(text);
    enum err_code rc = serving_get(store, model, arena, &old, err);
    if (!rc)
        rc = insert(store, model, old.revision + 1, text, actor, now_us, err);
    const struct document_change change = {
        .model = model,
        .action = "model.serving",
        .part = "serving",
        .old = old,
        .text = text,
        .actor = actor,
        .now_us = now_us,
    };
    if (!rc)
        rc = document_append(store, &change, err);
    if (!rc)
        *revision = old.revision + 1;
    arena_free(arena);
    return rc;
}
