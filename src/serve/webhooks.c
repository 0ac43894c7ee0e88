/* webhooks.c - one courier thread a receiver. */
#include "serve/webhooks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "event/cloudevent.h"
#include "net/address.h"
#include "net/http_client.h"

enum {
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
    REPLY_BYTES_MAX = 64 * 1024,
    STACK_BYTES = 512 * 1024,
    FAILURES_TO_ALERT = 3,
    DOUBLINGS_MAX = 20,
    RETRY_BASE_US = 1000 * 1000,
    SAVE_EVERY_US = 5 * 1000 * 1000,
    HEADERS_MAX = 8,
    NOT_SAVED = -1, /* no cursor has that place */
};

struct courier {
    struct webhooks *webhooks;
    const struct webhook *webhook;
    pthread_t thread;
    struct rand rand;
    struct arena *arena; /* of one batch; this thread's */
    int64_t saved, saved_us;
    bool is_alerted;
    struct webhook_status status; /* under the webhooks' lock */
};

struct webhooks {
    struct control *control;
    struct alerts *alerts;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* when it is over */
    _Atomic bool is_stopping;
    struct webhook_file *file;              /* NULL: none are configured */
    struct courier *couriers[WEBHOOKS_MAX]; /* [count] */
    int count;
};

/* ---- cursors ---- */

struct cursor_move {
    const char *name;
    int64_t seq;
};

static enum err_code put_cursor(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    const struct cursor_move *move = arg;
    (void)control;
    return webhook_cursor_put(store, move->name, move->seq, err);
}

/* What a full disk refuses is kept in memory and tried after the next batch. */
static void save_cursor(struct courier *courier)
{
    struct err err = {0};
    struct cursor_move move = {courier->webhook->name, courier->status.cursor};
    struct control_op op = {.fn = put_cursor, .arg = &move};
    if (move.seq == courier->saved)
        return;
    courier->saved_us = clock_monotonic_us();
    if (!control_execute(courier->webhooks->control, &op, &err))
        courier->saved = move.seq;
}

/* A cursor that cannot be kept (the disk is full) hinders nobody: it is in memory, and saved when
 * there is room. Only a restart before that begins it anew. */
static void keep_new_cursor(struct courier *courier, const struct cursor_move *move)
{
    struct err err = {0};
    struct cursor_move copy = *move;
    struct control_op op = {.fn = put_cursor, .arg = &copy};
    if (!control_execute(courier->webhooks->control, &op, &err))
        return;
    courier->saved = NOT_SAVED;
    log_warn("webhook cursor not saved yet", "webhook=%s reason=%s", move->name, err.msg);
}

static enum err_code begin_cursor(struct courier *courier, struct err *err)
{
    struct control *control = courier->webhooks->control;
    const struct webhook *webhook = courier->webhook;
    struct cursor_move move = {.name = webhook->name};
    bool is_new = false;
    struct store *store = control_read_begin(control);
    enum err_code rc = webhook_cursor_get(store, webhook->name, &move.seq, &is_new, err);
    if (!rc && is_new && !webhook->from_beginning)
        rc = webhook_last_event(store, &move.seq, err);
    control_read_end(control);
    courier->status.cursor = courier->saved = move.seq;
    if (!rc && is_new)
        keep_new_cursor(courier, &move);
    return rc;
}

/* ---- one delivery ---- */

static void set_header(struct http_header *headers, int *count, const char *name, const char *value)
{
    assert(*count < HEADERS_MAX);
    headers[(*count)++] = (struct http_header){str_of(name), str_of(value)};
}

static int64_t retry_after_us(const struct http_result *result)
{
    int64_t seconds = 0;
    for (int i = 0; i < result->header_count; i++)
        if (str_equal_nocase(result->headers[i].name, STR_LIT("Retry-After")) &&
            (!str_to_i64(result->headers[i].value, &seconds) || seconds < 0 || seconds > 86400))
            seconds = 0;
    return seconds * 1000000;
}

