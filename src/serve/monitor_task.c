/* monitor_task.c - the ticker's task for monitors: totals in, tick, closed windows to the store. */
#include "serve/monitor_task.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "monitor/window_store.h"

enum { STATE_BYTES_MAX = 4 * 1024 * 1024, SAVES_MAX = 16 };

/* ---- totals ---- */

static void add_status(struct window_totals *totals, int slot, uint64_t count)
{
    static const int unprocessable = 422;
    const char *name = loaded_status_name(slot);
    totals->requests += count;
    if (slot == loaded_status_slot(unprocessable))
        totals->rejected += count;
    else if (name[0] == '5')
        totals->failed += count;
}

static void add_stats(struct window_totals *totals, const struct version_stats *stats)
{
    for (int slot = 0; slot < LOADED_STATUS_COUNT; slot++)
        add_status(totals, slot, counter_read(&stats->request_count[slot]));
    for (int rule = 0; rule < RULE_COUNT; rule++)
        totals->violations += counter_read(&stats->violation_count[rule]);
    totals->suspect_rows += counter_read(&stats->suspect_row_count);
    histogram_add_to(&stats->latency, &totals->latency);
}

/* A version that was loaded again counts from zero: its windows then begin there too. */
static void forget_totals(struct monitor *monitor)
{
    for (int arm = 0; arm < ARM_COUNT; arm++)
        if (monitor->windows[arm])
            memset(&monitor->windows[arm]->from, 0, sizeof(monitor->windows[arm]->from));
}

static void bring_totals(struct monitors *monitors, const struct loaded *loaded)
{
    struct monitor *monitor = loaded && loaded->record_schema
                                  ? monitor_find(monitors, loaded->record_schema->serial)
                                  : NULL;
    if (!monitor)
        return;
    struct window_totals totals = {0};
    for (int i = 0; i < loaded->thread_count; i++)
        add_stats(&totals, &loaded->stats[i]);
    if (totals.requests < monitor->totals.requests)
        forget_totals(monitor);
    monitor->totals = totals;
}

static void bring_all(struct monitors *monitors, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++) {
        const struct map_slot *slot = &snapshot->endpoints.slots[i];
        const struct endpoint *endpoint = slot->key.ptr ? slot->value : NULL;
        if (!endpoint)
            continue;
        bring_totals(monitors, endpoint->champion);
        bring_totals(monitors, endpoint->previous);
        for (int k = 0; k < endpoint->pinned_count; k++)
            bring_totals(monitors, endpoint->pinned[k]);
        for (int k = 0; k < endpoint->alias_count; k++)
            bring_totals(monitors, endpoint->aliases[k].loaded);
    }
}

/* ---- what was saved before a restart ---- */

static void restore_one(struct store *store, struct monitor *monitor)
{
    bool has[ARM_COUNT];
    struct err err = {0};
    enum err_code rc = window_arms(store, monitor->model, monitor->version, has, &err);
    for (int arm = 0; !rc && arm < ARM_COUNT; arm++) {
        if (!has[arm])
            continue;
        const struct window_key key = {monitor->model, monitor->version, (enum arm)arm};
        if (!monitor->windows[arm])
            monitor->windows[arm] = window_new(monitor->baseline, monitor->sketch, (enum arm)arm);
        rc = window_load(store, &key, monitor->windows[arm], monitor->baseline, &err);
    }
    if (rc)
        log_warn("windows not read back", "model=%s version=%lld reason=%s", monitor->model,
                 (long long)monitor->version, err.msg);
    monitor->is_restored = true;
}

/* The store first, then the monitors: in this order everywhere. */
void monitor_task_restore(struct monitor_task *task)
{
    struct store *store = control_read_begin(task->control);
    monitors_lock(task->monitors);
    struct monitor *monitor = NULL;
    while ((monitor = monitor_next(task->monitors, monitor)))
        if (!monitor->is_restored)
            restore_one(store, monitor);
    monitors_unlock(task->monitors);
    control_read_end(task->control);
}

static bool has_rows(const struct monitor *monitor)
{
    bool found = false;
    for (int arm = 0; arm < ARM_COUNT; arm++)
        found |= sketch_has_rows(monitor->sketch, (enum arm)arm);
    return found;
}

