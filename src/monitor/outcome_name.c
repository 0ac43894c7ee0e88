/* outcome_name.c - values and events of a model: their unit, and which way is better. */
#include <stdio.h>

#include "monitor/outcome_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define SQL_FIND                                                                                   \
    "SELECT name, kind, unit, direction, created_us, created_by FROM outcome_names "               \
    "WHERE model = ?1 AND name = ?2"
#define SQL_LIST                                                                                   \
    "SELECT name, kind, unit, direction, created_us, created_by FROM outcome_names "               \
    "WHERE model = ?1 ORDER BY name"
#define SQL_COUNT "SELECT COUNT(*) FROM outcome_names WHERE model = ?1"
#define SQL_PUT                                                                                    \
    "INSERT INTO outcome_names (model, name, kind, unit, direction, created_us, created_by) "      \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (model, name) DO UPDATE SET "                 \
    "unit = excluded.unit, direction = excluded.direction"
#define SQL_IS_USED "SELECT COUNT(*) FROM outcomes WHERE model = ?1 AND name = ?2"

struct name_list {
    struct arena *arena;
    struct outcome_name *names;
    int count;
};

bool outcome_direction_parse(struct str text, enum outcome_direction *direction)
{
    for (int i = OUTCOME_NEUTRAL; i <= OUTCOME_DOWN; i++) {
        if (!str_equal_c(text, outcome_direction_name((enum outcome_direction)i)))
            continue;
        *direction = (enum outcome_direction)i;
        return true;
    }
    return false;
}

bool outcome_kind_parse(struct str text, enum outcome_kind *kind)
{
    for (int i = OUTCOME_LABEL; i <= OUTCOME_EVENT; i++) {
        if (!str_equal_c(text, outcome_kind_name((enum outcome_kind)i)))
            continue;
        *kind = (enum outcome_kind)i;
        return true;
    }
    return false;
}

static enum err_code read_name(struct store_rows *rows, void *arg, struct err *err)
{
    struct name_list *list = arg;
    bool is_full = false;
    struct outcome_name name = {.kind = OUTCOME_VALUE};
    list->names = store_list_grow(list->arena, list->names, list->count, sizeof(name));
    if (!list->names)
        return err_set(err, ERR_LIMIT, "no room to read the names of values");
    outcome_kind_parse(store_text(rows, 1), &name.kind);
    outcome_direction_parse(store_text(rows, 3), &name.direction);
    name.name = store_text_copy(rows, 0, list->arena, &is_full);
    name.unit = store_text_copy(rows, 2, list->arena, &is_full);
    name.created_us = store_i64(rows, 4);
    name.created_by = store_text_copy(rows, 5, list->arena, &is_full);
    list->names[list->count++] = name;
    return is_full ? err_set(err, ERR_LIMIT, "no room to read the names of values") : ERR_OK;
}

enum err_code outcome_name_list(struct store *store, const char *model, struct arena *arena,
                                struct outcome_name **names, int *count, struct err *err)
{
    struct name_list list = {.arena = arena};
    const struct store_value params[] = {STORE_CSTR(model)};
    enum err_code rc = registry_each_row(store, SQL_LIST, params, 1, read_name, &list, err);
    if (rc)
        return rc;
    *names = list.names;
    *count = list.count;
    return ERR_OK;
}

/* NULL when it is not declared. */
static enum err_code find_name(struct store *store, const char *model, struct str name,
                               struct arena *arena, struct outcome_name **found, struct err *err)
{
    struct name_list list = {.arena = arena};
    const struct store_value params[] = {STORE_CSTR(model), STORE_STR(name)};
    enum err_code rc = registry_each_row(store, SQL_FIND, params, 2, read_name, &list, err);
    *found = list.names;
    return rc;
}

/* ---- declaring ---- */

static void state_of(struct buf *out, const struct outcome_name *name)
{
    struct json_writer w = {.out = out};
    buf_init(out, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "kind");
    json_put_text(&w, outcome_kind_name(name->kind));
    json_key(&w, "unit");
    json_put_text(&w, name->unit);
    json_key(&w, "direction");
    json_put_text(&w, outcome_direction_name(name->direction));
    json_end_object(&w);
}

static enum err_code write_name(struct store *store, const char *model,
                                const struct outcome_name *before, const struct outcome_name *name,
                                const struct actor *actor, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf was, is;
    const struct store_value params[] = {
        STORE_CSTR(model),
        STORE_CSTR(name->name),
        STORE_CSTR(outcome_kind_name(name->kind)),
        STORE_CSTR(name->unit),
        STORE_CSTR(outcome_direction_name(name->direction)),
        STORE_INT(clock_wall_us()),
        STORE_CSTR(actor->name),
    };
    enum err_code rc = store_exec(store, SQL_PUT, params, 7, NULL, err);
    if (rc)
        return rc;
    snprintf(subject, sizeof(subject), "model/%s/value/%s", model, name->name);
    state_of(&is, name);
    if (before)
        state_of(&was, before);
    return registry_append(store, actor, "value.declare", subject, before ? &was : NULL, &is, 0,
                           NULL, err);
}

static enum err_code check_unit(const char *unit, struct err *err)
{
    enum err_code rc =
        registry_check_text("the unit of a value", unit, OUTCOME_UNIT_BYTES_MAX, err);
    if (!rc && unit[0] == '\0') {
        err_set(err, ERR_INVALID, "a value needs a unit");
        return err_hint(err, "such as EUR, min, 1 (for a plain number)");
    }
    return rc;
}

