/* auth.h - who may do what: scopes, API keys, and the decision for one request.
 *
 * A key is "slw_<id>_<secret>": shown once, stored as SHA-256 of the whole, with scopes, an expiry
 * and an end. Or it has no secret and is bound to the name in a client's certificate, which TLS has
 * verified. The set of live keys is part of the snapshot, so a revoked key fails at the next
 * request and no database is asked on the data path.
 */
#ifndef SLIPWAY_AUTH_AUTH_H
#define SLIPWAY_AUTH_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "event/audit.h"
#include "store/store.h"

/* What a route needs. Every route row names one; there is no default. ADMIN includes all.
 *
 * OBSERVE is what a scraper and a dashboard get: numbers about many rows, never the inputs of one
 * or what came true about it. Review items are for who decides them or runs the place; kept
 * predictions, outcomes of one and data sets for the latter only, since a reviewer who can look up
 * the model's answer is not blind. */
enum scope {
    SCOPE_PUBLIC = 1 << 0,  /* liveness only: no key needed */
    SCOPE_PREDICT = 1 << 1, /* ask models, read their metadata */
    SCOPE_OBSERVE = 1 << 2, /* metrics, states, statistics, history, audit; no rows */
    SCOPE_REVIEW = 1 << 3,  /* read and answer review items */
    SCOPE_OPERATE = 1 << 4, /* register, move aliases, roll back; read rows */
    SCOPE_ADMIN = 1 << 5,   /* keys, backup, gc */
    /* for a route that two kinds of callers need */
    SCOPE_REVIEW_OR_OPERATE = SCOPE_REVIEW | SCOPE_OPERATE,
};
const char *scope_name(enum scope scope);
/* "predict,observe" -> bits. ERR_INVALID names the unknown one and lists all. */
enum err_code scope_parse(struct str text, unsigned *scopes, struct err *err);
/* bits -> "predict,observe" */
const char *scope_format(unsigned scopes, struct arena *arena);

enum {
    AUTH_KEY_BYTES_MAX = 160,
    AUTH_KEYS_MAX = 10000,
    AUTH_CERTIFICATE_BYTES_MAX = 255,
    AUTH_ID_BYTES = 16, /* hex digits */
};

struct auth_key {
    const char *id;   /* 16 hex digits, public */
    const char *name; /* what people call it: "ci" */
    unsigned scopes;
    uint8_t digest[SHA256_BYTES];   /* of the secret, or of `certificate` */
    const char *certificate;        /* "uri:spiffe://example.org/shop"; "": it has a secret */
    int64_t created_us, expires_us; /* expires_us 0: never */
    int64_t revoked_us;             /* 0: live */
    const char *created_by;
};

/* Make a key: the plain text goes to `secret` (AUTH_KEY_BYTES_MAX) and is stored nowhere. Inside
 * the caller's transaction; writes its audit event. ERR_EXISTS when the name is a live key's,
 * ERR_INVALID when it looks like an id or expires_us (0: never) has passed, ERR_LIMIT when
 * AUTH_KEYS_MAX are not revoked. */
enum err_code auth_key_create(struct store *store, const char *name, unsigned scopes,
                              int64_t expires_us, const struct actor *actor, char *secret,
                              struct auth_key *key, struct arena *arena, struct err *err);
/* The same, bound to a certificate's name as auth_certificate_parse gives it. ERR_EXISTS also when
 * a live key is bound to it already. */
enum err_code auth_key_bind(struct store *store, const char *name, unsigned scopes,
                            int64_t expires_us, const char *certificate, const struct actor *actor,
                            struct auth_key *key, struct arena *arena, struct err *err);
/* "uri:...", "dns:...", "cn:...", "sha256:..." in the form that certificates are compared in:
 * host names and digits in small letters, no colons in the digest. */
enum err_code auth_certificate_parse(struct str text, char name[AUTH_CERTIFICATE_BYTES_MAX + 1],
                                     struct err *err);
/* All keys of that name (one live, others expired), or the one with that id. ERR_NOT_FOUND when
 * none was left to revoke. */
enum err_code auth_key_revoke(struct store *store, const char *name_or_id,
                              const struct actor *actor, struct err *err);
/* Those not revoked first, then the last revoked ones; at most AUTH_KEYS_MAX. */
enum err_code auth_key_list(struct store *store, struct arena *arena, struct auth_key **keys,
                            int *count, struct err *err);

/* The live keys, frozen for the snapshot: looked up by digest, no lock, no allocation. */
struct auth_keys;
/* Copies; revoked ones are left out. */
struct auth_keys *auth_keys_new(const struct auth_key *keys, int count);
void auth_keys_free(struct auth_keys *keys);
bool auth_keys_is_empty(const struct auth_keys *keys);

/* No key was ever made. Then callers on this machine need none; once somebody has asked for keys,
 * revoking the last one does not open the door again. */
bool auth_keys_is_open(const struct auth_keys *keys);

/* The key whose secret `token` is, live at `now_us`; NULL otherwise. Constant time in the secret.
 */
const struct auth_key *auth_keys_find(const struct auth_keys *keys, struct str token,
                                      int64_t now_us);

/* The key that is bound to the first of a certificate's names that any live key is bound to. */
const struct auth_key *auth_keys_find_certificate(const struct auth_keys *keys,
                                                  const char *const *names, int name_count,
                                                  int64_t now_us);

/* "Bearer slw_..." -> the token; empty when the header has another form. */
struct str auth_bearer(struct str authorization);

#endif
