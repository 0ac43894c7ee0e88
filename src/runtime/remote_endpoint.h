/* remote_endpoint.h - another server by the name that the operator gave it.
 *
 *     --remote-endpoints     triton-a=https://10.0.0.5:8000
 *     --remote-ca            roots that vouch for all of them; else the system's
 *     --remote-certificates  triton-a=/etc/slipway/triton-a.pem   certificate and key, to be shown
 *     --remote-tokens        triton-a=/run/secrets/triton-a       sent as Authorization: Bearer
 *
 * Addresses and secrets come from here alone, never from a caller or an artifact.
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_ENDPOINT_H
#define SLIPWAY_RUNTIME_REMOTE_ENDPOINT_H

#include "net/http_link.h"
#include "runtime/runtime.h"

enum { REMOTE_TOKEN_BYTES_MAX = 16 * 1024, REMOTE_CONNECT_MS_MAX = 5000 };

struct remote_endpoint {
    const char *name, *url;
    struct http_site site;
    const char *token_path; /* NULL: none */
};

/* The options as they are written, before a version needs them: names and addresses. ERR_INVALID
 * names the first that is wrong. Files are read when a version is loaded. */
enum err_code remote_endpoints_check(const struct runtime_host *host, struct err *err);

/* Lives in the arena; what it holds besides memory is let go with it. ERR_INVALID when there is no
 * such name, or its files are wrong. */
enum err_code remote_endpoint_find(const struct runtime_host *host, const char *name,
                                   size_t reply_bytes_max, struct arena *arena,
                                   struct remote_endpoint **endpoint, struct err *err);

/* The header lines for its token, as the file is now, appended to `out`; nothing without one. */
enum err_code remote_endpoint_authorize(const struct remote_endpoint *endpoint, struct buf *out,
                                        struct err *err);

#endif
