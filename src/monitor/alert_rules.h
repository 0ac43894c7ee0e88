/* alert_rules.h - one file says what is worth somebody's time, whose, and how urgently.
 *
 * Every rule has a built-in row (alert_rules.c), so an empty file is a good one; the file changes
 * rows, for all models or for one:
 *
 *     owner: ml@example.org
 *     slo: {errors: {objective: 0.999}, latency: {objective: 0.99, slower_than: 250ms}}
 *     rules: {drift: {severity: page, for: 10m}}
 *     models: {churn: {slo: {errors: {objective: 0.9999}}, rules: {latency_burn_slow: off}}}
 *     silences: [{match: "drift/churn/age", until: 2026-02-01T00:00:00Z, why: "ticket 12"}]
 *     email: {command: [/usr/sbin/sendmail, -t], to: oncall@example.org, severity: page}
 *
 * Rules are immutable and shared; a reload makes new ones.
 */
#ifndef SLIPWAY_MONITOR_ALERT_RULES_H
#define SLIPWAY_MONITOR_ALERT_RULES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "monitor/alert.h"

enum {
    ALERT_FILE_BYTES_MAX = 1024 * 1024,
    ALERT_RULE_MODELS_MAX = 1000,
    ALERT_FILE_SILENCES_MAX = 1000,
    ALERT_MAIL_ARGS_MAX = 32,
};

/* Who measures. */
enum alert_signal {
    ALERT_BY_RAISER,   /* another part of the program: drift, rollouts, reviews, ... */
    ALERT_BY_ERRORS,   /* share of answers with 5xx, as a multiple of what the objective allows */
    ALERT_BY_LATENCY,  /* the same for answers slower than the objective's bound */
    ALERT_BY_REJECTS,  /* share of requests that broke the contract (422) */
    ALERT_BY_SUSPECTS, /* share of rows that the contract quarantined */
    ALERT_BY_READY,    /* the champion is not in memory */
    ALERT_BY_DISK,     /* bytes free on the data folder's disk */
    ALERT_BY_DROPS,    /* records, events or spans that were dropped */
};

struct alert_rule {
    const char *name, *summary;
    enum alert_signal signal;
    bool is_off;
    enum alert_severity severity;
    bool is_severity_set; /* ALERT_BY_RAISER: by the file; else the raiser's own is taken */
    double bound;         /* in `unit`; raised beyond it, below it for ALERT_BY_DISK */
    const char *unit;
    int64_t window_us, short_us;   /* both must be past the bound; 0: no window */
    int64_t requests_min, bad_min; /* in the long window; fewer are no verdict */
    int64_t for_us, keep_us, expire_us;
    const char *owner, *runbook; /* "" : none */
};

/* What callers were promised. */
struct alert_slo {
    double errors_objective;  /* share of answers that are no 5xx: 0.999 */
    double latency_objective; /* share of answers within the bound */
    int64_t slower_than_us;   /* the bound */
};

struct alert_mail {
    const char *const *argv; /* [argc], then NULL; NULL: no mail is sent */
    int argc;
    const char *to, *from;        /* for the headers; "" : none */
    enum alert_severity severity; /* at least */
    int64_t timeout_us;
};

struct alert_rules;

/* The built-in rows. */
struct alert_rules *alert_rules_default(void);

/* A file's text; `where` is its name for messages. Refused whole at its first mistake. */
enum err_code alert_rules_read(struct str yaml, const char *where, struct alert_rules **rules,
                               struct err *err);

struct alert_rules *alert_rules_ref(struct alert_rules *rules);
void alert_rules_unref(struct alert_rules *rules); /* NULL is allowed */

/* The row of that name for that model ("": the server). Names without a row of their own have the
 * row "other", whose severity is the raiser's. Never NULL. */
const struct alert_rule *alert_rules_find(const struct alert_rules *rules, const char *model,
                                          const char *name);
const struct alert_slo *alert_rules_slo(const struct alert_rules *rules, const char *model);
const struct alert_mail *alert_rules_mail(const struct alert_rules *rules);

/* Until when this alert is silenced by the file; 0: it is not. */
int64_t alert_rules_silenced_until(const struct alert_rules *rules, const char *key,
                                   int64_t now_us);

/* The row with an index, in the order of the table; NULL behind the last. For listing. */
const struct alert_rule *alert_rules_at(const struct alert_rules *rules, const char *model,
                                        int index);

/* Models that have rows or objectives of their own. Returns how many. */
int alert_rules_models(const struct alert_rules *rules, const char *const **models);

/* The same rules for Prometheus, on the metrics that Slipway exposes. alert_prometheus.c */
void alert_rules_prometheus(const struct alert_rules *rules, struct buf *out);

#endif
