/* judge.c - bins of both sides, tests of all columns as one family, thresholds. */
#include "monitor/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "monitor/contingency.h"
#include "monitor/drift.h"
#include "monitor/multiple.h"

const double judge_q = 0.01;
const double judge_psi_warn = 0.1;
const double judge_psi_alert = 0.25;
const double judge_missing_warn = 0.02;
const double judge_missing_alert = 0.1;

static const double LONG_RUN_WINDOWS = 1000; /* mean windows between false alarms of a model */
static const double LONG_RUN_SHARE = 20;     /* a window's rows count as n / 20 at most */
static const double LONG_RUN_CEILING = 1.1;
static const double UPSTREAM_SHARE = 0.3;

const char *monitor_verdict_name(enum monitor_verdict verdict)
{
    static const char *const names[MONITOR_VERDICTS] = {"wait", "ok", "warn", "alert"};
    assert(verdict >= MONITOR_WAIT && (int)verdict < MONITOR_VERDICTS);
    return names[verdict];
}

const char *judge_rule_name(enum judge_rule rule)
{
    static const char *const names[] = {"", "drift", "missing", "long_run"};
    assert(rule >= JUDGE_NONE && (size_t)rule < ARRAY_LEN(names));
    return names[rule];
}

/* ---- bins ---- */

static void put_bin(struct judge_bins *bins, double base, double live)
{
    bins->base_rows += base;
    bins->live_rows += live;
    if (base == 0 && live == 0)
        return;
    assert(bins->count < JUDGE_BINS_MAX);
    bins->base[bins->count] = base;
    bins->live[bins->count++] = live;
}

/* Bins of a learnt answer are many and mostly empty: neighbours join until each has its share of
 * the baseline; what is left over joins the last. */
static void put_grouped(struct judge_bins *bins, const struct baseline_column *c,
                        const uint64_t *live)
{
    double share = (c->rows - c->missing) / JUDGE_LEARNT_GROUPS, base_sum = 0, live_sum = 0;
    for (int i = 0; i < c->bin_count; i++) {
        base_sum += c->counts[i];
        live_sum += (double)live[i];
        if (base_sum < share || i == c->bin_count - 1)
            continue;
        put_bin(bins, base_sum, live_sum);
        base_sum = live_sum = 0;
    }
    if (base_sum >= share / 2 || bins->count == 0) {
        put_bin(bins, base_sum, live_sum);
        return;
    }
    bins->base[bins->count - 1] += base_sum;
    bins->live[bins->count - 1] += live_sum;
    bins->base_rows += base_sum;
    bins->live_rows += live_sum;
}

void judge_bins_fill(const struct baseline_column *c, const uint64_t *slots,
                     struct judge_bins *bins)
{
    memset(bins, 0, sizeof(*bins));
    if (c->is_learnt && !c->code_count)
        put_grouped(bins, c, slots + SLOT_BINS);
    else
        for (int i = 0; i < c->bin_count; i++)
            put_bin(bins, c->counts[i], (double)slots[SLOT_BINS + i]);
    bins->base_missing = c->missing;
    bins->live_missing =
        (double)(slots[SLOT_NAN] + slots[SLOT_ABSENT] + slots[SLOT_NULL] + slots[SLOT_MARKER]);
    bins->unseen = (double)slots[SLOT_UNSEEN];
    bins->infinite = (double)(slots[SLOT_INFINITE] + slots[SLOT_NEGATIVE_INFINITE]);
    put_bin(bins, bins->base_missing, bins->live_missing);
    put_bin(bins, 0, bins->unseen);
    put_bin(bins, 0, bins->infinite);
}

/* ---- one column ---- */

static const char *why_wait(const struct baseline_column *c, const struct judge_bins *bins)
{
    if (c->rows == 0)
        return c->is_learnt ? "the baseline is still learnt from windows in which no feature drifts"
                            : "the baseline has no rows";
    if (c->rows < BASELINE_ROWS_MIN)
        return "the baseline has fewer than 100 rows";
    return bins->live_rows == 0 ? "no rows yet" : NULL;
}

/* Everything but what depends on other columns. */
static void measure(const struct baseline_column *c, const struct judge_bins *bins,
                    struct judgement *j)
{
    *j = (struct judgement){.wait = why_wait(c, bins), .rows = bins->live_rows, .log_e = NAN};
    j->psi_nats = j->js_distance_base2 = j->hellinger = j->l_infinity = NAN;
    j->chi2 = j->p = j->q = j->missing_p = j->missing_q = NAN;
    j->missing_share = bins->live_missing / bins->live_rows; /* NaN without rows */
    j->base_missing_share = bins->base_missing / bins->base_rows;
    j->unseen_share = bins->unseen / bins->live_rows;
    j->infinite_share = bins->infinite / bins->live_rows;
    if (j->wait)
        return;
    const double *base = bins->base, *live = bins->live;
    struct drift_chi2 test = drift_chi2(base, live, bins->count);
    bool is_one = bins->count < 2; /* all rows of both sides in one bin: nothing can differ */
    j->psi_nats = is_one ? 0 : drift_psi_corrected_nats(base, live, bins->count);
    j->js_distance_base2 = is_one ? 0 : drift_js_distance_base2(base, live, bins->count);
    j->hellinger = is_one ? 0 : drift_hellinger(base, live, bins->count);
    j->l_infinity = is_one ? 0 : drift_l_infinity(base, live, bins->count);
    j->chi2 = is_one ? 0 : test.statistic;
    j->p = is_one ? 1 : test.p;
    j->dof = test.dof;
    if (bins->base_missing + bins->live_missing > 0)
        j->missing_p = two_proportion_z(bins->live_missing, bins->live_rows, bins->base_missing,
                                        bins->base_rows)
                           .p;
}

