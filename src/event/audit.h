/* audit.h - the hash-chained trail: every change of control state is one event.
 *
 *     hash[n] = SHA-256(hash[n-1] as 64 hex || 0x0A || canonical JSON of event n without hashes)
 *
 * hash[0] is 64 times "0". Written in the same transaction as the change itself. The chain detects
 * an edit, a removal or an insertion before the last event one knows the hash of; keep that hash
 * elsewhere (doctor prints it) and nobody can rewrite what came before.
 *
 * The canonical JSON is one object without spaces, its members always these and in this order:
 *
 *     {"seq":1,"at_us":1769851800123456,"actor":"key:ci","via":"http","action":"alias.set",
 *      "subject":"model/churn/alias/champion","before":null,"after":"{\"version\":2}",
 *      "request_id":null}                                    (on one line)
 *
 * before and after are JSON text and appear here as strings, byte for byte as stored. Strings are
 * UTF-8; escaped are only " and \ (\" \\), \b \f \n \r \t, and other characters below U+0020 as
 * \u00xx in lower-case hex. Python's json.dumps(event, ensure_ascii=False, separators=(",", ":"))
 * writes exactly this.
 */
#ifndef SLIPWAY_EVENT_AUDIT_H
#define SLIPWAY_EVENT_AUDIT_H

#include "base/buf.h"
#include "base/hash.h"
#include "store/store.h"

enum {
    AUDIT_FIELD_BYTES_MAX = 512,        /* actor, via, action, subject, request_id */
    AUDIT_STATE_BYTES_MAX = 256 * 1024, /* before, after */
    AUDIT_LIST_MAX = 1000,
};

/* Who acts: "key:ci", "uid:1000(alice)", "anonymous@127.0.0.1". */
struct actor {
    const char *name;
    const char *via;        /* "http", "unix", "cli" */
    const char *request_id; /* of the request he makes; or NULL */
    const char *key_id;     /* of the API key he has; NULL: none */
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

/* Append inside the caller's transaction; fills seq, at_us and the hashes. ERR_INVALID when a text
 * is not UTF-8, ERR_LIMIT when one is too long. */
enum err_code audit_append(struct store *store, struct audit_event *event, struct err *err);

/* Walk the whole chain. ERR_IO naming the first event that does not fit. *count, *head_hash
 * (SHA256_HEX_BYTES + 1; either may be NULL): what was verified; 64 zeros when there is no event.
 */
enum err_code audit_verify(struct store *store, int64_t *count, char *head_hash, struct err *err);

/* store_backup, and the chain in the copy verified too: a copy that fails is not left behind.
 * *count and *head_hash (may be NULL) are the copy's. */
enum err_code audit_backup(struct store *store, const char *path, int64_t *count, char *head_hash,
                           struct err *err);

/* Events with seq > after_seq, oldest first, at most `limit` (and AUDIT_LIST_MAX); subject_prefix
 * "" is all. */
enum err_code audit_list(struct store *store, const char *subject_prefix, int64_t after_seq,
                         int limit, struct arena *arena, struct audit_event **events, int *count,
                         struct err *err);

/* The canonical JSON, as it is hashed. */
void audit_format(const struct audit_event *event, struct buf *out);

#endif
