/* outcome_watch.h - outcomes counted as they come in: for metrics, and against the quality floor.
 *
 * A contract may say how good its model must be (slipwayQualityFloor). Each label is one bet
 * against "the accuracy is at least the floor": likelihood ratios of worse accuracies, averaged.
 * Under the floor's own truth their mean never grows, so the chance that it ever reaches 100 is at
 * most 1 %, however often one looks (Ville). Corrections are counted and bet on no second time.
 *
 * Counts are of this process; the store has all of them (realised.h).
 */
#ifndef SLIPWAY_MONITOR_OUTCOME_WATCH_H
#define SLIPWAY_MONITOR_OUTCOME_WATCH_H

#include "monitor/alert.h"
#include "monitor/outcome.h"

enum {
    OUTCOME_WATCH_MAX = 2000,      /* models, versions and names; past them the most silent goes */
    OUTCOME_WATCH_LABELS_MIN = 50, /* nobody is woken for fewer */
};
#define OUTCOME_WATCH_EVIDENCE 100.0
#define OUTCOME_WATCH_ASK_US (INT64_C(60) * 1000000)

/* The accuracy that a version must have; 0: none is asked for, or it is not known yet. May be slow:
 * is asked again while it is 0, but not within OUTCOME_WATCH_ASK_US. */
typedef double outcome_floor_fn(void *arg, const char *model, int64_t version);

struct outcome_watch;

/* `alerts` may be NULL. */
struct outcome_watch *outcome_watch_new(struct alerts *alerts, outcome_floor_fn *floor, void *arg);
void outcome_watch_free(struct outcome_watch *watch); /* NULL is allowed */

/* For struct outcome_sink. */
void outcome_watch_take(void *arg, const struct outcome *outcome);

/* What was counted of one version and name, for a scrape. */
struct outcome_count {
    char model[STR_NAME_BYTES_MAX + 1], name[STR_NAME_BYTES_MAX + 1];
    char unit[OUTCOME_UNIT_BYTES_MAX + 1];
    int64_t version;
    enum outcome_kind kind;
    int64_t accepted, corrected;
    double delay_seconds; /* from answer to arrival, summed over accepted ones */
    double value;         /* summed over accepted ones; VALUE */
    int64_t right, wrong; /* LABEL of classes, accepted ones */
    double floor;         /* of the accuracy; 0: none */
    double evidence;      /* that the accuracy is below it; 1: nothing is known */
};

/* A copy in the arena. Returns how many. */
int outcome_watch_list(struct outcome_watch *watch, struct arena *arena,
                       struct outcome_count **list);

/* Logs of the likelihood ratios after one more label; their mean is the evidence. */
enum { OUTCOME_BETS = 5 };
double outcome_watch_bet(double log_ratios[OUTCOME_BETS], double floor, bool is_wrong);

#endif
