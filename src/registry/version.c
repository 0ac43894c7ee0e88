/* version.c - versions: immutable, numbered within their model, found by number or by alias. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define COLUMNS                                                                                    \
    "model, number, runtime, artifact, contract, golden, artifact_bytes, note, lineage, "          \
    "signature, compatibility, compared_to, created_by, created_us"
#define SQL_GET "SELECT " COLUMNS " FROM versions WHERE model = ?1 AND number = ?2"
#define SQL_LIST                                                                                   \
    "SELECT " COLUMNS " FROM versions WHERE model = ?1 AND number < ?2 "                           \
    "ORDER BY number DESC LIMIT ?3"
#define SQL_SAME                                                                                   \
    "SELECT number FROM versions WHERE model = ?1 AND artifact = ?2 AND contract = ?3 "            \
    "AND golden = ?4"
#define SQL_NEXT "UPDATE models SET latest_version = latest_version + 1 WHERE name = ?1"
#define SQL_LATEST "SELECT latest_version FROM models WHERE name = ?1"
#define SQL_INSERT                                                                                 \
    "INSERT INTO versions (" COLUMNS                                                               \
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
#define SQL_BLOBS "SELECT artifact, contract, golden FROM versions"
#define SQL_ALIAS "SELECT version FROM aliases WHERE model = ?1 AND name = ?2"
#define SQL_ALIASES "SELECT name FROM aliases WHERE model = ?1 ORDER BY name LIMIT ?2"

enum { JSON_ARENA_BYTES_MAX = 64 * LINEAGE_BYTES_MAX, HINT_ALIASES_MAX = 8 };

struct version_list_context {
    struct arena *arena;
    struct version *list;
    int count;
};

static void read_digest(struct store_rows *rows, int column, struct blob_digest *digest)
{
    struct str hex = store_text(rows, column);
    snprintf(digest->hex, sizeof(digest->hex), "%.*s", STR_ARG(hex));
}

static enum err_code read_version(struct store_rows *rows, void *arg, struct err *err)
{
    struct version_list_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read versions");
    struct version *v = &c->list[c->count++];
    *v = (struct version){
        .model = store_text_copy(rows, 0, c->arena, &is_full),
        .number = store_i64(rows, 1),
        .runtime = store_text_copy(rows, 2, c->arena, &is_full),
        .artifact_bytes = store_i64(rows, 6),
        .note = store_text_copy(rows, 7, c->arena, &is_full),
        .lineage = store_text_copy(rows, 8, c->arena, &is_full),
        .signature = store_text_copy(rows, 9, c->arena, &is_full),
        .compatibility = store_text_copy(rows, 10, c->arena, &is_full),
        .compared_to = store_i64(rows, 11),
        .created_by = store_text_copy(rows, 12, c->arena, &is_full),
        .created_us = store_i64(rows, 13),
    };
    read_digest(rows, 3, &v->artifact);
    read_digest(rows, 4, &v->contract);
    read_digest(rows, 5, &v->golden);
    return is_full ? err_set(err, ERR_LIMIT, "no room to read versions") : ERR_OK;
}

enum err_code version_get(struct store *store, const char *model, int64_t number,
                          struct arena *arena, struct version *version, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(number)};
    struct version_list_context c = {.arena = arena};
    if (registry_check_version(store, model, number, err) ||
        registry_each_row(store, SQL_GET, params, 2, read_version, &c, err))
        return err->code;
    assert(c.count == 1);
    *version = c.list[0];
    return ERR_OK;
}

enum err_code version_list(struct store *store, const char *model, int64_t before, int limit,
                           struct arena *arena, struct version **versions, int *count,
                           struct err *err)
{
    const struct store_value params[] = {
        STORE_CSTR(model), STORE_INT(before > 0 ? before : INT64_MAX),
        STORE_INT(limit < VERSION_LIST_MAX ? limit : VERSION_LIST_MAX)};
    struct version_list_context c = {.arena = arena};
    assert(limit >= 0);
    if (registry_check_model(store, model, err) ||
        registry_each_row(store, SQL_LIST, params, 3, read_version, &c, err))
        return err->code;
    *versions = c.list;
    *count = c.count;
    return ERR_OK;
}

/* ---- registering ---- */

