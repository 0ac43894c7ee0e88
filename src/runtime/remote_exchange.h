/* remote_exchange.h - one request to another server and its reply, over one kept connection. */
#ifndef SLIPWAY_RUNTIME_REMOTE_EXCHANGE_H
#define SLIPWAY_RUNTIME_REMOTE_EXCHANGE_H

#include "runtime/remote_endpoint.h"
#include "runtime/remote_settings.h"

/* What a call of its own needs; one call at a time. */
struct remote_slot {
    struct http_link link;
    struct buf text;       /* the request */
    struct arena *scratch; /* for reading replies; NULL until then */
};

void remote_slot_init(struct remote_slot *slot, const struct remote_endpoint *endpoint);
void remote_slot_done(struct remote_slot *slot);

/* What a call says about the other server, see remote_peer.h. */
enum remote_verdict { REMOTE_SAYS_NOTHING, REMOTE_WORKS, REMOTE_FAILS };

/* POST the call to `target` and fill its outputs. `authorization` are header lines. */
enum err_code remote_exchange(struct remote_slot *slot, const struct remote_settings *settings,
                              const char *target, struct str authorization,
                              struct runtime_call *call, enum remote_verdict *verdict,
                              struct err *err);

/* GET. *body lives in the slot until its next use. Any status is a result; remote_refused makes
 * an error of it. */
struct remote_get {
    const char *target;
    struct str authorization;
    int64_t deadline_ns;
    const _Atomic bool *is_cancelled; /* or NULL */
    int status;                       /* out */
    struct str body;                  /* out */
};
enum err_code remote_get(struct remote_slot *slot, struct remote_get *get, struct err *err);

/* The error for a status that is not 200, with what the body says. */
enum err_code remote_refused(struct remote_slot *slot, int status, struct str body,
                             struct err *err);

/* "/v2/models/churn/versions/3" and `suffix`, percent-encoded. NULL at the arena's limit. */
const char *remote_target(const struct remote_settings *settings, const char *suffix,
                          struct arena *arena);

#endif
