/* auth_store.c - keys made, revoked and listed in the store.
 *
 *     slw_ 0123456789abcdef _ <43 characters base64url of 32 random bytes>
 *
 * Only SHA-256 of the whole text is kept. The secret has 256 random bits, so a slow hash would add
 * nothing; the id is public and is what people and the audit trail name a key by.
 */
#include <stdio.h>

#include "auth/auth.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rand.h"

enum { ID_BYTES = 8, ID_HEX_BYTES = 16, SECRET_BYTES = 32, STATE_BYTES_MAX = 4096 };
enum { SECRET_TEXT_BYTES = 43 }; /* 32 bytes, 6 bits a character, rounded up */

#define SQL_LIVE                                                                                   \
    "SELECT 1 FROM api_keys WHERE name = ?1 AND revoked_us = 0 "                                   \
    "AND (expires_us = 0 OR expires_us > ?2)"
/* Of an expired key too: when it is bound anew the old one is to be revoked first. */
#define SQL_BOUND "SELECT 1 FROM api_keys WHERE certificate = ?1 AND revoked_us = 0"
#define SQL_COUNT "SELECT COUNT(*) FROM api_keys WHERE revoked_us = 0"
#define SQL_INSERT                                                                                 \
    "INSERT INTO api_keys (id, name, scopes, digest, created_us, expires_us, revoked_us, "         \
    "created_by, certificate) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)"
#define SQL_FIND                                                                                   \
    "SELECT id, name, scopes, expires_us, certificate FROM api_keys "                              \
    "WHERE (id = ?1 OR name = ?1) AND revoked_us = 0 ORDER BY created_us, id"
#define SQL_REVOKE "UPDATE api_keys SET revoked_us = ?2 WHERE id = ?1"
/* Keys that are not revoked come first, so that the limit cuts off the oldest history only. */
#define SQL_LIST                                                                                   \
    "SELECT id, name, scopes, digest, created_us, expires_us, revoked_us, created_by, "            \
    "certificate FROM api_keys "                                                                   \
    "ORDER BY CASE WHEN revoked_us = 0 THEN 0 ELSE 1 END, revoked_us DESC, "                       \
    "created_us, id LIMIT ?1"

/* RFC 4648 section 5, without padding. */
static void encode_base64url(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = digits[bits >> (have - 6) & 63];
    }
    if (have > 0)
        *out++ = digits[bits << (6 - have) & 63];
    *out = '\0';
}

static void draw_key(char id[ID_HEX_BYTES + 1], char *token)
{
    uint8_t id_bytes[ID_BYTES], secret[SECRET_BYTES];
    char text[SECRET_TEXT_BYTES + 1];
    rand_secret(id_bytes, sizeof(id_bytes));
    rand_secret(secret, sizeof(secret));
    str_hex(id_bytes, sizeof(id_bytes), id);
    id[ID_HEX_BYTES] = '\0';
    encode_base64url(secret, sizeof(secret), text);
    snprintf(token, AUTH_KEY_BYTES_MAX, "slw_%s_%s", id, text);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(text, sizeof(text));
}

/* One row, one number; `otherwise` when there is no row. */
static enum err_code read_number(struct store *store, const char *sql,
                                 const struct store_value *params, int param_count,
                                 int64_t otherwise, int64_t *number, struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    if (store_query(store, sql, params, param_count, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    if (!code)
        *number = has_row ? store_i64(rows, 0) : otherwise;
    store_rows_done(rows);
    return code;
}

static bool is_id(struct str text)
{
    uint8_t bytes[ID_BYTES];
    return text.len == ID_HEX_BYTES && str_unhex(text, bytes, sizeof(bytes));
}

static enum err_code check_request(const char *name, unsigned scopes, int64_t expires_us,
                                   int64_t now_us, struct err *err)
{
    unsigned known = SCOPE_PREDICT | SCOPE_OBSERVE | SCOPE_REVIEW | SCOPE_OPERATE | SCOPE_ADMIN;
    if (!str_is_name(str_of(name))) {
        err_set(err, ERR_INVALID, "'%.100s' is not a name for a key", name);
        return err_hint(err,
                        "letters, digits, '.', '_' and '-', at most %d, a letter or digit first",
                        STR_NAME_BYTES_MAX);
    }
    if (is_id(str_of(name)))
        return err_set(err, ERR_INVALID, "'%s' looks like the id of a key, not like a name", name);
    if (scopes == 0 || (scopes & ~known)) {
        err_set(err, ERR_INVALID, "a key needs at least one scope, and not 'public'");
        return err_hint(err, "scopes are predict, observe, review, operate, admin");
    }
    if (expires_us != 0 && expires_us <= now_us)
        return err_set(err, ERR_INVALID, "key '%s' would have expired already", name);
    return ERR_OK;
}

static enum err_code check_room(struct store *store, const char *name, int64_t now_us,
                                struct err *err)
{
    const struct store_value live[] = {STORE_CSTR(name), STORE_INT(now_us)};
    int64_t is_taken = 0, count = 0;
    if (read_number(store, SQL_LIVE, live, 2, 0, &is_taken, err) ||
        read_number(store, SQL_COUNT, NULL, 0, 0, &count, err))
        return err->code;
    if (is_taken) {
        err_set(err, ERR_EXISTS, "there is a live key named '%s'", name);
        return err_hint(err, "revoke it with: slipway key revoke %s", name);
    }
    if (count >= AUTH_KEYS_MAX) {
        err_set(err, ERR_LIMIT, "there are %d keys already", AUTH_KEYS_MAX);
        return err_hint(err, "revoke those no longer used, expired ones too");
    }
    return ERR_OK;
}

/* What the audit trail says of a key; never its digest. */
static void format_state(struct buf *out, struct str id, struct str name, struct str scopes,
                         int64_t expires_us, struct str certificate)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "id");
    json_put_str(&w, id);
    json_key(&w, "name");
    json_put_str(&w, name);
    json_key(&w, "scopes");
    json_put_str(&w, scopes);
    json_key(&w, "expires_us");
    json_put_i64(&w, expires_us);
    if (certificate.len) {
        json_key(&w, "certificate");
        json_put_str(&w, certificate);
    }
    json_end_object(&w);
}

