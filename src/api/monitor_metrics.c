/* monitor_metrics.c - /metrics of the monitors: totals, and the numbers of the last closed window.
 */
#include "api/monitor_metrics.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"

struct sample {
    struct metric_writer *w;
    enum metric_id id;
    char version[STR_NUMBER_BYTES];
    const struct monitor *monitor;
    const struct window *window;
};

static void put_sample(const struct sample *s, double value)
{
    metric_sample(s->w, value,
                  METRIC_LABELS(s->monitor->model, s->version, arm_name(s->window->arm)));
}

static void put_total_rows(const struct sample *s)
{
    put_sample(s, (double)s->window->total_rows);
}

static void put_total_windows(const struct sample *s)
{
    put_sample(s, (double)s->window->closed_count);
}

static void put_last_verdict(const struct sample *s)
{
    put_sample(s, s->window->history_count ? (int)window_past(s->window, 0)->verdict - 1 : -1);
}

static double measure_of(const struct judgement *j, enum metric_id id)
{
    if (id == METRIC_DRIFT_PSI)
        return j->psi_nats;
    return id == METRIC_FEATURE_MISSING ? j->missing_share : j->unseen_share;
}

static void put_features(const struct sample *s)
{
    for (int i = 0; s->window->is_judged && i < s->window->baseline->column_count; i++) {
        const struct baseline_column *c = &s->window->baseline->columns[i];
        double value = measure_of(&s->window->judgements[i], s->id);
        if (isfinite(value) && (s->id != METRIC_FEATURE_UNSEEN || c->code_count))
            metric_sample(
                s->w, value,
                METRIC_LABELS(s->monitor->model, s->version, arm_name(s->window->arm), c->name));
    }
}

static void each_window(struct monitors *monitors, struct metric_writer *w, enum metric_id id,
                        void (*put)(const struct sample *s))
{
    struct sample s = {.w = w, .id = id};
    metric_family(w, id);
    while ((s.monitor = monitor_next(monitors, s.monitor))) {
        snprintf(s.version, sizeof(s.version), "%lld", (long long)s.monitor->version);
        for (int arm = 0; arm < ARM_COUNT; arm++)
            if ((s.window = s.monitor->windows[arm]))
                put(&s);
    }
}

void monitor_metrics_write(struct monitors *monitors, struct metric_writer *w)
{
    if (!monitors)
        return;
    monitors_lock(monitors);
    each_window(monitors, w, METRIC_MONITOR_ROWS, put_total_rows);
    each_window(monitors, w, METRIC_MONITOR_WINDOWS, put_total_windows);
    each_window(monitors, w, METRIC_DRIFT_VERDICT, put_last_verdict);
    each_window(monitors, w, METRIC_DRIFT_PSI, put_features);
    each_window(monitors, w, METRIC_FEATURE_MISSING, put_features);
    each_window(monitors, w, METRIC_FEATURE_UNSEEN, put_features);
    metric_family(w, METRIC_UNWATCHED_VERSIONS);
    metric_sample(w, (double)monitors_unwatched(monitors), METRIC_NO_LABELS);
    monitors_unlock(monitors);
}
