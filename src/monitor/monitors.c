/* monitors.c - the list of watched versions, and what happens to each once a second. */
#include "monitor/monitors.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "monitor/cause.h"
#include "monitor/drift_alert.h"

struct monitors {
    struct window_config config;
    struct alerts *alerts;
    int thread_count;
    pthread_mutex_t lock;  /* of the list and all monitors, but for their samples */
    struct monitor **list; /* [count] by place */
    int count;
    uint64_t unwatched;

    pthread_mutex_t sample_lock;          /* of every monitor's sample */
    _Atomic(struct monitor *) *by_serial; /* [MONITORS_MAX], what the recorder looks at */
    struct rand rand;                     /* the recorder's */
};

struct monitors *monitors_new(const struct window_config *config, struct alerts *alerts,
                              int thread_count)
{
    struct monitors *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->config = *config;
    m->alerts = alerts;
    m->thread_count = thread_count;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->sample_lock, NULL);
    m->by_serial = calloc(MONITORS_MAX, sizeof(*m->by_serial));
    if (!m->by_serial)
        abort();
    rand_seed_from_os(&m->rand);
    return m;
}

static void monitor_free(struct monitor *monitor)
{
    for (int arm = 0; arm < ARM_COUNT; arm++)
        window_free(monitor->windows[arm]);
    sketch_free(monitor->sketch);
    row_sample_done(&monitor->sample);
    arena_free(monitor->arena); /* with the monitor itself */
}

void monitors_free(struct monitors *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->count; i++)
        monitor_free(m->list[i]);
    free(m->list);
    free(m->by_serial);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->sample_lock);
    free(m);
}

/* ---- making ---- */

static struct monitor *monitor_new(const struct monitors *m, const struct loaded *loaded)
{
    struct arena *arena = arena_new(SIZE_MAX / 2);
    struct monitor *monitor = arena_calloc(arena, 1, sizeof(*monitor));
    assert(monitor);
    monitor->arena = arena;
    monitor->serial = loaded->record_schema->serial;
    monitor->model = arena_copy(arena, loaded->model, strlen(loaded->model));
    monitor->version = loaded->number;
    monitor->baseline = baseline_new(loaded, arena);
    monitor->sketch = sketch_new(monitor->baseline, m->thread_count);
    monitor->sample.width = monitor->baseline->value_count;
    return monitor;
}

static struct monitor *add_monitor(struct monitors *m, const struct loaded *loaded)
{
    if (loaded->record_schema->serial >= MONITORS_MAX) {
        m->unwatched++;
        return NULL;
    }
    struct monitor *monitor = monitor_new(m, loaded);
    m->list = realloc(m->list, (size_t)(m->count + 1) * sizeof(*m->list));
    if (!m->list)
        abort();
    m->list[m->count++] = monitor;
    atomic_store_explicit(&m->by_serial[monitor->serial], monitor, memory_order_release);
    return monitor;
}

struct sketch *monitors_sketch(struct monitors *m, const struct loaded *loaded)
{
    if (!loaded->record_schema)
        return NULL;
    pthread_mutex_lock(&m->lock);
    struct monitor *monitor = monitor_find(m, loaded->record_schema->serial);
    if (!monitor)
        monitor = add_monitor(m, loaded);
    pthread_mutex_unlock(&m->lock);
    return monitor ? monitor->sketch : NULL;
}

void monitors_lock(struct monitors *m)
{
    pthread_mutex_lock(&m->lock);
}

void monitors_unlock(struct monitors *m)
{
    pthread_mutex_unlock(&m->lock);
}

struct monitor *monitor_find(struct monitors *m, uint32_t serial)
{
    return serial < MONITORS_MAX ? atomic_load_explicit(&m->by_serial[serial], memory_order_acquire)
                                 : NULL;
}

struct monitor *monitor_next(struct monitors *m, const struct monitor *after)
{
    int i = 0;
    while (after && m->list[i++] != after)
        assert(i < m->count);
    return i < m->count ? m->list[i] : NULL;
}

const struct window_config *monitors_config(const struct monitors *m)
{
    return &m->config;
}

uint64_t monitors_unwatched(const struct monitors *m)
{
    return m->unwatched;
}

/* ---- the sample ---- */

/* While the ticker reads the samples, the recorder does not wait: these rows are not sampled. */
static void take_record(void *arg, const struct record *record)
{
    struct monitors *m = arg;
    struct monitor *monitor = monitor_find(m, record->schema->serial);
    if (!monitor || !record_is_answered(record) || !record->values ||
        row_sample_max(monitor->sample.width) == 0 ||
        record->schema->value_count != monitor->baseline->value_count)
        return;
    if (pthread_mutex_trylock(&m->sample_lock))
        return;
    row_sample_add_all(&monitor->sample, record->values, record->row_count, &m->rand);
    pthread_mutex_unlock(&m->sample_lock);
}

struct record_sink monitors_sink(struct monitors *m)
{
    return (struct record_sink){.name = "monitors", .arg = m, .take = take_record};
}

static int sample_column(struct monitors *m, const struct monitor *monitor, int column,
                         float values[ROW_SAMPLE_ROWS])
{
    int place = monitor->baseline->columns[column].column;
    pthread_mutex_lock(&m->sample_lock);
    int count = place < 0 ? 0 : row_sample_column(&monitor->sample, place, values);
    pthread_mutex_unlock(&m->sample_lock);
    return count;
}

