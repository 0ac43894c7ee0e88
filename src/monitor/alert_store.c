/* alert_store.c - the rows of alerts, silences and windows. */
#include "monitor/alert_store.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "monitor/alert_text.h"

enum { SUBJECT_BYTES = ALERT_KEY_BYTES + 16, STATE_BYTES_MAX = 16 * 1024 };

#define COLUMNS                                                                                    \
    "key, rule, model, version, severity, value, bound, unit, message, cause, since_us, opened_us"
#define SQL_PUT                                                                                    \
    "INSERT INTO alerts (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) " \
    "ON CONFLICT (key) DO UPDATE SET severity = excluded.severity, value = excluded.value, "       \
    "bound = excluded.bound, message = excluded.message, cause = excluded.cause, "                 \
    "since_us = excluded.since_us, opened_us = excluded.opened_us"
#define SQL_DROP "DELETE FROM alerts WHERE key = ?1"
#define SQL_LIST "SELECT " COLUMNS " FROM alerts ORDER BY opened_us, key"
#define SQL_SILENCE                                                                                \
    "INSERT INTO alert_silences (id, pattern, until_us, reason, actor, created_us) "               \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
#define SQL_FORGET "DELETE FROM alert_silences WHERE until_us <= ?1"
#define SQL_END "DELETE FROM alert_silences WHERE id = ?1"
#define SQL_SILENCES                                                                               \
    "SELECT id, pattern, until_us, reason, actor, created_us FROM alert_silences "                 \
    "WHERE until_us > ?1 ORDER BY id"
#define SQL_SILENCE_COUNT "SELECT COUNT(*) FROM alert_silences"
#define SQL_WINDOW                                                                                 \
    "INSERT INTO alert_windows (model, counts, saved_us) VALUES (?1, ?2, ?3) "                     \
    "ON CONFLICT (model) DO UPDATE SET counts = excluded.counts, saved_us = excluded.saved_us"
#define SQL_WINDOWS "SELECT model, counts FROM alert_windows"

static const struct actor system_actor = {.name = "slipway", .via = "alerts"};

static enum err_code append(struct store *store, const struct actor *actor, const char *action,
                            const char *subject, struct buf *before, struct buf *after,
                            int64_t *seq, struct err *err)
{
    struct audit_event event = {
        .actor = actor->name,
        .via = actor->via,
        .action = action,
        .subject = subject,
        .before = before ? buf_c(before) : NULL,
        .after = after ? buf_c(after) : NULL,
        .request_id = actor->request_id,
    };
    enum err_code rc = audit_append(store, &event, err);
    if (!rc && seq)
        *seq = event.seq;
    return rc;
}

/* ---- alerts ---- */

static struct store_value number_or_none(double value)
{
    return isfinite(value) ? (struct store_value){STORE_F64, {.f64 = value}} : STORE_NONE;
}

static enum err_code put_row(struct store *store, const struct alert_view *view, struct err *err)
{
    const struct alert *a = &view->alert;
    const struct store_value row[] = {
        STORE_CSTR(a->key),       STORE_CSTR(a->rule),    STORE_CSTR(a->model),
        STORE_INT(a->version),    STORE_INT(a->severity), number_or_none(a->value),
        number_or_none(a->bound), STORE_CSTR(a->unit),    STORE_CSTR(a->message),
        STORE_CSTR(a->cause),     STORE_INT(a->since_us), STORE_INT(view->opened_us),
    };
    return store_exec(store, SQL_PUT, row, ARRAY_LEN(row), NULL, err);
}

static enum err_code drop_row(struct store *store, const struct alert_view *view, struct err *err)
{
    const struct store_value key[] = {STORE_CSTR(view->alert.key)};
    return store_exec(store, SQL_DROP, key, 1, NULL, err);
}

