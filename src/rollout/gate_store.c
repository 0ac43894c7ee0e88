/* gate_store.c - rows of gate_results and model_gates. */
#include "rollout/gate_store.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define COLUMNS                                                                                    \
    "id, model, version, verdict, file_digest, data_digest, champion, row_count, report, actor, "  \
    "at_us"
#define SQL_PUT                                                                                    \
    "INSERT INTO gate_results (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
#define SQL_GET "SELECT " COLUMNS " FROM gate_results WHERE model = ?1 AND version = ?2 AND id = ?3"
#define SQL_NEWEST                                                                                 \
    "SELECT " COLUMNS " FROM gate_results WHERE model = ?1 AND version = ?2 "                      \
    "ORDER BY id DESC LIMIT 1"
#define SQL_LIST                                                                                   \
    "SELECT " COLUMNS " FROM gate_results WHERE model = ?1 AND version = ?2 "                      \
    "ORDER BY id DESC LIMIT ?3"
#define SQL_LIST_ALL                                                                               \
    "SELECT " COLUMNS " FROM gate_results WHERE model = ?1 ORDER BY id DESC LIMIT ?2"
#define SQL_UNDER                                                                                  \
    "SELECT " COLUMNS " FROM gate_results WHERE model = ?1 AND version = ?2 "                      \
    "AND file_digest = ?3 ORDER BY id DESC LIMIT 1"
#define SQL_REQUIREMENT "SELECT file, digest, actor, at_us FROM model_gates WHERE model = ?1"
#define SQL_REQUIRE                                                                                \
    "INSERT INTO model_gates (model, file, digest, actor, at_us) VALUES (?1, ?2, ?3, ?4, ?5) "     \
    "ON CONFLICT (model) DO UPDATE SET file = excluded.file, digest = excluded.digest, "           \
    "actor = excluded.actor, at_us = excluded.at_us"
#define SQL_RELEASE "DELETE FROM model_gates WHERE model = ?1"

struct result_list {
    struct arena *arena;
    struct gate_result *list;
    int count;
};

static enum err_code read_result(struct store_rows *rows, void *arg, struct err *err)
{
    struct result_list *c = arg;
    bool is_full = false;
    c->list = store_list_grow(c->arena, c->list, c->count, sizeof(*c->list));
    if (!c->list)
        return err_set(err, ERR_LIMIT, "no room to read gate results");
    c->list[c->count++] = (struct gate_result){
        .id = store_i64(rows, 0),
        .model = store_text_copy(rows, 1, c->arena, &is_full),
        .version = store_i64(rows, 2),
        .verdict = store_text_copy(rows, 3, c->arena, &is_full),
        .file_digest = store_text_copy(rows, 4, c->arena, &is_full),
        .data_digest = store_text_copy(rows, 5, c->arena, &is_full),
        .champion = store_i64(rows, 6),
        .row_count = store_i64(rows, 7),
        .report = store_text_copy(rows, 8, c->arena, &is_full),
        .actor = store_text_copy(rows, 9, c->arena, &is_full),
        .at_us = store_i64(rows, 10),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read gate results") : ERR_OK;
}

/* ---- results ---- */

static enum err_code append_run(struct store *store, struct gate_result *result, const char *failed,
                                const struct actor *actor, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf after;
    struct json_writer w = {.out = &after};
    buf_init(&after, REGISTRY_STATE_BYTES_MAX);
    snprintf(subject, sizeof(subject), "model/%s/version/%lld/gate", result->model,
             (long long)result->version);
    json_begin_object(&w);
    json_member_text(&w, "verdict", result->verdict);
    json_member_text(&w, "failed", failed);
    json_member_text(&w, "file", result->file_digest);
    json_member_text(&w, "data", result->data_digest);
    json_key(&w, "champion");
    json_put_i64(&w, result->champion);
    json_key(&w, "rows");
    json_put_i64(&w, result->row_count);
    json_end_object(&w);
    return registry_append(store, actor, "gate.run", subject, NULL, &after, result->at_us,
                           &result->id, err);
}

enum err_code gate_result_put(struct store *store, struct gate_result *result, const char *failed,
                              const struct actor *actor, struct err *err)
{
    result->actor = actor->name;
    result->at_us = clock_wall_us();
    if (registry_check_version(store, result->model, result->version, err) ||
        append_run(store, result, failed, actor, err))
        return err->code;
    const struct store_value row[] = {
        STORE_INT(result->id),           STORE_CSTR(result->model),
        STORE_INT(result->version),      STORE_CSTR(result->verdict),
        STORE_CSTR(result->file_digest), STORE_CSTR(result->data_digest),
        STORE_INT(result->champion),     STORE_INT(result->row_count),
        STORE_CSTR(result->report),      STORE_CSTR(result->actor),
        STORE_INT(result->at_us),
    };
    return store_exec(store, SQL_PUT, row, ARRAY_LEN(row), NULL, err);
}

enum err_code gate_result_get(struct store *store, const char *model, int64_t version, int64_t id,
                              struct arena *arena, struct gate_result *result, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model), STORE_INT(version), STORE_INT(id)};
    struct result_list c = {.arena = arena};
    if (registry_check_version(store, model, version, err) ||
        registry_each_row(store, id ? SQL_GET : SQL_NEWEST, params, id ? 3 : 2, read_result, &c,
                          err))
        return err->code;
    if (c.count) {
        *result = c.list[0];
        return ERR_OK;
    }
    if (id)
        err_set(err, ERR_NOT_FOUND, "version %lld of model '%s' has no gate result %lld",
                (long long)version, model, (long long)id);
    else
        err_set(err, ERR_NOT_FOUND, "version %lld of model '%s' has not been through a gate",
                (long long)version, model);
    return err_hint(err, "run one: slipway gate %s:%lld --data ROWS.csv", model,
                    (long long)version);
}

