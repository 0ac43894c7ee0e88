/* webhooks.h - events to their receivers: in order, at least once, none lost.
 *
 *     audit trail --(cursor)--> courier thread of each webhook --POST--> receiver
 *                    ^                    2xx: cursor moves; kept in the store after each batch
 *                    +-- anything else: the same event again, after a random part of a wait that
 *                        doubles up to the webhook's retry_max (full jitter)
 *
 * A receiver that is down holds up nobody else, and finds everything when it is back. What was sent
 * just before a crash may be sent again: the CloudEvent's id is then the same.
 */
#ifndef SLIPWAY_SERVE_WEBHOOKS_H
#define SLIPWAY_SERVE_WEBHOOKS_H

#include "event/webhook.h"
#include "monitor/alert.h"
#include "serve/control.h"

enum { WEBHOOK_BATCH_MAX = 20, WEBHOOK_POLL_MS = 250, WEBHOOK_ERROR_BYTES = 200 };

struct webhooks;

/* Reads the file at `path` ("" : none are configured), begins new cursors, starts the couriers. */
enum err_code webhooks_new(struct control *control, struct alerts *alerts, const char *path,
                           struct webhooks **webhooks, struct err *err);

/* Ends the couriers, within a fraction of a second; NULL is allowed. */
void webhooks_free(struct webhooks *webhooks);

/* Could this file be read? */
enum err_code webhooks_check(const char *path, struct err *err);

/* Read the file again and begin anew; on failure the old ones go on. Not from two threads. */
enum err_code webhooks_reload(struct webhooks *webhooks, const char *path, struct err *err);

/* One receiver, as it is now. */
struct webhook_status {
    char name[STR_NAME_BYTES_MAX + 1];
    int64_t cursor; /* the last event it took, or did not want */
    int64_t behind; /* events behind the cursor */
    uint64_t delivered, failed;
    int failures_in_row;
    int64_t last_success_us, next_attempt_us; /* wall time; 0: none */
    char last_error[WEBHOOK_ERROR_BYTES];     /* "" : the last attempt succeeded */
};

/* Returns how many; at most WEBHOOKS_MAX. */
int webhooks_status(struct webhooks *webhooks, struct webhook_status status[WEBHOOKS_MAX]);

#endif
