/* review_api.c - review rules of a model; items listed and shown; what became of held predictions.
 */
#include "api/document.h"
#include "api/handlers.h"
#include "api/review_form.h"
#include "base/check.h"
#include "base/clock.h"

enum { LIST_STANDARD = 100 };

/* ---- rules ---- */

static void write_rule(struct json_writer *w, const struct review_rule *rule)
{
    json_begin_object(w);
    json_key(w, "name");
    json_put_text(w, rule->name);
    json_key(w, "mode");
    json_put_text(w, review_mode_name(rule->mode));
    json_key(w, "sample");
    json_put_f64(w, rule->sample);
    json_key(w, "reviewers");
    json_put_i64(w, rule->reviewers);
    json_key(w, "sla_seconds");
    json_put_i64(w, rule->sla_us / CLOCK_SECOND_US);
    json_key(w, "on_expiry");
    json_put_text(w, review_expiry_name(rule->on_expiry));
    json_key(w, "stakes");
    json_put_i64(w, rule->stakes);
    json_end_object(w);
}

static enum err_code get_rules(struct store *store, const char *model, struct arena *arena,
                               struct document *document, struct err *err)
{
    struct review_document found;
    enum err_code rc = review_rules_get(store, model, arena, &found, err);
    if (!rc)
        *document = (struct document){found.revision, found.text};
    return rc;
}

static enum err_code parse_rules(struct str text, struct arena *arena, const void **parsed,
                                 struct err *err)
{
    struct review_rules *rules = NULL;
    enum err_code rc = review_rules_parse(text, arena, &rules, err);
    *parsed = rules;
    return rc;
}

/* A model without a contract is taken at its word. */
static enum err_code check_rules(const void *parsed, const struct loaded *champion, struct err *err)
{
    return champion && champion->contract ? review_rules_check(parsed, champion->contract, err)
                                          : ERR_OK;
}

static void write_rules(struct json_writer *w, const void *parsed)
{
    const struct review_rules *rules = parsed;
    json_key(w, "rules");
    json_begin_array(w);
    for (int i = 0; rules && i < rules->count; i++)
        write_rule(w, &rules->rules[i]);
    json_end_array(w);
}

static const struct document_kind rules_kind = {
    .get = get_rules,
    .put = review_rules_put,
    .parse = parse_rules,
    .check = check_rules,
    .write = write_rules,
};

enum err_code review_rules_get_handler(struct call *call, struct err *err)
{
    return document_get(call, &rules_kind, err);
}

enum err_code review_rules_put_handler(struct call *call, struct err *err)
{
    return document_put(call, &rules_kind, err);
}

enum err_code review_rules_delete(struct call *call, struct err *err)
{
    return document_delete(call, &rules_kind, err);
}

/* ---- items ---- */

static enum err_code read_filter(struct call *call, struct review_filter *filter, struct err *err)
{
    struct str text;
    int64_t limit = LIST_STANDARD;
    enum err_code rc = call_query_i64(call, "after", 0, INT64_MAX, &filter->after, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, REVIEW_LIST_MAX, &limit, err);
    if (rc)
        return rc;
    filter->limit = (int)limit;
    if (http_query_find(call->x->request.query, "model", call->arena, &text))
        filter->model = arena_copy(call->arena, text.ptr, text.len);
    if (!http_query_find(call->x->request.query, "state", call->arena, &text))
        return ERR_OK;
    filter->has_state = true;
    if (review_state_parse(text, &filter->state))
        return ERR_OK;
    err_set(err, ERR_INVALID, "query 'state': there is no state '%.*s'", STR_ARG(text));
    return err_hint(err, "one of: open, decided, expired, rejected, disputed, erased");
}

enum err_code review_items_get(struct call *call, struct err *err)
{
    struct review_filter filter = {0};
    struct review_item *items;
    int count = 0;
    enum err_code rc = read_filter(call, &filter, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = review_list(store, &filter, call->arena, &items, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "items");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        review_write_line(&w, &items[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code review_item_get_handler(struct call *call, struct err *err)
{
    int64_t id = 0;
    int count = 0;
    struct review_item item;
    struct review_decision *decisions;
    enum err_code rc = review_item_id(call, &id, err);
    if (rc)
        return rc;
    struct store *store = control_read_begin(call->node->control);
    rc = review_item_get(store, id, call->arena, &item, err);
    if (!rc)
        rc = review_decisions(store, id, call->arena, &decisions, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    review_write_item(&w, &item, decisions, count);
    return ERR_OK;
}

/* ---- held predictions ---- */

static void write_held(struct call *call, const char *id, const struct review_item *items,
                       int count)
{
    bool is_open = false;
    for (int i = 0; i < count; i++)
        is_open |= items[i].state == REVIEW_OPEN;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "id");
    json_put_text(&w, id);
    json_key(&w, "model");
    json_put_text(&w, items[0].model);
    json_key(&w, "state");
    json_put_text(&w, is_open ? "held" : "done");
    json_key(&w, "predictions");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        review_write_held(&w, &items[i]);
    json_end_array(&w);
    json_end_object(&w);
}

/* Who waits for it; and who may read review items. */
static bool may_ask(const struct call *call, const struct review_item *item)
{
    const char *asker = review_asker(&call->actor, call->arena);
    return call_may(call, SCOPE_REVIEW_OR_OPERATE) ||
           (asker && item->asked_by[0] && strcmp(item->asked_by, asker) == 0);
}

/* Of the items those that are held and that the caller may ask about. */
static int keep_own(const struct call *call, struct review_item *items, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (items[i].mode == REVIEW_HOLD && may_ask(call, &items[i]))
            items[kept++] = items[i];
    return kept;
}

static enum err_code not_held(const char *id, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "no held prediction has the id '%.*s'", PREDICTION_ID_BYTES_MAX,
            id);
    return err_hint(err, "ask with the id of the 202 reply, or of one of its predictions");
}

enum err_code review_held_get(struct call *call, struct err *err)
{
    struct review_item *items;
    int count = 0;
    const char *id = arena_copy(call->arena, call->params[0].ptr, call->params[0].len);
    if (!id)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = review_items_of(store, id, call->arena, &items, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    count = keep_own(call, items, count);
    if (count == 0)
        return not_held(id, err); /* and no word of those of others */
    write_held(call, id, items, count);
    return ERR_OK;
}