enum err_code gate_result_list(struct store *store, const char *model, int64_t version, int limit,
                               struct arena *arena, struct gate_result **results, int *count,
                               struct err *err)
{
    int64_t rows = limit < GATE_LIST_MAX ? limit : GATE_LIST_MAX;
    const struct store_value one[] = {STORE_CSTR(model), STORE_INT(version), STORE_INT(rows)};
    const struct store_value all[] = {STORE_CSTR(model), STORE_INT(rows)};
    struct result_list c = {.arena = arena};
    if (registry_check_model(store, model, err))
        return err->code;
    enum err_code rc = version
                           ? registry_each_row(store, SQL_LIST, one, 3, read_result, &c, err)
                           : registry_each_row(store, SQL_LIST_ALL, all, 2, read_result, &c, err);
    if (rc)
        return rc;
    *results = c.list;
    *count = c.count;
    return ERR_OK;
}

/* ---- requirements ---- */

struct requirement_context {
    struct arena *arena;
    struct gate_requirement *requirement;
};

static enum err_code read_requirement(struct store_rows *rows, void *arg, struct err *err)
{
    struct requirement_context *c = arg;
    bool is_full = false;
    *c->requirement = (struct gate_requirement){
        .file = store_text_copy(rows, 0, c->arena, &is_full),
        .digest = store_text_copy(rows, 1, c->arena, &is_full),
        .actor = store_text_copy(rows, 2, c->arena, &is_full),
        .at_us = store_i64(rows, 3),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read a gate") : ERR_OK;
}

enum err_code gate_requirement_get(struct store *store, const char *model, struct arena *arena,
                                   struct gate_requirement *requirement, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(model)};
    struct requirement_context c = {arena, requirement};
    *requirement = (struct gate_requirement){0};
    if (registry_check_model(store, model, err))
        return err->code;
    return registry_each_row(store, SQL_REQUIREMENT, params, 1, read_requirement, &c, err);
}

static void format_requirement(struct buf *out, const char *digest, const char *file)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_member_text(&w, "file", digest);
    if (file && strlen(file) < REGISTRY_STATE_BYTES_MAX / 8)
        json_member_text(&w, "text", file);
    json_end_object(&w);
}

static enum err_code append_require(struct store *store, const char *model,
                                    const struct gate_requirement *was, const char *file,
                                    const char *digest, const struct actor *actor, int64_t at_us,
                                    struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf before, after;
    snprintf(subject, sizeof(subject), "model/%s/gates", model);
    format_requirement(&before, was->digest, NULL);
    format_requirement(&after, digest, file);
    if (!was->file)
        buf_done(&before);
    if (!file)
        buf_done(&after);
    return registry_append(store, actor, file ? "gate.require" : "gate.release", subject,
                           was->file ? &before : NULL, file ? &after : NULL, at_us, NULL, err);
}

enum err_code gate_require(struct store *store, const char *model, const char *file,
                           const char *digest, const struct actor *actor, struct err *err)
{
    struct gate_requirement was;
    int64_t now_us = clock_wall_us();
    struct arena *arena = arena_new(1024 * 1024);
    enum err_code rc = gate_requirement_get(store, model, arena, &was, err);
    bool is_same = !rc && (file && was.file ? strcmp(digest, was.digest) == 0 : file == was.file);
    if (!rc && !is_same)
        rc = append_require(store, model, &was, file, digest, actor, now_us, err);
    arena_free(arena);
    if (rc || is_same)
        return rc;
    const struct store_value row[] = {STORE_CSTR(model), STORE_CSTR(file), STORE_CSTR(digest),
                                      STORE_CSTR(actor->name), STORE_INT(now_us)};
    return file ? store_exec(store, SQL_REQUIRE, row, 5, NULL, err)
                : store_exec(store, SQL_RELEASE, row, 1, NULL, err);
}

static enum err_code refuse(const char *model, int64_t version, const struct result_list *results,
                            struct err *err)
{
    if (results->count)
        err_set(err, ERR_CONFLICT,
                "version %lld of model '%s' may not get traffic: the last run of the gate it must "
                "pass ended with %s",
                (long long)version, model,
                strcmp(results->list[0].verdict, "fail") == 0 ? "fail" : "cannot tell");
    else
        err_set(err, ERR_CONFLICT,
                "version %lld of model '%s' may not get traffic before it has passed the gate that "
                "the model requires",
                (long long)version, model);
    return err_hint(err, "run it: slipway gate %s:%lld --data ROWS.csv", model, (long long)version);
}

enum err_code gate_check_required(struct store *store, const char *model, int64_t version,
                                  struct err *err)
{
    struct gate_requirement required;
    struct arena *arena = arena_new(4 * 1024 * 1024);
    struct result_list results = {.arena = arena};
    enum err_code rc = gate_requirement_get(store, model, arena, &required, err);
    if (!rc && required.file) {
        const struct store_value params[] = {STORE_CSTR(model), STORE_INT(version),
                                             STORE_CSTR(required.digest)};
        rc = registry_each_row(store, SQL_UNDER, params, 3, read_result, &results, err);
        if (!rc && (results.count == 0 || strcmp(results.list[0].verdict, "pass") != 0))
            rc = refuse(model, version, &results, err);
    }
    arena_free(arena);
    return rc;
}
