/* caller.c - Host and Origin checks, API keys with a cache per connection, peer credentials.
 *
 * Hashing a key costs more than all other steps of a small prediction together, so a connection
 * remembers the last key it presented and what the key could do in which snapshot. The whole key
 * is compared, in constant time; a new snapshot (a revoked key) forgets it. A TLS client that sends
 * no key acts by its certificate, if it has shown one.
 */
#include "api/caller.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/regions.h"
#include "base/check.h"
#include "base/clock.h"

enum { ALL_SCOPES = 0x3f, PASSWD_BYTES = 4096 };

/* What a connection remembers: its key, and its regions. */
struct known_key {
    struct regions *regions; /* NULL: none */
    int64_t generation;      /* of the snapshot it was found in */
    unsigned scopes;
    int64_t expires_us;
    char name[STR_NAME_BYTES_MAX + 8]; /* "key:ci" */
    char id[AUTH_ID_BYTES + 1];
    size_t token_bytes; /* 0: it is the certificate's */
    char token[AUTH_KEY_BYTES_MAX];
};

void caller_conn_free(void *conn_user)
{
    struct known_key *known = conn_user;
    if (known)
        regions_free(known->regions);
    free(known);
}

static struct known_key *need_known(struct http_exchange *x)
{
    if (!x->conn_user)
        x->conn_user = calloc(1, sizeof(struct known_key));
    if (!x->conn_user)
        abort();
    return x->conn_user;
}

struct regions *caller_regions(const struct http_exchange *x)
{
    const struct known_key *known = x->conn_user;
    return known ? known->regions : NULL;
}

struct regions *caller_need_regions(struct http_exchange *x)
{
    struct known_key *known = need_known(x);
    if (!known->regions)
        known->regions = regions_new();
    return known->regions;
}

/* ---- Host and Origin ---- */

static bool is_port(struct str text)
{
    for (size_t i = 1; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len == 0 || text.ptr[0] == ':';
}

/* "host:port" or "[v6]:port" without the port; all of it when what follows is none, as in
 * "localhost:1@evil.example". */
static struct str without_port(struct str host)
{
    bool is_v6 = host.len && host.ptr[0] == '[';
    const char *end = host.len ? memchr(host.ptr, is_v6 ? ']' : ':', host.len) : NULL;
    if (!end)
        return host;
    size_t length = (size_t)(end - host.ptr) + is_v6;
    return is_port((struct str){host.ptr + length, host.len - length})
               ? (struct str){host.ptr, length}
               : host;
}

static bool is_listed(struct str value, const struct option_list *list)
{
    for (int i = 0; i < list->count; i++)
        if (str_equal_nocase(value, str_of(list->items[i])))
            return true;
    return false;
}

static bool is_loopback_name(struct str host)
{
    return str_equal(host, STR_LIT("127.0.0.1")) || str_equal_nocase(host, STR_LIT("localhost")) ||
           str_equal(host, STR_LIT("[::1]"));
}

static bool is_host_allowed(const struct call *call, struct str host)
{
    const struct option_list *allowed = &call->node->options->allowed_hosts;
    if (allowed->count)
        return is_listed(host, allowed) || is_loopback_name(host);
    /* Over loopback without a list, only loopback names: a name that resolves here by a trick of
     * DNS is not one of them. From other addresses a key is needed anyway. */
    return !call->x->peer->is_loopback || call->node->options->behind_proxy ||
           is_loopback_name(host);
}

/* "http://host:port" is the page's own server when it ends in our Host. */
static bool is_same_origin(struct str origin, struct str host)
{
    struct str scheme = {NULL, 0};
    if (str_starts_with(origin, STR_LIT("https://")))
        scheme = STR_LIT("https://");
    else if (str_starts_with(origin, STR_LIT("http://")))
        scheme = STR_LIT("http://");
    if (!scheme.len)
        return false;
    struct str rest = {origin.ptr + scheme.len, origin.len - scheme.len};
    return host.len && str_equal_nocase(rest, host);
}

enum err_code caller_check_host(const struct call *call, struct err *err)
{
    const struct http_known_headers *known = &call->x->request.known;
    if (call->x->peer->is_unix)
        return ERR_OK;
    if (!is_host_allowed(call, without_port(known->host))) {
        err_set(err, ERR_DENIED, "Host '%.*s' is not one of this server's names",
                STR_ARG(known->host));
        return err_hint(err, "allow it with --allowed-hosts, or call localhost");
    }
    if (known->origin.ptr && !is_same_origin(known->origin, known->host) &&
        !is_listed(known->origin, &call->node->options->allowed_origins)) {
        err_set(err, ERR_DENIED, "a page of origin '%.*s' may not call this server",
                STR_ARG(known->origin));
        return err_hint(err, "allow it with --allowed-origins");
    }
    return ERR_OK;
}

/* ---- who ---- */

const char *caller_uid_name(uid_t uid, struct arena *arena)
{
    char bytes[PASSWD_BYTES];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, bytes, sizeof(bytes), &found) == 0 && found)
        return arena_printf(arena, "uid:%u(%s)", (unsigned)uid, found->pw_name);
    return arena_printf(arena, "uid:%u", (unsigned)uid);
}

/* Of a route's scopes the one that allows least. */
static const char *least_scope(const struct call *call)
{
    unsigned needed = call->route->scope;
    return scope_name((enum scope)(needed & (~needed + 1)));
}

