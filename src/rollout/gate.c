/* gate.c - running the checks one after another, and the verdict on the whole. */
#include "rollout/gate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "rollout/gate_check.h"

static gate_kind_fn *const kinds[] = {
    gate_contract,    gate_floors, gate_champion,   gate_slices,     gate_worst,   gate_fairness,
    gate_calibration, gate_speed,  gate_robustness, gate_invariance, gate_leakage, gate_records,
};

const char *gate_verdict_name(enum gate_verdict verdict)
{
    static const char *const names[] = {"pass", "fail", "cannot_tell", "skipped"};
    return names[verdict];
}

/* ---- for the kinds ---- */

struct gate_check *gate_add(struct gate_run *run, const char *kind, const char *name)
{
    struct gate_report *report = run->report;
    if (report->check_count < GATE_CHECKS_MAX)
        report->check_count++;
    struct gate_check *check = &report->checks[report->check_count - 1];
    *check = (struct gate_check){
        .kind = kind,
        .name = name,
        .verdict = GATE_SKIPPED,
        .text = "",
        .value = NAN,
        .low = NAN,
        .high = NAN,
        .limit = NAN,
        .p = NAN,
    };
    return check;
}

void gate_say(struct gate_run *run, struct gate_check *check, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const char *copy = arena_copy(run->arena, text, strlen(text));
    check->text = copy ? copy : "";
}

enum gate_verdict gate_at_least(double low, double high, double limit)
{
    return low >= limit ? GATE_PASS : high < limit ? GATE_FAIL : GATE_CANNOT_TELL;
}

enum gate_verdict gate_at_most(double low, double high, double limit)
{
    return high <= limit ? GATE_PASS : low > limit ? GATE_FAIL : GATE_CANNOT_TELL;
}

int64_t gate_rows_needed(double value, double bound, double limit, int64_t n)
{
    double half = value - bound, room = value - limit;
    if (half == 0 || room == 0 || (half > 0) != (room > 0))
        return 0;
    double needed = (double)n * (half / room) * (half / room);
    return needed < 1e12 ? (int64_t)ceil(needed) : 0;
}

const char *gate_number(struct gate_run *run, double value)
{
    double size = fabs(value);
    const char *text = isnan(value)    ? "-"
                       : size >= 1e6   ? arena_printf(run->arena, "%.4g", value)
                       : size >= 100   ? arena_printf(run->arena, "%.0f", value)
                       : size >= 10    ? arena_printf(run->arena, "%.1f", value)
                       : size >= 0.001 ? arena_printf(run->arena, "%.4f", value)
                                       : arena_printf(run->arena, "%.3g", value);
    return text ? text : "";
}

/* ---- the run ---- */

static void row_losses(const struct quality_rows *rows, double *loss)
{
    for (int64_t i = 0; i < rows->count; i++)
        loss[i] = rows->truth ? rows->truth[i] != rows->predicted[i]
                              : fabs(rows->predicted_number[i] - rows->truth_number[i]);
}

static enum err_code measure(struct gate_run *run, struct err *err)
{
    const struct gate_data *data = &run->data;
    struct gate_report *report = run->report;
    struct quality_options options = {.alpha = run->file->alpha, .seed = run->file->seed};
    enum err_code rc =
        quality_measure(&data->candidate.quality, &options, run->arena, report->candidate, err);
    run->loss = arena_calloc(run->arena, (size_t)data->count, sizeof(double));
    run->champion_loss = arena_calloc(run->arena, (size_t)data->count, sizeof(double));
    if (!rc && (!run->loss || !run->champion_loss))
        rc = err_set(err, ERR_LIMIT, "no room for the losses of %lld rows", (long long)data->count);
    if (rc)
        return rc;
    row_losses(&data->candidate.quality, run->loss);
    report->has_champion = data->champion.loaded != NULL;
    if (!report->has_champion)
        return ERR_OK;
    row_losses(&data->champion.quality, run->champion_loss);
    rc = quality_measure(&data->champion.quality, &options, run->arena, report->champion, err);
    if (!rc)
        rc = quality_compare(&data->candidate.quality, &data->champion.quality, &options,
                             run->arena, report->difference, err);
    return rc;
}

static enum err_code count_confusion(struct gate_run *run, struct err *err)
{
    size_t classes = (size_t)run->data.class_count;
    if (classes == 0)
        return ERR_OK;
    run->report->confusion = arena_calloc(run->arena, classes * classes, sizeof(int64_t));
    if (!run->report->confusion)
        return err_set(err, ERR_LIMIT, "no room for %zu classes", classes);
    quality_confusion(&run->data.candidate.quality, run->report->confusion);
    return ERR_OK;
}

static enum gate_verdict verdict_of(const struct gate_report *report)
{
    int counts[GATE_SKIPPED + 1] = {0};
    for (int i = 0; i < report->check_count; i++)
        counts[report->checks[i].verdict]++;
    if (counts[GATE_FAIL])
        return GATE_FAIL;
    return counts[GATE_CANNOT_TELL] || counts[GATE_PASS] == 0 ? GATE_CANNOT_TELL : GATE_PASS;
}

static enum err_code check_pinned(const struct gate_run *run, struct err *err)
{
    const char *pinned = run->file->data_sha256;
    if (!pinned || strcmp(pinned, run->data.digest) == 0)
        return ERR_OK;
    err_set(err, ERR_INVALID,
            "the gate file asks for the rows with SHA-256 %.12s..., these have "
            "%.12s...",
            pinned, run->data.digest);
    return err_hint(err, "use that file, or change data_sha256");
}

enum err_code gate_run(const struct gate_input *input, struct arena *arena,
                       struct gate_report **out, struct err *err)
{
    struct gate_run *run = arena_calloc(arena, 1, sizeof(*run));
    struct gate_report *report = arena_calloc(arena, 1, sizeof(*report));
    struct gate_check *checks = arena_calloc(arena, GATE_CHECKS_MAX, sizeof(*checks));
    if (!run || !report || !checks)
        return err_set(err, ERR_LIMIT, "no room for a report");
    *run = (struct gate_run){.input = input, .file = input->file, .arena = arena, .report = report};
    report->checks = checks;
    report->arena = arena;
    report->data = &run->data;
    report->file = input->file;
    report->p50_us = report->p99_us = report->champion_p50_us = report->champion_p99_us = NAN;
    enum err_code rc = gate_data_read(input->data, input->target, input->file, input->candidate,
                                      input->champion, arena, &run->data, err);
    if (!rc)
        rc = check_pinned(run, err);
    if (!rc)
        rc = measure(run, err);
    if (!rc)
        rc = count_confusion(run, err);
    for (size_t i = 0; !rc && i < ARRAY_LEN(kinds); i++)
        rc = kinds[i](run, err);
    if (rc)
        return rc;
    report->verdict = verdict_of(report);
    *out = report;
    return ERR_OK;
}