/* `err` says why not. *after_us: the receiver asked for that much time. */
static enum err_code post(struct courier *courier, const struct audit_event *event, struct str body,
                          int64_t *after_us, struct err *err)
{
    const struct webhook *webhook = courier->webhook;
    char signature[WEBHOOK_SIGNATURE_BYTES], timestamp[STR_NUMBER_BYTES];
    struct http_header headers[HEADERS_MAX];
    struct http_result result;
    int64_t now = clock_wall_us() / CLOCK_SECOND_US;
    int count = 0;
    webhook_sign(webhook->secret, webhook->secret_bytes, event->hash, now, body, signature);
    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)now);
    set_header(headers, &count, "Content-Type", CLOUDEVENT_CONTENT_TYPE);
    set_header(headers, &count, "User-Agent", "slipway");
    set_header(headers, &count, "Idempotency-Key", event->hash);
    set_header(headers, &count, "webhook-id", event->hash);
    set_header(headers, &count, "webhook-timestamp", timestamp);
    set_header(headers, &count, "webhook-signature", signature);
    const struct http_call call = {
        .url = webhook->origin,
        .tls.ca_path = webhook->ca,
        .method = "POST",
        .target = str_of(webhook->target),
        .headers = headers,
        .header_count = count,
        .body = body,
        .timeout_ms = webhook->timeout_us / 1000,
        .reply_bytes_max = REPLY_BYTES_MAX,
        .may_connect = webhook->is_private ? address_is_unicast : address_is_public,
        .is_cancelled = &courier->webhooks->is_stopping,
    };
    enum err_code rc = http_call_run(&call, courier->arena, &result, err);
    if (rc)
        return rc;
    buf_done(&result.body);
    if (result.status >= 200 && result.status < 300)
        return ERR_OK;
    *after_us = retry_after_us(&result);
    return err_set(err, ERR_UNAVAILABLE, "it answered %d", result.status);
}

/* ---- after a delivery ---- */

static void clear_alert(struct courier *courier)
{
    char key[ALERT_KEY_BYTES];
    snprintf(key, sizeof(key), "webhook_failing/%s", courier->webhook->name);
    alert_clear(courier->webhooks->alerts, key);
    courier->is_alerted = false;
}

static void raise_alert(struct courier *courier, const struct webhook_status *status)
{
    char key[ALERT_KEY_BYTES], message[ALERT_MESSAGE_BYTES];
    snprintf(key, sizeof(key), "webhook_failing/%s", courier->webhook->name);
    snprintf(message, sizeof(message), "webhook '%s' took no event in %d attempts; %lld wait",
             courier->webhook->name, status->failures_in_row, (long long)status->behind);
    const struct alert alert = {
        .key = key,
        .rule = "webhook_failing",
        .severity = ALERT_TICKET,
        .value = status->failures_in_row,
        .bound = FAILURES_TO_ALERT,
        .unit = "attempts",
        .message = message,
        .cause = status->last_error,
    };
    if (!courier->is_alerted)
        log_warn("webhook failing", "name=%s attempts=%d behind=%lld reason=%s",
                 courier->webhook->name, status->failures_in_row, (long long)status->behind,
                 status->last_error);
    alert_raise(courier->webhooks->alerts, &alert);
    courier->is_alerted = true;
}

static void note_success(struct courier *courier)
{
    struct webhook_status *status = &courier->status;
    pthread_mutex_lock(&courier->webhooks->lock);
    status->delivered++;
    status->failures_in_row = 0;
    status->last_success_us = clock_wall_us();
    status->next_attempt_us = 0;
    status->last_error[0] = '\0';
    pthread_mutex_unlock(&courier->webhooks->lock);
    clear_alert(courier);
}

/* Full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): anything between now and a
 * bound that doubles, so that couriers of many servers do not come back together. */
static int64_t wait_after(struct courier *courier, int failures, int64_t asked_us)
{
    int64_t max_us = courier->webhook->retry_max_us;
    int doublings = failures - 1 < DOUBLINGS_MAX ? failures - 1 : DOUBLINGS_MAX;
    int64_t bound_us = (int64_t)RETRY_BASE_US << doublings;
    if (bound_us > max_us)
        bound_us = max_us;
    int64_t wait_us = (int64_t)(rand_unit(&courier->rand) * (double)bound_us);
    if (asked_us > max_us)
        asked_us = max_us;
    return wait_us > asked_us ? wait_us : asked_us;
}

