/* registry_check.c - names, texts, existence, and the audit event of a change. */
#include "registry/registry_check.h"

#include "base/check.h"

#define SQL_HAS_MODEL "SELECT 1 FROM models WHERE name = ?1"
#define SQL_LATEST "SELECT latest_version FROM models WHERE name = ?1"
#define SQL_HAS_VERSION "SELECT 1 FROM versions WHERE model = ?1 AND number = ?2"

enum { SHOWN_BYTES_MAX = 100 };

enum err_code registry_check_name(const char *what, const char *name, struct err *err)
{
    if (name && str_is_name(str_of(name)))
        return ERR_OK;
    err_set(err, ERR_INVALID, "%s may not be '%.*s'", what, SHOWN_BYTES_MAX, name ? name : "");
    return err_hint(err, "letters, digits, '.', '_' and '-', at most %d, a letter or digit first",
                    STR_NAME_BYTES_MAX);
}

/* C0 controls and DEL, and the C1 controls U+0080..U+009F, which UTF-8 writes as C2 80..9F. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7F)
            return true;
        if (c == 0xC2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xA0)
            return true;
    }
    return false;
}

enum err_code registry_check_text(const char *what, const char *text, size_t bytes_max,
                                  struct err *err)
{
    struct str s = str_of(text);
    if (s.len > bytes_max)
        return err_set(err, ERR_LIMIT, "%s is longer than %zu bytes", what, bytes_max);
    if (!str_is_utf8(s))
        return err_set(err, ERR_INVALID, "%s is not UTF-8", what);
    if (has_control(s))
        return err_set(err, ERR_INVALID, "%s has control characters in it", what);
    return ERR_OK;
}

enum err_code registry_read_number(struct store *store, const char *sql,
                                   const struct store_value *params, int param_count,
                                   int64_t otherwise, int64_t *number, struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    if (store_query(store, sql, params, param_count, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    if (!code)
        *number = has_row ? store_i64(rows, 0) : otherwise;
    store_rows_done(rows);
    return code;
}

enum err_code registry_check_model(struct store *store, const char *model, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    int64_t is_there = 0;
    if (registry_check_name("the name of the model", model, err) ||
        registry_read_number(store, SQL_HAS_MODEL, params, 1, 0, &is_there, err))
        return err->code;
    if (is_there)
        return ERR_OK;
    err_set(err, ERR_NOT_FOUND, "there is no model '%s'", model);
    return err_hint(err, "list the models with: slipway model list");
}

enum err_code registry_check_version(struct store *store, const char *model, int64_t number,
                                     struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(number)};
    int64_t is_there = 0, latest = 0;
    if (registry_check_model(store, model, err) ||
        registry_read_number(store, SQL_HAS_VERSION, params, 2, 0, &is_there, err) ||
        registry_read_number(store, SQL_LATEST, params, 1, 0, &latest, err))
        return err->code;
    if (is_there)
        return ERR_OK;
    err_set(err, ERR_NOT_FOUND, "model '%s' has no version %lld", model, (long long)number);
    if (latest == 0)
        return err_hint(err, "it has none yet; register one with: slipway model register %s",
                        model);
    return err_hint(err, "it has versions 1 to %lld; see: slipway model show %s", (long long)latest,
                    model);
}

enum err_code registry_append(struct store *store, const struct actor *actor, const char *action,
                              const char *subject, struct buf *before, struct buf *after,
                              int64_t at_us, int64_t *seq, struct err *err)
{
    enum err_code code = ERR_OK;
    struct audit_event event = {.at_us = at_us,
                                .actor = actor->name,
                                .via = actor->via,
                                .request_id = actor->request_id,
                                .action = action,
                                .subject = subject,
                                .before = before ? buf_c(before) : NULL,
                                .after = after ? buf_c(after) : NULL};
    if ((before && before->is_full) || (after && after->is_full))
        code = err_set(err, ERR_LIMIT, "%s is too large for an audit event", subject);
    if (!code)
        code = audit_append(store, &event, err);
    if (!code && seq)
        *seq = event.seq;
    if (before)
        buf_done(before);
    if (after)
        buf_done(after);
    return code;
}

enum err_code registry_each_row(struct store *store, const char *sql,
                                const struct store_value *params, int param_count,
                                registry_row_fn *read, void *arg, struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    if (store_query(store, sql, params, param_count, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    while (!code && has_row) {
        code = read(rows, arg, err);
        if (!code)
            code = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    return code;
}