static enum err_code check_room(struct store *store, const char *model, struct err *err)
{
    int64_t count = 0;
    const struct store_value params[] = {STORE_CSTR(model)};
    enum err_code rc = registry_read_number(store, SQL_COUNT, params, 1, 0, &count, err);
    if (!rc && count >= OUTCOME_NAMES_MAX)
        return err_set(err, ERR_LIMIT, "model '%s' has %d values and events already", model,
                       OUTCOME_NAMES_MAX);
    return rc;
}

/* What was counted in one unit cannot go on in another. */
static enum err_code check_change(struct store *store, const char *model,
                                  const struct outcome_name *before,
                                  const struct outcome_name *name, struct err *err)
{
    int64_t count = 0;
    if (before->kind != name->kind)
        return err_set(err, ERR_CONFLICT, "'%s' of model '%s' is declared as %s, not as %s",
                       name->name, model, outcome_kind_name(before->kind),
                       outcome_kind_name(name->kind));
    if (strcmp(before->unit, name->unit) == 0)
        return ERR_OK;
    const struct store_value params[] = {STORE_CSTR(model), STORE_CSTR(name->name)};
    enum err_code rc = registry_read_number(store, SQL_IS_USED, params, 2, 0, &count, err);
    if (rc || count == 0)
        return rc;
    err_set(err, ERR_CONFLICT, "'%s' of model '%s' has %lld entries in %s, not in %s", name->name,
            model, (long long)count, before->unit, name->unit);
    return err_hint(err, "declare another name for the other unit");
}

enum err_code outcome_name_put(struct store *store, const char *model,
                               const struct outcome_name *name, const struct actor *actor,
                               struct arena *arena, struct err *err)
{
    struct outcome_name *before = NULL;
    enum err_code rc = registry_check_model(store, model, err);
    if (!rc)
        rc = registry_check_name("a value", name->name, err);
    if (!rc && strcmp(name->name, OUTCOME_LABEL_NAME) == 0)
        rc = err_set(err, ERR_INVALID, "'label' is the name of the truth");
    if (!rc && name->kind == OUTCOME_VALUE)
        rc = check_unit(name->unit, err);
    if (!rc)
        rc = find_name(store, model, str_of(name->name), arena, &before, err);
    if (!rc)
        rc = before ? check_change(store, model, before, name, err) : check_room(store, model, err);
    if (rc)
        return rc;
    if (before && before->direction == name->direction && strcmp(before->unit, name->unit) == 0)
        return ERR_OK;
    return write_name(store, model, before, name, actor, err);
}

/* ---- what comes with an outcome ---- */

static enum err_code refuse_undeclared(struct outcome *o)
{
    return outcome_refuse(
        o,
        "value '%.*s' is not declared for model '%s'; give \"unit\" and \"direction\" "
        "(up or down is good) with its first use, or PUT /api/models/%s/values",
        STR_ARG(o->name), o->predicted->model, o->predicted->model);
}

static enum err_code declare(struct outcome_run *run, struct outcome *o, struct err *err)
{
    if (o->kind == OUTCOME_VALUE && (o->direction == OUTCOME_NEUTRAL || o->unit.len == 0))
        return refuse_undeclared(o);
    const struct outcome_name name = {
        .name = arena_copy(run->arena, o->name.ptr, o->name.len),
        .kind = o->kind,
        .unit = o->kind == OUTCOME_VALUE ? arena_copy(run->arena, o->unit.ptr, o->unit.len) : "",
        .direction = o->direction,
    };
    if (!name.name || !name.unit)
        return err_set(err, ERR_LIMIT, "no room for the name of a value");
    enum err_code rc =
        outcome_name_put(run->store, o->predicted->model, &name, run->actor, run->arena, err);
    if (rc != ERR_INVALID && rc != ERR_LIMIT && rc != ERR_CONFLICT)
        return rc;
    outcome_refuse(o, "%.200s", err->msg);
    err->code = ERR_OK;
    return ERR_OK;
}

enum err_code outcome_name_check(struct outcome_run *run, struct outcome *o, struct err *err)
{
    struct outcome_name *found;
    enum err_code rc = find_name(run->store, o->predicted->model, o->name, run->arena, &found, err);
    if (rc)
        return rc;
    if (!found)
        return declare(run, o, err);
    if (found->kind != o->kind)
        return outcome_refuse(o, "'%s' is declared as %s of model '%s', not as %s", found->name,
                              outcome_kind_name(found->kind), o->predicted->model,
                              outcome_kind_name(o->kind));
    if (o->unit.len && !str_equal_c(o->unit, found->unit))
        return outcome_refuse(o, "'%s' of model '%s' is counted in %s, not in %.*s", found->name,
                              o->predicted->model, found->unit[0] ? found->unit : "events",
                              (int)(o->unit.len < 32 ? o->unit.len : 32), o->unit.ptr);
    if (o->direction != OUTCOME_NEUTRAL && o->direction != found->direction)
        return outcome_refuse(o, "'%s' of model '%s' is declared with direction '%s', not '%s'",
                              found->name, o->predicted->model,
                              outcome_direction_name(found->direction),
                              outcome_direction_name(o->direction));
    o->unit = str_of(found->unit);
    o->direction = found->direction;
    return ERR_OK;
}
