/* review_act_api.c - what reviewers do: next, heartbeat, decide, skip, undo; and gold items. */
#include "api/handlers.h"
#include "api/review_form.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/rand.h"
#include "serve/review_outcome.h"

/* ---- next and heartbeat ---- */

struct handing {
    const char *model; /* NULL: any */
    double draw;
    int64_t item; /* heartbeat */
};

static void write_next(struct call *call, const struct review_item *item,
                       const struct review_lease *lease)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "item");
    if (item)
        review_write_card(&w, item, lease);
    else
        json_put_null(&w);
    json_end_object(&w);
}

static enum err_code hand_out(struct call *call, struct control *control, struct store *store,
                              void *arg, struct err *err)
{
    const struct handing *h = arg;
    struct review_lease lease;
    struct review_item item;
    bool is_found = false;
    (void)control;
    enum err_code rc = review_next(store, h->model, call->actor.name, h->draw, clock_wall_us(),
                                   &lease, &is_found, err);
    if (!rc && is_found)
        rc = review_item_get(store, lease.item, call->arena, &item, err);
    if (!rc)
        write_next(call, is_found ? &item : NULL, &lease);
    return rc;
}

static double draw_unit(void)
{
    uint64_t bits;
    rand_secret(&bits, sizeof(bits));
    return (double)(bits >> 11) * 0x1p-53;
}

enum err_code review_next_post(struct call *call, struct err *err)
{
    static const char *const keys[] = {"model", NULL};
    yyjson_val *root;
    struct str model = {0};
    struct handing h = {.draw = draw_unit()};
    enum err_code rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", "model", &model, err);
    if (rc)
        return rc;
    if (model.len)
        h.model = arena_copy(call->arena, model.ptr, model.len);
    struct call_change change = {.fn = hand_out, .arg = &h};
    return call_execute(call, &change, err);
}

static enum err_code keep_lease(struct call *call, struct control *control, struct store *store,
                                void *arg, struct err *err)
{
    const struct handing *h = arg;
    struct review_lease lease;
    (void)control;
    enum err_code rc =
        review_heartbeat(store, h->item, call->actor.name, clock_wall_us(), &lease, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "item");
    json_put_i64(&w, h->item);
    json_key(&w, "leased_until");
    json_put_time(&w, lease.until_us);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code review_heartbeat_post(struct call *call, struct err *err)
{
    struct handing h = {0};
    enum err_code rc = review_item_id(call, &h.item, err);
    if (rc)
        return rc;
    struct call_change change = {.fn = keep_lease, .arg = &h};
    return call_execute(call, &change, err);
}

/* ---- decide, skip, undo ---- */

typedef enum err_code act_fn(struct store *store, const struct review_act *act,
                             const struct actor *actor, int64_t now_us, struct arena *arena,
                             struct review_result *result, struct err *err);

struct acting {
    act_fn *fn;
    struct review_act act;
    struct review_outcomes outcomes;
};

/* A gold item looks like any other to who decides it. */
static void write_result(struct call *call, const struct review_act *act,
                         const struct review_result *result, int64_t now_us)
{
    const struct review_item *item = &result->item;
    bool is_decided = item->state == REVIEW_DECIDED || result->is_gold;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "item");
    json_put_i64(&w, item->id);
    json_key(&w, "decision");
    json_put_i64(&w, result->decision);
    json_key(&w, "state");
    json_put_text(&w, result->is_gold ? "decided" : review_state_name(item->state));
    json_key(&w, "label");
    json_put_text(&w, result->is_gold ? act->label : is_decided ? item->label : "");
    json_key(&w, "repeated");
    json_put_bool(&w, result->is_repeated);
    json_key(&w, "undo_until");
    json_put_time(&w, now_us + item->undo_us);
    json_end_object(&w);
}

static enum err_code run_act(struct call *call, struct control *control, struct store *store,
                             void *arg, struct err *err)
{
    struct acting *a = arg;
    struct review_result result;
    int64_t now_us = clock_wall_us();
    (void)control;
    enum err_code rc = a->fn(store, &a->act, &call->actor, now_us, call->arena, &result, err);
    if (!rc)
        rc = review_outcome_submit(store, &result, &call->actor, now_us, call->arena, &a->outcomes,
                                   err);
    if (!rc)
        write_result(call, &a->act, &result, now_us);
    return rc;
}

