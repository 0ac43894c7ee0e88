/* life.h - what happens to a server that runs: signals, and what systemd is told meanwhile.
 *
 *     SIGHUP             certificates, alert rules, webhooks and the log level are read again
 *     SIGUSR2            a new process of the program that is there now takes over (handover.h)
 *     SIGTERM, SIGINT    it ends
 *
 *     what it is      when                          SIGUSR2    SIGTERM
 *     heir            another process has the       refused    ends once the folder is its own
 *                     folder; it answers already
 *     owner           usually                       starts     ends
 *                                                   a successor
 *     predecessor     a successor gets ready        refused    ends the successor, then itself
 *     leaving         the successor is ready        -          ends anyway
 */
#ifndef SLIPWAY_API_LIFE_H
#define SLIPWAY_API_LIFE_H

#include "api/api.h"
#include "api/server.h"

struct life;

/* Before any thread is made: the signals above wait for life_run from here on. */
struct life *life_new(struct node *node, const struct server_hooks *hooks);

/* When the server answers. Returns when it is to end; an error: it must. */
enum err_code life_run(struct life *life, struct err *err);

/* Did it end because another process goes on? */
bool life_is_handed_over(const struct life *life);

/* Everything is saved and the folder's lock is let go of: the successor waits for it. */
void life_release(struct life *life);

/* After the data threads have ended. NULL is allowed. */
void life_free(struct life *life);

#endif
