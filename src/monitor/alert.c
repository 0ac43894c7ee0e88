/* alert.c - the set of raised alerts behind one lock, held for a few copies at a time.
 *
 *     raise                 due: `for` has passed        due: cleared for `keep`, or expired
 *     ------> pending -------------------> open -----------------------------------> gone
 *                |  clear                    ^ |
 *                +------> gone         raise +-+ numbers brought up to date
 *
 * Three facts are kept apart: `is_raised`, the raiser's last word; `is_open`, what people were
 * told; `is_saved`, what the store has. A transition is the difference of two of them, so a word
 * that comes while another one is being made durable is not lost, and one that a full disk refused
 * is tried again.
 */
#include "monitor/alert.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"

enum { FIRST_CAPACITY = 16, KEY_HASH_BYTES = 17 };

static const double clear_share = 0.8;

struct entry {
    char key[ALERT_KEY_BYTES];
    char model[ALERT_MODEL_BYTES], rule[ALERT_RULE_BYTES], unit[ALERT_UNIT_BYTES];
    char message[ALERT_MESSAGE_BYTES], cause[ALERT_CAUSE_BYTES];
    int64_t version;
    enum alert_severity severity; /* the raiser's */
    enum alert_severity shown;    /* the rule's, with which it was opened */
    double value, bound;
    int64_t since_us, last_us, cleared_us, opened_us;
    bool is_raised, is_open, is_saved;
};

struct alerts {
    pthread_mutex_t lock;
    struct entry **entries; /* [count] */
    int count, capacity;
    int64_t dropped;
};

const char *alert_severity_name(enum alert_severity severity)
{
    static const char *const names[ALERT_SEVERITY_COUNT] = {"info", "ticket", "page"};
    return names[severity];
}

const char *alert_state_name(enum alert_state state)
{
    static const char *const names[] = {"open", "pending", "silenced", "closed"};
    return names[state];
}

struct alerts *alerts_new(void)
{
    struct alerts *alerts = calloc(1, sizeof(*alerts));
    if (!alerts)
        abort();
    pthread_mutex_init(&alerts->lock, NULL);
    return alerts;
}

void alerts_free(struct alerts *alerts)
{
    if (!alerts)
        return;
    for (int i = 0; i < alerts->count; i++)
        free(alerts->entries[i]);
    free(alerts->entries);
    pthread_mutex_destroy(&alerts->lock);
    free(alerts);
}

/* ---- texts ---- */

/* Bytes of the text's beginning that fit and are whole characters; what is not UTF-8 ends it. */
static size_t whole_bytes(const char *text, size_t room)
{
    size_t used = 0;
    while (text[used]) {
        unsigned char c = (unsigned char)text[used];
        size_t bytes = c < 0x80 ? 1 : str_utf8_sequence(text + used, strlen(text + used));
        if (bytes == 0 || used + bytes > room)
            break;
        used += bytes;
    }
    return used;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t bytes = text ? whole_bytes(text, size - 1) : 0;
    if (bytes)
        memcpy(out, text, bytes);
    out[bytes] = '\0';
}

/* A key that is too long ends in a digest of all of it, so that two of them stay two. */
static void copy_key(char out[ALERT_KEY_BYTES], const char *key)
{
    static const uint64_t salt[2] = {0x736c697077617921, 0x616c657274206b65};
    size_t length = strlen(key);
    copy_text(out, ALERT_KEY_BYTES, key);
    if (strlen(out) == length)
        return;
    size_t kept = whole_bytes(key, ALERT_KEY_BYTES - 1 - KEY_HASH_BYTES);
    snprintf(out + kept, ALERT_KEY_BYTES - kept, "~%016llx",
             (unsigned long long)hash_sip(salt, key, length));
}

/* ---- entries, under the lock ---- */

static struct entry *find(struct alerts *alerts, const char *key)
{
    for (int i = 0; i < alerts->count; i++)
        if (strcmp(alerts->entries[i]->key, key) == 0)
            return alerts->entries[i];
    return NULL;
}

static void grow(struct alerts *alerts)
{
    int capacity = alerts->capacity ? alerts->capacity * 2 : FIRST_CAPACITY;
    struct entry **grown = realloc(alerts->entries, (size_t)capacity * sizeof(struct entry *));
    if (!grown)
        abort();
    alerts->entries = grown;
    alerts->capacity = capacity;
}

/* NULL when the set is full. */
static struct entry *add(struct alerts *alerts, const char *key)
{
    if (alerts->count == ALERTS_MAX) {
        alerts->dropped++;
        return NULL;
    }
    if (alerts->count == alerts->capacity)
        grow(alerts);
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        abort();
    memcpy(entry->key, key, ALERT_KEY_BYTES);
    alerts->entries[alerts->count++] = entry;
    return entry;
}

static void drop(struct alerts *alerts, int i)
{
    free(alerts->entries[i]);
    alerts->entries[i] = alerts->entries[--alerts->count];
}

