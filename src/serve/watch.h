/* watch.h - what the counters say: burn rates, refusals, readiness, room, drops, as alerts.
 *
 * Reads the counters that the data threads keep anyway, a few times a minute, and remembers the
 * last three days of each model in 5 KiB. Belongs to one thread.
 */
#ifndef SLIPWAY_SERVE_WATCH_H
#define SLIPWAY_SERVE_WATCH_H

#include "monitor/alert_rules.h"
#include "monitor/burn.h"
#include "serve/snapshot.h"

enum { WATCH_DROPS_MAX = 16 };

struct watch;

struct watch *watch_new(struct alerts *alerts);
void watch_free(struct watch *watch); /* NULL is allowed */

/* Count what all versions of the snapshot have counted since the last call, and judge it. */
void watch_snapshot(struct watch *watch, const struct snapshot *snapshot,
                    const struct alert_rules *rules, int64_t now_us);

void watch_disk(struct watch *watch, double free_bytes, const struct alert_rules *rules);

/* A counter that should stand still: `what` was dropped `total` times since the start. `what` lives
 * as long as the watch; at most WATCH_DROPS_MAX different ones. */
void watch_drops(struct watch *watch, const char *what, uint64_t total,
                 const struct alert_rules *rules, int64_t now_us);

/* A model's counts as they were saved, and each model's to save. */
void watch_restore(struct watch *watch, struct str model, struct str counts);
void watch_each(struct watch *watch,
                void (*fn)(void *arg, const char *model, const struct burn *burn), void *arg);

#endif