static void clear_sample(struct monitors *m, struct monitor *monitor)
{
    pthread_mutex_lock(&m->sample_lock);
    row_sample_clear(&monitor->sample);
    pthread_mutex_unlock(&m->sample_lock);
}

/* ---- a learnt answer ---- */

static bool is_calm(const struct window *w)
{
    return judge_worst(w->judgements, w->baseline->column_count - 1) < MONITOR_WARN;
}

/* Answers of windows in which no feature drifts, by whatever arm, become the answer's baseline once
 * there are MONITOR_LEARN_ROWS of them. Until then its `rows` stays 0. */
static void learn_answer(struct monitor *monitor, const struct window *w)
{
    int last = monitor->baseline->column_count - 1;
    struct baseline_column *c = &monitor->baseline->columns[last];
    const uint64_t *slots = w->closed + sketch_first_slot(monitor->sketch, last);
    if (!c->is_learnt || c->rows > 0 || !is_calm(w))
        return;
    double rows = 0;
    for (int i = 0; i < SLOT_BINS; i++)
        c->missing += (double)slots[i];
    for (int i = 0; i < c->bin_count; i++)
        rows += c->counts[i] += (double)slots[SLOT_BINS + i];
    if (rows + c->missing >= MONITOR_LEARN_ROWS)
        c->rows = rows + c->missing;
}

/* ---- the tick ---- */

const char *monitor_title(const struct monitor *monitor, enum arm arm, char *out)
{
    snprintf(out, MONITOR_TITLE_BYTES, "%s:%lld%s%s", monitor->model, (long long)monitor->version,
             arm == ARM_NONE ? "" : " ", arm_name(arm));
    return out;
}

static void find_causes(struct monitors *m, struct monitor *monitor, const struct window *w,
                        const struct judgement *judgements, const uint64_t *slots, char *texts)
{
    float values[ROW_SAMPLE_ROWS];
    for (int i = 0; i < monitor->baseline->column_count; i++) {
        char *text = texts + (size_t)i * CAUSE_BYTES, since[16] = "", at[CLOCK_TEXT_BYTES];
        text[0] = '\0';
        if (judgements[i].verdict < MONITOR_WARN)
            continue;
        if (w->since_us[i])
            snprintf(since, sizeof(since), " since %.5s", clock_format(w->since_us[i], at) + 11);
        int count = sample_column(m, monitor, i, values);
        cause_describe(&monitor->baseline->columns[i],
                       slots + sketch_first_slot(monitor->sketch, i), &judgements[i], values, count,
                       since, text);
    }
}

static void log_window(const struct monitor *monitor, enum arm arm, const struct window_summary *s)
{
    if (s->verdict < MONITOR_WARN)
        return;
    log_warn("drift seen", "model=%s version=%lld arm=%s rows=%lld verdict=%s warn=%d alert=%d",
             monitor->model, (long long)monitor->version, arm_name(arm), (long long)s->rows,
             monitor_verdict_name(s->verdict), s->warn_count, s->alert_count);
}

static void close_window(struct monitors *m, struct monitor *monitor, struct window *w)
{
    const struct window_summary *s = window_close(w, &monitor->totals);
    size_t columns = (size_t)monitor->baseline->column_count;
    if (!w->causes)
        w->causes = calloc(columns, CAUSE_BYTES);
    if (!w->causes)
        abort();
    find_causes(m, monitor, w, w->judgements, w->closed, w->causes);
    log_window(monitor, w->arm, s);
    drift_alert_window(m->alerts, monitor, w);
    clear_sample(m, monitor);
    learn_answer(monitor, w);
}

static void tick_arm(struct monitors *m, struct monitor *monitor, enum arm arm)
{
    struct window *w = monitor->windows[arm];
    if (!w)
        return;
    if (window_judge_skew(w)) {
        size_t columns = (size_t)monitor->baseline->column_count;
        w->skew_causes = calloc(columns, CAUSE_BYTES);
        if (!w->skew_causes)
            abort();
        find_causes(m, monitor, w, w->skew, w->skew_slots, w->skew_causes);
        drift_alert_skew(m->alerts, monitor, w);
    }
    if (window_is_due(w, &m->config))
        close_window(m, monitor, w);
}

/* A window is made when the first row comes by its arm. What the version did before by another one
 * is not that window's. */
static void add_window(struct monitor *monitor, enum arm arm)
{
    bool is_first = true;
    for (int other = 0; other < ARM_COUNT; other++)
        is_first = is_first && !monitor->windows[other];
    monitor->windows[arm] = window_new(monitor->baseline, monitor->sketch, arm);
    if (!is_first)
        monitor->windows[arm]->from = monitor->totals;
}

static void read_arm(struct monitor *monitor, enum arm arm)
{
    if (!monitor->windows[arm]) {
        if (!sketch_has_rows(monitor->sketch, arm))
            return;
        add_window(monitor, arm);
    }
    window_read(monitor->windows[arm]);
}

void monitors_tick(struct monitors *m)
{
    for (int i = 0; i < m->count; i++) {
        for (int arm = 0; arm < ARM_COUNT; arm++)
            read_arm(m->list[i], (enum arm)arm);
        for (int arm = 0; arm < ARM_COUNT; arm++)
            tick_arm(m, m->list[i], (enum arm)arm);
    }
}
