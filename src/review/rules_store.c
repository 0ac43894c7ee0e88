/* rules_store.c - the review file of a model in the store: revisions, the salt of the draws. */
#include "base/check.h"
#include "base/rand.h"
#include "registry/document.h"
#include "registry/registry_check.h"
#include "review/review.h"

enum { SALT_BYTES = 16, SALT_HEX_BYTES = 2 * SALT_BYTES };

#define SQL_NEWEST                                                                                 \
    "SELECT revision, document, salt, created_by, created_us FROM review_rules "                   \
    "WHERE model = ?1 ORDER BY revision DESC LIMIT 1"
#define SQL_INSERT                                                                                 \
    "INSERT INTO review_rules (model, revision, document, salt, created_by, created_us) "          \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"

struct read_context {
    struct arena *arena;
    struct review_document *document;
};

static enum err_code read_document(struct store_rows *rows, void *arg, struct err *err)
{
    const struct read_context *c = arg;
    bool is_full = false;
    *c->document = (struct review_document){
        .revision = store_i64(rows, 0),
        .text = store_text_copy(rows, 1, c->arena, &is_full),
        .created_by = store_text_copy(rows, 3, c->arena, &is_full),
        .created_us = store_i64(rows, 4),
    };
    if (!str_unhex(store_text(rows, 2), c->document->salt, SALT_BYTES))
        return err_set(err, ERR_IO, "the review rules have a broken salt");
    return is_full ? err_set(err, ERR_LIMIT, "no room to read the review rules") : ERR_OK;
}

enum err_code review_rules_get(struct store *store, const char *model, struct arena *arena,
                               struct review_document *document, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    struct read_context context = {.arena = arena, .document = document};
    *document = (struct review_document){.text = "", .created_by = ""};
    return registry_each_row(store, SQL_NEWEST, params, 1, read_document, &context, err);
}

enum err_code review_rules_load(struct store *store, const char *model, struct arena *arena,
                                struct review_rules **rules, struct err *err)
{
    struct review_document document;
    *rules = NULL;
    enum err_code rc = review_rules_get(store, model, arena, &document, err);
    if (rc || !document.text[0])
        return rc;
    rc = review_rules_parse(str_of(document.text), arena, rules, err);
    if (rc)
        return err_wrap(err, "review rules of '%s', revision %lld", model,
                        (long long)document.revision);
    (*rules)->revision = document.revision;
    memcpy((*rules)->salt, document.salt, sizeof(document.salt));
    return ERR_OK;
}

static enum err_code insert(struct store *store, const char *model, const char *text,
                            const struct review_document *old, const struct actor *actor,
                            int64_t now_us, struct err *err)
{
    char salt_hex[SALT_HEX_BYTES + 1] = "";
    uint64_t salt[2] = {old->salt[0], old->salt[1]};
    if (old->revision == 0)
        rand_secret(salt, sizeof(salt));
    str_hex(salt, SALT_BYTES, salt_hex);
    const struct store_value row[] = {STORE_CSTR(model),       STORE_INT(old->revision + 1),
                                      STORE_CSTR(text),        STORE_CSTR(salt_hex),
                                      STORE_CSTR(actor->name), STORE_INT(now_us)};
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}

enum err_code review_rules_put(struct store *store, const char *model, struct str document,
                               const struct actor *actor, int64_t now_us, int64_t *revision,
                               struct err *err)
{
    struct review_document old;
    if (registry_check_model(store, model, err))
        return err->code;
    struct arena *arena = arena_new(4 * REVIEW_RULES_BYTES_MAX);
    const char *text = arena_copy(arena, document.ptr, document.len);
    assert(text);
    enum err_code rc = review_rules_get(store, model, arena, &old, err);
    if (!rc)
        rc = insert(store, model, text, &old, actor, now_us, err);
    const struct document_change change = {
        .model = model,
        .action = "review.rules",
        .part = "review",
        .old = {old.revision, old.text},
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
