/* audit.c - events appended, hashed, verified and listed. */
#include "event/audit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"

/* A whole event: two states whose every byte needs six, and what is small. */
enum { FORMATTED_BYTES_MAX = 2 * 6 * AUDIT_STATE_BYTES_MAX + 64 * 1024 };

static const char no_hash[SHA256_HEX_BYTES + 1] =
    "0000000000000000000000000000000000000000000000000000000000000000";

#define COLUMNS                                                                                    \
    "seq, at_us, actor, via, action, subject, before_json, after_json, request_id, prev_hash, hash"
#define SQL_LAST "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
#define SQL_INSERT                                                                                 \
    "INSERT INTO audit (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
#define SQL_ALL "SELECT " COLUMNS " FROM audit ORDER BY seq"
#define SQL_LIST                                                                                   \
    "SELECT " COLUMNS " FROM audit WHERE seq > ?1 AND substr(subject, 1, length(?2)) = ?2 "        \
    "ORDER BY seq LIMIT ?3"

static void put_member(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_put_text(w, value);
}

void audit_format(const struct audit_event *event, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "seq");
    json_put_i64(&w, event->seq);
    json_key(&w, "at_us");
    json_put_i64(&w, event->at_us);
    put_member(&w, "actor", event->actor);
    put_member(&w, "via", event->via);
    put_member(&w, "action", event->action);
    put_member(&w, "subject", event->subject);
    put_member(&w, "before", event->before);
    put_member(&w, "after", event->after);
    put_member(&w, "request_id", event->request_id);
    json_end_object(&w);
}

static void hash_event(const struct audit_event *event, char hex[SHA256_HEX_BYTES + 1])
{
    struct buf text;
    buf_init(&text, FORMATTED_BYTES_MAX);
    buf_append(&text, event->prev_hash, SHA256_HEX_BYTES);
    buf_char(&text, '\n');
    audit_format(event, &text);
    assert(!text.is_full);
    hash_sha256_hex(text.data, text.len, hex);
    buf_done(&text);
}

static enum err_code check_text(const char *what, const char *text, size_t bytes_max,
                                struct err *err)
{
    struct str s = str_of(text);
    if (s.len > bytes_max)
        return err_set(err, ERR_LIMIT, "%s of the audit event is longer than %zu bytes", what,
                       bytes_max);
    if (!str_is_utf8(s))
        return err_set(err, ERR_INVALID, "%s of the audit event is not UTF-8", what);
    return ERR_OK;
}

static enum err_code check_event(const struct audit_event *event, struct err *err)
{
    assert(event->actor && event->via && event->action && event->subject);
    if (check_text("the actor", event->actor, AUDIT_FIELD_BYTES_MAX, err) ||
        check_text("the way", event->via, AUDIT_FIELD_BYTES_MAX, err) ||
        check_text("the action", event->action, AUDIT_FIELD_BYTES_MAX, err) ||
        check_text("the subject", event->subject, AUDIT_FIELD_BYTES_MAX, err) ||
        check_text("the request id", event->request_id, AUDIT_FIELD_BYTES_MAX, err) ||
        check_text("the state before", event->before, AUDIT_STATE_BYTES_MAX, err) ||
        check_text("the state after", event->after, AUDIT_STATE_BYTES_MAX, err))
        return err->code;
    return ERR_OK;
}

