/* alias.c - aliases: moved, rolled back, deleted, each move a row of history and an audit event.
 *
 * The row in `aliases` points at the top link of its chain (a 'set' in alias_history), each link at
 * the one below. A move touches the top only, so it costs the same after a million of them:
 *
 *     aliases.link_id ──> set 3 ──below_id──> set 2 ──below_id──> set 1
 *     after a rollback: link_id ────────────> set 2; set 3 stays in the history, above nothing
 */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define COLUMNS                                                                                    \
    "a.model, a.name, a.version, a.revision, COALESCE(b.to_version, 0), a.updated_us, "            \
    "a.link_id, COALESCE(t.below_id, 0)"
#define TABLES                                                                                     \
    " FROM aliases a JOIN alias_history t ON t.id = a.link_id "                                    \
    "LEFT JOIN alias_history b ON b.id = t.below_id"
#define SQL_GET "SELECT " COLUMNS TABLES " WHERE a.model = ?1 AND a.name = ?2"
#define SQL_LIST "SELECT " COLUMNS TABLES " ORDER BY a.model, a.name"
#define SQL_LIST_OF "SELECT " COLUMNS TABLES " WHERE a.model = ?1 ORDER BY a.name"
#define SQL_COUNT "SELECT COUNT(*) FROM aliases WHERE model = ?1"
#define SQL_LAST_REVISION                                                                          \
    "SELECT COALESCE(MAX(revision), 0) FROM alias_history WHERE model = ?1 AND alias = ?2"
#define SQL_RECORD                                                                                 \
    "INSERT INTO alias_history (id, model, alias, revision, kind, from_version, to_version, "      \
    "below_id, reason, actor, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
#define SQL_PUT                                                                                    \
    "INSERT INTO aliases (model, name, version, revision, link_id, updated_us) "                   \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (model, name) DO UPDATE SET "                     \
    "version = excluded.version, revision = excluded.revision, link_id = excluded.link_id, "       \
    "updated_us = excluded.updated_us"
#define SQL_DELETE "DELETE FROM aliases WHERE model = ?1 AND name = ?2"
#define SQL_HISTORY                                                                                \
    "SELECT id, alias, kind, from_version, to_version, reason, actor, at_us FROM ("                \
    "SELECT id, alias, kind, from_version, to_version, reason, actor, at_us, revision "            \
    "FROM alias_history WHERE model = ?1 AND alias = ?2 ORDER BY revision DESC LIMIT ?3"           \
    ") AS last_moves ORDER BY revision"
#define SQL_HISTORY_ALL                                                                            \
    "SELECT id, alias, kind, from_version, to_version, reason, actor, at_us FROM ("                \
    "SELECT id, alias, kind, from_version, to_version, reason, actor, at_us "                      \
    "FROM alias_history WHERE model = ?1 ORDER BY id DESC LIMIT ?2) AS last_moves ORDER BY id"

/* An alias with its place in the chain. */
struct alias_row {
    struct alias alias;
    int64_t link_id, below_id; /* below_id 0: nothing before */
};

/* One move about to be made. */
struct move {
    const char *action, *kind, *model, *alias, *reason;
    const struct actor *actor;
    int64_t from, to; /* versions; 0: none */
    int64_t revision, revision_before;
    int64_t below_id; /* of a set: the link it is put on */
    int64_t id, at_us;
};

struct alias_list_context {
    struct arena *arena;
    struct alias_row *list;
    int count;
};

static enum err_code read_alias(struct store_rows *rows, void *arg, struct err *err)
{
    struct alias_list_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read aliases");
    c->list[c->count++] = (struct alias_row){
        .alias =
            {
                .model = store_text_copy(rows, 0, c->arena, &is_full),
                .name = store_text_copy(rows, 1, c->arena, &is_full),
                .version = store_i64(rows, 2),
                .revision = store_i64(rows, 3),
                .previous = store_i64(rows, 4),
                .updated_us = store_i64(rows, 5),
            },
        .link_id = store_i64(rows, 6),
        .below_id = store_i64(rows, 7),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read aliases") : ERR_OK;
}

/* All zero when there is none. */
static enum err_code find_alias(struct store *store, const char *model, const char *name,
                                struct arena *arena, struct alias_row *row, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_CSTR(name)};
    struct alias_list_context c = {.arena = arena};
    if (registry_each_row(store, SQL_GET, params, 2, read_alias, &c, err))
        return err->code;
    *row = c.count ? c.list[0] : (struct alias_row){0};
    return ERR_OK;
}

