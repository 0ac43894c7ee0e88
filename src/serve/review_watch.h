/* review_watch.h - the alert review_sla: items wait longer than their rule has promised.
 *
 * Raised while items of a model are open past their time (they were escalated), and for an hour
 * after one missed it and was closed by the clock. Belongs to one thread.
 */
#ifndef SLIPWAY_SERVE_REVIEW_WATCH_H
#define SLIPWAY_SERVE_REVIEW_WATCH_H

#include "monitor/alert.h"
#include "store/store.h"

enum { REVIEW_WATCH_MAX = 256 }; /* models */

struct review_watch;

struct review_watch *review_watch_new(struct alerts *alerts);
void review_watch_free(struct review_watch *watch); /* NULL is allowed */

/* Read the queue and raise or clear. What cannot be read leaves everything as it is. */
enum err_code review_watch_look(struct review_watch *watch, struct store *store, int64_t now_us,
                                struct err *err);

#endif
