/* judge.h - does one window of live rows look like the baseline? Counts in, verdicts out.
 *
 * Rules, over all columns of a version at once:
 *
 *     drift     two-sample chi-square, believed after Benjamini-Hochberg at q 0.01 over everything
 *               that is tested in the window, AND corrected PSI >= 0.1: warn, >= 0.25: alert
 *     missing   share of missing values changed by >= 0.02: warn, >= 0.1: alert, AND the
 *               two-proportion z is believed in the same family of tests
 *     long run  e-CUSUM over windows >= ln(1000 columns): warn
 *
 * Significance alone cries at trivia when there are many rows, size alone at noise when there are
 * few. One extreme row moves one count by one. There is no verdict from no data: `wait` says why.
 *
 * Pure functions, any thread. Source: the rules and their error rates are measured in
 * tests/bench/drift.
 */
#ifndef SLIPWAY_MONITOR_JUDGE_H
#define SLIPWAY_MONITOR_JUDGE_H

#include "monitor/sequential.h"
#include "monitor/sketch.h"

enum { JUDGE_BINS_MAX = BASELINE_ANSWER_EDGES_MAX + 1 + 3, JUDGE_LEARNT_GROUPS = 10 };

extern const double judge_q;             /* 0.01: share of false ones among the believed */
extern const double judge_psi_warn;      /* 0.1 nats */
extern const double judge_psi_alert;     /* 0.25 nats */
extern const double judge_missing_warn;  /* 0.02: change of the share */
extern const double judge_missing_alert; /* 0.1 */

enum monitor_verdict { MONITOR_WAIT, MONITOR_OK, MONITOR_WARN, MONITOR_ALERT };
enum { MONITOR_VERDICTS = 4 };
const char *monitor_verdict_name(enum monitor_verdict verdict); /* "wait", "ok", "warn", "alert" */

/* Which rule a verdict came from. */
enum judge_rule { JUDGE_NONE, JUDGE_DRIFT, JUDGE_MISSING, JUDGE_LONG_RUN };
const char *judge_rule_name(enum judge_rule rule); /* "", "drift", "missing", "long_run" */

/* One column's two sides over the same bins: the baseline's bins (a learnt answer's joined to about
 * JUDGE_LEARNT_GROUPS), then missing, unseen, infinite. Bins empty on both sides are left out. */
struct judge_bins {
    double base[JUDGE_BINS_MAX], live[JUDGE_BINS_MAX];
    int count;
    double base_rows, live_rows;
    double base_missing, live_missing; /* NaN, absent, null, marker */
    double unseen, infinite;           /* live only */
};

/* slots: this column's, as sketch_sum gives them, of one window. */
void judge_bins_fill(const struct baseline_column *column, const uint64_t *slots,
                     struct judge_bins *bins);

struct judgement {
    enum monitor_verdict verdict;
    enum judge_rule rule;
    const char *wait; /* why there is no verdict; NULL otherwise. A literal */
    double rows;      /* live */
    double psi_nats;  /* corrected for chance; NaN without data, like all that follow */
    double js_distance_base2, hellinger, l_infinity;
    double chi2, p, q; /* q: smallest at which Benjamini-Hochberg believes it */
    int dof;
    double missing_share, base_missing_share, missing_p, missing_q;
    double unseen_share, infinite_share;
    double log_e; /* of this window; NaN: the long run is not watched */
};

/* Judge a window of all columns. slots: as sketch_sum gives them; out [column_count], of which
 * log_e is filled by judge_long_run. */
void judge_window(const struct baseline *baseline, const struct sketch *sketch,
                  const uint64_t *slots, struct judgement *out);

/* Why the long run of this column is not watched, or NULL. A literal. */
const char *judge_long_run_refusal(const struct baseline_column *column);

/* Add the window to each column's detector and raise the verdict of those past the alarm. The
 * window's rows count as at most a twentieth of the baseline's: beyond that the baseline's own
 * error would be mistaken for drift. detectors [column_count]. */
void judge_long_run(const struct baseline *baseline, const struct sketch *sketch,
                    const uint64_t *slots, struct e_detector *detectors, struct judgement *out);

double judge_long_run_alarm(const struct baseline *baseline); /* ln(1000 columns) */

/* More than 30 % of the columns, and at least three, drift together: one cause upstream. */
bool judge_is_upstream(const struct judgement *judgements, int count);

/* The worst of all. WAIT when no column has a verdict. */
enum monitor_verdict judge_worst(const struct judgement *judgements, int count);

#endif