/* Returns how long to wait. */
static int64_t note_failure(struct courier *courier, const struct err *err, int64_t asked_us)
{
    struct webhook_status copy, *status = &courier->status;
    pthread_mutex_lock(&courier->webhooks->lock);
    status->failed++;
    status->failures_in_row++;
    snprintf(status->last_error, sizeof(status->last_error), "%s", err->msg);
    int64_t wait_us = wait_after(courier, status->failures_in_row, asked_us);
    status->next_attempt_us = clock_wall_us() + wait_us;
    copy = *status;
    pthread_mutex_unlock(&courier->webhooks->lock);
    if (copy.failures_in_row >= FAILURES_TO_ALERT)
        raise_alert(courier, &copy);
    return wait_us;
}

static void move_cursor(struct courier *courier, int64_t seq, int64_t behind)
{
    pthread_mutex_lock(&courier->webhooks->lock);
    courier->status.cursor = seq;
    courier->status.behind = behind;
    pthread_mutex_unlock(&courier->webhooks->lock);
    if (clock_monotonic_us() - courier->saved_us >= SAVE_EVERY_US)
        save_cursor(courier);
}

/* ---- the thread ---- */

/* 0: sent, or not wanted. Else how long to wait before it is tried again. */
static int64_t deliver(struct courier *courier, const struct audit_event *event)
{
    struct err err = {0};
    struct buf body;
    int64_t asked_us = 0, wait_us = 0;
    if (!webhook_wants(courier->webhook, event->action))
        return 0;
    buf_init(&body, CLOUDEVENT_BYTES_MAX);
    cloudevent_format(event, courier->webhooks->file->source, &body);
    enum err_code rc = post(courier, event, buf_view(&body), &asked_us, &err);
    if (!rc)
        note_success(courier);
    else if (rc != ERR_CANCELLED)
        wait_us = note_failure(courier, &err, asked_us) + 1;
    buf_done(&body);
    return rc == ERR_CANCELLED ? 1 : wait_us;
}

static enum err_code read_batch(struct courier *courier, struct audit_event **events, int *count,
                                int64_t *last, struct err *err)
{
    struct control *control = courier->webhooks->control;
    struct store *store = control_read_begin(control);
    enum err_code rc = audit_list(store, "", courier->status.cursor, WEBHOOK_BATCH_MAX,
                                  courier->arena, events, count, err);
    if (!rc)
        rc = webhook_last_event(store, last, err);
    control_read_end(control);
    return rc;
}

/* Returns how long to wait; 0 when there is more to do. */
static int64_t run_batch(struct courier *courier)
{
    static struct log_gate gate;
    struct err err = {0};
    struct audit_event *events;
    int64_t last = 0, suppressed, wait_us = 0;
    int count = 0, i = 0;
    if (read_batch(courier, &events, &count, &last, &err)) {
        if (log_gate_open(&gate, &suppressed))
            log_warn("webhook cannot read events", "name=%s reason=%s", courier->webhook->name,
                     err.msg);
        return (int64_t)WEBHOOK_POLL_MS * 1000;
    }
    move_cursor(courier, courier->status.cursor, last - courier->status.cursor);
    while (i < count && !wait_us && !atomic_load(&courier->webhooks->is_stopping)) {
        wait_us = deliver(courier, &events[i]);
        if (!wait_us) {
            move_cursor(courier, events[i].seq, last - events[i].seq);
            i++;
        }
    }
    save_cursor(courier);
    if (wait_us || i < count || count == WEBHOOK_BATCH_MAX)
        return wait_us;
    return (int64_t)WEBHOOK_POLL_MS * 1000;
}

static void wait_us(struct courier *courier, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = (int64_t)until.tv_nsec + us % 1000000 * 1000;
    until.tv_sec += us / 1000000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&courier->webhooks->lock);
    int rc = 0;
    while (!atomic_load(&courier->webhooks->is_stopping) && rc == 0)
        rc = pthread_cond_timedwait(&courier->webhooks->wake, &courier->webhooks->lock, &until);
    pthread_mutex_unlock(&courier->webhooks->lock);
}

static void *run(void *arg)
{
    struct courier *courier = arg;
    while (!atomic_load(&courier->webhooks->is_stopping)) {
        int64_t us = run_batch(courier);
        arena_reset(courier->arena);
        if (us)
            wait_us(courier, us);
    }
    return NULL;
}

/* ---- beginning and end ---- */

