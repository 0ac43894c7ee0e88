/* alerting.c - the second by second life of alerts. */
#include "serve/alerting.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/file.h"
#include "base/log.h"
#include "monitor/alert_store.h"
#include "monitor/alert_text.h"
#include "net/pool.h"

enum {
    WATCH_EVERY_TICKS = 5,
    SAVE_EVERY_TICKS = 300,
    DUE_MAX = 64, /* opened or closed a tick; the others wait for the next */
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
    MAIL_BYTES_MAX = 256 * 1024,
    WINDOW_BYTES_MAX = 64 * 1024,
};

struct alerting {
    struct alerting_config config;
    struct watch *watch;
    struct arena *arena; /* of one tick */
    int64_t ticks;
    bool is_refused; /* the last commit failed: said once */

    pthread_mutex_t lock; /* of what follows */
    struct alert_rules *rules;
    struct arena *silence_arena;
    struct alert_silence *silences; /* [silence_count] */
    int silence_count;

    struct pool *mail_pool; /* NULL until the first mail; ticker thread */
    _Atomic int mails_waiting;
    _Atomic uint64_t mails_sent, mails_failed;
    _Atomic bool is_stopping;
};

/* ---- rules and silences ---- */

static enum err_code read_rules(const char *path, struct alert_rules **rules, struct err *err)
{
    struct buf text;
    if (path[0] == '\0') {
        *rules = alert_rules_default();
        return ERR_OK;
    }
    enum err_code rc = file_read(path, ALERT_FILE_BYTES_MAX, &text, err);
    if (!rc)
        rc = alert_rules_read(buf_view(&text), path, rules, err);
    buf_done(&text);
    return rc;
}

enum err_code alerting_check(const char *path, struct err *err)
{
    struct alert_rules *rules = NULL;
    enum err_code rc = read_rules(path, &rules, err);
    if (!rc)
        alert_rules_unref(rules);
    return rc;
}

enum err_code alerting_reload(struct alerting *alerting, const char *path, struct err *err)
{
    struct alert_rules *fresh = NULL;
    enum err_code rc = read_rules(path, &fresh, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&alerting->lock);
    struct alert_rules *old = alerting->rules;
    alerting->rules = fresh;
    pthread_mutex_unlock(&alerting->lock);
    alert_rules_unref(old);
    return ERR_OK;
}

struct alert_rules *alerting_rules(struct alerting *alerting)
{
    pthread_mutex_lock(&alerting->lock);
    struct alert_rules *rules = alert_rules_ref(alerting->rules);
    pthread_mutex_unlock(&alerting->lock);
    return rules;
}

enum err_code alerting_read_silences(struct alerting *alerting, struct err *err)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct alert_silence *list = NULL;
    int count = 0;
    struct store *store = control_read_begin(alerting->config.control);
    enum err_code rc = alert_silence_list(store, clock_wall_us(), arena, &list, &count, err);
    control_read_end(alerting->config.control);
    if (rc) {
        arena_free(arena);
        return rc;
    }
    pthread_mutex_lock(&alerting->lock);
    struct arena *old = alerting->silence_arena;
    alerting->silence_arena = arena;
    alerting->silences = list;
    alerting->silence_count = count;
    pthread_mutex_unlock(&alerting->lock);
    arena_free(old);
    return ERR_OK;
}

static bool is_silenced(struct alerting *alerting, const char *key, int64_t now_us)
{
    bool is = false;
    pthread_mutex_lock(&alerting->lock);
    for (int i = 0; !is && i < alerting->silence_count; i++)
        is = alerting->silences[i].until_us > now_us &&
             str_matches(alerting->silences[i].match, key);
    pthread_mutex_unlock(&alerting->lock);
    return is;
}

/* ---- what the rules say ---- */

struct asking {
    struct alerting *alerting;
    const struct alert_rules *rules;
    const struct snapshot *snapshot;
    int64_t now_us;
};

