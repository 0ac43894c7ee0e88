/* outcome_watch.c - counts of outcomes by version and name, and bets against the quality floor. */
#include "monitor/outcome_watch.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

struct entry {
    struct outcome_count count;
    double log_ratios[OUTCOME_BETS];
    bool is_raised;
    uint64_t turn;    /* of the watch, when its last outcome came */
    int64_t asked_us; /* monotonic: for the floor, last */
};

struct outcome_watch {
    pthread_mutex_t lock; /* of the entries */
    struct alerts *alerts;
    outcome_floor_fn *floor;
    void *floor_arg;
    struct entry *entries; /* [count] owned */
    int count, capacity;
    uint64_t turn; /* outcomes taken */
};

struct outcome_watch *outcome_watch_new(struct alerts *alerts, outcome_floor_fn *floor, void *arg)
{
    struct outcome_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        abort();
    pthread_mutex_init(&watch->lock, NULL);
    watch->alerts = alerts;
    watch->floor = floor;
    watch->floor_arg = arg;
    return watch;
}

void outcome_watch_free(struct outcome_watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_destroy(&watch->lock);
    free(watch->entries);
    free(watch);
}

/* ---- entries ---- */

static bool is_of(const struct outcome_count *count, const struct outcome *o)
{
    return count->version == o->predicted->version && count->kind == o->kind &&
           str_equal_c(o->name, count->name) && strcmp(count->model, o->predicted->model) == 0;
}

static void grow(struct outcome_watch *watch)
{
    int capacity = watch->capacity ? 2 * watch->capacity : 16;
    struct entry *more = realloc(watch->entries, (size_t)capacity * sizeof(*more));
    if (!more)
        abort();
    watch->entries = more;
    watch->capacity = capacity;
}

static void clear_alert(struct outcome_watch *watch, const struct outcome_count *count)
{
    char key[ALERT_KEY_BYTES];
    snprintf(key, sizeof(key), "quality/%s/%lld/accuracy", count->model, (long long)count->version);
    alert_clear(watch->alerts, key);
}

/* The one that has been silent for longest; nobody is told of it any more. */
static struct entry *give_up_one(struct outcome_watch *watch)
{
    struct entry *oldest = &watch->entries[0];
    for (int i = 1; i < watch->count; i++)
        if (watch->entries[i].turn < oldest->turn)
            oldest = &watch->entries[i];
    if (oldest->is_raised)
        clear_alert(watch, &oldest->count);
    return oldest;
}

static struct entry *new_entry(struct outcome_watch *watch, const struct outcome *o)
{
    const struct predicted *p = o->predicted;
    if (watch->count < OUTCOME_WATCH_MAX && watch->count == watch->capacity)
        grow(watch);
    struct entry *entry =
        watch->count < OUTCOME_WATCH_MAX ? &watch->entries[watch->count++] : give_up_one(watch);
    *entry = (struct entry){.count = {.version = p->version, .kind = o->kind, .evidence = 1}};
    snprintf(entry->count.model, sizeof(entry->count.model), "%s", p->model);
    snprintf(entry->count.name, sizeof(entry->count.name), "%.*s", STR_ARG(o->name));
    snprintf(entry->count.unit, sizeof(entry->count.unit), "%.*s", STR_ARG(o->unit));
    return entry;
}

/* A version that is not in memory has no floor yet. One that is has it for ever: its contract does
 * not change. */
static void ask_floor(struct outcome_watch *watch, struct entry *entry, const struct outcome *o)
{
    int64_t now_us = clock_monotonic_us();
    if (o->kind != OUTCOME_LABEL || !o->predicted->is_class || !watch->floor ||
        entry->count.floor > 0 ||
        (entry->asked_us && now_us - entry->asked_us < OUTCOME_WATCH_ASK_US))
        return;
    entry->asked_us = now_us;
    entry->count.floor = watch->floor(watch->floor_arg, o->predicted->model, o->predicted->version);
}

static struct entry *find(struct outcome_watch *watch, const struct outcome *o)
{
    struct entry *entry = NULL;
    for (int i = 0; !entry && i < watch->count; i++)
        if (is_of(&watch->entries[i].count, o))
            entry = &watch->entries[i];
    if (!entry)
        entry = new_entry(watch, o);
    entry->turn = ++watch->turn;
    ask_floor(watch, entry, o);
    return entry;
}