enum err_code alert_store_put(struct store *store, const struct alert_view *view, struct err *err)
{
    char subject[SUBJECT_BYTES];
    struct buf state;
    bool is_open = view->state == ALERT_OPEN;
    buf_init(&state, STATE_BYTES_MAX);
    struct json_writer w = {.out = &state};
    alert_put_json(&w, view);
    snprintf(subject, sizeof(subject), "alert/%s", view->alert.key);
    enum err_code rc = is_open ? put_row(store, view, err) : drop_row(store, view, err);
    if (!rc)
        rc = append(store, &system_actor, is_open ? "alert.open" : "alert.close", subject, NULL,
                    &state, NULL, err);
    buf_done(&state);
    return rc;
}

static double read_number(struct store_rows *rows, int column)
{
    return store_is_null(rows, column) ? NAN : store_f64(rows, column);
}

static bool read_alert(struct store_rows *rows, struct arena *arena, struct alert_view *view)
{
    bool is_full = false;
    int64_t severity = store_i64(rows, 4);
    *view = (struct alert_view){
        .alert = {.key = store_text_copy(rows, 0, arena, &is_full),
                  .rule = store_text_copy(rows, 1, arena, &is_full),
                  .model = store_text_copy(rows, 2, arena, &is_full),
                  .version = store_i64(rows, 3),
                  .severity = severity >= 0 && severity < ALERT_SEVERITY_COUNT
                                  ? (enum alert_severity)severity
                                  : ALERT_PAGE,
                  .value = read_number(rows, 5),
                  .bound = read_number(rows, 6),
                  .unit = store_text_copy(rows, 7, arena, &is_full),
                  .message = store_text_copy(rows, 8, arena, &is_full),
                  .cause = store_text_copy(rows, 9, arena, &is_full),
                  .since_us = store_i64(rows, 10)},
        .state = ALERT_OPEN,
        .opened_us = store_i64(rows, 11),
    };
    return !is_full;
}

enum err_code alert_store_list(struct store *store, struct arena *arena, struct alert_view **list,
                               int *count, struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    *list = NULL;
    *count = 0;
    if (store_query(store, SQL_LIST, NULL, 0, &rows, err))
        return err->code;
    enum err_code rc = store_next(rows, &has_row, err);
    while (!rc && has_row) {
        *list = store_list_grow(arena, *list, *count, sizeof(**list));
        if (!*list || !read_alert(rows, arena, &(*list)[*count])) {
            rc = err_set(err, ERR_LIMIT, "no room to list the alerts");
            break;
        }
        (*count)++;
        rc = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    return rc;
}

/* ---- silences ---- */

static enum err_code check_silence(const struct alert_silence *silence, int64_t now_us,
                                   struct err *err)
{
    if (!silence->match[0] || strlen(silence->match) >= ALERT_KEY_BYTES)
        return err_set(err, ERR_INVALID, "a silence's match has 1 to %d characters",
                       ALERT_KEY_BYTES - 1);
    if (strlen(silence->reason) > ALERT_REASON_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a silence's reason has at most %d characters",
                       ALERT_REASON_BYTES_MAX);
    if (silence->until_us > now_us)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "the silence would have ended before it begins");
}

static enum err_code make_room(struct store *store, int64_t now_us, struct err *err)
{
    const struct store_value ended[] = {STORE_INT(now_us)};
    struct store_rows *rows;
    bool has_row = false;
    if (store_exec(store, SQL_FORGET, ended, 1, NULL, err) ||
        store_query(store, SQL_SILENCE_COUNT, NULL, 0, &rows, err))
        return err->code;
    enum err_code rc = store_next(rows, &has_row, err);
    if (!rc && store_i64(rows, 0) >= ALERT_SILENCES_MAX)
        rc = err_set(err, ERR_LIMIT, "there are %d silences already", ALERT_SILENCES_MAX);
    store_rows_done(rows);
    return rc;
}

static void put_silence(struct buf *out, const struct alert_silence *silence)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "match");
    json_put_text(&w, silence->match);
    json_key(&w, "until");
    json_put_time(&w, silence->until_us);
    json_key(&w, "reason");
    json_put_text(&w, silence->reason);
    json_end_object(&w);
}

