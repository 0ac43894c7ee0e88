/* feedback_json.c - feedback as JSON: one item, or {"items": [...]}. */
#include <math.h>

#include "monitor/feedback.h"
#include "monitor/outcome_store.h"

static const char *const item_keys[] = {"id",   "key",       "model",       "as_of", "label",
                                        "at",   "values",    "event",       "name",  "value",
                                        "unit", "direction", "feedback_id", NULL};

/* ---- members ---- */

static struct str text_of(yyjson_val *value, struct arena *arena)
{
    char number[STR_NUMBER_BYTES];
    size_t length = 0;
    if (yyjson_is_str(value))
        return json_str(value);
    if (yyjson_is_bool(value))
        return yyjson_get_bool(value) ? STR_LIT("true") : STR_LIT("false");
    if (yyjson_is_sint(value))
        length = str_from_i64(yyjson_get_sint(value), number);
    else if (yyjson_is_uint(value))
        length = str_from_u64(yyjson_get_uint(value), number);
    else if (yyjson_is_real(value))
        length = str_from_f64(yyjson_get_real(value), number);
    const char *copy = length ? arena_copy(arena, number, length) : NULL;
    return (struct str){copy, copy ? length : 0};
}

/* Keys and labels may be numbers in the client's data: they are taken as their text. */
static bool read_text(struct feedback_item *item, yyjson_val *object, const char *key,
                      bool may_be_number, struct str *out, struct err *err, enum err_code *rc)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (!value || yyjson_is_null(value))
        return true;
    bool is_scalar =
        yyjson_is_str(value) || (may_be_number && (yyjson_is_num(value) || yyjson_is_bool(value)));
    if (is_scalar)
        *out = text_of(value, item->arena);
    if (is_scalar && out->len)
        return true;
    *rc = is_scalar ? feedback_refuse(item, err, "'%s' is empty", key)
                    : feedback_refuse(item, err, "'%s' must be text, got %s", key,
                                      yyjson_get_type_desc(value));
    return false;
}

static bool read_time(struct feedback_item *item, yyjson_val *object, const char *key,
                      int64_t *wall_us, struct err *err, enum err_code *rc)
{
    struct str text = {0};
    if (!read_text(item, object, key, false, &text, err, rc))
        return false;
    if (text.len == 0 || feedback_time(text, wall_us))
        return true;
    *rc =
        feedback_refuse(item, err, "'%s': expected a time such as 2026-01-31T09:30:00Z, got '%.*s'",
                        key, (int)(text.len < 40 ? text.len : 40), text.ptr);
    return false;
}

static bool read_direction(struct feedback_item *item, yyjson_val *object,
                           enum outcome_direction *direction, struct err *err, enum err_code *rc)
{
    struct str text = {0};
    if (!read_text(item, object, "direction", false, &text, err, rc))
        return false;
    if (text.len == 0 || outcome_direction_parse(text, direction))
        return true;
    *rc = feedback_refuse(item, err, "'direction': expected up or down (which is good), got '%.*s'",
                          (int)(text.len < 40 ? text.len : 40), text.ptr);
    return false;
}

static bool read_common(struct feedback_item *item, yyjson_val *object, struct err *err,
                        enum err_code *rc)
{
    struct outcome *c = &item->common;
    struct str model = {0};
    if (!read_text(item, object, "id", false, &c->prediction_id, err, rc) ||
        !read_text(item, object, "key", true, &c->key, err, rc) ||
        !read_text(item, object, "model", false, &model, err, rc) ||
        !read_text(item, object, "feedback_id", true, &c->feedback_id, err, rc) ||
        !read_time(item, object, "at", &c->at_us, err, rc) ||
        !read_time(item, object, "as_of", &c->until_us, err, rc))
        return false;
    if (model.len && !str_is_name(model)) {
        *rc = feedback_refuse(item, err, "'%.*s' cannot be the name of a model",
                              (int)(model.len < 64 ? model.len : 64), model.ptr);
        return false;
    }
    if (model.len)
        c->model = arena_copy(item->arena, model.ptr, model.len);
    if (!c->model)
        *rc = err_set(err, ERR_LIMIT, "no room for the feedback");
    return c->model != NULL;
}

/* ---- what it says ---- */

static enum err_code add_label(struct feedback_item *item, yyjson_val *object, struct err *err)
{
    struct outcome *outcome;
    struct str label = {0};
    enum err_code rc = ERR_OK;
    if (!read_text(item, object, OUTCOME_LABEL_NAME, true, &label, err, &rc) || label.len == 0)
        return rc;
    rc = feedback_add(item, &outcome, err);
    if (rc)
        return rc;
    outcome->kind = OUTCOME_LABEL;
    outcome->name = STR_LIT(OUTCOME_LABEL_NAME);
    outcome->label = label;
    return ERR_OK;
}

static enum err_code add_event(struct feedback_item *item, yyjson_val *object, struct err *err)
{
    struct outcome *outcome;
    struct str name = {0};
    enum err_code rc = ERR_OK;
    if (!read_text(item, object, "event", false, &name, err, &rc) || name.len == 0)
        return rc;
    rc = feedback_add(item, &outcome, err);
    if (rc)
        return rc;
    outcome->kind = OUTCOME_EVENT;
    outcome->name = name;
    if (!yyjson_obj_get(object, "value"))
        read_direction(item, object, &outcome->direction, err, &rc);
    return rc;
}

