/* resolve.h - a host's addresses by a deadline.
 *
 * The system's resolver cannot be told when to stop, so a name that is no address is looked up on a
 * thread of its own, which is left behind when its time is over (at most RESOLVE_THREADS_MAX are).
 */
#ifndef SLIPWAY_NET_RESOLVE_H
#define SLIPWAY_NET_RESOLVE_H

#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { RESOLVE_THREADS_MAX = 64, RESOLVE_HOST_BYTES = 256, RESOLVE_PORT_BYTES = 8 };

/* *found is freed with freeaddrinfo. ERR_UNAVAILABLE when the name is not known, ERR_TIMEOUT,
 * ERR_CANCELLED. `deadline_ns` is by clock_monotonic_ns; is_cancelled may be NULL. */
enum err_code resolve(const char *host, const char *port, int64_t deadline_ns,
                      const _Atomic bool *is_cancelled, struct addrinfo **found, struct err *err);

#endif
