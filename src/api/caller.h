/* caller.h - who is calling, and may they: Host and Origin, keys, peer credentials. */
#ifndef SLIPWAY_API_CALLER_H
#define SLIPWAY_API_CALLER_H

#include "api/api.h"

/* Is this request meant for us? A page in a browser that was led here by a rebound name or from
 * another site is refused: ERR_DENIED. */
enum err_code caller_check_host(const struct call *call, struct err *err);

/* Fill call->actor and compare what the caller has with the route's scope. ERR_UNAUTHORIZED or
 * ERR_DENIED. */
enum err_code caller_authenticate(struct call *call, struct err *err);

/* The regions of shared memory that the connection of `x` has registered; NULL: none. The second
 * makes room for the first one. */
struct regions;
struct regions *caller_regions(const struct http_exchange *x);
struct regions *caller_need_regions(struct http_exchange *x);

/* Frees what the functions above keep in exchange->conn_user. */
void caller_conn_free(void *conn_user);

/* "uid:1000(alice)" in `arena`. */
const char *caller_uid_name(uid_t uid, struct arena *arena);

#endif
