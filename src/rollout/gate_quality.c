/* gate_quality.c - floors, not worse than the champion, calibration: whole-data checks of metrics.
 *
 * All three compare an interval with a limit. Not worse is shown row by row on the same rows:
 *
 *     higher is better   pass when low  of (candidate - champion) >= -margin
 *     lower is better    pass when high of (candidate - champion) <=  margin
 */
#include <math.h>

#include "base/check.h"
#include "rollout/gate_check.h"

static const char *missing_of(const struct quality *q)
{
    return q->missing ? q->missing : "the interval is unknown";
}

static void say_needed(struct gate_run *run, struct gate_check *check, const char *found,
                       double bound)
{
    int64_t needed = gate_rows_needed(check->value, bound, check->limit, check->n);
    if (check->verdict == GATE_CANNOT_TELL && needed)
        gate_say(run, check, "%s; about %lld rows would tell", found, (long long)needed);
    else
        gate_say(run, check, "%s", found);
}

static void judge(struct gate_run *run, struct gate_check *check, const struct quality *q,
                  bool is_higher_better, double limit)
{
    check->value = q->value;
    check->low = q->low;
    check->high = q->high;
    check->limit = limit;
    check->n = q->n;
    if (isnan(q->value) || !q->method[0] || q->n < run->file->rows_min) {
        check->verdict = GATE_CANNOT_TELL;
        gate_say(run, check, "%s: %s", gate_number(run, q->value),
                 q->n < run->file->rows_min ? "too few rows" : missing_of(q));
        return;
    }
    check->verdict = is_higher_better ? gate_at_least(q->low, q->high, limit)
                                      : gate_at_most(q->low, q->high, limit);
    const char *found = arena_printf(
        run->arena, "%s (%g %%: %s to %s, n %lld), %s %s", gate_number(run, q->value),
        100 * (1 - run->file->alpha), gate_number(run, q->low), gate_number(run, q->high),
        (long long)q->n, is_higher_better ? "at least" : "at most", gate_number(run, limit));
    say_needed(run, check, found ? found : "", is_higher_better ? q->low : q->high);
}

enum err_code gate_floors(struct gate_run *run, struct err *err)
{
    (void)err;
    for (int m = 0; m < QUALITY_COUNT; m++) {
        if (isnan(run->file->floors[m]))
            continue;
        struct gate_check *check = gate_add(run, "floor", quality_name(m));
        const struct quality *q = &run->report->candidate[m];
        if (q->is_measured) {
            judge(run, check, q, quality_better(m) == BETTER_HIGHER, run->file->floors[m]);
        } else {
            check->verdict = GATE_CANNOT_TELL;
            gate_say(run, check, "this model's answers have no %s", quality_name(m));
        }
    }
    return ERR_OK;
}

/* ---- the champion ---- */

static void compare_metric(struct gate_run *run, enum quality_metric metric)
{
    const struct gate_limit *limit = &run->file->margins[metric];
    const struct quality *was = &run->report->champion[metric];
    const struct quality *is = &run->report->candidate[metric];
    struct gate_check *check = gate_add(run, "champion", quality_name(metric));
    bool is_higher = quality_better(metric) == BETTER_HIGHER;
    double margin = limit->value * (limit->is_relative ? fabs(was->value) : 1);
    if (isnan(margin) || !is->is_measured) {
        check->verdict = GATE_CANNOT_TELL;
        gate_say(run, check, "%s", was->missing ? was->missing : "not measured");
        return;
    }
    judge(run, check, &run->report->difference[metric], is_higher, is_higher ? -margin : margin);
    gate_say(run, check, "%s, champion %s: difference %s", gate_number(run, is->value),
             gate_number(run, was->value), check->text);
}

enum err_code gate_champion(struct gate_run *run, struct err *err)
{
    const struct gate_file *file = run->file;
    (void)err;
    if (file->is_champion_off)
        return ERR_OK;
    if (!run->data.champion.loaded) {
        struct gate_check *check = gate_add(run, "champion", "is there");
        bool is_itself = run->input->champion_number == run->input->version->number;
        if (file->is_champion_required)
            check->verdict = GATE_CANNOT_TELL;
        gate_say(run, check,
                 is_itself ? "this version is the champion itself"
                           : "there is no champion to compare with");
        return ERR_OK;
    }
    for (int m = 0; m < QUALITY_COUNT; m++)
        if (!isnan(file->margins[m].value) && run->report->candidate[m].is_measured)
            compare_metric(run, m);
    return ERR_OK;
}

/* ---- calibration ---- */

static void check_loss(struct gate_run *run, enum quality_metric metric, double limit)
{
    if (isnan(limit))
        return;
    struct gate_check *check = gate_add(run, "calibration", quality_name(metric));
    const struct quality *q = &run->report->candidate[metric];
    check->verdict = GATE_CANNOT_TELL;
    if (q->is_measured)
        judge(run, check, q, false, limit);
    else
        gate_say(run, check, "this model answers no probabilities");
}

static void check_slope(struct gate_run *run)
{
    const struct quality *q = &run->report->candidate[QUALITY_CALIBRATION_SLOPE];
    double least = run->file->slope_min, most = run->file->slope_max;
    if (isnan(least))
        return;
    struct gate_check *check = gate_add(run, "calibration", "slope");
    check->verdict = GATE_CANNOT_TELL;
    check->value = q->value;
    check->low = q->low;
    check->high = q->high;
    check->n = q->n;
    if (!q->is_measured || isnan(q->value) || !q->method[0]) {
        gate_say(run, check, "%s", q->is_measured ? missing_of(q) : "only of two classes");
        return;
    }
    if (q->low >= least && q->high <= most)
        check->verdict = GATE_PASS;
    else if (q->high < least || q->low > most)
        check->verdict = GATE_FAIL;
    gate_say(run, check, "%s (%s to %s), within [%g, %g]", gate_number(run, q->value),
             gate_number(run, q->low), gate_number(run, q->high), least, most);
}

enum err_code gate_calibration(struct gate_run *run, struct err *err)
{
    (void)err;
    check_loss(run, QUALITY_ECE, run->file->ece_max);
    check_loss(run, QUALITY_BRIER, run->file->brier_max);
    check_slope(run);
    return ERR_OK;
}
