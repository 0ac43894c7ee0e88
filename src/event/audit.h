/* audit.h - the hash-chained trail: every change of control state is one event.
 *
 *     hash[n] = SHA-256(hash[n-1] as 64 hex || 0x0A || canonical JSON of event n without hashes)
 *
 * Written in the same transaction as the change itself. The chain detects an edit, a removal or an
 * insertion before the last event one knows the hash of; keep that hash elsewhere (doctor prints
 * it) and nobody can rewrite what came before.
 */
#ifndef SLIPWAY_EVENT_AUDIT_H
#define SLIPWAY_EVENT_AUDIT_H

#include "base/hash.h"
#include "store/store.h"

/* Who acts: "key:ci", "uid:1000(alice)", "anonymous@127.0.0.1". */
struct actor {
    const char *name;
    const char *via; /* "http", "unix", "cli" */
};

struct audit_event {
    int64_t seq;   /* 1, 2, 3, ... without gaps; set by audit_append */
    int64_t at_us; /* wall time; set by audit_append when 0 */
    const char *actor, *via;
    const char *action;  /* "version.register", "alias.set", "alias.rollback", "key.create", ... */
    const char *subject; /* "model/churn/alias/champion" */
    const char *before, *after; /* JSON text or NULL */
    const char *request_id;     /* or NULL */
    char prev_hash[SHA256_HEX_BYTES + 1], hash[SHA256_HEX_BYTES + 1];
};

/* Append inside the caller's transaction; fills seq, at_us and the hashes. */
enum err_code audit_append(struct store *store, struct audit_event *event, struct err *err);

/* Walk the whole chain. ERR_IO naming the first event that does not fit. *count, *head_hash
 * (SHA256_HEX_BYTES + 1; may be NULL): what was verified. */
enum err_code audit_verify(struct store *store, int64_t *count, char *head_hash, struct err *err);

/* Events with seq > after_seq, oldest first, at most `limit`; subject_prefix "" is all. */
enum err_code audit_list(struct store *store, const char *subject_prefix, int64_t after_seq,
                         int limit, struct arena *arena, struct audit_event **events, int *count,
                         struct err *err);

#endif
