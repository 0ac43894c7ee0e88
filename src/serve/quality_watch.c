/* quality_watch.c - estimates of champions against their floors. */
#include "serve/quality_watch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/realised.h"

#define WINDOW_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)

enum { MEMORY_BYTES_MAX = 256 * 1024 * 1024 };

struct quality_watch {
    struct pool_task task; /* first: the pool gives it back */
    struct control *control;
    struct alerts *alerts;
    struct pool *pool;
    _Atomic bool is_busy;
};

/* ---- one version ---- */

static void raise_alert(struct alerts *alerts, const char *key, const char *model, int64_t version,
                        double floor, const struct estimate *estimate)
{
    char message[ALERT_MESSAGE_BYTES];
    snprintf(message, sizeof(message),
             "accuracy of the last day is estimated at %.4g (95 %% %.4g..%.4g, %lld answers), "
             "below the floor %.4g",
             estimate->accuracy.value, estimate->accuracy.low, estimate->accuracy.high,
             (long long)estimate->row_count, floor);
    const struct alert alert = {
        .key = key,
        .model = model,
        .version = version,
        .rule = "estimated_quality",
        .severity = ALERT_TICKET,
        .value = estimate->accuracy.value,
        .bound = floor,
        .unit = "ratio",
        .message = message,
        .cause = "more of the answers than usual have a low probability; see slipway monitor",
    };
    alert_raise(alerts, &alert);
}

static void judge(struct alerts *alerts, const char *model, int64_t version, double floor,
                  const struct realised_section *section)
{
    char key[ALERT_KEY_BYTES];
    const struct estimate *estimate = &section->estimate.estimate;
    if (!section->estimate.is_known || estimate->row_count < QUALITY_WATCH_ROWS_MIN)
        return;
    snprintf(key, sizeof(key), "estimated_quality/%s/%lld/accuracy", model, (long long)version);
    if (estimate->accuracy.high < floor)
        raise_alert(alerts, key, model, version, floor, estimate);
    else if (estimate->accuracy.value >= floor)
        alert_clear(alerts, key);
}

enum err_code quality_watch_look(struct store *store, struct alerts *alerts, const char *model,
                                 int64_t version, double floor, struct err *err)
{
    struct realised realised;
    int64_t now_us = clock_wall_us();
    const struct realised_query query = {.model = model,
                                         .version = version,
                                         .arm = "",
                                         .from_us = now_us - WINDOW_US,
                                         .to_us = now_us + 1};
    struct arena *arena = arena_new(MEMORY_BYTES_MAX);
    enum err_code rc = realised_measure(store, &query, arena, &realised, err);
    for (int i = 0; !rc && i < realised.section_count; i++)
        if (!realised.sections[i].is_shadow)
            judge(alerts, model, version, floor, &realised.sections[i]);
    arena_free(arena);
    return rc;
}

/* ---- all of them ---- */

static double floor_of(const struct endpoint *endpoint)
{
    const struct loaded *champion = endpoint ? endpoint->champion : NULL;
    return champion && champion->contract ? champion->contract->accuracy_floor : 0;
}

static void look_at_all(struct quality_watch *watch, const struct snapshot *snapshot)
{
    struct store *store = NULL;
    struct err err = {0};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; !rc && i < snapshot->endpoints.slot_count; i++) {
        const struct map_slot *slot = &snapshot->endpoints.slots[i];
        const struct endpoint *endpoint = slot->key.ptr ? slot->value : NULL;
        double floor = floor_of(endpoint);
        if (floor <= 0)
            continue;
        if (!store)
            rc = store_open(&store_sqlite, folder_path(control_folder(watch->control)), STORE_READ,
                            &store, &err);
        if (!rc)
            rc = quality_watch_look(store, watch->alerts, endpoint->name,
                                    endpoint->champion->number, floor, &err);
    }
    if (store)
        store_close(store);
    if (rc)
        log_warn("quality not estimated", "reason=%s", err.msg);
}

static void work(struct pool_task *task)
{
    struct quality_watch *watch = (struct quality_watch *)task;
    struct snapshot *snapshot = control_snapshot(watch->control);
    look_at_all(watch, snapshot);
    snapshot_unref(snapshot);
    atomic_store(&watch->is_busy, false);
}

void quality_watch_run(void *arg)
{
    struct quality_watch *watch = arg;
    struct err err = {0};
    if (atomic_exchange(&watch->is_busy, true))
        return;
    watch->task.fn = work;
    if (pool_submit(watch->pool, &watch->task, &err))
        atomic_store(&watch->is_busy, false); /* the next tick tries again */
}

struct quality_watch *quality_watch_new(struct control *control, struct alerts *alerts,
                                        struct pool *pool)
{
    struct quality_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        abort();
    watch->control = control;
    watch->alerts = alerts;
    watch->pool = pool;
    return watch;
}

void quality_watch_free(struct quality_watch *watch)
{
    free(watch);
}
