/* webhook.h - who is told of events: receivers of a file, what they get, how it is signed.
 *
 *     source: /slipway/berlin
 *     webhooks:
 *     - name: ops
 *       url: https://hooks.example.org/slipway
 *       secret_file: /etc/slipway/ops.secret     # whsec_<base64>, as Standard Webhooks has it
 *       events: ["alert.*", "alias.*"]
 *
 * The audit trail is the outbox: a receiver has a cursor, the last event it took, in the store.
 * Receivers come from this file only, never from a caller.
 */
#ifndef SLIPWAY_EVENT_WEBHOOK_H
#define SLIPWAY_EVENT_WEBHOOK_H

#include "base/buf.h"
#include "store/store.h"

enum {
    WEBHOOKS_MAX = 16,
    WEBHOOK_FILE_BYTES_MAX = 256 * 1024,
    WEBHOOK_EVENTS_MAX = 64,
    WEBHOOK_SECRET_BYTES_MIN = 24,
    WEBHOOK_SECRET_BYTES_MAX = 64,
    WEBHOOK_SIGNATURE_BYTES = 64,
};

struct webhook {
    const char *name;
    const char *origin, *target; /* "https://hooks.example.org", "/slipway" */
    const char *ca;              /* PEM of trusted roots; NULL: the system's */
    bool is_private;             /* may be in the own network, and speak plain HTTP */
    bool from_beginning;         /* a new one gets the whole trail; else what happens from now on */
    const char *const *events;   /* [event_count] patterns of actions; none: all */
    int event_count;
    int64_t timeout_us, retry_max_us;
    uint8_t secret[WEBHOOK_SECRET_BYTES_MAX];
    size_t secret_bytes;
};

/* What a file says. Immutable. */
struct webhook_file {
    struct arena *arena; /* owned; every text */
    const char *source;
    struct webhook webhooks[WEBHOOKS_MAX]; /* [count] */
    int count;
};

/* Secrets are read from their files too. `where` is the file's name for messages. Refused whole at
 * its first mistake; free with webhook_file_free. */
enum err_code webhook_file_read(struct str yaml, const char *where, struct webhook_file **file,
                                struct err *err);
void webhook_file_free(struct webhook_file *file); /* NULL is allowed */

/* Does it want events with this action? */
bool webhook_wants(const struct webhook *webhook, const char *action);

/* The header webhook-signature: "v1," and the base64 of HMAC-SHA-256 over "id.timestamp.body".
 * Source: Standard Webhooks 1.0. */
void webhook_sign(const uint8_t *secret, size_t secret_bytes, const char *id, int64_t timestamp,
                  struct str body, char out[WEBHOOK_SIGNATURE_BYTES]);

/* ---- cursors ---- */

/* The last event it took; *is_new (and 0) when there is no such cursor. */
enum err_code webhook_cursor_get(struct store *store, const char *name, int64_t *seq, bool *is_new,
                                 struct err *err);

/* Inside a transaction; no audit event, or there would be no end of them. */
enum err_code webhook_cursor_put(struct store *store, const char *name, int64_t seq,
                                 struct err *err);

/* The number of the last event; 0 when there is none. */
enum err_code webhook_last_event(struct store *store, int64_t *seq, struct err *err);

#endif
