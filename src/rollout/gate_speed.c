/* gate_speed.c - time and size beside the champion, in the same run on the same rows.
 *
 * One row at a time, candidate and champion by turns, who begins changes with every row: whatever
 * else the machine does hits both. What is timed is the model alone; socket, contract and reply
 * cost both the same. Ratios, not times, so that a busy machine does not fail a good version.
 */
#include "rollout/gate_speed.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "rollout/gate_check.h"

enum { ROWS_MAX = 512, SAMPLES_MAX = 18000, WARM_ROWS = 64, ROW_BYTES_MAX = 64 * 1024 * 1024 };
static const int64_t budget_us = 3 * CLOCK_SECOND_US;

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_of(const int64_t *values, int64_t count, double quantile, int64_t *scratch)
{
    memcpy(scratch, values, (size_t)count * sizeof(*values));
    qsort(scratch, (size_t)count, sizeof(*scratch), by_value);
    return (double)scratch[(int64_t)(quantile * (double)(count - 1))];
}

static int by_ratio(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct gate_ratio gate_speed_ratio(const int64_t *candidate, const int64_t *champion, int64_t count,
                                   double quantile)
{
    double ratios[GATE_SPEED_BLOCKS];
    int64_t block = count / GATE_SPEED_BLOCKS;
    int64_t *scratch = calloc((size_t)count + 1, sizeof(*scratch));
    if (!scratch)
        abort();
    struct gate_ratio ratio = {NAN, NAN, NAN, NAN, NAN};
    if (block > 0) {
        for (int b = 0; b < GATE_SPEED_BLOCKS; b++)
            ratios[b] = quantile_of(candidate + b * block, block, quantile, scratch) /
                        fmax(quantile_of(champion + b * block, block, quantile, scratch), 1);
        qsort(ratios, GATE_SPEED_BLOCKS, sizeof(ratios[0]), by_ratio);
        ratio.value = ratios[GATE_SPEED_BLOCKS / 2];
        ratio.low = ratios[1];
        ratio.high = ratios[GATE_SPEED_BLOCKS - 2];
        ratio.candidate_us = quantile_of(candidate, count, quantile, scratch) / 1000;
        ratio.champion_us = quantile_of(champion, count, quantile, scratch) / 1000;
    }
    free(scratch);
    return ratio;
}

enum gate_verdict gate_speed_judge(const struct gate_ratio *ratio, double max, double fine_us)
{
    if (isnan(ratio->value))
        return GATE_CANNOT_TELL;
    if (ratio->candidate_us <= fine_us)
        return GATE_PASS;
    return gate_at_most(ratio->low, ratio->high, max);
}

/* ---- timing ---- */

struct timing {
    int64_t count;
    int64_t *candidate, *champion; /* [SAMPLES_MAX] ns */
};

static enum err_code time_one(const struct gate_side *side, int64_t row, struct arena *arena,
                              int64_t *ns, struct err *err)
{
    struct tensor out[RUNTIME_TENSORS_MAX];
    struct loaded_rows one = loaded_slice(side->loaded, &side->taken, row, 1);
    struct runtime_call call = {.arena = arena, .out = out};
    arena_reset(arena);
    int64_t start = clock_monotonic_ns();
    enum err_code rc = loaded_score(side->loaded, &one, &call, err);
    *ns = clock_monotonic_ns() - start;
    return rc;
}

static enum err_code time_both(struct gate_run *run, int64_t row, struct arena *arena,
                               int64_t ns[2], struct err *err)
{
    const struct gate_side *sides[2] = {&run->data.candidate, &run->data.champion};
    enum err_code rc = ERR_OK;
    for (int turn = 0; !rc && turn < 2; turn++) {
        int which = (int)((row + turn) % 2);
        rc = time_one(sides[which], row, arena, &ns[which], err);
    }
    return rc;
}

static enum err_code time_rows(struct gate_run *run, struct timing *timing, struct err *err)
{
    struct arena *arena = arena_new(ROW_BYTES_MAX);
    int64_t rows = run->data.count < ROWS_MAX ? run->data.count : ROWS_MAX, ns[2];
    int64_t end_us = clock_monotonic_us() + budget_us;
    enum err_code rc = ERR_OK;
    for (int64_t i = 0; !rc && i < WARM_ROWS + SAMPLES_MAX; i++) {
        rc = time_both(run, run->data.origin[i % rows], arena, ns, err);
        if (rc || i < WARM_ROWS)
            continue;
        timing->candidate[timing->count] = ns[0];
        timing->champion[timing->count++] = ns[1];
        if (i % 64 == 0 && clock_monotonic_us() > end_us)
            break;
    }
    arena_free(arena);
    return rc;
}

static void judge_time(struct gate_run *run, const struct timing *timing, const char *name,
                       double quantile, double max)
{
    struct gate_check *check = gate_add(run, "speed", name);
    struct gate_ratio ratio =
        gate_speed_ratio(timing->candidate, timing->champion, timing->count, quantile);
    check->value = ratio.value;
    check->low = ratio.low;
    check->high = ratio.high;
    check->limit = max;
    check->n = timing->count;
    check->verdict = gate_speed_judge(&ratio, max, run->file->fine_us);
    gate_say(run, check,
             "%s us, champion %s us: %s times (%s to %s), at most %s; up to %s us is "
             "always fine",
             gate_number(run, ratio.candidate_us), gate_number(run, ratio.champion_us),
             gate_number(run, ratio.value), gate_number(run, ratio.low),
             gate_number(run, ratio.high), gate_number(run, max),
             gate_number(run, run->file->fine_us));
    if (quantile < 0.9) {
        run->report->p50_us = ratio.candidate_us;
        run->report->champion_p50_us = ratio.champion_us;
    } else {
        run->report->p99_us = ratio.candidate_us;
        run->report->champion_p99_us = ratio.champion_us;
    }
}

static void judge_size(struct gate_run *run, const char *name, double bytes, double champion)
{
    struct gate_check *check = gate_add(run, "size", name);
    check->value = bytes / fmax(champion, 1);
    check->limit = run->file->size_ratio_max;
    check->verdict =
        bytes <= run->file->fine_bytes || check->value <= check->limit ? GATE_PASS : GATE_FAIL;
    gate_say(run, check,
             "%s KiB, champion %s KiB: %s times, at most %s; up to %s KiB is always "
             "fine",
             gate_number(run, bytes / 1024), gate_number(run, champion / 1024),
             gate_number(run, check->value), gate_number(run, check->limit),
             gate_number(run, run->file->fine_bytes / 1024));
}

enum err_code gate_speed(struct gate_run *run, struct err *err)
{
    struct timing timing = {0};
    if (run->file->is_speed_off || !run->data.champion.loaded || run->data.count == 0)
        return ERR_OK;
    timing.candidate = arena_calloc(run->arena, SAMPLES_MAX, sizeof(int64_t));
    timing.champion = arena_calloc(run->arena, SAMPLES_MAX, sizeof(int64_t));
    if (!timing.candidate || !timing.champion)
        return err_set(err, ERR_LIMIT, "no room for the durations");
    enum err_code rc = time_rows(run, &timing, err);
    if (rc)
        return rc;
    judge_time(run, &timing, "p50", 0.5, run->file->p50_ratio_max);
    judge_time(run, &timing, "p99", 0.99, run->file->p99_ratio_max);
    judge_size(run, "artifact", (double)run->input->version->artifact_bytes,
               (double)run->input->champion_bytes);
    judge_size(run, "memory", (double)run->data.candidate.loaded->memory_bytes,
               (double)run->data.champion.loaded->memory_bytes);
    return ERR_OK;
}
