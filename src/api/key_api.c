/* key_api.c - API keys: list, make (the secret is shown once), revoke. */
#include "api/handlers.h"
#include "base/clock.h"

static void put_key(struct json_writer *w, const struct auth_key *key, struct arena *arena)
{
    json_key(w, "id");
    json_put_text(w, key->id);
    json_key(w, "name");
    json_put_text(w, key->name);
    json_key(w, "scopes");
    json_put_text(w, scope_format(key->scopes, arena));
    json_key(w, "created_at");
    json_put_time(w, key->created_us);
    json_key(w, "created_by");
    json_put_text(w, key->created_by);
    json_key(w, "expires_at");
    if (key->expires_us)
        json_put_time(w, key->expires_us);
    else
        json_put_null(w);
    json_key(w, "revoked_at");
    if (key->revoked_us)
        json_put_time(w, key->revoked_us);
    else
        json_put_null(w);
    json_key(w, "certificate");
    if (key->certificate[0])
        json_put_text(w, key->certificate);
    else
        json_put_null(w);
}

enum err_code keys_get(struct call *call, struct err *err)
{
    struct auth_key *keys;
    int count = 0;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = auth_key_list(store, call->arena, &keys, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "keys");
    json_begin_array(&w);
    for (int i = 0; i < count; i++) {
        json_begin_object(&w);
        put_key(&w, &keys[i], call->arena);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

struct new_key {
    const char *name;
    unsigned scopes;
    int64_t expires_us;
    char certificate[AUTH_CERTIFICATE_BYTES_MAX + 1]; /* empty: it gets a secret */
};

static enum err_code make_key(struct call *call, struct control *control, struct store *store,
                              void *arg, struct err *err)
{
    const struct new_key *wanted = arg;
    struct auth_key key;
    char secret[AUTH_KEY_BYTES_MAX];
    (void)control;
    enum err_code rc =
        wanted->certificate[0]
            ? auth_key_bind(store, wanted->name, wanted->scopes, wanted->expires_us,
                            wanted->certificate, &call->actor, &key, call->arena, err)
            : auth_key_create(store, wanted->name, wanted->scopes, wanted->expires_us, &call->actor,
                              secret, &key, call->arena, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 201);
    json_begin_object(&w);
    put_key(&w, &key, call->arena);
    if (!wanted->certificate[0]) {
        json_key(&w, "key");
        json_put_text(&w, secret);
    }
    json_end_object(&w);
    explicit_bzero(secret, sizeof(secret));
    return ERR_OK;
}

static enum err_code read_new_key(struct call *call, struct new_key *wanted, struct err *err)
{
    static const char *const keys[] = {"name", "scopes", "expires_seconds", "certificate", NULL};
    yyjson_val *root;
    struct str name, scopes, certificate = {0};
    int64_t seconds = 0;
    enum err_code rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str(root, "the request", "name", &name, err);
    if (!rc)
        rc = json_get_str(root, "the request", "scopes", &scopes, err);
    if (!rc)
        rc = json_get_i64_opt(root, "the request", "expires_seconds", &seconds, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "certificate", &certificate, err);
    if (!rc)
        rc = scope_parse(scopes, &wanted->scopes, err);
    if (!rc && certificate.ptr)
        rc = auth_certificate_parse(certificate, wanted->certificate, err);
    if (rc)
        return rc;
    if (!str_is_name(name))
        return err_set(err, ERR_INVALID, "'%.*s' cannot be the name of a key", STR_ARG(name));
    if (seconds < 0 || seconds > INT64_C(100) * 365 * 86400)
        return err_set(err, ERR_INVALID,
                       "expires_seconds: expected 0 (never) to 100 years, got "
                       "%lld",
                       (long long)seconds);
    wanted->name = arena_copy(call->arena, name.ptr, name.len);
    wanted->expires_us = seconds ? clock_wall_us() + seconds * CLOCK_SECOND_US : 0;
    return ERR_OK;
}

/* A secret that is stored nowhere cannot be answered twice. */
static enum err_code refuse_idempotency(struct call *call, struct err *err)
{
    if (http_find_header(&call->x->request, "Idempotency-Key").ptr)
        return err_set(err, ERR_INVALID,
                       "making a key takes no Idempotency-Key: its secret is "
                       "shown once and kept nowhere");
    return ERR_OK;
}

enum err_code key_post(struct call *call, struct err *err)
{
    struct new_key wanted = {0};
    enum err_code rc = refuse_idempotency(call, err);
    if (!rc)
        rc = read_new_key(call, &wanted, err);
    if (rc)
        return rc;
    struct call_change change = {.op = {.changes_keys = true}, .fn = make_key, .arg = &wanted};
    return call_execute(call, &change, err);
}

static enum err_code revoke_key(struct call *call, struct control *control, struct store *store,
                                void *arg, struct err *err)
{
    const char *key = arg;
    (void)control;
    enum err_code rc = auth_key_revoke(store, key, &call->actor, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "revoked");
    json_put_text(&w, key);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code key_delete(struct call *call, struct err *err)
{
    const char *key;
    enum err_code rc = call_name(call, 0, "a key", &key, err);
    if (rc)
        return rc;
    struct call_change change = {
        .op = {.changes_keys = true}, .fn = revoke_key, .arg = (void *)(uintptr_t)key};
    return call_execute(call, &change, err);
}
