/* server.h - the whole program running: `slipway serve`. */
#ifndef SLIPWAY_API_SERVER_H
#define SLIPWAY_API_SERVER_H

#include "base/option.h"

struct server_hooks {
    /* (optional) Called once when requests are answered: the port of the first listener (-1: only
     * the Unix socket), whether keys are needed, and how many models answer. */
    void (*on_ready)(void *arg, int port, bool needs_key, int model_count);
    void *arg;
    /* (optional) SIGHUP: options read again from their sources; what reloads is taken over. */
    enum err_code (*reload)(void *arg, struct options *fresh, struct err *err);
};

/* Serve until SIGTERM or SIGINT, then drain. Blocks SIGTERM, SIGINT and SIGHUP for the process
 * and takes them itself. */
enum err_code server_run(struct options *options, const struct server_hooks *hooks,
                         struct err *err);

#endif
