/* alerting.h - raised alerts become open ones: kept, told and closed, by the rules of one file.
 *
 *     once a second, on the ticker: counters (watch.h) -> raised; alerts_due -> one transaction
 * with an audit event each -> settled -> a log line, a mail. Webhooks read the audit trail.
 *
 * A full disk keeps them in memory, told and tried again; a restart brings the open ones back.
 */
#ifndef SLIPWAY_SERVE_ALERTING_H
#define SLIPWAY_SERVE_ALERTING_H

#include "serve/control.h"
#include "serve/watch.h"

enum { ALERTING_TICK_MS = 1000, ALERTING_MAILS_MAX = 8 };

struct alerting;

struct alerting_config {
    struct control *control;
    struct alerts *alerts;  /* the set that everybody raises in */
    const char *rules_path; /* "" : the built-in rules */
    /* (optional) Called a few times a minute, for watch_drops() of what other parts count. */
    void (*measure)(void *arg, struct watch *watch, const struct alert_rules *rules,
                    int64_t now_us);
    void *arg;
};

/* Reads the rules and what was open before. A bad file is an error: nothing starts by half. */
enum err_code alerting_new(const struct alerting_config *config, struct alerting **alerting,
                           struct err *err);

/* Saves the counts. After the ticker has ended, before control is closed. NULL is allowed. */
void alerting_free(struct alerting *alerting);

/* The ticker's task; `arg` is the alerting. */
void alerting_tick(void *arg);

/* Could these rules be read? */
enum err_code alerting_check(const char *rules_path, struct err *err);

/* Read the rules again; on failure the old ones stay. Any thread. */
enum err_code alerting_reload(struct alerting *alerting, const char *rules_path, struct err *err);

/* The rules of this moment; give them back with alert_rules_unref. */
struct alert_rules *alerting_rules(struct alerting *alerting);

/* Everything raised or open, as its rules show it. */
int alerting_list(struct alerting *alerting, struct arena *arena, struct alert_view **list);

/* The store's silences have changed. */
enum err_code alerting_read_silences(struct alerting *alerting, struct err *err);

struct alerting_stats {
    struct alert_counts counts;
    uint64_t mails_sent, mails_failed;
};
void alerting_stats(struct alerting *alerting, struct alerting_stats *stats);

#endif