/* Whose it is when no rule names somebody: the model's owner. */
static const char *owner_of(const struct asking *asking, const struct alert *alert,
                            const struct alert_rule *rule)
{
    if (rule->owner[0] || !alert->model[0])
        return rule->owner;
    const struct endpoint *endpoint = snapshot_find(asking->snapshot, str_of(alert->model));
    return endpoint ? endpoint->owner : "";
}

/* What a raiser only mentions stays a mention: a rule makes alerts more or less urgent, it does not
 * make alerts of warnings. */
static bool sets_severity(const struct alert_rule *rule, const struct alert *alert)
{
    if (rule->signal != ALERT_BY_RAISER)
        return true;
    return rule->is_severity_set && alert->severity > ALERT_INFO;
}

static void ask_rules(void *arg, const struct alert *alert, struct alert_policy *policy)
{
    const struct asking *asking = arg;
    const struct alert_rule *rule = alert_rules_find(asking->rules, alert->model, alert->rule);
    *policy = (struct alert_policy){
        .is_off = rule->is_off,
        .is_silenced = alert_rules_silenced_until(asking->rules, alert->key, asking->now_us) != 0 ||
                       is_silenced(asking->alerting, alert->key, asking->now_us),
        .has_severity = sets_severity(rule, alert),
        .severity = rule->severity,
        .for_us = rule->for_us,
        .keep_us = rule->keep_us,
        .expire_us = rule->expire_us,
        .owner = owner_of(asking, alert, rule),
        .runbook = rule->runbook,
    };
}

int alerting_list(struct alerting *alerting, struct arena *arena, struct alert_view **list)
{
    struct alert_rules *rules = alerting_rules(alerting);
    struct snapshot *snapshot = control_snapshot(alerting->config.control);
    struct asking asking = {alerting, rules, snapshot, clock_wall_us()};
    int count = alerts_list(alerting->config.alerts, ask_rules, &asking, arena, list);
    snapshot_unref(snapshot);
    alert_rules_unref(rules);
    return count;
}

/* ---- mail ---- */

struct mail {
    struct pool_task task;
    struct alerting *alerting;
    struct alert_rules *rules; /* hold argv */
    struct buf text;
};

static void send_mail(struct pool_task *task)
{
    struct mail *mail = (struct mail *)(void *)task;
    struct alerting *alerting = mail->alerting;
    const struct alert_mail *how = alert_rules_mail(mail->rules);
    struct err err = {0};
    if (atomic_load(&alerting->is_stopping)) {
        atomic_fetch_add(&alerting->mails_failed, 1);
    } else if (command_run(how->argv, buf_view(&mail->text), how->timeout_us / 1000, &err)) {
        log_error("alert mail not sent", "reason=%s", err.msg);
        atomic_fetch_add(&alerting->mails_failed, 1);
    } else {
        atomic_fetch_add(&alerting->mails_sent, 1);
    }
    atomic_fetch_sub(&alerting->mails_waiting, 1);
    alert_rules_unref(mail->rules);
    buf_done(&mail->text);
    free(mail);
}

/* A program that hangs holds up mails, nothing else. */
static void queue_mail(struct alerting *alerting, struct alert_rules *rules,
                       const struct alert_view *views, int count)
{
    struct err err = {0};
    if (!alerting->mail_pool)
        alerting->mail_pool = pool_new("mail", 1, ALERTING_MAILS_MAX);
    struct mail *mail = calloc(1, sizeof(*mail));
    if (!mail)
        abort();
    mail->task.fn = send_mail;
    mail->alerting = alerting;
    mail->rules = alert_rules_ref(rules);
    buf_init(&mail->text, MAIL_BYTES_MAX);
    alert_put_mail(&mail->text, alert_rules_mail(rules), views, count);
    atomic_fetch_add(&alerting->mails_waiting, 1);
    if (!pool_submit(alerting->mail_pool, &mail->task, &err))
        return;
    log_error("alert mail not sent", "reason=%s", err.msg);
    atomic_fetch_sub(&alerting->mails_waiting, 1);
    atomic_fetch_add(&alerting->mails_failed, 1);
    alert_rules_unref(mail->rules);
    buf_done(&mail->text);
    free(mail);
}

