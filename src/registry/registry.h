/* registry.h - names of things: models with an owner, immutable versions, movable aliases.
 *
 * All functions work on the caller's store connection. Those that change something run inside the
 * caller's transaction (serve/control) and append their audit event to it.
 *
 * The champion is the alias "champion". Its history is a chain: `set` puts a link on top, rollback
 * takes the top off, so a second rollback goes one step further back and never toggles:
 *
 *     set 1, set 2, set 3        1 <- 2 <- 3        champion 3
 *     rollback                   1 <- 2             champion 2
 *     rollback                   1                  champion 1
 *     set 4                      1 <- 4             champion 4
 */
#ifndef SLIPWAY_REGISTRY_REGISTRY_H
#define SLIPWAY_REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "event/audit.h"
#include "store/blob.h"
#include "store/store.h"

#define ALIAS_CHAMPION "champion"

enum {
    MODELS_MAX = 10000,
    VERSIONS_PER_MODEL_MAX = 1000000,
    NOTE_BYTES_MAX = 4096,
    OWNER_BYTES_MAX = 256,
    LINEAGE_BYTES_MAX = 64 * 1024,
    SIGNATURE_BYTES_MAX = 1024 * 1024, /* compatibility too */
    ALIASES_PER_MODEL_MAX = 64,
    REASON_BYTES_MAX = 1024,
    VERSION_LIST_MAX = 1000,
    ALIAS_HISTORY_MAX = 1000,
};

struct model {
    const char *name;
    const char *owner;       /* accountable person or team; never empty */
    const char *description; /* "" when none */
    int64_t created_us;
    int64_t latest_version; /* 0 when none */
    int64_t champion;       /* version, 0 when none */
};

struct version {
    const char *model;
    int64_t number; /* 1, 2, 3, ... */
    const char *runtime;
    struct blob_digest artifact, contract; /* contract.hex "" when none */
    struct blob_digest golden;             /* .hex "" when none: rows with expected answers */
    int64_t artifact_bytes;
    const char *note;          /* "" when none */
    const char *lineage;       /* JSON object: run, code commit, data digests, parent version */
    const char *signature;     /* JSON: inputs, outputs, objective, as the runtime described it */
    const char *compatibility; /* JSON: compared with `compared_to`; NULL for the first */
    int64_t compared_to;       /* version, 0 when none */
    const char *created_by;
    int64_t created_us;
};

struct alias {
    const char *model, *name;
    int64_t version;
    int64_t revision; /* 1, 2, ...: what If-Match is checked against; grows with every change */
    int64_t previous; /* the version a rollback would bring back; 0 when none */
    int64_t updated_us;
};

/* One move of an alias, oldest first in lists. */
struct alias_change {
    int64_t id; /* the number of its audit event */
    const char *alias;
    const char *kind; /* "set", "rollback", "delete" */
    int64_t from, to; /* versions; 0 when none */
    const char *reason, *actor;
    int64_t at_us;
};

/* Texts that people write (owner, description, note, reason) are UTF-8 without control characters;
 * NULL is "". Names of models and aliases pass str_is_name; an alias is no number and not "latest".
 * A wrong one is ERR_INVALID, a long one ERR_LIMIT, a model that is not there ERR_NOT_FOUND. */

/* Make the model, or change its owner or description where they are given and differ. Owner is
 * required when the model is new; NULL keeps what there is. */
enum err_code model_ensure(struct store *store, const char *name, const char *owner,
                           const char *description, const struct actor *actor, struct err *err);
enum err_code model_get(struct store *store, const char *name, struct arena *arena,
                        struct model *model, struct err *err);
enum err_code model_list(struct store *store, struct arena *arena, struct model **models,
                         int *count, struct err *err);

/* Register: `version` says everything but number, created_us and created_by, which are filled
 * (created_by borrows actor->name). NULL lineage or signature is "{}". The same artifact + contract
 * + golden again is ERR_EXISTS naming the version that has them. */
enum err_code version_create(struct store *store, struct version *version,
                             const struct actor *actor, struct err *err);
enum err_code version_get(struct store *store, const char *model, int64_t number,
                          struct arena *arena, struct version *version, struct err *err);
/* Newest first; number < before (0: all), at most `limit` (and VERSION_LIST_MAX). */
enum err_code version_list(struct store *store, const char *model, int64_t before, int limit,
                           struct arena *arena, struct version **versions, int *count,
                           struct err *err);

/* A text that names a version: "3", "champion", "latest" -> number. ERR_NOT_FOUND lists what there
 * is. */
enum err_code version_resolve(struct store *store, const char *model, struct str text,
                              int64_t *number, struct err *err);

/* Move an alias. if_revision >= 0: only when the alias is at that revision now (0: must not
 * exist), else ERR_CONFLICT naming both. Setting the version it has already changes nothing.
 * Revisions go on where they were when an alias is deleted and made again. */
enum err_code alias_set(struct store *store, const char *model, const char *alias, int64_t version,
                        int64_t if_revision, const char *reason, const struct actor *actor,
                        struct alias *result, struct arena *arena, struct err *err);
/* One step back. ERR_CONFLICT when there is nothing before. */
enum err_code alias_rollback(struct store *store, const char *model, const char *alias,
                             const char *reason, const struct actor *actor, struct alias *result,
                             struct arena *arena, struct err *err);
enum err_code alias_delete(struct store *store, const char *model, const char *alias,
                           int64_t if_revision, const char *reason, const struct actor *actor,
                           struct err *err);
enum err_code alias_get(struct store *store, const char *model, const char *name,
                        struct arena *arena, struct alias *alias, struct err *err);
/* Of one model, or of all when model is NULL. */
enum err_code alias_list(struct store *store, const char *model, struct arena *arena,
                         struct alias **aliases, int *count, struct err *err);
/* The last `limit` (and ALIAS_HISTORY_MAX) moves, oldest first; also of an alias that is gone. Of
 * all the model's aliases when alias is NULL. */
enum err_code alias_history(struct store *store, const char *model, const char *alias, int limit,
                            struct arena *arena, struct alias_change **changes, int *count,
                            struct err *err);

/* Blobs that some version names, for gc: calls fn for each digest once or more. */
enum err_code registry_each_blob(struct store *store,
                                 enum err_code (*fn)(void *arg, const struct blob_digest *digest,
                                                     struct err *err),
                                 void *arg, struct err *err);

/* Answers of writes that carried an Idempotency-Key, kept for IDEMPOTENCY_KEEP_US, the newest
 * IDEMPOTENCY_MAX (about) of them. */
enum {
    IDEMPOTENCY_KEY_BYTES_MAX = 255,
    IDEMPOTENCY_BODY_BYTES_MAX = 1024 * 1024,
    IDEMPOTENCY_MAX = 100000,
};
#define IDEMPOTENCY_KEEP_US (INT64_C(24) * 3600 * 1000000)
struct idempotency {
    const char *key, *actor;
    char request_digest[SHA256_HEX_BYTES + 1]; /* of method, path and body */
    int status;
    const char *body; /* the reply given then */
};
/* *found tells whether entry->actor used entry->key within that time, and then status and body are
 * filled; ERR_CONFLICT when it was with another request_digest. */
enum err_code idempotency_find(struct store *store, struct idempotency *entry, struct arena *arena,
                               bool *found, struct err *err);
/* In the transaction of the write itself. ERR_EXISTS when the key was used meanwhile. */
enum err_code idempotency_put(struct store *store, const struct idempotency *entry,
                              struct err *err);

#endif
