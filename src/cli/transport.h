/* transport.h - the way to the API: a URL, a running server's Unix socket, or the folder itself.
 *
 *     --server URL                 TCP or TLS, with a key
 *     the folder is served         its process's Unix socket; the kernel says who we are
 *     nobody has the folder        the same routes in this process, under the folder's lock
 *
 * Which of the last two is found out once, when the transport is opened. While another command has
 * the folder for a moment, opening waits.
 */
#ifndef SLIPWAY_CLI_TRANSPORT_H
#define SLIPWAY_CLI_TRANSPORT_H

#include "net/http_client.h"

enum {
    TRANSPORT_WAIT_MS_MAX = 10 * 1000,      /* for a folder that is locked and not served */
    TRANSPORT_CALL_MS_MAX = 30 * 60 * 1000, /* a call, uploads and verification included */
};

struct transport_config {
    const char *server_url; /* NULL: the folder */
    const char *key;        /* NULL: none */
    struct http_tls_client tls;
    const char *data_dir; /* NULL: what configuration and environment say */
    const char *const *environment;
    bool create; /* make the folder when it is not there */
};

struct transport;

/* ERR_UNAVAILABLE when nobody answers, ERR_NOT_FOUND when there is no such folder. */
enum err_code transport_open(const struct transport_config *config, struct transport **transport,
                             struct err *err);

/* Method, target, headers, body, limits and progress are the caller's; address, key and timeout
 * are set here. A status >= 400 is a result. */
enum err_code transport_run(struct transport *transport, const struct http_call *call,
                            struct arena *arena, struct http_result *result, struct err *err);

/* "https://ml.example.org", "socket ./slipway-data/slipway.sock", "folder ./slipway-data" */
const char *transport_name(const struct transport *transport);

void transport_close(struct transport *transport); /* NULL is allowed */

#endif