/* ---- telling ---- */

static void log_view(const struct alert_view *view)
{
    static const enum log_level levels[ALERT_SEVERITY_COUNT] = {LOG_INFO, LOG_WARN, LOG_ERROR};
    const struct alert *alert = &view->alert;
    bool is_open = view->state == ALERT_OPEN;
    log_line(is_open ? levels[alert->severity] : LOG_INFO,
             is_open ? "alert opened" : "alert closed",
             " severity=%s key=%s message=%s cause=%s owner=%s runbook=%s",
             alert_severity_name(alert->severity), alert->key, alert->message, alert->cause,
             view->owner, view->runbook);
}

static void tell(struct alerting *alerting, struct alert_rules *rules, struct alert_view *due,
                 int count)
{
    const struct alert_mail *mail = alert_rules_mail(rules);
    int mailed = 0;
    for (int i = 0; i < count; i++) {
        if (due[i].is_told)
            continue;
        log_view(&due[i]);
        if (mail->argv && due[i].alert.severity >= mail->severity)
            due[mailed++] = due[i];
    }
    if (mailed)
        queue_mail(alerting, rules, due, mailed);
}

/* ---- opening and closing ---- */

struct batch {
    const struct alert_view *due;
    int count;
};

static enum err_code keep(struct control *control, struct store *store, void *arg, struct err *err)
{
    const struct batch *batch = arg;
    enum err_code rc = ERR_OK;
    (void)control;
    for (int i = 0; !rc && i < batch->count; i++)
        rc = alert_store_put(store, &batch->due[i], err);
    return rc;
}

static bool commit(struct alerting *alerting, const struct alert_view *due, int count)
{
    struct err err = {0};
    struct batch batch = {due, count};
    struct control_op op = {.fn = keep, .arg = &batch};
    enum err_code rc = control_execute(alerting->config.control, &op, &err);
    if (rc && !alerting->is_refused)
        log_warn("alerts not stored, they are kept in memory", "count=%d reason=%s", count,
                 err.msg);
    alerting->is_refused = rc != ERR_OK;
    return rc == ERR_OK;
}

static void open_and_close(struct alerting *alerting, struct alert_rules *rules,
                           const struct snapshot *snapshot, int64_t now_us)
{
    struct asking asking = {alerting, rules, snapshot, now_us};
    struct alert_view *due = arena_calloc(alerting->arena, DUE_MAX, sizeof(*due));
    if (!due)
        return;
    int count = alerts_due(alerting->config.alerts, now_us, ask_rules, &asking, alerting->arena,
                           due, DUE_MAX);
    if (count == 0)
        return;
    bool is_saved = commit(alerting, due, count);
    for (int i = 0; i < count; i++)
        alerts_settle(alerting->config.alerts, &due[i], is_saved);
    tell(alerting, rules, due, count);
}

/* ---- measuring and saving ---- */

static void measure(struct alerting *alerting, const struct alert_rules *rules,
                    const struct snapshot *snapshot, int64_t now_us)
{
    const struct alerting_config *config = &alerting->config;
    struct statvfs disk;
    watch_snapshot(alerting->watch, snapshot, rules, now_us);
    if (fstatvfs(folder_fd(control_folder(config->control)), &disk) == 0)
        watch_disk(alerting->watch, (double)disk.f_bavail * (double)disk.f_frsize, rules);
    if (config->measure)
        config->measure(config->arg, alerting->watch, rules, now_us);
}

struct saving {
    struct watch *watch;
    struct store *store;
    struct err *err;
    enum err_code rc;
};