static void take(struct entry *entry, const struct alert *alert, int64_t now_us)
{
    copy_text(entry->model, sizeof(entry->model), alert->model);
    copy_text(entry->rule, sizeof(entry->rule), alert->rule);
    copy_text(entry->unit, sizeof(entry->unit), alert->unit);
    copy_text(entry->message, sizeof(entry->message), alert->message);
    copy_text(entry->cause, sizeof(entry->cause), alert->cause);
    entry->version = alert->version;
    entry->severity = alert->severity;
    entry->value = alert->value;
    entry->bound = alert->bound;
    if (!entry->is_raised && !entry->is_open)
        entry->since_us = alert->since_us ? alert->since_us : now_us;
    entry->is_raised = true;
    entry->last_us = now_us;
}

static void clear(struct entry *entry, int64_t now_us)
{
    if (!entry->is_raised)
        return;
    entry->is_raised = false;
    entry->cleared_us = now_us;
}

/* ---- raising and clearing ---- */

static void raise_key(struct alerts *alerts, const char *key, const struct alert *alert)
{
    struct entry *entry = find(alerts, key);
    if (!entry)
        entry = add(alerts, key);
    if (entry)
        take(entry, alert, clock_wall_us());
}

void alert_raise(struct alerts *alerts, const struct alert *alert)
{
    char key[ALERT_KEY_BYTES] = "";
    if (!alerts)
        return;
    assert(alert->key && alert->rule);
    copy_key(key, alert->key);
    pthread_mutex_lock(&alerts->lock);
    raise_key(alerts, key, alert);
    pthread_mutex_unlock(&alerts->lock);
}

void alert_clear(struct alerts *alerts, const char *text)
{
    char key[ALERT_KEY_BYTES] = "";
    if (!alerts)
        return;
    copy_key(key, text);
    pthread_mutex_lock(&alerts->lock);
    struct entry *entry = find(alerts, key);
    if (entry)
        clear(entry, clock_wall_us());
    pthread_mutex_unlock(&alerts->lock);
}

void alert_clear_prefix(struct alerts *alerts, const char *prefix)
{
    if (!alerts)
        return;
    pthread_mutex_lock(&alerts->lock);
    for (int i = 0; i < alerts->count; i++)
        if (strncmp(alerts->entries[i]->key, prefix, strlen(prefix)) == 0)
            clear(alerts->entries[i], clock_wall_us());
    pthread_mutex_unlock(&alerts->lock);
}

/* Past `bound`, on the bad side of it? */
static bool is_past(double value, double bound, bool is_low_bad)
{
    return is_low_bad ? value < bound : value > bound;
}

void alert_observe(struct alerts *alerts, const struct alert *alert, bool is_low_bad)
{
    char key[ALERT_KEY_BYTES] = "";
    double good = is_low_bad ? alert->bound / clear_share : alert->bound * clear_share;
    if (!alerts || isnan(alert->value))
        return;
    copy_key(key, alert->key);
    pthread_mutex_lock(&alerts->lock);
    struct entry *entry = find(alerts, key);
    bool is_raised = entry && entry->is_raised;
    if (is_past(alert->value, is_raised ? good : alert->bound, is_low_bad))
        raise_key(alerts, key, alert);
    else if (is_raised)
        clear(entry, clock_wall_us());
    pthread_mutex_unlock(&alerts->lock);
}

/* ---- opening and closing ---- */

static const char *copy(struct arena *arena, const char *text)
{
    const char *copied = arena_copy(arena, text, strlen(text));
    return copied ? copied : "";
}

static void view_entry(const struct entry *entry, struct arena *arena, struct alert_view *view)
{
    *view = (struct alert_view){
        .alert = {.key = copy(arena, entry->key),
                  .model = copy(arena, entry->model),
                  .version = entry->version,
                  .rule = copy(arena, entry->rule),
                  .severity = entry->severity,
                  .value = entry->value,
                  .bound = entry->bound,
                  .unit = copy(arena, entry->unit),
                  .message = copy(arena, entry->message),
                  .cause = copy(arena, entry->cause),
                  .since_us = entry->since_us},
        .state = entry->is_open ? ALERT_OPEN : ALERT_PENDING,
        .opened_us = entry->opened_us,
        .last_us = entry->last_us,
    };
}

/* The entry as its rule shows it. */
static struct alert_policy ask_view(const struct entry *entry, alert_policy_fn *ask, void *arg,
                                    struct arena *arena, struct alert_view *view)
{
    struct alert_policy policy = {0};
    view_entry(entry, arena, view);
    ask(arg, &view->alert, &policy);
    if (policy.has_severity)
        view->alert.severity = policy.severity;
    view->owner = policy.owner ? copy(arena, policy.owner) : "";
    view->runbook = policy.runbook ? copy(arena, policy.runbook) : "";
    if (!entry->is_open && policy.is_silenced)
        view->state = ALERT_SILENCED;
    return policy;
}

