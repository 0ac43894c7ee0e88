/* feedback_api.c - what came true: POST /feedback, values of a model, outcomes of a prediction. */
#include "api/handlers.h"
#include "monitor/feedback.h"
#include "monitor/outcome_store.h"

/* ---- POST /feedback ---- */

static bool is_csv(const struct call *call)
{
    struct str type = http_find_header(&call->x->request, "Content-Type");
    struct str rest = type, media = {0};
    return type.ptr && str_split(&rest, ';', &media) &&
           str_equal_nocase(str_trim(media), STR_LIT("text/csv"));
}

static enum err_code read_feedback(struct call *call, struct feedback *feedback, struct err *err)
{
    const char *model = "";
    yyjson_val *root;
    enum err_code rc = call_query_model(call, &model, err);
    if (rc)
        return rc;
    if (is_csv(call))
        return feedback_read_csv(call->x->request.body, model, call->arena, feedback, err);
    rc = call_body_object(call, &root, err);
    return rc ? rc : feedback_read_json(root, model, call->arena, feedback, err);
}

static void put_counts(struct json_writer *w, const struct feedback *feedback)
{
    int64_t counts[OUTCOME_RESULT_COUNT] = {0};
    for (int i = 0; i < feedback->count; i++)
        counts[feedback->outcomes[i].result]++;
    json_key(w, "items");
    json_put_i64(w, feedback->item_count);
    for (int r = OUTCOME_ACCEPTED; r < OUTCOME_RESULT_COUNT; r++) {
        json_key(w, outcome_result_name((enum outcome_result)r));
        json_put_i64(w, counts[r]);
    }
}

/* Who knows a business key only learns no id by it, unless it may read predictions anyway. */
static void put_predicted(struct json_writer *w, const struct outcome *o, bool is_id_hidden)
{
    if (!is_id_hidden) {
        json_key(w, "prediction");
        json_put_str(w, o->predicted->id);
    }
    json_key(w, "model");
    json_put_text(w, o->predicted->model);
    json_key(w, "version");
    json_put_i64(w, o->predicted->version);
}

static void put_result(struct json_writer *w, const struct call *call, const struct outcome *o,
                       int item)
{
    json_begin_object(w);
    json_key(w, "item");
    json_put_i64(w, item);
    if (o->name.len) {
        json_key(w, "name");
        json_put_str(w, o->name);
    }
    json_key(w, "result");
    json_put_text(w, outcome_result_name(o->result));
    if (o->predicted)
        put_predicted(w, o, !call_may(call, SCOPE_OPERATE) && o->prediction_id.len == 0);
    if (o->result == OUTCOME_REFUSED) {
        json_key(w, "reason");
        json_put_text(w, o->reason);
    }
    json_end_object(w);
}

/* Of a list only what did not simply go in is told one by one. */
static void write_results(struct call *call, const struct feedback *feedback)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    put_counts(&w, feedback);
    json_key(&w, "results");
    json_begin_array(&w);
    for (int i = 0; i < feedback->count; i++)
        if (feedback->is_single || feedback->outcomes[i].result != OUTCOME_ACCEPTED)
            put_result(&w, call, &feedback->outcomes[i], feedback->items[i]);
    json_end_array(&w);
    json_end_object(&w);
}

/* One item that was refused is an error; within a list it is a result. */
static enum err_code refuse_single(const struct feedback *feedback, struct err *err)
{
    for (int i = 0; i < feedback->count; i++)
        if (feedback->outcomes[i].result != OUTCOME_REFUSED)
            return ERR_OK;
    return err_set(err, ERR_INVALID, "the feedback was not taken: %s",
                   feedback->outcomes[0].reason);
}

static enum err_code take(struct call *call, struct feedback *feedback, struct err *err)
{
    struct intake local = {.control = call->node->control};
    struct intake *intake = call->node->intake ? call->node->intake : &local;
    return intake_take(intake, feedback->outcomes, feedback->count, &call->actor, call->arena, err);
}

enum err_code feedback_post(struct call *call, struct err *err)
{
    struct feedback feedback;
    enum err_code rc = read_feedback(call, &feedback, err);
    if (!rc)
        rc = take(call, &feedback, err);
    if (!rc && feedback.is_single)
        rc = refuse_single(&feedback, err);
    if (!rc)
        write_results(call, &feedback);
    return rc;
}

/* ---- values of a model ---- */

static void put_name(struct json_writer *w, const struct outcome_name *name)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, name->name);
    json_key(w, "kind");
    json_put_text(w, outcome_kind_name(name->kind));
    json_key(w, "unit");
    json_put_text(w, name->unit);
    json_key(w, "direction");
    json_put_text(w, outcome_direction_name(name->direction));
    json_key(w, "declared_at");
    json_put_time(w, name->created_us);
    json_key(w, "declared_by");
    json_put_text(w, name->created_by);
    json_end_object(w);
}