enum err_code alert_silence_put(struct store *store, struct alert_silence *silence,
                                const struct actor *actor, struct err *err)
{
    char subject[SUBJECT_BYTES];
    struct buf after;
    silence->created_us = clock_wall_us();
    silence->actor = actor->name;
    if (check_silence(silence, silence->created_us, err) ||
        make_room(store, silence->created_us, err))
        return err->code;
    buf_init(&after, STATE_BYTES_MAX);
    put_silence(&after, silence);
    snprintf(subject, sizeof(subject), "silence/%s", silence->match);
    enum err_code rc =
        append(store, actor, "alert.silence", subject, NULL, &after, &silence->id, err);
    buf_done(&after);
    if (rc)
        return rc;
    const struct store_value row[] = {
        STORE_INT(silence->id),      STORE_CSTR(silence->match), STORE_INT(silence->until_us),
        STORE_CSTR(silence->reason), STORE_CSTR(silence->actor), STORE_INT(silence->created_us),
    };
    return store_exec(store, SQL_SILENCE, row, ARRAY_LEN(row), NULL, err);
}

enum err_code alert_silence_end(struct store *store, int64_t id, const struct actor *actor,
                                struct err *err)
{
    const struct store_value key[] = {STORE_INT(id)};
    char subject[SUBJECT_BYTES];
    int64_t changed = 0;
    if (store_exec(store, SQL_END, key, 1, &changed, err))
        return err->code;
    if (changed == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no silence %lld", (long long)id);
    snprintf(subject, sizeof(subject), "silence/%lld", (long long)id);
    return append(store, actor, "alert.unsilence", subject, NULL, NULL, NULL, err);
}

static bool read_silence(struct store_rows *rows, struct arena *arena,
                         struct alert_silence *silence)
{
    bool is_full = false;
    *silence = (struct alert_silence){
        .id = store_i64(rows, 0),
        .match = store_text_copy(rows, 1, arena, &is_full),
        .until_us = store_i64(rows, 2),
        .reason = store_text_copy(rows, 3, arena, &is_full),
        .actor = store_text_copy(rows, 4, arena, &is_full),
        .created_us = store_i64(rows, 5),
    };
    return !is_full;
}

enum err_code alert_silence_list(struct store *store, int64_t now_us, struct arena *arena,
                                 struct alert_silence **list, int *count, struct err *err)
{
    const struct store_value now[] = {STORE_INT(now_us)};
    struct store_rows *rows;
    bool has_row = false;
    *list = NULL;
    *count = 0;
    if (store_query(store, SQL_SILENCES, now, 1, &rows, err))
        return err->code;
    enum err_code rc = store_next(rows, &has_row, err);
    while (!rc && has_row) {
        *list = store_list_grow(arena, *list, *count, sizeof(**list));
        if (!*list || !read_silence(rows, arena, &(*list)[*count])) {
            rc = err_set(err, ERR_LIMIT, "no room to list the silences");
            break;
        }
        (*count)++;
        rc = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    return rc;
}

/* ---- windows ---- */

enum err_code alert_window_put(struct store *store, const char *model, struct str counts,
                               int64_t now_us, struct err *err)
{
    const struct store_value row[] = {STORE_CSTR(model), STORE_STR(counts), STORE_INT(now_us)};
    return store_exec(store, SQL_WINDOW, row, ARRAY_LEN(row), NULL, err);
}

enum err_code alert_window_each(struct store *store, alert_window_fn *fn, void *arg,
                                struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    if (store_query(store, SQL_WINDOWS, NULL, 0, &rows, err))
        return err->code;
    enum err_code rc = store_next(rows, &has_row, err);
    while (!rc && has_row) {
        fn(arg, store_text(rows, 0), store_text(rows, 1));
        rc = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    return rc;
}