static void save_model(void *arg, const char *model, const struct burn *burn)
{
    struct saving *saving = arg;
    struct buf text;
    if (saving->rc)
        return;
    buf_init(&text, WINDOW_BYTES_MAX);
    burn_save(burn, &text);
    saving->rc =
        alert_window_put(saving->store, model, buf_view(&text), clock_wall_us(), saving->err);
    buf_done(&text);
}

static enum err_code save_models(struct control *control, struct store *store, void *arg,
                                 struct err *err)
{
    struct saving saving = {.watch = arg, .store = store, .err = err};
    (void)control;
    watch_each(saving.watch, save_model, &saving);
    return saving.rc;
}

static void find_one(void *arg, const char *model, const struct burn *burn)
{
    (void)model, (void)burn;
    *(bool *)arg = true;
}

/* They are statistics: what a full disk refuses is written the next time. */
static void save(struct alerting *alerting)
{
    struct err err = {0};
    bool has_one = false;
    struct control_op op = {.fn = save_models, .arg = alerting->watch};
    watch_each(alerting->watch, find_one, &has_one);
    if (has_one && control_execute(alerting->config.control, &op, &err))
        log_debug("alert windows not saved", "reason=%s", err.msg);
}

void alerting_tick(void *arg)
{
    struct alerting *alerting = arg;
    int64_t now_us = clock_wall_us(), tick = alerting->ticks++;
    struct alert_rules *rules = alerting_rules(alerting);
    struct snapshot *snapshot = control_snapshot(alerting->config.control);
    if (tick % WATCH_EVERY_TICKS == 0)
        measure(alerting, rules, snapshot, now_us);
    open_and_close(alerting, rules, snapshot, now_us);
    snapshot_unref(snapshot);
    alert_rules_unref(rules);
    arena_reset(alerting->arena);
    if (tick % SAVE_EVERY_TICKS == SAVE_EVERY_TICKS - 1)
        save(alerting);
}

/* ---- beginning and end ---- */

static void restore_window(void *arg, struct str model, struct str counts)
{
    watch_restore(arg, model, counts);
}

static enum err_code restore(struct alerting *alerting, struct err *err)
{
    struct alert_view *list;
    int count = 0;
    struct store *store = control_read_begin(alerting->config.control);
    enum err_code rc = alert_store_list(store, alerting->arena, &list, &count, err);
    if (!rc)
        rc = alert_window_each(store, restore_window, alerting->watch, err);
    control_read_end(alerting->config.control);
    for (int i = 0; !rc && i < count; i++)
        alerts_restore(alerting->config.alerts, &list[i]);
    arena_reset(alerting->arena);
    return rc ? rc : alerting_read_silences(alerting, err);
}

enum err_code alerting_new(const struct alerting_config *config, struct alerting **alerting,
                           struct err *err)
{
    struct alert_rules *rules = NULL;
    enum err_code rc = read_rules(config->rules_path, &rules, err);
    if (rc)
        return rc;
    struct alerting *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        abort();
    fresh->config = *config;
    fresh->rules = rules;
    fresh->watch = watch_new(config->alerts);
    fresh->arena = arena_new(ARENA_BYTES_MAX);
    pthread_mutex_init(&fresh->lock, NULL);
    *alerting = fresh;
    return restore(fresh, err);
}

void alerting_free(struct alerting *alerting)
{
    if (!alerting)
        return;
    save(alerting);
    atomic_store(&alerting->is_stopping, true);
    pool_free(alerting->mail_pool);
    watch_free(alerting->watch);
    alert_rules_unref(alerting->rules);
    arena_free(alerting->silence_arena);
    arena_free(alerting->arena);
    pthread_mutex_destroy(&alerting->lock);
    free(alerting);
}

void alerting_stats(struct alerting *alerting, struct alerting_stats *stats)
{
    alerts_count(alerting->config.alerts, &stats->counts);
    stats->mails_sent = atomic_load(&alerting->mails_sent);
    stats->mails_failed = atomic_load(&alerting->mails_failed);
}