static enum err_code check_scope(const struct call *call, unsigned scopes, struct err *err)
{
    unsigned needed = call->route->scope;
    if ((scopes & needed) || (scopes & SCOPE_ADMIN) || (needed & SCOPE_PUBLIC))
        return ERR_OK;
    err_set(err, ERR_DENIED, "%s may not do this: %s %s needs the scope '%s'", call->actor.name,
            call->route->method, call->route->path, scope_name((enum scope)needed));
    return err_hint(err, "make a key that may: slipway key create NAME --scope %s",
                    least_scope(call));
}

/* A worker may still read the name when the connection, and its cache with it, is gone; over HTTP/2
 * another request may have put another key there. */
static void name_actor(struct call *call, const char *name, const char *key_id, const char *via)
{
    bool is_borrowed = call->route->run != RUN_DATA || call->x->peer->is_http2;
    const char *copy = is_borrowed ? arena_copy(call->arena, name, strlen(name)) : name;
    if (key_id && is_borrowed)
        key_id = arena_copy(call->arena, key_id, strlen(key_id));
    struct str id = call->request_id;
    call->actor = (struct actor){
        .name = copy ? copy : "unnamed",
        .via = via,
        .key_id = key_id,
        .request_id = is_borrowed ? arena_copy(call->arena, id.ptr, id.len) : NULL,
    };
}

static enum err_code accept_peer(struct call *call, struct err *err)
{
    uid_t uid = call->x->peer->uid;
    name_actor(call, caller_uid_name(uid, call->arena), NULL, "unix");
    if (uid != 0 && uid != geteuid())
        return err_set(err, ERR_DENIED, "%s is not the user this server runs as", call->actor.name);
    return ERR_OK;
}

static bool is_remembered(const struct known_key *known, const struct call *call, struct str token)
{
    return known && known->generation == call->snapshot->generation &&
           known->token_bytes == token.len &&
           hash_equal_secret(known->token, token.ptr, token.len) &&
           (known->expires_us == 0 || known->expires_us > clock_wall_us());
}

static struct known_key *remember(struct call *call, const struct auth_key *key, struct str token)
{
    struct known_key *known = need_known(call->x);
    known->generation = call->snapshot->generation;
    known->scopes = key->scopes;
    known->expires_us = key->expires_us;
    known->token_bytes = token.len;
    if (token.len)
        memcpy(known->token, token.ptr, token.len);
    snprintf(known->name, sizeof(known->name), "key:%s", key->name);
    snprintf(known->id, sizeof(known->id), "%s", key->id);
    return known;
}

static enum err_code accept_key(struct call *call, struct str token, struct err *err)
{
    struct known_key *known = call->x->conn_user;
    if (token.len == 0 || token.len > AUTH_KEY_BYTES_MAX) {
        err_set(err, ERR_UNAUTHORIZED, "%s %s needs an API key", call->route->method,
                call->route->path);
        return err_hint(err,
                        "send 'Authorization: Bearer slw_...'; make a key on the server's "
                        "machine: slipway key create NAME --scope %s",
                        least_scope(call));
    }
    if (!is_remembered(known, call, token)) {
        const struct auth_key *key = auth_keys_find(call->snapshot->keys, token, clock_wall_us());
        if (!key) {
            err_set(err, ERR_UNAUTHORIZED, "the API key is unknown, expired or revoked");
            return err_hint(err, "see the live ones with: slipway key list");
        }
        known = remember(call, key, token);
    }
    name_actor(call, known->name, known->id, "http");
    call->scopes = known->scopes;
    return check_scope(call, known->scopes, err);
}

static enum err_code refuse_certificate(const struct call *call,
                                        const struct http_certificate *certificate, struct err *err)
{
    const char *name = certificate->name_count > 1 ? certificate->names[1] : certificate->names[0];
    err_set(err, ERR_UNAUTHORIZED, "no live key is bound to the client's certificate %.260s", name);
    return err_hint(err,
                    "slipway key create NAME --scope %s --certificate %.260s, or send "
                    "'Authorization: Bearer slw_...'",
                    least_scope(call), name);
}

/* The handshake has verified it; what it may is what a key says that is bound to it. */
static enum err_code accept_certificate(struct call *call, struct err *err)
{
    const struct http_certificate *certificate = call->x->peer->certificate;
    struct known_key *known = call->x->conn_user;
    int64_t now_us = clock_wall_us();
    if (certificate->expires_us <= now_us) {
        err_set(err, ERR_UNAUTHORIZED, "the client's certificate has expired");
        return err_hint(err, "renew it, and connect again");
    }
    if (!known || known->generation != call->snapshot->generation || known->token_bytes ||
        (known->expires_us && known->expires_us <= now_us)) {
        const struct auth_key *key = auth_keys_find_certificate(
            call->snapshot->keys, certificate->names, certificate->name_count, now_us);
        if (!key)
            return refuse_certificate(call, certificate, err);
        known = remember(call, key, (struct str){"", 0});
    }
    name_actor(call, known->name, known->id, "http");
    call->scopes = known->scopes;
    return check_scope(call, known->scopes, err);
}

/* Nobody has made a key yet, and the caller sits on this machine. */
static bool is_open(const struct call *call)
{
    return call->x->peer->is_loopback && !call->node->options->behind_proxy &&
           auth_keys_is_open(call->snapshot->keys);
}

enum err_code caller_authenticate(struct call *call, struct err *err)
{
    name_actor(call, "anonymous", NULL, "http");
    call->scopes = ALL_SCOPES;
    if (call->route->scope & SCOPE_PUBLIC)
        return ERR_OK;
    if (call->x->peer->is_unix)
        return accept_peer(call, err);
    if (is_open(call))
        return ERR_OK;
    if (call->x->peer->certificate && !call->x->request.known.authorization.ptr)
        return accept_certificate(call, err);
    return accept_key(call, auth_bearer(call->x->request.known.authorization), err);
}