/* The end of the chain: number and hash of its last event. */
static enum err_code read_last(struct store *store, int64_t *seq, char hash[SHA256_HEX_BYTES + 1],
                               struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    if (store_query(store, SQL_LAST, NULL, 0, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    if (!code) {
        *seq = has_row ? store_i64(rows, 0) : 0;
        snprintf(hash, SHA256_HEX_BYTES + 1, "%.*s", SHA256_HEX_BYTES,
                 has_row ? store_text(rows, 1).ptr : no_hash);
    }
    store_rows_done(rows);
    return code;
}

static struct store_value text_or_none(const char *text)
{
    return text ? STORE_CSTR(text) : STORE_NONE;
}

static enum err_code insert_event(struct store *store, const struct audit_event *e, struct err *err)
{
    const struct store_value row[] = {
        STORE_INT(e->seq),        STORE_INT(e->at_us),    STORE_CSTR(e->actor),
        STORE_CSTR(e->via),       STORE_CSTR(e->action),  STORE_CSTR(e->subject),
        text_or_none(e->before),  text_or_none(e->after), text_or_none(e->request_id),
        STORE_CSTR(e->prev_hash), STORE_CSTR(e->hash),
    };
    return store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err);
}

enum err_code audit_append(struct store *store, struct audit_event *event, struct err *err)
{
    int64_t last = 0;
    if (check_event(event, err) || read_last(store, &last, event->prev_hash, err))
        return err->code;
    event->seq = last + 1;
    if (event->at_us == 0)
        event->at_us = clock_wall_us();
    hash_event(event, event->hash);
    return insert_event(store, event, err);
}

/* ---- reading ---- */

static void copy_hash(char out[SHA256_HEX_BYTES + 1], struct str hash)
{
    snprintf(out, SHA256_HEX_BYTES + 1, "%.*s", STR_ARG(hash));
}

/* The texts borrow the row when `arena` is NULL. */
static const char *row_text(struct store_rows *rows, int column, struct arena *arena, bool *is_full)
{
    if (arena)
        return store_text_copy(rows, column, arena, is_full);
    return store_is_null(rows, column) ? NULL : store_text(rows, column).ptr;
}

/* False when the arena has no room. */
static bool read_event(struct store_rows *rows, struct arena *arena, struct audit_event *event)
{
    bool is_full = false;
    *event = (struct audit_event){
        .seq = store_i64(rows, 0),
        .at_us = store_i64(rows, 1),
        .actor = row_text(rows, 2, arena, &is_full),
        .via = row_text(rows, 3, arena, &is_full),
        .action = row_text(rows, 4, arena, &is_full),
        .subject = row_text(rows, 5, arena, &is_full),
        .before = row_text(rows, 6, arena, &is_full),
        .after = row_text(rows, 7, arena, &is_full),
        .request_id = row_text(rows, 8, arena, &is_full),
    };
    copy_hash(event->prev_hash, store_text(rows, 9));
    copy_hash(event->hash, store_text(rows, 10));
    return !is_full;
}

/* Texts are hashed up to their NUL, so nothing may stand behind one; and none is larger than
 * audit_append lets it be. */
static bool has_plain_texts(struct store_rows *rows)
{
    for (int column = 2; column <= 8; column++) {
        struct str text = store_text(rows, column);
        if (text.len > AUDIT_STATE_BYTES_MAX || strlen(text.ptr) != text.len)
            return false;
    }
    return true;
}

static enum err_code refuse_event(int64_t seq, const char *why, struct err *err)
{
    err_set(err, ERR_IO, "the audit trail is broken at event %lld: %s", (long long)seq, why);
    return err_hint(err, "somebody changed the store by hand; compare with a backup");
}

/* Does the row come after `head` (number `seq`)? Moves both on. */
static enum err_code check_link(struct store_rows *rows, int64_t *seq, char *head, struct err *err)
{
    struct audit_event event;
    char hash[SHA256_HEX_BYTES + 1];
    read_event(rows, NULL, &event);
    if (event.seq != *seq + 1)
        return refuse_event(*seq + 1, "it is missing", err);
    if (strcmp(event.prev_hash, head) != 0)
        return refuse_event(event.seq, "it does not follow the event before it", err);
    if (!has_plain_texts(rows))
        return refuse_event(event.seq, "it has a text that no event has", err);
    hash_event(&event, hash);
    if (strcmp(event.hash, hash) != 0)
        return refuse_event(event.seq, "its contents do not have its hash", err);
    *seq = event.seq;
    memcpy(head, event.hash, SHA256_HEX_BYTES + 1);
    return ERR_OK;
}

enum err_code audit_verify(struct store *store, int64_t *count, char *head_hash, struct err *err)
{
    struct store_rows *rows;
    char head[SHA256_HEX_BYTES + 1];
    int64_t seq = 0;
    bool has_row = false;
    memcpy(head, no_hash, sizeof(head));
    if (store_query(store, SQL_ALL, NULL, 0, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    while (!code && has_row) {
        code = check_link(rows, &seq, head, err);
        if (!code)
            code = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    if (code)
        return code;
    if (count)
        *count = seq;
    if (head_hash)
        memcpy(head_hash, head, sizeof(head));
    return ERR_OK;
}

enum err_code audit_backup(struct store *store, const char *path, int64_t *count, char *head_hash,
                           struct err *err)
{
    struct store *copy = NULL;
    const struct store_ops *ops = ((const struct store_head *)(const void *)store)->ops;
    if (store_backup(store, path, err))
        return err->code;
    enum err_code code = store_open(ops, path, STORE_READ, &copy, err);
    if (!code)
        code = audit_verify(copy, count, head_hash, err);
    store_close(copy);
    if (code)
        unlink(path);
    return code;
}

enum err_code audit_list(struct store *store, const char *subject_prefix, int64_t after_seq,
                         int limit, struct arena *arena, struct audit_event **events, int *count,
                         struct err *err)
{
    const struct store_value params[] = {
        STORE_INT(after_seq), STORE_CSTR(subject_prefix),
        STORE_INT(limit < AUDIT_LIST_MAX ? limit : AUDIT_LIST_MAX)};
    struct audit_event *list = NULL;
    struct store_rows *rows;
    int found = 0;
    bool has_row = false;
    assert(limit >= 0);
    if (store_query(store, SQL_LIST, params, ARRAY_LEN(params), &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    while (!code && has_row && (list = store_list_grow(arena, list, found, sizeof(*list))) &&
           read_event(rows, arena, &list[found])) {
        found++;
        code = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    if (code)
        return code;
    if (has_row)
        return err_set(err, ERR_LIMIT, "no room to list audit events");
    *events = list;
    *count = found;
    return ERR_OK;
}