static enum err_code insert_key(struct store *store, const struct auth_key *key, const char *scopes,
                                struct err *err)
{
    char digest[SHA256_HEX_BYTES];
    str_hex(key->digest, SHA256_BYTES, digest);
    const struct store_value row[] = {
        STORE_CSTR(key->id),         STORE_CSTR(key->name),
        STORE_CSTR(scopes),          STORE_STR(((struct str){digest, sizeof(digest)})),
        STORE_INT(key->created_us),  STORE_INT(key->expires_us),
        STORE_CSTR(key->created_by), STORE_CSTR(key->certificate),
    };
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}

static enum err_code append_event(struct store *store, const char *action, const char *id,
                                  const char *before, const char *after, const struct actor *actor,
                                  struct err *err)
{
    char subject[64];
    snprintf(subject, sizeof(subject), "key/%s", id);
    struct audit_event event = {.actor = actor->name,
                                .via = actor->via,
                                .request_id = actor->request_id,
                                .action = action,
                                .subject = subject,
                                .before = before,
                                .after = after};
    return audit_append(store, &event, err);
}

static enum err_code store_key(struct store *store, const struct auth_key *key, const char *scopes,
                               const struct actor *actor, struct err *err)
{
    struct buf state;
    if (insert_key(store, key, scopes, err))
        return err->code;
    buf_init(&state, STATE_BYTES_MAX);
    format_state(&state, str_of(key->id), str_of(key->name), str_of(scopes), key->expires_us,
                 str_of(key->certificate));
    enum err_code code =
        append_event(store, "key.create", key->id, NULL, buf_c(&state), actor, err);
    buf_done(&state);
    return code;
}

static enum err_code describe(struct auth_key *key, const char *id, const char *name,
                              const char *certificate, const struct actor *actor,
                              struct arena *arena, struct err *err)
{
    key->id = arena_copy(arena, id, ID_HEX_BYTES);
    key->name = arena_copy(arena, name, strlen(name));
    key->created_by = arena_copy(arena, actor->name, strlen(actor->name));
    key->certificate = arena_copy(arena, certificate, strlen(certificate));
    if (!key->id || !key->name || !key->created_by || !key->certificate)
        return err_set(err, ERR_LIMIT, "no room for a key");
    return ERR_OK;
}

static enum err_code make_key(struct store *store, struct auth_key *key, const struct actor *actor,
                              struct arena *arena, struct err *err)
{
    const char *scopes = scope_format(key->scopes, arena);
    return scopes ? store_key(store, key, scopes, actor, err)
                  : err_set(err, ERR_LIMIT, "no room for a key");
}

enum err_code auth_key_create(struct store *store, const char *name, unsigned scopes,
                              int64_t expires_us, const struct actor *actor, char *secret,
                              struct auth_key *key, struct arena *arena, struct err *err)
{
    char id[ID_HEX_BYTES + 1], token[AUTH_KEY_BYTES_MAX];
    int64_t now_us = clock_wall_us();
    if (check_request(name, scopes, expires_us, now_us, err) ||
        check_room(store, name, now_us, err))
        return err->code;
    draw_key(id, token);
    struct auth_key made = {.scopes = scopes, .created_us = now_us, .expires_us = expires_us};
    hash_sha256(token, strlen(token), made.digest);
    enum err_code rc = describe(&made, id, name, "", actor, arena, err);
    if (!rc)
        rc = make_key(store, &made, actor, arena, err);
    if (!rc) {
        memcpy(secret, token, sizeof(token));
        *key = made;
    }
    explicit_bzero(token, sizeof(token));
    return rc;
}

