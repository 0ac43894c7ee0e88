/* monitors.h - every version that answers is watched: its sketch, its windows, its alerts.
 *
 *     control thread  monitors_sketch     a version gets a sketch before it is published
 *     data threads    sketch_add_...      count
 *     recorder        monitors_sink       keeps a sample of rows, for the words of a cause
 *     ticker          monitors_tick       reads sketches, closes windows, raises alerts
 *     api             monitors_lock, monitor_next ... monitors_unlock
 *
 * A version that is in memory no more is read a last time, its alerts are cleared, its sample goes.
 * Loaded again within MONITORS_LINGER_US it counts on; later it begins with what was saved. At most
 * MONITORS_MAX are there at once; versions on top of them are not watched, and counted.
 */
#ifndef SLIPWAY_MONITOR_MONITORS_H
#define SLIPWAY_MONITOR_MONITORS_H

#include "monitor/alert.h"
#include "monitor/row_sample.h"
#include "monitor/window.h"

enum {
    MONITORS_MAX = 4096,
    MONITOR_LEARN_ROWS = 2000, /* a learnt answer's baseline */
};
#define MONITORS_LINGER_US (INT64_C(3600) * 1000000)

struct monitor {
    uint32_t serial; /* of its record schema */
    const char *model;
    int64_t version;
    struct arena *arena;
    struct baseline *baseline;
    struct sketch *sketch;
    struct window *windows[ARM_COUNT]; /* NULL: no row came by this arm */
    bool is_restored;                  /* what was saved has been put back */
    _Atomic int users;                 /* copies of the version in memory */
    int64_t left_us;                   /* monotonic: when there was none left; 0: there are */

    struct window_totals totals; /* of its requests until now */

    /* Written by the recorder, read by the ticker, under the monitors' sample lock. */
    struct row_sample sample;
};

struct monitors;

struct monitors *monitors_new(const struct window_config *config, struct alerts *alerts,
                              int thread_count);
void monitors_free(struct monitors *monitors); /* NULL is allowed */

/* The sketch that this version's rows are counted in, valid until `loaded` is freed; made when it
 * is asked for first. NULL: the version has no record schema, or MONITORS_MAX are there. Control
 * thread.
 */
struct sketch *monitors_sketch(struct monitors *monitors, const struct loaded *loaded);

struct record_sink monitors_sink(struct monitors *monitors);

/* ---- under the lock ---- */

void monitors_lock(struct monitors *monitors);
void monitors_unlock(struct monitors *monitors);

/* The monitor behind `after` (NULL: the first), in the order in which they were made. */
struct monitor *monitor_next(struct monitors *monitors, const struct monitor *after);
struct monitor *monitor_find(struct monitors *monitors, uint32_t serial); /* or NULL */

/* Read the sketches of versions in memory, close what is due, raise and clear alerts; let go of
 * those that left. The caller has brought `totals` of each up to date, and keeps no pointer of a
 * monitor from before the call. */
void monitors_tick(struct monitors *monitors);

const struct window_config *monitors_config(const struct monitors *monitors);
uint64_t monitors_unwatched(const struct monitors *monitors); /* past MONITORS_MAX */

/* "churn:7", "churn:7 canary"; out has MONITOR_TITLE_BYTES. */
enum { MONITOR_TITLE_BYTES = 112 };
const char *monitor_title(const struct monitor *monitor, enum arm arm, char *out);

#endif
