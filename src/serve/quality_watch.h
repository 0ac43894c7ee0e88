/* quality_watch.h - the alert estimated_quality: before labels are there, a version is likely below
 * the floor of its contract.
 *
 * Every ten minutes, for each champion with a floor: the accuracy of the last day's answers is
 * estimated (estimate.h) from all labels there are. Raised when the upper end of its 95 % interval
 * is below the floor, cleared when the estimate itself is back at it. Reading the labelled rows may
 * take seconds, so it runs on a pool.
 */
#ifndef SLIPWAY_SERVE_QUALITY_WATCH_H
#define SLIPWAY_SERVE_QUALITY_WATCH_H

#include "monitor/alert.h"
#include "net/pool.h"
#include "serve/control.h"

enum { QUALITY_WATCH_MS = 600 * 1000, QUALITY_WATCH_ROWS_MIN = 100 };

struct quality_watch;

/* All of it outlives the watch, which outlives the pool's tasks. */
struct quality_watch *quality_watch_new(struct control *control, struct alerts *alerts,
                                        struct pool *pool);
void quality_watch_free(struct quality_watch *watch); /* NULL is allowed */

/* For the ticker: hand the work to the pool, unless the last one is still at it. */
void quality_watch_run(void *watch);

/* Judge one version now, with a store of the caller's own. */
enum err_code quality_watch_look(struct store *store, struct alerts *alerts, const char *model,
                                 int64_t version, double floor, struct err *err);

#endif