/* Is there something to tell or to save about this entry? Then view->state says what. */
static bool is_due(const struct entry *entry, int64_t now_us, const struct alert_policy *policy,
                   struct alert_view *view)
{
    view->is_expired = entry->is_raised && now_us - entry->last_us >= policy->expire_us;
    bool is_raised = entry->is_raised && !view->is_expired && !policy->is_off;
    bool may_open = view->state != ALERT_SILENCED && now_us - entry->since_us >= policy->for_us;
    if (is_raised && !entry->is_open && may_open) {
        view->state = ALERT_OPEN;
        view->opened_us = now_us;
        return true;
    }
    if (is_raised && entry->is_open && view->alert.severity > entry->shown && !policy->is_silenced)
        return true; /* it has become worse: told again */
    bool may_close =
        view->is_expired || policy->is_off || now_us - entry->cleared_us >= policy->keep_us;
    if (!is_raised && entry->is_open && may_close) {
        view->state = ALERT_CLOSED;
        return true;
    }
    view->is_told = entry->is_open != entry->is_saved;
    if (view->is_told && !entry->is_open)
        view->state = ALERT_CLOSED;
    return view->is_told;
}

static bool is_forgotten(const struct entry *entry, const struct alert_view *view)
{
    return !entry->is_open && !entry->is_saved && (!entry->is_raised || view->is_expired);
}

int alerts_due(struct alerts *alerts, int64_t now_us, alert_policy_fn *ask, void *arg,
               struct arena *arena, struct alert_view *due, int max)
{
    int found = 0;
    pthread_mutex_lock(&alerts->lock);
    for (int i = alerts->count - 1; i >= 0 && found < max; i--) {
        struct alert_view *view = &due[found];
        struct alert_policy policy = ask_view(alerts->entries[i], ask, arg, arena, view);
        if (is_due(alerts->entries[i], now_us, &policy, view))
            found++;
        else if (is_forgotten(alerts->entries[i], view))
            drop(alerts, i);
    }
    pthread_mutex_unlock(&alerts->lock);
    return found;
}

void alerts_settle(struct alerts *alerts, const struct alert_view *done, bool is_saved)
{
    pthread_mutex_lock(&alerts->lock);
    struct entry *entry = find(alerts, done->alert.key);
    if (entry) {
        entry->is_open = done->state == ALERT_OPEN;
        entry->opened_us = done->opened_us;
        entry->shown = done->alert.severity;
        if (is_saved)
            entry->is_saved = entry->is_open;
        if (done->is_expired && entry->last_us == done->last_us)
            entry->is_raised = false;
    }
    pthread_mutex_unlock(&alerts->lock);
}

void alerts_restore(struct alerts *alerts, const struct alert_view *view)
{
    char key[ALERT_KEY_BYTES] = "";
    copy_key(key, view->alert.key);
    pthread_mutex_lock(&alerts->lock);
    raise_key(alerts, key, &view->alert);
    struct entry *entry = find(alerts, key);
    if (entry) {
        entry->is_open = entry->is_saved = true;
        entry->opened_us = view->opened_us;
        entry->shown = view->alert.severity;
    }
    pthread_mutex_unlock(&alerts->lock);
}

/* ---- showing ---- */

static int compare(const void *left, const void *right)
{
    const struct alert_view *a = left, *b = right;
    if (a->state != b->state)
        return a->state < b->state ? -1 : 1;
    if (a->alert.since_us != b->alert.since_us)
        return a->alert.since_us > b->alert.since_us ? -1 : 1;
    return strcmp(a->alert.key, b->alert.key);
}

int alerts_list(struct alerts *alerts, alert_policy_fn *ask, void *arg, struct arena *arena,
                struct alert_view **list)
{
    int count = 0;
    *list = NULL;
    if (!alerts)
        return 0;
    pthread_mutex_lock(&alerts->lock);
    *list = arena_calloc(arena, (size_t)alerts->count + 1, sizeof(**list));
    for (int i = 0; *list && i < alerts->count; i++) {
        const struct entry *entry = alerts->entries[i];
        if (entry->is_raised || entry->is_open)
            ask_view(entry, ask, arg, arena, &(*list)[count++]);
    }
    pthread_mutex_unlock(&alerts->lock);
    if (count)
        qsort(*list, (size_t)count, sizeof(**list), compare);
    return count;
}

void alerts_count(struct alerts *alerts, struct alert_counts *counts)
{
    *counts = (struct alert_counts){0};
    if (!alerts)
        return;
    pthread_mutex_lock(&alerts->lock);
    for (int i = 0; i < alerts->count; i++)
        counts->open[alerts->entries[i]->shown] += alerts->entries[i]->is_open;
    counts->dropped = alerts->dropped;
    pthread_mutex_unlock(&alerts->lock);
}