static void raise(struct judgement *j, enum monitor_verdict verdict, enum judge_rule rule)
{
    if (verdict <= j->verdict)
        return;
    j->verdict = verdict;
    j->rule = rule;
}

static void decide(struct judgement *j)
{
    if (j->wait)
        return;
    j->verdict = MONITOR_OK;
    double missing = fabs(j->missing_share - j->base_missing_share);
    bool is_missing_believed = j->missing_q <= judge_q; /* false when NaN */
    if (is_missing_believed && missing >= judge_missing_warn)
        raise(j, missing >= judge_missing_alert ? MONITOR_ALERT : MONITOR_WARN, JUDGE_MISSING);
    if (j->q <= judge_q && j->psi_nats >= judge_psi_warn)
        raise(j, j->psi_nats >= judge_psi_alert ? MONITOR_ALERT : MONITOR_WARN, JUDGE_DRIFT);
}

/* ---- all columns ---- */

static void *take(int count, size_t bytes)
{
    void *memory = calloc((size_t)count + 1, bytes);
    if (!memory)
        abort();
    return memory;
}

/* The tests of all columns and both rules are one family. */
static void correct(struct judgement *out, int count)
{
    double *p = take(2 * count, sizeof(*p)), *q = take(2 * count, sizeof(*q));
    for (int i = 0; i < count; i++) {
        p[i] = out[i].p;
        p[count + i] = out[i].missing_p;
    }
    multiple_bh_adjust(p, 2 * count, q);
    for (int i = 0; i < count; i++) {
        out[i].q = q[i];
        out[i].missing_q = q[count + i];
    }
    free(p);
    free(q);
}

void judge_window(const struct baseline *baseline, const struct sketch *sketch,
                  const uint64_t *slots, struct judgement *out)
{
    struct judge_bins bins;
    for (int i = 0; i < baseline->column_count; i++) {
        judge_bins_fill(&baseline->columns[i], slots + sketch_first_slot(sketch, i), &bins);
        measure(&baseline->columns[i], &bins, &out[i]);
    }
    correct(out, baseline->column_count);
    for (int i = 0; i < baseline->column_count; i++)
        decide(&out[i]);
}

/* ---- the long run ---- */

const char *judge_long_run_refusal(const struct baseline_column *c)
{
    return c->rows < BASELINE_ROWS_GOOD
               ? "the long run needs a baseline of 5000 rows: with fewer the baseline's own error "
                 "would look like drift"
               : NULL;
}

double judge_long_run_alarm(const struct baseline *baseline)
{
    return log(LONG_RUN_WINDOWS * baseline->column_count);
}

static double log_e_of(const struct judge_bins *bins)
{
    double shares[JUDGE_BINS_MAX], counts[JUDGE_BINS_MAX];
    double kappa = bins->base_rows >= 2 * BASELINE_ROWS_GOOD ? 100 : 50;
    double scale = fmin(1, bins->base_rows / LONG_RUN_SHARE / bins->live_rows);
    for (int i = 0; i < bins->count; i++) {
        shares[i] = (bins->base[i] + 0.5) / (bins->base_rows + 0.5 * bins->count);
        counts[i] = bins->live[i] * scale;
    }
    return sequential_log_e(shares, counts, bins->count, kappa);
}

void judge_long_run(const struct baseline *baseline, const struct sketch *sketch,
                    const uint64_t *slots, struct e_detector *detectors, struct judgement *out)
{
    struct judge_bins bins;
    double alarm = judge_long_run_alarm(baseline);
    for (int i = 0; i < baseline->column_count; i++) {
        const struct baseline_column *c = &baseline->columns[i];
        if (out[i].wait || judge_long_run_refusal(c))
            continue;
        judge_bins_fill(c, slots + sketch_first_slot(sketch, i), &bins);
        out[i].log_e = log_e_of(&bins);
        e_detector_add(&detectors[i], out[i].log_e);
        /* What has been certain for days must not take days to be over. */
        detectors[i].log_cusum = fmin(detectors[i].log_cusum, LONG_RUN_CEILING * alarm);
        if (detectors[i].log_cusum >= alarm)
            raise(&out[i], MONITOR_WARN, JUDGE_LONG_RUN);
    }
}

bool judge_is_upstream(const struct judgement *judgements, int count)
{
    int judged = 0, drifting = 0;
    for (int i = 0; i < count; i++) {
        judged += judgements[i].verdict != MONITOR_WAIT;
        drifting += judgements[i].verdict >= MONITOR_WARN;
    }
    return drifting >= 3 && drifting > UPSTREAM_SHARE * judged;
}

enum monitor_verdict judge_worst(const struct judgement *judgements, int count)
{
    enum monitor_verdict worst = MONITOR_WAIT;
    for (int i = 0; i < count; i++)
        if (judgements[i].verdict > worst)
            worst = judgements[i].verdict;
    return worst;
}