static enum err_code check_unbound(struct store *store, const char *certificate, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(certificate)};
    int64_t is_bound = 0;
    if (read_number(store, SQL_BOUND, params, 1, 0, &is_bound, err))
        return err->code;
    if (!is_bound)
        return ERR_OK;
    err_set(err, ERR_EXISTS, "a key is bound to %.260s already", certificate);
    return err_hint(err, "slipway key list shows which; revoke it first");
}

/* The store's digest of it stands for nothing and is nobody else's. */
enum err_code auth_key_bind(struct store *store, const char *name, unsigned scopes,
                            int64_t expires_us, const char *certificate, const struct actor *actor,
                            struct auth_key *key, struct arena *arena, struct err *err)
{
    char id[ID_HEX_BYTES + 1], token[AUTH_KEY_BYTES_MAX];
    int64_t now_us = clock_wall_us();
    if (check_request(name, scopes, expires_us, now_us, err) ||
        check_room(store, name, now_us, err) || check_unbound(store, certificate, err))
        return err->code;
    draw_key(id, token);
    struct auth_key made = {.scopes = scopes, .created_us = now_us, .expires_us = expires_us};
    hash_sha256(token, strlen(token), made.digest);
    explicit_bzero(token, sizeof(token));
    enum err_code rc = describe(&made, id, name, certificate, actor, arena, err);
    if (!rc)
        rc = make_key(store, &made, actor, arena, err);
    if (!rc)
        *key = made;
    return rc;
}

static enum err_code revoke_row(struct store *store, struct store_rows *rows,
                                const struct actor *actor, struct err *err)
{
    char id[ID_HEX_BYTES + 1];
    struct buf state;
    snprintf(id, sizeof(id), "%.*s", STR_ARG(store_text(rows, 0)));
    const struct store_value params[] = {STORE_CSTR(id), STORE_INT(clock_wall_us())};
    buf_init(&state, STATE_BYTES_MAX);
    format_state(&state, store_text(rows, 0), store_text(rows, 1), store_text(rows, 2),
                 store_i64(rows, 3), store_text(rows, 4));
    enum err_code code = store_exec(store, SQL_REVOKE, params, 2, NULL, err);
    if (!code)
        code = append_event(store, "key.revoke", id, buf_c(&state), NULL, actor, err);
    buf_done(&state);
    return code;
}

/* A name may belong to an expired key and to a live one; all that bear it end. */
enum err_code auth_key_revoke(struct store *store, const char *name_or_id,
                              const struct actor *actor, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(name_or_id)};
    struct store_rows *rows;
    int revoked = 0;
    bool has_row = true;
    enum err_code code = ERR_OK;
    while (!code && has_row) {
        if (store_query(store, SQL_FIND, params, 1, &rows, err))
            return err->code;
        code = store_next(rows, &has_row, err);
        if (!code && has_row)
            code = revoke_row(store, rows, actor, err);
        store_rows_done(rows);
        revoked += !code && has_row;
    }
    if (code || revoked > 0)
        return code;
    err_set(err, ERR_NOT_FOUND, "there is no live key '%.100s'", name_or_id);
    return err_hint(err, "list the keys with: slipway key list");
}

static enum err_code read_key(struct store_rows *rows, struct arena *arena, struct auth_key *key,
                              struct err *err)
{
    bool is_full = false;
    *key = (struct auth_key){
        .id = store_text_copy(rows, 0, arena, &is_full),
        .name = store_text_copy(rows, 1, arena, &is_full),
        .created_us = store_i64(rows, 4),
        .expires_us = store_i64(rows, 5),
        .revoked_us = store_i64(rows, 6),
        .created_by = store_text_copy(rows, 7, arena, &is_full),
        .certificate = store_text_copy(rows, 8, arena, &is_full),
    };
    if (is_full)
        return err_set(err, ERR_LIMIT, "no room to list the keys");
    if (store_text(rows, 3).len != SHA256_HEX_BYTES ||
        !str_unhex(store_text(rows, 3), key->digest, SHA256_BYTES))
        return err_set(err, ERR_IO, "key %s has no digest in the store", key->id);
    if (key->certificate[0])
        hash_sha256(key->certificate, strlen(key->certificate), key->digest);
    return scope_parse(store_text(rows, 2), &key->scopes, err);
}

enum err_code auth_key_list(struct store *store, struct arena *arena, struct auth_key **keys,
                            int *count, struct err *err)
{
    const struct store_value params[] = {STORE_INT(AUTH_KEYS_MAX)};
    struct store_rows *rows;
    struct auth_key *list = NULL;
    int found = 0;
    bool has_row = false;
    if (store_query(store, SQL_LIST, params, 1, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    while (!code && has_row) {
        list = store_list_grow(arena, list, found, sizeof(*list));
        code = list ? read_key(rows, arena, &list[found], err)
                    : err_set(err, ERR_LIMIT, "no room to list the keys");
        found++;
        if (!code)
            code = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    if (code)
        return code;
    *keys = list;
    *count = found;
    return ERR_OK;
}