/* "latest" and numbers name versions themselves (version_resolve). */
static enum err_code check_alias_name(const char *name, struct err *err)
{
    int64_t number;
    if (registry_check_name("an alias", name, err))
        return err->code;
    if (strcmp(name, "latest") == 0 || str_to_i64(str_of(name), &number))
        return err_set(err, ERR_INVALID, "an alias may not be '%s', which names a version itself",
                       name);
    return ERR_OK;
}

static enum err_code refuse_absent(const char *model, const char *name, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "model '%s' has no alias '%s'", model, name);
    return err_hint(err, "set it with: slipway alias set %s %s VERSION", model, name);
}

static enum err_code require_alias(struct store *store, const char *model, const char *name,
                                   struct arena *arena, struct alias_row *row, struct err *err)
{
    if (registry_check_model(store, model, err) || registry_check_name("an alias", name, err) ||
        find_alias(store, model, name, arena, row, err))
        return err->code;
    return row->alias.version ? ERR_OK : refuse_absent(model, name, err);
}

static enum err_code check_revision(const char *model, const char *name, int64_t is,
                                    int64_t expected, struct err *err)
{
    if (expected < 0 || is == expected)
        return ERR_OK;
    if (expected == 0)
        err_set(err, ERR_CONFLICT, "alias '%s' of model '%s' is there already, at revision %lld",
                name, model, (long long)is);
    else if (is == 0)
        err_set(err, ERR_CONFLICT, "alias '%s' of model '%s' is gone, not at revision %lld", name,
                model, (long long)expected);
    else
        err_set(err, ERR_CONFLICT, "alias '%s' of model '%s' is at revision %lld, not %lld", name,
                model, (long long)is, (long long)expected);
    return err_hint(err, "somebody moved it meanwhile; look again: slipway model history %s",
                    model);
}

/* ---- one move ---- */

static void format_state(struct buf *out, int64_t version, int64_t revision, const char *reason)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "version");
    json_put_i64(&w, version);
    json_key(&w, "revision");
    json_put_i64(&w, revision);
    if (reason && reason[0]) {
        json_key(&w, "reason");
        json_put_text(&w, reason);
    }
    json_end_object(&w);
}

static enum err_code append_event(struct store *store, struct move *move, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf before, after;
    snprintf(subject, sizeof(subject), "model/%s/alias/%s", move->model, move->alias);
    format_state(&before, move->from, move->revision_before, NULL);
    format_state(&after, move->to, move->revision, move->reason);
    if (move->from == 0)
        buf_done(&before);
    return registry_append(store, move->actor, move->action, subject, move->from ? &before : NULL,
                           &after, move->at_us, &move->id, err);
}

static enum err_code insert_move(struct store *store, const struct move *move, struct err *err)
{
    const struct store_value row[] = {
        STORE_INT(move->id),
        STORE_CSTR(move->model),
        STORE_CSTR(move->alias),
        STORE_INT(move->revision),
        STORE_CSTR(move->kind),
        STORE_INT(move->from),
        STORE_INT(move->to),
        move->below_id ? STORE_INT(move->below_id) : STORE_NONE,
        STORE_CSTR(move->reason ? move->reason : ""),
        STORE_CSTR(move->actor->name),
        STORE_INT(move->at_us),
    };
    return store_exec(store, SQL_RECORD, row, ARRAY_LEN(row), NULL, err);
}

