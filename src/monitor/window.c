/* window.c - differences of sketches, the open window, the ring of closed ones. */
#include "monitor/window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static void *take(size_t count, size_t bytes)
{
    void *memory = calloc(count ? count : 1, bytes);
    if (!memory)
        abort();
    return memory;
}

struct window *window_new(const struct baseline *baseline, const struct sketch *sketch,
                          enum arm arm)
{
    size_t slots = (size_t)sketch_slot_count(sketch), columns = (size_t)baseline->column_count;
    struct window *w = take(1, sizeof(*w));
    *w = (struct window){
        .baseline = baseline,
        .sketch = sketch,
        .arm = arm,
        .last = take(slots, sizeof(*w->last)),
        .open = take(slots, sizeof(*w->open)),
        .closed = take(slots, sizeof(*w->closed)),
        .judgements = take(columns, sizeof(*w->judgements)),
        .detectors = take(columns, sizeof(*w->detectors)),
        .since_us = take(columns, sizeof(*w->since_us)),
    };
    for (size_t i = 0; i < columns; i++)
        e_detector_init(&w->detectors[i]);
    return w;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    free(w->last);
    free(w->open);
    free(w->closed);
    free(w->judgements);
    free(w->detectors);
    free(w->since_us);
    free(w->skew);
    free(w->skew_slots);
    free(w->causes);
    free(w->skew_causes);
    free(w->history);
    free(w);
}

static void begin(struct window *w)
{
    w->has_begun = true;
    w->from_us = clock_wall_us();
    w->from_mono_us = clock_monotonic_us();
}

/* Counters wrap at 2^32, so does the difference: right as long as fewer rows come in a second. */
uint64_t window_read(struct window *w)
{
    int slots = sketch_slot_count(w->sketch);
    uint32_t *now = take((size_t)slots, sizeof(*now));
    uint32_t rows = sketch_sum(w->sketch, w->arm, now);
    uint32_t fresh = rows - w->last_rows;
    for (int i = 0; i < slots; i++)
        w->open[i] += (uint32_t)(now[i] - w->last[i]);
    memcpy(w->last, now, (size_t)slots * sizeof(*now));
    free(now);
    w->last_rows = rows;
    w->open_rows += fresh;
    w->total_rows += fresh;
    if (fresh && !w->has_begun)
        begin(w);
    return fresh;
}

bool window_judge_skew(struct window *w)
{
    if (w->is_skew_judged || w->closed_count > 0 || w->open_rows < SKEW_ROWS)
        return false;
    size_t slots = (size_t)sketch_slot_count(w->sketch);
    w->skew = take((size_t)w->baseline->column_count, sizeof(*w->skew));
    w->skew_slots = take(slots, sizeof(*w->skew_slots));
    memcpy(w->skew_slots, w->open, slots * sizeof(*w->skew_slots));
    judge_window(w->baseline, w->sketch, w->open, w->skew);
    w->skew_rows = w->open_rows;
    w->is_skew_judged = true;
    return true;
}

bool window_is_due(const struct window *w, const struct window_config *config)
{
    return w->has_begun && (int64_t)w->open_rows >= config->rows_min &&
           clock_monotonic_us() - w->from_mono_us >= config->span_us;
}

/* ---- closing ---- */

/* Trouble begins with the window in which it is seen first; for the long run, with the first one
 * that the detector has not forgotten. */
static void note_since(struct window *w, int column)
{
    enum monitor_verdict verdict = w->judgements[column].verdict;
    if (verdict < MONITOR_WARN) {
        w->since_us[column] = 0;
        return;
    }
    if (w->since_us[column])
        return;
    w->since_us[column] = w->from_us;
    if (w->judgements[column].rule != JUDGE_LONG_RUN)
        return;
    int64_t back = w->detectors[column].windows - 2; /* closed ones before this */
    if (back >= 0 && back < w->history_count)
        w->since_us[column] = window_past(w, (int)back)->from_us;
}