static struct courier *courier_new(struct webhooks *webhooks, const struct webhook *webhook)
{
    struct courier *courier = calloc(1, sizeof(*courier));
    if (!courier)
        abort();
    courier->webhooks = webhooks;
    courier->webhook = webhook;
    courier->arena = arena_new(ARENA_BYTES_MAX);
    rand_seed_from_os(&courier->rand);
    snprintf(courier->status.name, sizeof(courier->status.name), "%s", webhook->name);
    return courier;
}

static void start_thread(struct courier *courier)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&courier->thread, &attributes, run, courier))
        abort();
    pthread_attr_destroy(&attributes);
    pthread_setname_np(courier->thread, "webhook");
}

static enum err_code read_file(const char *path, struct webhook_file **file, struct err *err)
{
    struct buf text;
    *file = NULL;
    if (path[0] == '\0')
        return ERR_OK;
    enum err_code rc = file_read(path, WEBHOOK_FILE_BYTES_MAX, &text, err);
    if (!rc)
        rc = webhook_file_read(buf_view(&text), path, file, err);
    buf_done(&text);
    return rc;
}

enum err_code webhooks_check(const char *path, struct err *err)
{
    struct webhook_file *file;
    enum err_code rc = read_file(path, &file, err);
    if (!rc)
        webhook_file_free(file);
    return rc;
}

/* Takes the file. */
static enum err_code begin(struct webhooks *webhooks, struct webhook_file *file, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct courier *couriers[WEBHOOKS_MAX];
    int count = file ? file->count : 0;
    webhooks->file = file;
    atomic_store(&webhooks->is_stopping, false);
    for (int i = 0; i < count; i++) {
        couriers[i] = courier_new(webhooks, &file->webhooks[i]);
        if (!rc)
            rc = begin_cursor(couriers[i], err);
    }
    for (int i = 0; !rc && i < count; i++)
        start_thread(couriers[i]);
    for (int i = 0; rc && i < count; i++) {
        arena_free(couriers[i]->arena);
        free(couriers[i]);
    }
    pthread_mutex_lock(&webhooks->lock);
    webhooks->count = rc ? 0 : count;
    memcpy(webhooks->couriers, couriers, (size_t)webhooks->count * sizeof(struct courier *));
    pthread_mutex_unlock(&webhooks->lock);
    return rc;
}

static void end(struct webhooks *webhooks)
{
    struct courier *couriers[WEBHOOKS_MAX];
    pthread_mutex_lock(&webhooks->lock);
    int count = webhooks->count;
    memcpy(couriers, webhooks->couriers, (size_t)count * sizeof(struct courier *));
    atomic_store(&webhooks->is_stopping, true);
    pthread_cond_broadcast(&webhooks->wake);
    pthread_mutex_unlock(&webhooks->lock);
    for (int i = 0; i < count; i++)
        pthread_join(couriers[i]->thread, NULL);
    pthread_mutex_lock(&webhooks->lock);
    webhooks->count = 0;
    pthread_mutex_unlock(&webhooks->lock);
    for (int i = 0; i < count; i++) {
        clear_alert(couriers[i]);
        arena_free(couriers[i]->arena);
        free(couriers[i]);
    }
    webhook_file_free(webhooks->file);
    webhooks->file = NULL;
}

enum err_code webhooks_new(struct control *control, struct alerts *alerts, const char *path,
                           struct webhooks **webhooks, struct err *err)
{
    struct webhook_file *file;
    pthread_condattr_t attributes;
    enum err_code rc = read_file(path, &file, err);
    if (rc)
        return rc;
    struct webhooks *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        abort();
    fresh->control = control;
    fresh->alerts = alerts;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&fresh->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    *webhooks = fresh;
    return begin(fresh, file, err);
}

void webhooks_free(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    end(webhooks);
    pthread_cond_destroy(&webhooks->wake);
    pthread_mutex_destroy(&webhooks->lock);
    free(webhooks);
}

enum err_code webhooks_reload(struct webhooks *webhooks, const char *path, struct err *err)
{
    struct webhook_file *file;
    enum err_code rc = read_file(path, &file, err);
    if (rc)
        return rc;
    end(webhooks);
    return begin(webhooks, file, err);
}

int webhooks_status(struct webhooks *webhooks, struct webhook_status status[WEBHOOKS_MAX])
{
    pthread_mutex_lock(&webhooks->lock);
    int count = webhooks->count;
    for (int i = 0; i < count; i++)
        status[i] = webhooks->couriers[i]->status;
    pthread_mutex_unlock(&webhooks->lock);
    return count;
}
