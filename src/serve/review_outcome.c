/* review_outcome.c - decisions as outcomes. */
#include "serve/review_outcome.h"

#include "base/check.h"
#include "base/log.h"

void review_outcome_find(const struct intake *intake, const char *model, const char *prediction_id,
                         struct arena *arena, struct review_outcomes *outcomes)
{
    struct err err = {0};
    *outcomes = (struct review_outcomes){0};
    if (!intake || !intake->lookup)
        return;
    if (intake->recorder)
        recorder_sync(intake->recorder);
    outcomes->is_found = intake->lookup->by_id(intake->lookup->arg, model, str_of(prediction_id),
                                               arena, &outcomes->predicted, &err) == ERR_OK;
}

/* ---- a prediction from its item ---- */

static enum err_code take_classes(const struct review_item *item, struct arena *arena,
                                  struct predicted *p, struct err *err)
{
    yyjson_val *choices, *choice;
    size_t i, count;
    enum err_code rc = json_read(str_of(item->choices), arena, &choices, err);
    if (rc)
        return rc;
    struct str *classes = arena_calloc(arena, yyjson_arr_size(choices) + 1, sizeof(*classes));
    if (!classes)
        return err_set(err, ERR_LIMIT, "no room for the classes");
    yyjson_arr_foreach(choices, i, count, choice)
    {
        classes[i] = json_str(choice);
        if (str_equal_c(classes[i], item->answer_label))
            p->class_index = (int)i;
    }
    p->class_count = count ? (int)count : 1;
    p->is_class = count > 0;
    p->classes = p->is_class ? classes : NULL;
    return ERR_OK;
}

static enum err_code take_probabilities(const struct review_item *item, struct arena *arena,
                                        struct predicted *p, struct err *err)
{
    yyjson_val *answer, *key, *value;
    size_t i, count;
    enum err_code rc = json_read(str_of(item->answer), arena, &answer, err);
    yyjson_val *probabilities = rc ? NULL : yyjson_obj_get(answer, "probabilities");
    if (rc || (int)yyjson_obj_size(probabilities) != p->class_count || !p->is_class ||
        p->class_count > PREDICTED_CLASSES_MAX)
        return rc;
    float *list = arena_calloc(arena, (size_t)p->class_count, sizeof(*list));
    if (!list)
        return err_set(err, ERR_LIMIT, "no room for the probabilities");
    yyjson_obj_foreach(probabilities, i, count, key, value) list[i] = (float)yyjson_get_num(value);
    p->probabilities = list;
    return ERR_OK;
}

static enum err_code predicted_of(const struct review_item *item, struct arena *arena,
                                  struct predicted *p, struct err *err)
{
    *p = (struct predicted){
        .id = str_of(item->prediction_id),
        .model = item->model,
        .version = item->version,
        .arm = item->arm,
        .rollout = item->rollout,
        .has_key = item->has_key,
        .key_hash = item->key_hash,
        .at_us = item->predicted_us,
        .key = str_of(item->business_key),
        .answer = str_of(item->answer_label),
    };
    enum err_code rc = take_classes(item, arena, p, err);
    if (rc)
        return rc;
    if (!p->is_class)
        str_to_f64(p->answer, &p->value);
    return take_probabilities(item, arena, p, err);
}

/* ---- submitting ---- */

static struct outcome outcome_of(const struct review_outcomes *outcomes,
                                 const struct review_item *item, int64_t now_us)
{
    return (struct outcome){
        .predicted = &outcomes->predicted,
        .prediction_id = str_of(item->prediction_id),
        .model = item->model,
        .source = OUTCOME_REVIEW,
        .at_us = now_us,
    };
}

static void log_refused(const struct review_outcomes *outcomes)
{
    for (int i = 0; i < outcomes->count; i++)
        if (outcomes->list[i].result == OUTCOME_REFUSED)
            log_warn("decision not taken as an outcome", "prediction=%.*s reason=%s",
                     STR_ARG(outcomes->list[i].prediction_id), outcomes->list[i].reason);
}

enum err_code review_outcome_submit(struct store *store, const struct review_result *result,
                                    const struct actor *actor, int64_t now_us, struct arena *arena,
                                    struct review_outcomes *outcomes, struct err *err)
{
    const struct review_item *item = &result->item;
    outcomes->count = 0;
    if (!result->has_new_label || result->is_repeated || result->is_gold)
        return ERR_OK;
    if (!outcomes->is_found && predicted_of(item, arena, &outcomes->predicted, err))
        return err->code;
    struct outcome *label = &outcomes->list[outcomes->count++];
    *label = outcome_of(outcomes, item, now_us);
    label->kind = OUTCOME_LABEL;
    label->name = STR_LIT(OUTCOME_LABEL_NAME);
    label->label = str_of(item->label);
    if (result->is_override) {
        struct outcome *other = &outcomes->list[outcomes->count++];
        *other = outcome_of(outcomes, item, now_us);
        other->kind = OUTCOME_EVENT;
        other->name = STR_LIT(REVIEW_OVERRIDE_NAME);
    }
    enum err_code rc = outcome_submit(store, outcomes->list, outcomes->count, actor, arena, err);
    if (!rc)
        log_refused(outcomes);
    return rc;
}

void review_outcome_publish(struct intake *intake, const struct review_outcomes *outcomes)
{
    if (!intake || outcomes->count == 0)
        return;
    outcomes_publish(intake->outcomes, outcomes->list, outcomes->count);
    for (int i = 0; i < outcomes->count; i++)
        atomic_fetch_add_explicit(&intake->counts[outcomes->list[i].result], 1,
                                  memory_order_relaxed);
}