/* A server that nobody asks anything need not open the store for this. */
static bool must_restore(struct monitors *monitors)
{
    struct monitor *monitor = NULL;
    bool found = false;
    monitors_lock(monitors);
    while (!found && (monitor = monitor_next(monitors, monitor)))
        found = !monitor->is_restored && has_rows(monitor);
    monitors_unlock(monitors);
    return found;
}

/* ---- saving ---- */

struct save {
    char model[STR_NAME_BYTES_MAX + 1];
    struct window_key key;
    struct window *window; /* lives as long as the monitors */
    int64_t from_us;
    struct buf summary, state;
};

static void prepare(struct save *save, const struct monitor *monitor, struct window *window)
{
    int64_t behind = window->closed_count - window->saved_count;
    int i = behind < window->history_count ? (int)behind - 1 : window->history_count - 1;
    const struct window_summary *summary = window_past(window, i);
    buf_init(&save->summary, STATE_BYTES_MAX);
    buf_init(&save->state, STATE_BYTES_MAX);
    struct json_writer w = {.out = &save->summary};
    window_summary_write(&w, summary, monitor->baseline);
    w = (struct json_writer){.out = &save->state};
    window_state_write(&w, window);
    strncat(save->model, monitor->model, STR_NAME_BYTES_MAX);
    save->key = (struct window_key){save->model, monitor->version, window->arm};
    save->window = window;
    save->from_us = summary->from_us;
    window->saved_count = window->closed_count - i - 1; /* older ones have left the history */
}

/* The oldest unsaved window of each, at most SAVES_MAX. */
static int collect(struct monitors *monitors, struct save *saves)
{
    int count = 0;
    struct monitor *monitor = NULL;
    while ((monitor = monitor_next(monitors, monitor)))
        for (int arm = 0; arm < ARM_COUNT && count < SAVES_MAX; arm++) {
            struct window *window = monitor->windows[arm];
            if (window && window->saved_count < window->closed_count)
                prepare(&saves[count++], monitor, window);
        }
    return count;
}

static enum err_code save_one(struct control *control, struct store *store, void *arg,
                              struct err *err)
{
    const struct save *save = arg;
    (void)control;
    return window_save(store, &save->key, save->from_us, buf_view(&save->summary),
                       buf_view(&save->state), err);
}

static void say(struct monitor_task *task, enum err_code rc, const struct err *err)
{
    if (rc && !task->is_failing)
        log_warn("windows of monitors stay in memory", "reason=%s", err->msg);
    if (!rc && task->is_failing)
        log_info("windows of monitors are saved again", "state=%s", "ok");
    task->is_failing = rc != ERR_OK;
}

/* Without the monitors' lock: the control thread may be waiting for it. */
static void save_all(struct monitor_task *task, struct save *saves, int count)
{
    for (int i = 0; i < count; i++) {
        struct err err = {0};
        struct control_op op = {.fn = save_one, .arg = &saves[i]};
        enum err_code rc = control_execute(task->control, &op, &err);
        say(task, rc, &err);
        if (rc)
            return;
        monitors_lock(task->monitors);
        saves[i].window->saved_count++;
        monitors_unlock(task->monitors);
    }
}

static void save(struct monitor_task *task)
{
    struct save *saves = calloc(SAVES_MAX, sizeof(*saves));
    if (!saves)
        abort();
    monitors_lock(task->monitors);
    int count = collect(task->monitors, saves);
    monitors_unlock(task->monitors);
    save_all(task, saves, count);
    for (int i = 0; i < count; i++) {
        buf_done(&saves[i].summary);
        buf_done(&saves[i].state);
    }
    free(saves);
}

void monitor_task_run(void *arg)
{
    struct monitor_task *task = arg;
    struct snapshot *snapshot = control_snapshot(task->control);
    if (must_restore(task->monitors))
        monitor_task_restore(task);
    monitors_lock(task->monitors);
    bring_all(task->monitors, snapshot);
    monitors_tick(task->monitors);
    monitors_unlock(task->monitors);
    snapshot_unref(snapshot);
    save(task);
}
