/* outcome_metrics.c - outcomes, business values and realised accuracy as metrics. */
#include "api/outcome_metrics.h"

#include <stdio.h>

struct shown {
    const struct outcome_count *count;
    char version[STR_NUMBER_BYTES];
};

static void write_counts(struct metric_writer *w, const struct shown *shown, int n)
{
    metric_family(w, METRIC_OUTCOMES);
    for (int i = 0; i < n; i++)
        metric_sample(w, (double)shown[i].count->accepted,
                      METRIC_LABELS(shown[i].count->model, shown[i].version, shown[i].count->name));
    metric_family(w, METRIC_OUTCOMES_CORRECTED);
    for (int i = 0; i < n; i++)
        metric_sample(w, (double)shown[i].count->corrected,
                      METRIC_LABELS(shown[i].count->model, shown[i].version, shown[i].count->name));
    metric_family(w, METRIC_OUTCOME_DELAY);
    for (int i = 0; i < n; i++)
        metric_sample(w, shown[i].count->delay_seconds,
                      METRIC_LABELS(shown[i].count->model, shown[i].version, shown[i].count->name));
}

static void write_values(struct metric_writer *w, const struct shown *shown, int n)
{
    metric_family(w, METRIC_BUSINESS_VALUE);
    for (int i = 0; i < n; i++)
        if (shown[i].count->kind == OUTCOME_VALUE)
            metric_sample(w, shown[i].count->value,
                          METRIC_LABELS(shown[i].count->model, shown[i].version,
                                        shown[i].count->name, shown[i].count->unit));
}

static void write_quality(struct metric_writer *w, const struct shown *shown, int n)
{
    metric_family(w, METRIC_QUALITY);
    for (int i = 0; i < n; i++) {
        int64_t labels = shown[i].count->right + shown[i].count->wrong;
        if (labels)
            metric_sample(w, (double)shown[i].count->right / (double)labels,
                          METRIC_LABELS(shown[i].count->model, shown[i].version, "accuracy"));
    }
    metric_family(w, METRIC_QUALITY_EVIDENCE);
    for (int i = 0; i < n; i++)
        if (shown[i].count->floor > 0)
            metric_sample(w, shown[i].count->evidence,
                          METRIC_LABELS(shown[i].count->model, shown[i].version, "accuracy"));
}

static void write_results(struct metric_writer *w, const struct intake *intake)
{
    metric_family(w, METRIC_FEEDBACK);
    for (int r = OUTCOME_ACCEPTED; r < OUTCOME_RESULT_COUNT; r++)
        metric_sample(w, (double)atomic_load_explicit(&intake->counts[r], memory_order_relaxed),
                      METRIC_LABELS(outcome_result_name((enum outcome_result)r)));
    metric_family(w, METRIC_ORPHANS_JOINED);
    metric_sample(w, (double)atomic_load_explicit(&intake->joined_count, memory_order_relaxed),
                  METRIC_NO_LABELS);
    if (!intake->tallies)
        return;
    metric_family(w, METRIC_TALLIES_DROPPED);
    metric_sample(w, (double)tallies_dropped(intake->tallies), METRIC_NO_LABELS);
}

void outcome_metrics_write(struct intake *intake, struct arena *arena, struct metric_writer *w)
{
    struct outcome_count *list;
    if (!intake)
        return;
    write_results(w, intake);
    int n = intake->watch ? outcome_watch_list(intake->watch, arena, &list) : 0;
    struct shown *shown = arena_alloc(arena, ((size_t)n + 1) * sizeof(*shown));
    if (!shown || n == 0)
        return;
    for (int i = 0; i < n; i++) {
        shown[i].count = &list[i];
        snprintf(shown[i].version, sizeof(shown[i].version), "%lld", (long long)list[i].version);
    }
    write_counts(w, shown, n);
    write_values(w, shown, n);
    write_quality(w, shown, n);
}
