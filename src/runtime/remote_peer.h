/* remote_peer.h - one version's way to the model that another server serves for it.
 *
 * Connections are kept and taken in turn, the one used last first; a call that finds all of them
 * busy waits. A breaker (remote_breaker.h) keeps calls from a server that does not answer, and one
 * thread for the whole process, the lookout, asks GET /v2/models/M/ready: of servers that calls
 * failed at, and of those that no call has heard of lately. So readiness is true before the first
 * request as well.
 *
 * What failed:                              the call          the breaker
 *     no connection                         ERR_UNAVAILABLE   counts it
 *     closed or no HTTP, 502                ERR_UPSTREAM      counts it
 *     a reply beyond reply_max              ERR_UPSTREAM      says nothing
 *     no answer in a second and more        ERR_TIMEOUT       counts it
 *     429, 503                              ERR_UNAVAILABLE   503 counts
 *     400, 413, 422: the request is wrong   ERR_INVALID       the server works
 *     any other status, 3xx too             ERR_UPSTREAM      the server works
 *     tensors that do not fit               ERR_UPSTREAM      the server works
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_PEER_H
#define SLIPWAY_RUNTIME_REMOTE_PEER_H

#include "runtime/remote_endpoint.h"
#include "runtime/remote_settings.h"

struct remote_peer;

/* Owns `arena`, in which settings, endpoint and label live. Nothing is sent before the first call
 * or look. */
struct remote_peer *remote_peer_new(const struct remote_settings *settings,
                                    const struct remote_endpoint *endpoint, const char *label,
                                    struct arena *arena);
void remote_peer_free(struct remote_peer *peer); /* no call is on its way */

/* By call->deadline_ns, or within REMOTE_CALL_MS when that is 0. */
enum { REMOTE_CALL_MS = 30 * 1000 };
enum err_code remote_peer_call(struct remote_peer *peer, struct runtime_call *call,
                               struct err *err);

/* NULL: ready. Any thread. */
const char *remote_peer_problem(const struct remote_peer *peer);

size_t remote_peer_memory_bytes(const struct remote_peer *peer);

/* ---- for the lookout (remote_lookout.c) ---- */

/* Ask whether it is ready; slow. */
void remote_peer_look(struct remote_peer *peer);
int64_t remote_peer_look_ns(struct remote_peer *peer); /* when that is due */
void remote_peer_ref(struct remote_peer *peer);
void remote_peer_unref(struct remote_peer *peer);

/* A peer is looked at from the first on, until the second. */
void remote_lookout_add(struct remote_peer *peer);
void remote_lookout_remove(struct remote_peer *peer);
void remote_lookout_wake(void); /* something is due earlier than it was */

/* ---- learning ---- */

/* Ask the endpoint what the settings do not say. Their texts are in `arena`. */
enum err_code remote_learn(const struct remote_endpoint *endpoint, struct arena *arena,
                           struct remote_settings *settings, struct err *err);

#endif
