/* review_watch.c - late items by model, as alerts. */
#include "serve/review_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "review/stats.h"

#define MISSED_FOR_US (INT64_C(3600) * CLOCK_SECOND_US)

enum { LOOK_BYTES_MAX = 4 * 1024 * 1024 };

struct late {
    char model[ALERT_MODEL_BYTES];
    int64_t missed;    /* items that ever missed their time, as of the last look; -1: none yet */
    int64_t missed_us; /* when that number last grew; 0: it has not */
    int64_t open, oldest_due_us; /* past their time now */
};

struct review_watch {
    struct alerts *alerts;
    int count;
    struct late models[REVIEW_WATCH_MAX];
};

struct review_watch *review_watch_new(struct alerts *alerts)
{
    struct review_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        abort();
    watch->alerts = alerts;
    return watch;
}

void review_watch_free(struct review_watch *watch)
{
    free(watch);
}

static struct late *find(struct review_watch *watch, const char *model)
{
    for (int i = 0; i < watch->count; i++)
        if (strcmp(watch->models[i].model, model) == 0)
            return &watch->models[i];
    if (watch->count == REVIEW_WATCH_MAX)
        return NULL;
    struct late *late = &watch->models[watch->count++];
    *late = (struct late){.missed = -1};
    snprintf(late->model, sizeof(late->model), "%s", model);
    return late;
}

/* A number that was there at the first look says nothing about now. */
static void count_missed(struct review_watch *watch, const struct review_total *totals, int count,
                         int64_t now_us)
{
    for (int i = 0; i < count;) {
        int64_t missed = 0;
        struct late *late = find(watch, totals[i].model);
        const char *model = totals[i].model;
        for (; i < count && strcmp(totals[i].model, model) == 0; i++)
            missed += totals[i].late_count;
        if (!late)
            continue;
        if (late->missed >= 0 && missed > late->missed)
            late->missed_us = now_us;
        late->missed = missed;
    }
}

static void raise_or_clear(struct review_watch *watch, const struct late *late, int64_t now_us)
{
    char key[ALERT_KEY_BYTES], message[ALERT_MESSAGE_BYTES];
    bool has_missed = late->missed_us && now_us - late->missed_us < MISSED_FOR_US;
    snprintf(key, sizeof(key), "review_sla/%s", late->model);
    if (late->open == 0 && !has_missed) {
        alert_clear(watch->alerts, key);
        return;
    }
    if (late->open)
        snprintf(message, sizeof(message),
                 "%lld open items are past their time, the first by %.1f h", (long long)late->open,
                 (double)(now_us - late->oldest_due_us) / 3.6e9);
    else
        snprintf(message, sizeof(message), "items were closed by the clock before anybody decided");
    const struct alert alert = {
        .key = key,
        .model = late->model,
        .rule = "review_sla",
        .severity = ALERT_TICKET,
        .value = (double)late->open,
        .bound = 0,
        .unit = "items",
        .message = message,
        .cause = "too few reviewers, or a rule that asks for too many: slipway review stats",
    };
    alert_raise(watch->alerts, &alert);
}

enum err_code review_watch_look(struct review_watch *watch, struct store *store, int64_t now_us,
                                struct err *err)
{
    struct review_total *totals = NULL;
    struct review_overdue *overdue = NULL;
    int total_count = 0, overdue_count = 0;
    struct arena *arena = arena_new(LOOK_BYTES_MAX);
    enum err_code rc = review_totals(store, arena, &totals, &total_count, err);
    if (!rc)
        rc = review_overdue(store, now_us, arena, &overdue, &overdue_count, err);
    if (!rc) {
        count_missed(watch, totals, total_count, now_us);
        for (int i = 0; i < watch->count; i++)
            watch->models[i].open = 0;
        for (int i = 0; i < overdue_count; i++) {
            struct late *late = find(watch, overdue[i].model);
            if (late) {
                late->open = overdue[i].count;
                late->oldest_due_us = overdue[i].oldest_due_us;
            }
        }
        for (int i = 0; i < watch->count; i++)
            raise_or_clear(watch, &watch->models[i], now_us);
    }
    arena_free(arena);
    return rc;
}
