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

/* Places of monitors by their serial, which only grows: open addressing. */
enum { PLACES = 2 * MONITORS_MAX };

struct monitors {
    struct window_config config;
    struct alerts *alerts;
    int thread_count;
    pthread_mutex_t lock;  /* of the list and all monitors, but for their samples */
    struct monitor **list; /* [count] by place */
    int count;
    uint64_t unwatched;

    pthread_mutex_t sample_lock; /* of every monitor's sample; none goes while it is held */
    _Atomic(struct monitor *)
        *places;      /* [PLACES], what the recorder looks at; NULL ends a search */
    struct rand rand; /* the recorder's */
};

static struct monitor gone; /* in a place that a search goes past */

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
    m->places = calloc(PLACES, sizeof(*m->places));
    if (!m->places)
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
    free(m->places);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->sample_lock);
    free(m);
}

/* ---- places ---- */

static struct monitor *at_place(const struct monitors *m, uint32_t place)
{
    return atomic_load_explicit(&m->places[place], memory_order_acquire);
}

static void set_place(struct monitors *m, uint32_t place, struct monitor *monitor)
{
    atomic_store_explicit(&m->places[place], monitor, memory_order_release);
}

static void place(struct monitors *m, struct monitor *monitor)
{
    uint32_t i = monitor->serial % PLACES;
    for (struct monitor *there; (there = at_place(m, i)) && there != &gone;)
        i = (i + 1) % PLACES;
    set_place(m, i, monitor);
}

/* At the end of a chain no mark is needed, nor before it. */
static void displace(struct monitors *m, const struct monitor *monitor)
{
    uint32_t i = monitor->serial % PLACES;
    while (at_place(m, i) != monitor)
        i = (i + 1) % PLACES;
    set_place(m, i, &gone);
    for (; at_place(m, i) == &gone && !at_place(m, (i + 1) % PLACES); i = (i + PLACES - 1) % PLACES)
        set_place(m, i, NULL);
}

struct monitor *monitor_find(struct monitors *m, uint32_t serial)
{
    struct monitor *monitor;
    for (uint32_t i = serial % PLACES; (monitor = at_place(m, i)); i = (i + 1) % PLACES)
        if (monitor != &gone && monitor->serial == serial)
            return monitor;
    return NULL;
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
    if (m->count == MONITORS_MAX) {
        m->unwatched++;
        return NULL;
    }
    struct monitor *monitor = monitor_new(m, loaded);
    m->list = realloc(m->list, (size_t)(m->count + 1) * sizeof(*m->list));
    if (!m->list)
        abort();
    m->list[m->count++] = monitor;
    place(m, monitor);
    return monitor;
}

static void leave(void *arg)
{
    struct monitor *monitor = arg;
    atomic_fetch_sub_explicit(&monitor->users, 1, memory_order_release);
}

/* Told when the version is freed, by whatever thread does it. */
static void enter(struct monitor *monitor, const struct loaded *loaded)
{
    atomic_fetch_add_explicit(&monitor->users, 1, memory_order_relaxed);
    if (loaded->arena && arena_defer(loaded->arena, leave, monitor))
        log_warn("monitor stays for good", "model=%s version=%lld", monitor->model,
                 (long long)monitor->version);
}

struct sketch *monitors_sketch(struct monitors *m, const struct loaded *loaded)
{
    if (!loaded->record_schema)
        return NULL;
    pthread_mutex_lock(&m->lock);
    struct monitor *monitor = monitor_find(m, loaded->record_schema->serial);
    if (!monitor)
        monitor = add_monitor(m, loaded);
    if (monitor)
        enter(monitor, loaded);
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
    if (!record_is_answered(record) || !record->values || pthread_mutex_trylock(&m->sample_lock))
        return;
    struct monitor *monitor = monitor_find(m, record->schema->serial);
    if (monitor && row_sample_max(monitor->sample.width) > 0 &&
        record->schema->value_count == monitor->baseline->value_count)
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

static void tick_monitor(struct monitors *m, struct monitor *monitor)
{
    for (int arm = 0; arm < ARM_COUNT; arm++)
        read_arm(monitor, (enum arm)arm);
    for (int arm = 0; arm < ARM_COUNT; arm++)
        tick_arm(m, monitor, (enum arm)arm);
}

/* ---- versions that left ---- */

static void drop_sample(struct monitors *m, struct monitor *monitor)
{
    int width = monitor->sample.width;
    pthread_mutex_lock(&m->sample_lock);
    row_sample_done(&monitor->sample);
    monitor->sample.width = width;
    pthread_mutex_unlock(&m->sample_lock);
}

/* Nobody counts any more: what is counted is read, and nobody needs to be told of it. */
static void say_goodbye(struct monitors *m, struct monitor *monitor)
{
    tick_monitor(m, monitor);
    drift_alert_clear(m->alerts, monitor);
    drop_sample(m, monitor);
    monitor->left_us = clock_monotonic_us();
}

static bool is_saved(const struct monitor *monitor)
{
    for (int arm = 0; arm < ARM_COUNT; arm++) {
        const struct window *w = monitor->windows[arm];
        if (w && w->saved_count < w->closed_count)
            return false;
    }
    return true;
}

/* The last one takes its place in the list. */
static void remove_monitor(struct monitors *m, int i)
{
    struct monitor *monitor = m->list[i];
    pthread_mutex_lock(&m->sample_lock);
    displace(m, monitor);
    pthread_mutex_unlock(&m->sample_lock);
    m->list[i] = m->list[--m->count];
    monitor_free(monitor);
}

static bool is_over(const struct monitor *monitor)
{
    return monitor->left_us && is_saved(monitor) &&
           clock_monotonic_us() - monitor->left_us >= MONITORS_LINGER_US;
}

void monitors_tick(struct monitors *m)
{
    for (int i = m->count - 1; i >= 0; i--) {
        struct monitor *monitor = m->list[i];
        if (atomic_load_explicit(&monitor->users, memory_order_acquire) > 0) {
            monitor->left_us = 0;
            tick_monitor(m, monitor);
        } else if (!monitor->left_us) {
            say_goodbye(m, monitor);
        } else if (is_over(monitor)) {
            remove_monitor(m, i);
        }
    }
}