static enum err_code write_values(struct call *call, struct store *store, const char *model,
                                  struct err *err)
{
    struct outcome_name *names;
    int count = 0;
    enum err_code rc = outcome_name_list(store, model, call->arena, &names, &count, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, model);
    json_key(&w, "values");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_name(&w, &names[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code values_get(struct call *call, struct err *err)
{
    const char *model;
    struct model found;
    enum err_code rc = call_name(call, 0, "a model", &model, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = model_get(store, model, call->arena, &found, err);
    if (!rc)
        rc = write_values(call, store, model, err);
    control_read_end(call->node->control);
    return rc;
}

struct declaration {
    const char *model;
    struct outcome_name names[OUTCOME_NAMES_MAX]; /* [count] */
    int count;
};

static const char *copy_text(struct call *call, struct str text)
{
    const char *copy = arena_copy(call->arena, text.ptr, text.len);
    return copy ? copy : "";
}

static enum err_code read_name(struct call *call, yyjson_val *object, struct outcome_name *name,
                               struct err *err)
{
    static const char *const keys[] = {"name", "kind", "unit", "direction", NULL};
    struct str text, kind = STR_LIT("value"), unit = {0}, direction = {0};
    if (!yyjson_is_obj(object))
        return err_set(err, ERR_INVALID, "a value must be an object, got %s",
                       yyjson_get_type_desc(object));
    enum err_code rc = json_check_keys(object, "a value", keys, err);
    if (!rc)
        rc = json_get_str(object, "a value", "name", &text, err);
    if (!rc)
        rc = json_get_str_opt(object, "a value", "kind", &kind, err);
    if (!rc)
        rc = json_get_str_opt(object, "a value", "unit", &unit, err);
    if (!rc)
        rc = json_get_str_opt(object, "a value", "direction", &direction, err);
    if (rc)
        return rc;
    name->name = copy_text(call, text);
    name->unit = copy_text(call, unit);
    if (!outcome_kind_parse(kind, &name->kind) || name->kind == OUTCOME_LABEL)
        return err_set(err, ERR_INVALID, "'kind' of '%s': expected value or event, got '%.*s'",
                       name->name, STR_ARG(kind));
    if (!outcome_direction_parse(direction, &name->direction) ||
        (name->kind == OUTCOME_VALUE && name->direction == OUTCOME_NEUTRAL)) {
        err_set(err, ERR_INVALID, "'direction' of '%s': expected up or down, got '%.*s'",
                name->name, STR_ARG(direction));
        return err_hint(err, "up: more is better, as of revenue; down: less is better");
    }
    if (name->kind == OUTCOME_EVENT && name->unit[0])
        return err_set(err, ERR_INVALID, "event '%s' is counted and has no unit", name->name);
    return ERR_OK;
}

static enum err_code read_declaration(struct call *call, struct declaration *d, struct err *err)
{
    static const char *const keys[] = {"values", NULL};
    yyjson_val *root, *list, *value;
    size_t i, count;
    enum err_code rc = call_name(call, 0, "a model", &d->model, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (rc)
        return rc;
    list = yyjson_obj_get(root, "values");
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return err_set(err, ERR_INVALID, "'values' must be a list of {name, unit, direction}");
    if (yyjson_arr_size(list) > OUTCOME_NAMES_MAX)
        return err_set(err, ERR_LIMIT, "%zu values, at most %d are taken", yyjson_arr_size(list),
                       OUTCOME_NAMES_MAX);
    yyjson_arr_foreach(list, i, count, value)
    {
        rc = read_name(call, value, &d->names[d->count++], err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code declare(struct call *call, struct control *control, struct store *store,
                             void *arg, struct err *err)
{
    const struct declaration *d = arg;
    (void)control;
    for (int i = 0; i < d->count; i++) {
        enum err_code rc =
            outcome_name_put(store, d->model, &d->names[i], &call->actor, call->arena, err);
        if (rc)
            return rc;
    }
    return write_values(call, store, d->model, err);
}

enum err_code values_put(struct call *call, struct err *err)
{
    struct declaration *d = arena_calloc(call->arena, 1, sizeof(*d));
    if (!d)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    enum err_code rc = read_declaration(call, d, err);
    if (rc)
        return rc;
    struct call_change change = {.fn = declare, .arg = d};
    return call_execute(call, &change, err);
}

/* ---- outcomes of a prediction ---- */

static void put_row(struct json_writer *w, const struct outcome_row *row)
{
    bool is_label = strcmp(row->kind, "label") == 0;
    json_begin_object(w);
    json_key(w, "model");
    json_put_text(w, row->model);
    json_key(w, "version");
    json_put_i64(w, row->version);
    json_key(w, "name");
    json_put_text(w, row->name);
    json_key(w, "kind");
    json_put_text(w, row->kind);
    if (is_label) {
        json_key(w, "label");
        json_put_text(w, row->label);
    } else if (strcmp(row->kind, "value") == 0) {
        json_key(w, "value");
        json_put_f64(w, row->value);
    }
    json_key(w, "state");
    json_put_text(w, row->state);
    json_key(w, "at");
    json_put_time(w, row->at_us);
    json_key(w, "received_at");
    json_put_time(w, row->received_us);
    json_key(w, "source");
    json_put_text(w, row->source);
    json_key(w, "actor");
    json_put_text(w, row->actor);
    if (row->feedback_id[0]) {
        json_key(w, "feedback_id");
        json_put_text(w, row->feedback_id);
    }
    json_end_object(w);
}

enum err_code outcomes_get(struct call *call, struct err *err)
{
    struct outcome_row *rows;
    int count = 0;
    const char *model = "";
    struct str id = call->params[0];
    enum err_code rc = call_query_model(call, &model, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = outcome_history(store, model, id, call->arena, &rows, &count, err);
    control_read_end(call->node->control);
    if (!rc && count == 0) {
        err_set(err, ERR_NOT_FOUND, "nothing is known about prediction '%.*s'",
                (int)(id.len < 160 ? id.len : 160), id.ptr);
        return err_hint(err,
                        "tell what came true with: slipway feedback MODEL --id ID --label ...");
    }
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "prediction");
    json_put_str(&w, id);
    json_key(&w, "outcomes");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_row(&w, &rows[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* Orphans that wait, and those that could not be taken when their prediction appeared. */
enum err_code orphans_get(struct call *call, struct err *err)
{
    struct orphan_counts counts;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = outcome_orphan_count(store, &counts, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "waiting");
    json_put_i64(&w, counts.waiting);
    json_key(&w, "refused");
    json_put_i64(&w, counts.refused);
    json_end_object(&w);
    return ERR_OK;
}