/* `spec` is a number, or {"value": n, "unit": ..., "direction": ...}. */
static enum err_code add_value(struct feedback_item *item, struct str name, yyjson_val *spec,
                               struct err *err)
{
    static const char *const keys[] = {"value", "unit", "direction", NULL};
    struct outcome *outcome, value = item->common;
    enum err_code rc = ERR_OK;
    yyjson_val *number = yyjson_is_obj(spec) ? yyjson_obj_get(spec, "value") : spec;
    if (yyjson_is_obj(spec) && json_check_keys(spec, "the value", keys, err)) {
        err->code = ERR_OK;
        return feedback_refuse(item, err, "value '%.*s': %.160s",
                               (int)(name.len < 64 ? name.len : 64), name.ptr, err->msg);
    }
    if (!yyjson_is_num(number))
        return feedback_refuse(item, err, "value '%.*s' must be a number, got %s",
                               (int)(name.len < 64 ? name.len : 64), name.ptr ? name.ptr : "",
                               number ? yyjson_get_type_desc(number) : "nothing");
    value.kind = OUTCOME_VALUE;
    value.name = name;
    value.value = yyjson_get_num(number);
    if (yyjson_is_obj(spec) && (!read_text(item, spec, "unit", false, &value.unit, err, &rc) ||
                                !read_direction(item, spec, &value.direction, err, &rc)))
        return rc;
    rc = feedback_add(item, &outcome, err);
    if (!rc)
        *outcome = value;
    return rc;
}

static bool is_refused(const struct feedback_item *item)
{
    const struct feedback *f = item->feedback;
    return f->count > item->first && f->outcomes[item->first].result == OUTCOME_REFUSED;
}

static enum err_code add_values(struct feedback_item *item, yyjson_val *object, struct err *err)
{
    yyjson_val *values = yyjson_obj_get(object, "values"), *key, *value;
    size_t i, count;
    if (!values || yyjson_is_null(values))
        return ERR_OK;
    if (!yyjson_is_obj(values))
        return feedback_refuse(item, err, "'values' must be an object of numbers, got %s",
                               yyjson_get_type_desc(values));
    yyjson_obj_foreach(values, i, count, key, value)
    {
        enum err_code rc = add_value(item, json_str(key), value, err);
        if (rc || is_refused(item))
            return rc;
    }
    return ERR_OK;
}

/* {"name": "revenue", "value": 12.5, "unit": "EUR", "direction": "up"}: the same, flat. */
static enum err_code add_named(struct feedback_item *item, yyjson_val *object, struct err *err)
{
    yyjson_val *value = yyjson_obj_get(object, "value");
    struct str name = {0};
    struct outcome *outcome;
    enum err_code rc = ERR_OK;
    if (!read_text(item, object, "name", false, &name, err, &rc))
        return rc;
    if (!value)
        return name.len ? feedback_refuse(item, err, "has a 'name' and no 'value'") : ERR_OK;
    if (name.len == 0)
        return feedback_refuse(item, err, "has a 'value' and no 'name'");
    rc = add_value(item, name, value, err);
    if (rc || is_refused(item))
        return rc;
    outcome = &item->feedback->outcomes[item->feedback->count - 1];
    if (read_text(item, object, "unit", false, &outcome->unit, err, &rc))
        read_direction(item, object, &outcome->direction, err, &rc);
    return rc;
}

static enum err_code read_item(struct feedback_item *item, yyjson_val *object, struct err *err)
{
    typedef enum err_code adder(struct feedback_item *, yyjson_val *, struct err *);
    static adder *const adders[] = {add_label, add_values, add_named, add_event};
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(object))
        return feedback_refuse(item, err, "must be an object, got %s",
                               yyjson_get_type_desc(object));
    if (json_check_keys(object, "feedback", item_keys, err)) {
        err->code = ERR_OK;
        return feedback_refuse(item, err, "%.200s", err->msg);
    }
    if (!read_common(item, object, err, &rc))
        return rc;
    for (size_t i = 0; i < sizeof(adders) / sizeof(*adders); i++) {
        rc = adders[i](item, object, err);
        if (rc || is_refused(item))
            return rc;
    }
    return feedback_end(item, err);
}

enum err_code feedback_read_json(yyjson_val *root, const char *model, struct arena *arena,
                                 struct feedback *feedback, struct err *err)
{
    static const char *const keys[] = {"items", NULL};
    struct feedback_item item;
    yyjson_val *items = yyjson_obj_get(root, "items"), *value;
    size_t i, count;
    *feedback = (struct feedback){0};
    if (!items) {
        feedback->is_single = true;
        feedback_begin(&item, feedback, arena, model);
        return read_item(&item, root, err);
    }
    enum err_code rc = json_check_keys(root, "the request", keys, err);
    if (!rc && !yyjson_is_arr(items))
        rc = err_set(err, ERR_INVALID, "'items' must be a list, got %s",
                     yyjson_get_type_desc(items));
    if (!rc && yyjson_arr_size(items) == 0)
        rc = err_set(err, ERR_INVALID, "'items' is empty: there is no feedback");
    if (rc)
        return rc;
    yyjson_arr_foreach(items, i, count, value)
    {
        feedback_begin(&item, feedback, arena, model);
        rc = read_item(&item, value, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}
