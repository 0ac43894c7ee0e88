/* alert.h - what somebody should look at: the set of alerts that are raised now.
 *
 *     drift, rollouts, SLOs, disk ... : alert_raise(), alert_clear(), alert_observe()   any thread
 *     once a second, by the rules:      alerts_due -> made durable -> alerts_settle     one thread
 *
 * Whoever measures raises, as often as it likes: an alert is known by its key, and raising it again
 * only brings its numbers up to date. Which of the raised ones are opened, after how long, with
 * which severity and for whom is said by the rules (alert_rules.h), not by the raiser.
 *
 * One root cause is one key: when most features of a model move together, raise one alert that says
 * so instead of one for each. What was raised and is never heard of again is closed by its rule's
 * `expire`.
 */
#ifndef SLIPWAY_MONITOR_ALERT_H
#define SLIPWAY_MONITOR_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum {
    ALERTS_MAX = 1000, /* raised at once; what comes on top is counted, not kept */
    ALERT_KEY_BYTES = 192,
    ALERT_MODEL_BYTES = 65,
    ALERT_RULE_BYTES = 48,
    ALERT_UNIT_BYTES = 24,
    ALERT_MESSAGE_BYTES = 512,
    ALERT_CAUSE_BYTES = 256,
};

enum alert_severity { ALERT_INFO, ALERT_TICKET, ALERT_PAGE };
enum { ALERT_SEVERITY_COUNT = 3 };

const char *alert_severity_name(enum alert_severity severity); /* "info", "ticket", "page" */

/* Texts may be NULL where "" says the same; they are copied, cut at a character when too long. */
struct alert {
    const char *key;              /* "drift/churn/7/mean_radius": rule, model, version, what */
    const char *model;            /* "": the whole server */
    int64_t version;              /* 0: none */
    const char *rule;             /* "drift": its row in the rules decides */
    enum alert_severity severity; /* unless the rule says another one */
    double value, bound;          /* what was measured, and what it should not pass; NaN: none */
    const char *unit;             /* "ratio", "nats", "bytes", ... */
    const char *message;          /* one clause with the numbers */
    const char *cause;            /* what it likely is: "unit change?" */
    int64_t since_us;             /* wall time when it began; 0: now */
};

struct alerts;

struct alerts *alerts_new(void);
void alerts_free(struct alerts *alerts); /* NULL is allowed */

/* Any thread; never waits for a disk or a network. With alerts NULL nothing happens, so that code
 * runs the same in a process that watches nothing. */
void alert_raise(struct alerts *alerts, const struct alert *alert);
void alert_clear(struct alerts *alerts, const char *key); /* fine when it was not raised */

/* Raise or clear by the alert's own value and bound, with hysteresis: raised past the bound,
 * cleared within 80 % of it. `is_low_bad`: a value below the bound is the bad one. No verdict from
 * no data: a NaN value leaves everything as it is. */
void alert_observe(struct alerts *alerts, const struct alert *alert, bool is_low_bad);

/* Clear whatever begins with these bytes: all about a version that is gone. */
void alert_clear_prefix(struct alerts *alerts, const char *prefix);

/* ---- for the one that opens and closes them ---- */

/* What a rule says about a raised alert. */
struct alert_policy {
    bool is_off;
    bool is_silenced; /* stays raised, is not opened before the silence ends */
    bool has_severity;
    enum alert_severity severity;
    int64_t for_us;    /* raised this long before it opens */
    int64_t keep_us;   /* cleared this long before it closes */
    int64_t expire_us; /* not heard of this long: closed */
    const char *owner, *runbook;
};

typedef void alert_policy_fn(void *arg, const struct alert *alert, struct alert_policy *policy);

enum alert_state {
    ALERT_OPEN,
    ALERT_PENDING,  /* raised, its `for` has not passed */
    ALERT_SILENCED, /* raised, and somebody asked for silence */
    ALERT_CLOSED,
};

const char *alert_state_name(enum alert_state state); /* "open", "pending", ... */

/* An alert with what became of it; texts live in the arena it was asked with. */
struct alert_view {
    struct alert alert;
    enum alert_state state;
    int64_t opened_us; /* 0: not yet */
    int64_t last_us;   /* last raised */
    const char *owner, *runbook;
    bool is_expired; /* closed because nobody spoke of it any more */
    bool is_told;    /* settled before, but not saved: only that is left */
};

/* What is to be opened (again, when it has become more severe), closed or saved now; state says
 * which. At most `max`. Returns how many. */
int alerts_due(struct alerts *alerts, int64_t now_us, alert_policy_fn *policy, void *arg,
               struct arena *arena, struct alert_view *due, int max);

/* It has happened. One that is not saved comes back from alerts_due until it is. */
void alerts_settle(struct alerts *alerts, const struct alert_view *done, bool is_saved);

/* Put back what was open before a restart: open, until it is cleared or expires. */
void alerts_restore(struct alerts *alerts, const struct alert_view *view);

/* Everything raised or open as its rules show it, open ones first, newest first. Returns how many.
 */
int alerts_list(struct alerts *alerts, alert_policy_fn *policy, void *arg, struct arena *arena,
                struct alert_view **list);

/* Open ones by severity, and raised ones that had no room. */
struct alert_counts {
    int open[ALERT_SEVERITY_COUNT];
    int64_t dropped;
};
void alerts_count(struct alerts *alerts, struct alert_counts *counts);

#endif