static enum err_code copy_text(struct call *call, struct str text, const char **copy,
                               struct err *err)
{
    if (text.len && memchr(text.ptr, '\0', text.len))
        return err_set(err, ERR_INVALID, "a text of the request has a NUL in it");
    *copy = arena_copy(call->arena, text.ptr, text.len);
    return *copy ? ERR_OK : err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

/* A label may be a text or, for numbers, a number. */
static enum err_code read_label(struct call *call, yyjson_val *root, struct review_act *act,
                                struct err *err)
{
    struct str label = {0};
    yyjson_val *value = yyjson_obj_get(root, "label");
    char number[STR_NUMBER_BYTES];
    if (yyjson_is_num(value)) {
        act->label = arena_copy(call->arena, number, str_from_f64(yyjson_get_num(value), number));
        return act->label ? ERR_OK : err_set(err, ERR_LIMIT, "the request does not fit its memory");
    }
    enum err_code rc = json_get_str(root, "the request", "label", &label, err);
    return rc ? rc : copy_text(call, label, &act->label, err);
}

static enum err_code read_act(struct call *call, const char *const *keys, const char *note_key,
                              struct review_act *act, struct err *err)
{
    yyjson_val *root;
    struct str uuid = {0}, note = {0};
    enum err_code rc = review_item_id(call, &act->item, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_str(root, "the request", "uuid", &uuid, err);
    if (!rc)
        rc = copy_text(call, uuid, &act->uuid, err);
    if (!rc)
        rc = json_get_str_opt(root, "the request", note_key, &note, err);
    if (!rc)
        rc = copy_text(call, note, &act->note, err);
    act->label = "";
    if (!rc && strcmp(keys[1], "label") == 0)
        rc = read_label(call, root, act, err);
    return rc;
}

static enum err_code change_item(struct call *call, struct acting *a, struct err *err)
{
    struct call_change change = {.fn = run_act, .arg = a};
    struct review_item item;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = review_item_get(store, a->act.item, call->arena, &item, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    review_outcome_find(call->node->intake, item.model, item.prediction_id, call->arena,
                        &a->outcomes);
    rc = call_execute(call, &change, err);
    if (!rc)
        review_outcome_publish(call->node->intake, &a->outcomes);
    return rc;
}

enum err_code review_decide_post(struct call *call, struct err *err)
{
    static const char *const keys[] = {"uuid", "label", "note", NULL};
    struct acting a = {.fn = review_decide};
    enum err_code rc = read_act(call, keys, "note", &a.act, err);
    return rc ? rc : change_item(call, &a, err);
}

enum err_code review_skip_post(struct call *call, struct err *err)
{
    static const char *const keys[] = {"uuid", "reason", NULL};
    struct acting a = {.fn = review_skip};
    enum err_code rc = read_act(call, keys, "reason", &a.act, err);
    return rc ? rc : change_item(call, &a, err);
}

enum err_code review_undo_post(struct call *call, struct err *err)
{
    static const char *const keys[] = {"uuid", "reason", NULL};
    struct acting a = {.fn = review_undo};
    enum err_code rc = read_act(call, keys, "reason", &a.act, err);
    return rc ? rc : change_item(call, &a, err);
}

/* ---- gold ---- */

static enum err_code set_gold(struct call *call, struct control *control, struct store *store,
                              void *arg, struct err *err)
{
    const struct review_act *act = arg;
    (void)control;
    enum err_code rc =
        review_set_gold(store, act->item, act->label, &call->actor, call->arena, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "item");
    json_put_i64(&w, act->item);
    json_key(&w, "gold");
    json_put_text(&w, act->label);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code review_gold_put(struct call *call, struct err *err)
{
    static const char *const keys[] = {"label", NULL};
    yyjson_val *root;
    struct review_act act = {0};
    enum err_code rc = review_item_id(call, &act.item, err);
    if (!rc)
        rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = read_label(call, root, &act, err);
    struct call_change change = {.fn = set_gold, .arg = &act};
    return rc ? rc : call_execute(call, &change, err);
}