static bool is_worse(const struct window_column *a, const struct window_column *b)
{
    return a->verdict != b->verdict ? a->verdict > b->verdict : a->psi_nats > b->psi_nats;
}

static void add_worst(struct window_summary *s, struct window_column column)
{
    int place = s->worst_count;
    while (place > 0 && is_worse(&column, &s->worst[place - 1]))
        place--;
    if (place == WINDOW_WORST_KEPT)
        return;
    s->worst_count += s->worst_count < WINDOW_WORST_KEPT;
    for (int i = s->worst_count - 1; i > place; i--)
        s->worst[i] = s->worst[i - 1];
    s->worst[place] = column;
}

static void summarise_columns(const struct window *w, struct window_summary *s)
{
    for (int i = 0; i < w->baseline->column_count; i++) {
        const struct judgement *j = &w->judgements[i];
        s->warn_count += j->verdict == MONITOR_WARN;
        s->alert_count += j->verdict == MONITOR_ALERT;
        if (j->verdict >= MONITOR_WARN)
            add_worst(
                s, (struct window_column){i, j->verdict, j->rule, j->psi_nats, j->missing_share});
    }
}

/* A ring that only grows as windows close. */
static struct window_summary *next_place(struct window *w)
{
    if (w->history_count < WINDOWS_KEPT) {
        size_t count = (size_t)w->history_count + 1;
        w->history = realloc(w->history, count * sizeof(*w->history));
        if (!w->history)
            abort();
        w->history_count++;
        w->history_next = (int)(count % WINDOWS_KEPT);
        return &w->history[count - 1];
    }
    struct window_summary *place = &w->history[w->history_next];
    w->history_next = (w->history_next + 1) % WINDOWS_KEPT;
    return place;
}

static struct window_traffic traffic_of(const struct window_totals *now,
                                        const struct window_totals *from)
{
    struct histogram_sum latency = now->latency;
    latency.count = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        latency.counts[i] -= from->latency.counts[i];
        latency.count += latency.counts[i];
    }
    return (struct window_traffic){
        .requests = now->requests - from->requests,
        .rejected = now->rejected - from->rejected,
        .failed = now->failed - from->failed,
        .suspect_rows = now->suspect_rows - from->suspect_rows,
        .violations = now->violations - from->violations,
        .latency_p50_us = (double)histogram_quantile(&latency, 0.5) / 1000,
        .latency_p99_us = (double)histogram_quantile(&latency, 0.99) / 1000,
    };
}

const struct window_summary *window_close(struct window *w, const struct window_totals *totals)
{
    size_t slots = (size_t)sketch_slot_count(w->sketch);
    int columns = w->baseline->column_count;
    memcpy(w->closed, w->open, slots * sizeof(*w->closed));
    judge_window(w->baseline, w->sketch, w->closed, w->judgements);
    judge_long_run(w->baseline, w->sketch, w->closed, w->detectors, w->judgements);
    w->is_judged = true;
    w->is_upstream = judge_is_upstream(w->judgements, columns);
    for (int i = 0; i < columns; i++)
        note_since(w, i);
    struct window_summary *s = next_place(w);
    *s = (struct window_summary){
        .from_us = w->from_us,
        .to_us = clock_wall_us(),
        .rows = (int64_t)w->open_rows,
        .verdict = judge_worst(w->judgements, columns),
        .is_upstream = w->is_upstream,
    };
    s->traffic = traffic_of(totals, &w->from);
    w->from = *totals;
    summarise_columns(w, s);
    memset(w->open, 0, slots * sizeof(*w->open));
    w->open_rows = 0;
    w->closed_count++;
    begin(w);
    return s;
}

const struct window_summary *window_past(const struct window *w, int i)
{
    assert(i >= 0 && i < w->history_count);
    int place = w->history_next - 1 - i;
    int size = w->history_count;
    return &w->history[((place % size) + size) % size];
}

void window_restore(struct window *w, const struct window_summary *summary)
{
    *next_place(w) = *summary;
    w->closed_count++;
    w->saved_count++;
}