/* Number the move, write its event and its row of history. */
static enum err_code record_move(struct store *store, struct move *move, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(move->model), STORE_CSTR(move->alias)};
    int64_t last = 0;
    if (registry_read_number(store, SQL_LAST_REVISION, params, 2, 0, &last, err))
        return err->code;
    move->revision = last + 1;
    move->at_us = clock_wall_us();
    if (append_event(store, move, err) || insert_move(store, move, err))
        return err->code;
    return ERR_OK;
}

static enum err_code put_alias(struct store *store, const struct move *move, int64_t link_id,
                               struct err *err)
{
    const struct store_value row[] = {
        STORE_CSTR(move->model),   STORE_CSTR(move->alias), STORE_INT(move->to),
        STORE_INT(move->revision), STORE_INT(link_id),      STORE_INT(move->at_us),
    };
    return store_exec(store, SQL_PUT, row, ARRAY_LEN(row), NULL, err);
}

static enum err_code return_alias(struct store *store, const char *model, const char *name,
                                  struct arena *arena, struct alias *result, struct err *err)
{
    struct alias_row row;
    if (find_alias(store, model, name, arena, &row, err))
        return err->code;
    assert(row.alias.version > 0);
    *result = row.alias;
    return ERR_OK;
}

static enum err_code check_room(struct store *store, const char *model, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    int64_t count = 0;
    if (registry_read_number(store, SQL_COUNT, params, 1, 0, &count, err))
        return err->code;
    if (count < ALIASES_PER_MODEL_MAX)
        return ERR_OK;
    err_set(err, ERR_LIMIT, "model '%s' has %d aliases already", model, ALIASES_PER_MODEL_MAX);
    return err_hint(err, "delete one with: slipway alias delete %s NAME", model);
}

static enum err_code check_set(struct store *store, const char *model, const char *alias,
                               int64_t version, const char *reason, struct err *err)
{
    if (registry_check_version(store, model, version, err) || check_alias_name(alias, err) ||
        registry_check_text("the reason", reason, REASON_BYTES_MAX, err))
        return err->code;
    return ERR_OK;
}

enum err_code alias_set(struct store *store, const char *model, const char *alias, int64_t version,
                        int64_t if_revision, const char *reason, const struct actor *actor,
                        struct alias *result, struct arena *arena, struct err *err)
{
    struct alias_row row;
    if (check_set(store, model, alias, version, reason, err) ||
        find_alias(store, model, alias, arena, &row, err) ||
        check_revision(model, alias, row.alias.revision, if_revision, err))
        return err->code;
    if (row.alias.version == version) {
        *result = row.alias;
        return ERR_OK;
    }
    struct move move = {.action = "alias.set",
                        .kind = "set",
                        .model = model,
                        .alias = alias,
                        .reason = reason,
                        .actor = actor,
                        .from = row.alias.version,
                        .to = version,
                        .revision_before = row.alias.revision,
                        .below_id = row.link_id};
    if ((row.alias.version == 0 && check_room(store, model, err)) ||
        record_move(store, &move, err) || put_alias(store, &move, move.id, err))
        return err->code;
    return return_alias(store, model, alias, arena, result, err);
}

enum err_code alias_rollback(struct store *store, const char *model, const char *alias,
                             const char *reason, const struct actor *actor, struct alias *result,
                             struct arena *arena, struct err *err)
{
    struct alias_row row;
    if (registry_check_text("the reason", reason, REASON_BYTES_MAX, err) ||
        require_alias(store, model, alias, arena, &row, err))
        return err->code;
    if (row.below_id == 0) {
        err_set(err, ERR_CONFLICT, "alias '%s' of model '%s' has nothing before version %lld",
                alias, model, (long long)row.alias.version);
        return err_hint(err, "set a version: slipway alias set %s %s VERSION", model, alias);
    }
    struct move move = {.action = "alias.rollback",
                        .kind = "rollback",
                        .model = model,
                        .alias = alias,
                        .reason = reason,
                        .actor = actor,
                        .from = row.alias.version,
                        .to = row.alias.previous,
                        .revision_before = row.alias.revision};
    if (record_move(store, &move, err) || put_alias(store, &move, row.below_id, err))
        return err->code;
    return return_alias(store, model, alias, arena, result, err);
}