static enum err_code check_json_object(const char *what, const char *text, struct err *err)
{
    yyjson_val *root = NULL;
    struct arena *arena = arena_new(JSON_ARENA_BYTES_MAX);
    enum err_code code = json_read_strict(str_of(text), arena, &root, err);
    if (code)
        err_wrap(err, "%s", what);
    else if (!yyjson_is_obj(root))
        code = err_set(err, ERR_INVALID, "%s is not a JSON object", what);
    arena_free(arena);
    return code;
}

static enum err_code check_lineage(const char *lineage, struct err *err)
{
    if (!lineage)
        return ERR_OK;
    if (strlen(lineage) > LINEAGE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the lineage is longer than %d bytes", LINEAGE_BYTES_MAX);
    return check_json_object("the lineage", lineage, err);
}

/* Made by our own code from the artifact, so its syntax is not in doubt; its size is. */
static enum err_code check_derived(const char *what, const char *text, struct err *err)
{
    struct str s = str_of(text);
    if (s.len > SIGNATURE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s is longer than %d bytes", what, SIGNATURE_BYTES_MAX);
    if (!str_is_utf8(s))
        return err_set(err, ERR_INVALID, "%s is not UTF-8", what);
    return ERR_OK;
}

static enum err_code check_digests(const struct version *v, struct err *err)
{
    const struct blob_digest *const optional[] = {&v->contract, &v->golden};
    if (!hash_is_sha256_hex(str_of(v->artifact.hex)))
        return err_set(err, ERR_INVALID, "a version of '%s' needs the digest of its artifact",
                       v->model);
    for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
        if (optional[i]->hex[0] && !hash_is_sha256_hex(str_of(optional[i]->hex)))
            return err_set(err, ERR_INVALID, "a digest of the version is no SHA-256 in hex");
    }
    return ERR_OK;
}

static enum err_code check_request(struct store *store, const struct version *v, struct err *err)
{
    if (registry_check_model(store, v->model, err) ||
        registry_check_name("the runtime", v->runtime, err) || check_digests(v, err) ||
        registry_check_text("the note", v->note, NOTE_BYTES_MAX, err) ||
        check_lineage(v->lineage, err) || check_derived("the signature", v->signature, err) ||
        check_derived("the compatibility report", v->compatibility, err))
        return err->code;
    return ERR_OK;
}

static enum err_code refuse_same(struct store *store, const struct version *v, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(v->model), STORE_CSTR(v->artifact.hex),
                                         STORE_CSTR(v->contract.hex), STORE_CSTR(v->golden.hex)};
    int64_t same = 0;
    if (registry_read_number(store, SQL_SAME, params, ARRAY_LEN(params), 0, &same, err))
        return err->code;
    if (same == 0)
        return ERR_OK;
    err_set(err, ERR_EXISTS,
            "version %lld of model '%s' has this artifact, contract and golden "
            "rows already",
            (long long)same, v->model);
    return err_hint(err, "see: slipway model show %s", v->model);
}

static enum err_code take_number(struct store *store, const char *model, int64_t *number,
                                 struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    if (store_exec(store, SQL_NEXT, params, 1, NULL, err) ||
        registry_read_number(store, SQL_LATEST, params, 1, 0, number, err))
        return err->code;
    if (*number > VERSIONS_PER_MODEL_MAX)
        return err_set(err, ERR_LIMIT, "model '%s' has %d versions already", model,
                       VERSIONS_PER_MODEL_MAX);
    return ERR_OK;
}

static enum err_code insert_version(struct store *store, const struct version *v, struct err *err)
{
    const struct store_value row[] = {
        STORE_CSTR(v->model),
        STORE_INT(v->number),
        STORE_CSTR(v->runtime),
        STORE_CSTR(v->artifact.hex),
        STORE_CSTR(v->contract.hex),
        STORE_CSTR(v->golden.hex),
        STORE_INT(v->artifact_bytes),
        STORE_CSTR(v->note),
        STORE_CSTR(v->lineage),
        STORE_CSTR(v->signature),
        v->compatibility ? STORE_CSTR(v->compatibility) : STORE_NONE,
        STORE_INT(v->compared_to),
        STORE_CSTR(v->created_by),
        STORE_INT(v->created_us),
    };
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}

static void put_member(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_put_text(w, value[0] ? value : NULL);
}

