/* life.h - what happens to a server that runs: signals, and what systemd is told meanwhile.
 *
 *     SIGHUP             certificates, alert rules, webhooks and the log level are read again
 *     SIGTERM, SIGINT    it ends
 */
#ifndef SLIPWAY_API_LIFE_H
#define SLIPWAY_API_LIFE_H

#include "api/api.h"
#include "api/server.h"

struct life;

/* Before any thread is made: the signals above wait for life_run from here on. */
struct life *life_new(struct node *node, const struct server_hooks *hooks);

/* When the server answers. Returns when it is to end. */
void life_run(struct life *life);

/* After the data threads have ended. NULL is allowed. */
void life_free(struct life *life);

#endif