static enum err_code delete_row(struct store *store, const struct alias_row *row,
                                const char *reason, const struct actor *actor, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(row->alias.model), STORE_CSTR(row->alias.name)};
    struct move move = {.action = "alias.delete",
                        .kind = "delete",
                        .model = row->alias.model,
                        .alias = row->alias.name,
                        .reason = reason,
                        .actor = actor,
                        .from = row->alias.version,
                        .revision_before = row->alias.revision};
    if (record_move(store, &move, err))
        return err->code;
    return store_exec(store, SQL_DELETE, params, 2, NULL, err);
}

enum err_code alias_delete(struct store *store, const char *model, const char *alias,
                           int64_t if_revision, const char *reason, const struct actor *actor,
                           struct err *err)
{
    struct alias_row row;
    struct arena *arena = arena_new(16 * 1024);
    enum err_code code = registry_check_text("the reason", reason, REASON_BYTES_MAX, err);
    if (!code)
        code = require_alias(store, model, alias, arena, &row, err);
    if (!code)
        code = check_revision(model, alias, row.alias.revision, if_revision, err);
    if (!code)
        code = delete_row(store, &row, reason, actor, err);
    arena_free(arena);
    return code;
}

/* ---- reading ---- */

enum err_code alias_get(struct store *store, const char *model, const char *name,
                        struct arena *arena, struct alias *alias, struct err *err)
{
    struct alias_row row;
    if (require_alias(store, model, name, arena, &row, err))
        return err->code;
    *alias = row.alias;
    return ERR_OK;
}

enum err_code alias_list(struct store *store, const char *model, struct arena *arena,
                         struct alias **aliases, int *count, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    struct alias_list_context c = {.arena = arena};
    if (model && registry_check_model(store, model, err))
        return err->code;
    if (registry_each_row(store, model ? SQL_LIST_OF : SQL_LIST, params, model ? 1 : 0, read_alias,
                          &c, err))
        return err->code;
    struct alias *list = arena_calloc(arena, (size_t)c.count, sizeof(*list));
    if (!list)
        return err_set(err, ERR_LIMIT, "no room to list aliases");
    for (int i = 0; i < c.count; i++)
        list[i] = c.list[i].alias;
    *aliases = list;
    *count = c.count;
    return ERR_OK;
}

struct history_context {
    struct arena *arena;
    struct alias_change *list;
    int count;
};

static enum err_code read_change(struct store_rows *rows, void *arg, struct err *err)
{
    struct history_context *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read the history");
    c->list[c->count++] = (struct alias_change){
        .id = store_i64(rows, 0),
        .alias = store_text_copy(rows, 1, c->arena, &is_full),
        .kind = store_text_copy(rows, 2, c->arena, &is_full),
        .from = store_i64(rows, 3),
        .to = store_i64(rows, 4),
        .reason = store_text_copy(rows, 5, c->arena, &is_full),
        .actor = store_text_copy(rows, 6, c->arena, &is_full),
        .at_us = store_i64(rows, 7),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read the history") : ERR_OK;
}

enum err_code alias_history(struct store *store, const char *model, const char *alias, int limit,
                            struct arena *arena, struct alias_change **changes, int *count,
                            struct err *err)
{
    int64_t rows = limit < ALIAS_HISTORY_MAX ? limit : ALIAS_HISTORY_MAX;
    const struct store_value all[] = {STORE_CSTR(model), STORE_INT(rows)};
    const struct store_value one[] = {STORE_CSTR(model), STORE_CSTR(alias), STORE_INT(rows)};
    struct history_context c = {.arena = arena};
    assert(limit >= 0);
    if (registry_check_model(store, model, err) ||
        (alias && registry_check_name("an alias", alias, err)))
        return err->code;
    enum err_code rc =
        alias ? registry_each_row(store, SQL_HISTORY, one, 3, read_change, &c, err)
              : registry_each_row(store, SQL_HISTORY_ALL, all, 2, read_change, &c, err);
    if (rc)
        return rc;
    *changes = c.list;
    *count = c.count;
    return ERR_OK;
}