/* What cannot be computed again from the artifact and the contract. */
static void format_version(struct buf *out, const struct version *v)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "version");
    json_put_i64(&w, v->number);
    put_member(&w, "runtime", v->runtime);
    put_member(&w, "artifact", v->artifact.hex);
    put_member(&w, "contract", v->contract.hex);
    put_member(&w, "golden", v->golden.hex);
    put_member(&w, "note", v->note);
    json_key(&w, "lineage");
    json_put_raw(&w, str_of(v->lineage));
    json_end_object(&w);
}

static enum err_code store_version(struct store *store, const struct version *v,
                                   const struct actor *actor, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf after;
    if (insert_version(store, v, err))
        return err->code;
    snprintf(subject, sizeof(subject), "model/%s/version/%lld", v->model, (long long)v->number);
    format_version(&after, v);
    return registry_append(store, actor, "version.register", subject, NULL, &after, v->created_us,
                           NULL, err);
}

enum err_code version_create(struct store *store, struct version *version,
                             const struct actor *actor, struct err *err)
{
    struct version v = *version;
    if (check_request(store, &v, err) || refuse_same(store, &v, err) ||
        take_number(store, v.model, &v.number, err))
        return err->code;
    v.note = v.note ? v.note : "";
    v.lineage = v.lineage ? v.lineage : "{}";
    v.signature = v.signature ? v.signature : "{}";
    v.created_by = actor->name;
    v.created_us = clock_wall_us();
    if (store_version(store, &v, actor, err))
        return err->code;
    *version = v;
    return ERR_OK;
}

/* ---- finding by text ---- */

static enum err_code append_alias_name(struct store_rows *rows, void *arg, struct err *err)
{
    struct buf *names = arg;
    (void)err;
    buf_text(names, ", ");
    buf_str(names, store_text(rows, 0));
    return ERR_OK;
}

static enum err_code refuse_text(struct store *store, const char *model, struct str text,
                                 int64_t latest, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(HINT_ALIASES_MAX)};
    struct buf names;
    buf_init(&names, ERR_HINT_BYTES);
    enum err_code code =
        registry_each_row(store, SQL_ALIASES, params, 2, append_alias_name, &names, err);
    if (!code) {
        code = err_set(err, ERR_NOT_FOUND, "model '%s' has no version or alias '%.*s'", model,
                       (int)(text.len < STR_NAME_BYTES_MAX ? text.len : STR_NAME_BYTES_MAX),
                       text.ptr ? text.ptr : "");
        if (latest == 0)
            err_hint(err, "it has none yet; register one with: slipway model register %s", model);
        else
            err_hint(err, "it has 1 to %lld, latest%s", (long long)latest, buf_c(&names));
    }
    buf_done(&names);
    return code;
}

enum err_code version_resolve(struct store *store, const char *model, struct str text,
                              int64_t *number, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_STR(text)};
    int64_t found = 0, latest = 0;
    if (registry_check_model(store, model, err) ||
        registry_read_number(store, SQL_LATEST, params, 1, 0, &latest, err))
        return err->code;
    if (str_equal_c(text, "latest"))
        found = latest;
    else if (str_to_i64(text, &found))
        found = found >= 1 && found <= latest ? found : 0;
    else if (str_is_name(text) && registry_read_number(store, SQL_ALIAS, params, 2, 0, &found, err))
        return err->code;
    if (found == 0)
        return refuse_text(store, model, text, latest, err);
    *number = found;
    return ERR_OK;
}

/* ---- blobs in use ---- */

struct each_blob_context {
    enum err_code (*fn)(void *arg, const struct blob_digest *digest, struct err *err);
    void *arg;
};

static enum err_code visit_blobs(struct store_rows *rows, void *arg, struct err *err)
{
    const struct each_blob_context *c = arg;
    for (int column = 0; column < 3; column++) {
        struct blob_digest digest;
        read_digest(rows, column, &digest);
        if (digest.hex[0] && c->fn(c->arg, &digest, err))
            return err->code;
    }
    return ERR_OK;
}

enum err_code registry_each_blob(struct store *store,
                                 enum err_code (*fn)(void *arg, const struct blob_digest *digest,
                                                     struct err *err),
                                 void *arg, struct err *err)
{
    struct each_blob_context c = {fn, arg};
    return registry_each_row(store, SQL_BLOBS, NULL, 0, visit_blobs, &c, err);
}