/* ---- the floor ---- */

double outcome_watch_bet(double log_ratios[OUTCOME_BETS], double floor, bool is_wrong)
{
    static const double worse[OUTCOME_BETS] = {1.1, 1.25, 1.5, 2, 3};
    double allowed = 1 - floor, sum = 0;
    for (int i = 0; i < OUTCOME_BETS; i++) {
        double share = fmin(allowed * worse[i], (1 + allowed) / 2);
        log_ratios[i] += is_wrong ? log(share / allowed) : log((1 - share) / floor);
        sum += exp(fmin(log_ratios[i], 600));
    }
    return sum / OUTCOME_BETS;
}

static double accuracy_of(const struct outcome_count *count)
{
    return (double)count->right / (double)(count->right + count->wrong);
}

static void raise_alert(struct outcome_watch *watch, const struct outcome_count *count)
{
    char key[ALERT_KEY_BYTES], message[ALERT_MESSAGE_BYTES];
    double accuracy = accuracy_of(count);
    snprintf(key, sizeof(key), "quality/%s/%lld/accuracy", count->model, (long long)count->version);
    snprintf(message, sizeof(message),
             "accuracy %.4g over %lld labels is below the floor %.4g (evidence %.3g : 1)", accuracy,
             (long long)(count->right + count->wrong), count->floor, count->evidence);
    const struct alert alert = {
        .key = key,
        .model = count->model,
        .version = count->version,
        .rule = "quality",
        .severity = ALERT_PAGE,
        .value = accuracy,
        .bound = count->floor,
        .unit = "ratio",
        .message = message,
        .cause = "see the worst slices: slipway quality",
    };
    alert_raise(watch->alerts, &alert);
}

static void judge(struct outcome_watch *watch, struct entry *entry, bool is_wrong)
{
    struct outcome_count *count = &entry->count;
    if (!(count->floor > 0 && count->floor < 1))
        return;
    count->evidence = outcome_watch_bet(entry->log_ratios, count->floor, is_wrong);
    bool is_below = count->evidence >= OUTCOME_WATCH_EVIDENCE &&
                    count->right + count->wrong >= OUTCOME_WATCH_LABELS_MIN;
    entry->is_raised = is_below || (entry->is_raised && accuracy_of(count) < count->floor);
    if (entry->is_raised)
        raise_alert(watch, count);
    else
        clear_alert(watch, count);
}

/* ---- counting ---- */

static void count_outcome(struct outcome_watch *watch, struct entry *entry, const struct outcome *o)
{
    struct outcome_count *count = &entry->count;
    if (o->result == OUTCOME_CORRECTED) {
        count->corrected++;
        return;
    }
    count->accepted++;
    count->delay_seconds += fmax(0, (double)(o->received_us - o->predicted->at_us) / 1e6);
    count->value += o->value;
    if (o->kind != OUTCOME_LABEL || !o->predicted->is_class)
        return;
    count->right += !o->is_wrong;
    count->wrong += o->is_wrong;
    judge(watch, entry, o->is_wrong);
}

void outcome_watch_take(void *arg, const struct outcome *outcome)
{
    struct outcome_watch *watch = arg;
    pthread_mutex_lock(&watch->lock);
    count_outcome(watch, find(watch, outcome), outcome);
    pthread_mutex_unlock(&watch->lock);
}

/* Names of one model stand together, as families of metrics want them. */
static int by_name(const void *a, const void *b)
{
    const struct outcome_count *x = a, *y = b;
    int order = strcmp(x->model, y->model);
    if (order == 0)
        order = (x->version > y->version) - (x->version < y->version);
    return order ? order : strcmp(x->name, y->name);
}

int outcome_watch_list(struct outcome_watch *watch, struct arena *arena,
                       struct outcome_count **list)
{
    pthread_mutex_lock(&watch->lock);
    int count = watch->count;
    struct outcome_count *copy = arena_alloc(arena, ((size_t)count + 1) * sizeof(*copy));
    for (int i = 0; copy && i < count; i++)
        copy[i] = watch->entries[i].count;
    pthread_mutex_unlock(&watch->lock);
    if (!copy)
        return 0;
    qsort(copy, (size_t)count, sizeof(*copy), by_name);
    *list = copy;
    return count;
}
