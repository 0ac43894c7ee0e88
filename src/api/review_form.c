/* review_form.c - review items as JSON. */
#include "api/review_form.h"

#include "base/check.h"

static void put_raw(struct json_writer *w, const char *key, const char *json)
{
    json_key(w, key);
    json_put_raw(w, str_of(json));
}

/* ---- one item ---- */

static void put_line(struct json_writer *w, const struct review_item *item)
{
    json_member_i64(w, "id", item->id);
    json_member_text(w, "prediction_id", item->prediction_id);
    json_member_text(w, "model", item->model);
    json_member_i64(w, "version", item->version);
    json_member_text(w, "rule", item->rule);
    json_member_text(w, "mode", review_mode_name(item->mode));
    json_member_text(w, "state", review_state_name(item->state));
    json_member_i64(w, "stakes", item->stakes);
    json_member_bool(w, "escalated", item->is_escalated);
    json_member_bool(w, "late", item->is_late);
    json_member_i64(w, "reviewers", item->reviewers);
    json_member_i64(w, "decision_count", item->decision_count);
    json_member_text(w, "label", item->label);
    json_member_time(w, "created_at", item->created_us);
    json_member_time(w, "due_at", item->due_us);
    json_member_time(w, "closed_at", item->closed_us);
}

void review_write_line(struct json_writer *w, const struct review_item *item)
{
    json_begin_object(w);
    put_line(w, item);
    json_end_object(w);
}

static void put_decision(struct json_writer *w, const struct review_decision *decision)
{
    json_begin_object(w);
    json_member_i64(w, "id", decision->id);
    json_member_text(w, "kind", decision->kind);
    json_member_text(w, "reviewer", decision->reviewer);
    json_member_text(w, "label", decision->label);
    json_member_text(w, "note", decision->note);
    json_member_bool(w, "blind", decision->is_blind);
    json_member_bool(w, "gold", decision->is_gold);
    json_member_i64(w, "replaces", decision->replaces);
    json_key(w, "seconds");
    json_put_f64(w, (double)decision->took_us / 1e6);
    json_member_time(w, "at", decision->created_us);
    json_end_object(w);
}

void review_write_item(struct json_writer *w, const struct review_item *item,
                       const struct review_decision *decisions, int decision_count)
{
    bool is_hidden = item->is_blind && item->state == REVIEW_OPEN;
    json_begin_object(w);
    put_line(w, item);
    json_member_i64(w, "rules_revision", item->rules_revision);
    json_member_text(w, "reason", item->reason);
    json_key(w, "probability");
    if (item->probability > 0)
        json_put_f64(w, item->probability);
    else
        json_put_null(w);
    json_member_bool(w, "random", item->is_random);
    json_member_bool(w, "blind", item->is_blind);
    json_member_text(w, "on_expiry", review_expiry_name(item->on_expiry));
    json_member_time(w, "predicted_at", item->predicted_us);
    json_member_text(w, "gold", item->gold_label);
    put_raw(w, "choices", item->choices);
    put_raw(w, "inputs", item->inputs);
    put_raw(w, "answer", is_hidden ? "null" : item->answer);
    json_key(w, "decisions");
    json_begin_array(w);
    for (int i = 0; i < decision_count; i++)
        put_decision(w, &decisions[i]);
    json_end_array(w);
    json_end_object(w);
}

/* ---- what a reviewer sees ---- */

void review_write_card(struct json_writer *w, const struct review_item *item,
                       const struct review_lease *lease)
{
    int64_t due_us = item->due_us > lease->until_us ? item->due_us : lease->until_us;
    json_begin_object(w);
    json_member_i64(w, "id", item->id);
    json_member_text(w, "model", item->model);
    json_member_i64(w, "version", item->version);
    json_member_text(w, "rule", item->rule);
    json_member_text(w, "reason", item->reason);
    json_member_i64(w, "stakes", item->stakes);
    json_member_time(w, "due_at", lease->is_gold ? due_us : item->due_us);
    json_member_time(w, "leased_until", lease->until_us);
    json_member_bool(w, "blind", item->is_blind);
    put_raw(w, "choices", item->choices);
    put_raw(w, "inputs", item->inputs);
    put_raw(w, "answer", item->is_blind ? "null" : item->answer);
    json_end_object(w);
}

/* ---- what a caller gets ---- */

static void put_label(struct json_writer *w, const struct review_item *item)
{
    bool is_number = strcmp(item->choices, "[]") == 0;
    if (is_number)
        put_raw(w, "value", item->label);
    else
        json_member_text(w, "label", item->label);
    json_member_text(w, "by", "review");
}

void review_write_held(struct json_writer *w, const struct review_item *item)
{
    const char *state = item->state == REVIEW_OPEN ? "held" : review_state_name(item->state);
    json_begin_object(w);
    json_member_text(w, "id", item->prediction_id);
    json_member_i64(w, "item", item->id);
    json_member_text(w, "state", state);
    if (item->state == REVIEW_OPEN)
        json_member_time(w, "due_at", item->due_us);
    if (item->state == REVIEW_DECIDED)
        put_label(w, item);
    if (item->state == REVIEW_EXPIRED) {
        /* The members of the answer, without its braces. */
        struct str answer = str_of(item->answer);
        json_member_text(w, "by", "model");
        if (answer.len > 2) {
            buf_char(w->out, ',');
            buf_append(w->out, answer.ptr + 1, answer.len - 2);
        }
    }
    if (item->state != REVIEW_OPEN)
        json_member_time(w, "closed_at", item->closed_us);
    json_end_object(w);
}

/* ---- parameters ---- */

enum err_code review_item_id(struct call *call, int64_t *id, struct err *err)
{
    if (str_to_i64(call->params[0], id) && *id > 0)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "'%.*s' is not the number of a review item",
                   STR_ARG(call->params[0]));
}
