/* rollout_file.c - YAML or JSON -> struct rollout_spec. Every error names its place. */
#include "rollout/rollout_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "contract/place.h"

#define DEFAULT_HEADER "X-Routing-Key"
#define MINUTE_US (60 * CLOCK_SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)
#define SPAN_US_MAX (3650 * DAY_US)

/* What a file that says nothing asks for. */
static const struct guard_rule default_guard = {.worse_than = 1, .alpha = 0.01};
static const struct guard_rule default_proof = {
    .worse_than = 1, .no_worse_than = 2, .beta = 0.05, .rate_below = 0.001};
#define DEFAULT_DEADLINE_US (3 * DAY_US)
#define DEFAULT_KEEP_WARM_US DAY_US

static const struct rollout_step default_step = {
    .keys_min = GUARD_KEYS_MIN,
    .sample = 1,
    .disagreement_max = 0.05,
    .rows_min = 100,
    .is_author_refused = true,
    .alias = "champion",
    .keep_warm_us = DEFAULT_KEEP_WARM_US,
};

static const char *const event_names[] = {"error",   "slower_than", "invalid_output", "override",
                                          "outcome", "cost",        "refused"};
static const char *const step_names[] = {"gate", "shadow", "canary", "approve", "promote", NULL};
static const char *const reaction_names[] = {"hold", "rollback", "advance"};

const char *step_kind_name(enum step_kind kind)
{
    assert(kind >= STEP_GATE && kind <= STEP_PROMOTE);
    return step_names[kind];
}

const char *reaction_name(enum reaction reaction)
{
    assert(reaction >= REACT_HOLD && reaction <= REACT_ADVANCE);
    return reaction_names[reaction];
}

static enum err_code no_room(struct place *place)
{
    return err_set(place->err, ERR_LIMIT, "the rollout file needs more memory than is allowed");
}

/* ---- spans and shares ---- */

bool rollout_parse_share(struct str text, double *share)
{
    double number;
    bool is_percent = text.len > 1 && text.ptr[text.len - 1] == '%';
    text.len -= is_percent;
    if (!str_to_f64(text, &number) || !isfinite(number))
        return false;
    number = is_percent ? number / 100 : number;
    if (number < 0 || number > 1)
        return false;
    *share = number;
    return true;
}

/* Leaves *us alone when the member is absent. */
static enum err_code read_span(struct place *place, yyjson_val *object, const char *key,
                               int64_t *us)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    int64_t span_us;
    if (!value)
        return ERR_OK;
    if (yyjson_is_str(value) && str_to_span_us(json_str(value), &span_us) &&
        span_us <= SPAN_US_MAX) {
        *us = span_us;
        return ERR_OK;
    }
    return place_fail_at(place, key,
                         "expected a time with its unit, such as 80ms, 15m or 3d, "
                         "got %s",
                         place_describe(place, value));
}

static enum err_code read_share(struct place *place, yyjson_val *object, const char *key,
                                double *share)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    double number = yyjson_is_num(value) ? yyjson_get_num(value) : -1;
    if (!value || (yyjson_is_str(value) && rollout_parse_share(json_str(value), share)))
        return ERR_OK;
    if (!(number >= 0 && number <= 1))
        return place_fail_at(place, key, "expected a share such as 5%% or 0.05, got %s",
                             place_describe(place, value));
    *share = number;
    return ERR_OK;
}

static enum err_code read_number(struct place *place, yyjson_val *object, const char *key,
                                 double min, double max, double *out)
{
    double number = *out;
    bool is_there = false;
    enum err_code rc = place_number(place, object, key, &number, &is_there);
    if (rc || !is_there)
        return rc;
    if (!(number >= min && number <= max))
        return place_fail_at(place, key, "expected a number from %g to %g, got %g", min, max,
                             number);
    *out = number;
    return ERR_OK;
}

static enum err_code read_count(struct place *place, yyjson_val *object, const char *key,
                                int64_t *out)
{
    double number = (double)*out;
    enum err_code rc = read_number(place, object, key, 0, 1e9, &number);
    if (!rc && number != floor(number))
        return place_fail_at(place, key, "expected a whole number, got %g", number);
    *out = (int64_t)number;
    return rc;
}

static enum err_code read_text(struct place *place, yyjson_val *object, const char *key,
                               const char **out)
{
    enum err_code rc = place_text(place, object, key, out);
    if (!rc && *out && strlen(*out) > ROLLOUT_TEXT_BYTES_MAX)
        return place_fail_at(place, key, "longer than %d bytes", ROLLOUT_TEXT_BYTES_MAX);
    return rc;
}

/* ---- events ---- */

static enum err_code refuse_event(struct place *place, yyjson_val *value)
{
    return place_fail_at(place, "event",
                         "expected error, refused, invalid_output, override, {slower_than: TIME}, "
                         "{outcome: NAME} or {cost: NAME, above: NUMBER}, got %s",
                         place_describe(place, value));
}

static enum err_code read_plain_event(struct place *place, yyjson_val *value,
                                      struct rollout_event *event)
{
    static const enum event_kind plain[] = {EVENT_ERROR, EVENT_REFUSED, EVENT_INVALID_OUTPUT,
                                            EVENT_OVERRIDE};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (str_equal_c(json_str(value), event_names[plain[i]])) {
            event->kind = plain[i];
            event->text = event_names[plain[i]];
            return ERR_OK;
        }
    return refuse_event(place, value);
}

static enum err_code read_slow_event(struct place *place, yyjson_val *value,
                                     struct rollout_event *event)
{
    static const char *const keys[] = {"slower_than", NULL};
    enum err_code rc = place_check_keys(place, value, keys);
    if (!rc)
        rc = read_span(place, value, "slower_than", &event->bound_us);
    if (rc)
        return rc;
    event->kind = EVENT_SLOWER_THAN;
    event->text = arena_printf(place->arena, "slower_than %s",
                               yyjson_get_str(yyjson_obj_get(value, "slower_than")));
    return event->text ? ERR_OK : no_room(place);
}

static enum err_code read_named_event(struct place *place, yyjson_val *value, enum event_kind kind,
                                      struct rollout_event *event)
{
    static const char *const keys[] = {"outcome", "within", NULL};
    static const char *const cost_keys[] = {"cost", "above", "within", NULL};
    bool is_cost = kind == EVENT_COST;
    event->kind = kind;
    event->above = -1;
    enum err_code rc = place_check_keys(place, value, is_cost ? cost_keys : keys);
    if (!rc)
        rc = read_text(place, value, event_names[kind], &event->name);
    if (!rc)
        rc = read_span(place, value, "within", &event->within_us);
    if (!rc && is_cost)
        rc = read_number(place, value, "above", 0, 1e300, &event->above);
    if (!rc && is_cost && event->above < 0)
        return place_fail_at(place, "above", "is missing: which cost is too high?");
    if (rc)
        return rc;
    event->text = arena_printf(place->arena, "%s %s", event_names[kind], event->name);
    return event->text ? ERR_OK : no_room(place);
}

static enum err_code read_event(struct place *place, yyjson_val *object,
                                struct rollout_event *event)
{
    yyjson_val *value = yyjson_obj_get(object, "event");
    enum err_code rc;
    if (!value)
        return place_fail_at(place, "event", "is missing");
    if (yyjson_is_str(value))
        return read_plain_event(place, value, event);
    size_t mark = place_push(place, ".event");
    if (yyjson_obj_get(value, "slower_than"))
        rc = read_slow_event(place, value, event);
    else if (yyjson_obj_get(value, "outcome"))
        rc = read_named_event(place, value, EVENT_OUTCOME, event);
    else if (yyjson_obj_get(value, "cost"))
        rc = read_named_event(place, value, EVENT_COST, event);
    else {
        place_pop(place, mark);
        return refuse_event(place, value);
    }
    place_pop(place, mark);
    return rc;
}

/* ---- guards and proofs ---- */

static enum err_code read_guard(struct place *place, yyjson_val *object,
                                struct rollout_check *check)
{
    static const char *const keys[] = {"event", "worse_than", "alpha", "dry_run", NULL};
    check->rule = default_guard;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = read_event(place, object, &check->event);
    if (!rc)
        rc = read_number(place, object, "worse_than", 1, 100, &check->rule.worse_than);
    if (!rc)
        rc = read_number(place, object, "alpha", 1e-6, 0.5, &check->rule.alpha);
    return rc ? rc : place_bool(place, object, "dry_run", &check->is_dry_run);
}

static enum err_code read_proof(struct place *place, yyjson_val *object,
                                struct rollout_check *check)
{
    static const char *const keys[] = {"event",      "no_worse_than", "beta",
                                       "rate_below", "dry_run",       NULL};
    check->rule = default_proof;
    check->is_proof = true;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = read_event(place, object, &check->event);
    if (!rc)
        rc = read_number(place, object, "no_worse_than", 1.01, 100, &check->rule.no_worse_than);
    if (!rc)
        rc = read_number(place, object, "beta", 1e-6, 0.5, &check->rule.beta);
    if (!rc)
        rc = read_share(place, object, "rate_below", &check->rule.rate_below);
    return rc ? rc : place_bool(place, object, "dry_run", &check->is_dry_run);
}

typedef enum err_code check_fn(struct place *place, yyjson_val *object,
                               struct rollout_check *check);

static enum err_code read_checks(struct place *place, yyjson_val *root, const char *key,
                                 check_fn *read, struct rollout_spec *spec)
{
    yyjson_val *list = NULL, *item;
    size_t i, count;
    enum err_code rc = place_array(place, root, key, &list);
    yyjson_arr_foreach(list, i, count, item)
    {
        if (rc)
            break;
        size_t mark = place_push(place, "%s[%zu]", key, i);
        if (spec->check_count >= ROLLOUT_CHECKS_MAX)
            rc = place_fail(place, "more than %d guards and proofs", ROLLOUT_CHECKS_MAX);
        else if (!yyjson_is_obj(item))
            rc = place_fail(place, "expected an object with 'event', got %s",
                            place_describe(place, item));
        else
            rc = read(place, item, &spec->checks[spec->check_count++]);
        place_pop(place, mark);
    }
    return rc;
}

static void add_default(struct rollout_spec *spec, enum event_kind kind,
                        const struct guard_rule *rule, bool is_proof)
{
    spec->checks[spec->check_count++] = (struct rollout_check){
        .event = {.kind = kind, .text = event_names[kind]},
        .rule = *rule,
        .is_proof = is_proof,
    };
}

/* A version that fails, and one whose contract turns callers away. */
static void add_defaults(struct rollout_spec *spec)
{
    add_default(spec, EVENT_ERROR, &default_guard, false);
    add_default(spec, EVENT_REFUSED, &default_guard, false);
}

/* Bonferroni: the chance that any of the guards is wrong stays what the file says. */
static void split_alpha(struct rollout_spec *spec)
{
    int deciding = 0;
    for (int i = 0; i < spec->check_count; i++)
        deciding += !spec->checks[i].is_proof && !spec->checks[i].is_dry_run;
    for (int i = 0; i < spec->check_count; i++)
        if (!spec->checks[i].is_proof && deciding > 1)
            spec->checks[i].rule.alpha /= deciding;
}

static enum err_code read_all_checks(struct place *place, yyjson_val *root,
                                     struct rollout_spec *spec)
{
    enum err_code rc = ERR_OK;
    if (yyjson_obj_get(root, "guards"))
        rc = read_checks(place, root, "guards", read_guard, spec);
    else
        add_defaults(spec);
    if (rc)
        return rc;
    if (yyjson_obj_get(root, "prove"))
        rc = read_checks(place, root, "prove", read_proof, spec);
    else if (!spec->is_ab)
        add_default(spec, EVENT_ERROR, &default_proof, true);
    split_alpha(spec);
    return rc;
}

/* ---- steps ---- */

static enum err_code read_span_pair(struct place *place, yyjson_val *object,
                                    struct rollout_step *step)
{
    enum err_code rc = read_span(place, object, "min", &step->min_us);
    if (!rc)
        rc = read_span(place, object, "max", &step->max_us);
    if (!rc && step->max_us > 0 && step->max_us < step->min_us)
        return place_fail_at(place, "max", "is shorter than min");
    return rc;
}

static enum err_code read_gate(struct place *place, yyjson_val *object, struct rollout_step *step)
{
    static const char *const keys[] = {"do", "max", NULL};
    step->max_us = DAY_US;
    enum err_code rc = place_check_keys(place, object, keys);
    return rc ? rc : read_span(place, object, "max", &step->max_us);
}

static enum err_code read_shadow(struct place *place, yyjson_val *object, struct rollout_step *step)
{
    static const char *const keys[] = {"do",       "sample", "for", "max_disagreement",
                                       "min_rows", "max",    NULL};
    step->min_us = HOUR_US;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = read_share(place, object, "sample", &step->sample);
    if (!rc && step->sample <= 0)
        return place_fail_at(place, "sample", "must be more than nothing");
    if (!rc)
        rc = read_span(place, object, "for", &step->min_us);
    if (!rc)
        rc = read_share(place, object, "max_disagreement", &step->disagreement_max);
    if (!rc)
        rc = read_count(place, object, "min_rows", &step->rows_min);
    step->max_us = step->min_us + DAY_US;
    if (!rc)
        rc = read_span(place, object, "max", &step->max_us);
    if (!rc && step->max_us < step->min_us)
        return place_fail_at(place, "max", "is shorter than for");
    return rc;
}

static enum err_code read_canary(struct place *place, yyjson_val *object, struct rollout_step *step)
{
    static const char *const keys[] = {"do", "weight", "min", "max", "min_keys", NULL};
    double weight = -1;
    step->min_us = HOUR_US;
    step->max_us = DAY_US;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = read_share(place, object, "weight", &weight);
    if (!rc && weight < 0)
        return place_fail_at(place, "weight", "is missing");
    step->weight_ppm = (int64_t)(weight * WEIGHT_ONE + 0.5);
    if (!rc && (step->weight_ppm < 1 || step->weight_ppm >= WEIGHT_ONE))
        return place_fail_at(place, "weight",
                             "must be at least 0.0001%% and below 100%%: all of "
                             "the traffic is what promote gives");
    if (!rc)
        rc = read_span_pair(place, object, step);
    return rc ? rc : read_count(place, object, "min_keys", &step->keys_min);
}

static enum err_code read_approvers(struct place *place, yyjson_val *object,
                                    struct rollout_step *step)
{
    yyjson_val *list = NULL, *item;
    size_t i, count;
    enum err_code rc = place_array(place, object, "by", &list);
    yyjson_arr_foreach(list, i, count, item)
    {
        if (rc)
            return rc;
        if (!yyjson_is_str(item) || yyjson_get_len(item) == 0)
            return place_fail_at(place, "by", "expected actors such as key:ana, got %s",
                                 place_describe(place, item));
        if (step->approver_count >= ROLLOUT_APPROVERS_MAX)
            return place_fail_at(place, "by", "more than %d", ROLLOUT_APPROVERS_MAX);
        step->approvers[step->approver_count++] =
            arena_copy(place->arena, yyjson_get_str(item), yyjson_get_len(item));
    }
    return rc;
}

static enum err_code read_approve(struct place *place, yyjson_val *object,
                                  struct rollout_step *step)
{
    static const char *const keys[] = {"do", "by", "not_author", "expires", NULL};
    step->max_us = DAY_US;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = read_approvers(place, object, step);
    if (!rc)
        rc = place_bool(place, object, "not_author", &step->is_author_refused);
    return rc ? rc : read_span(place, object, "expires", &step->max_us);
}

static enum err_code read_promote(struct place *place, yyjson_val *object,
                                  struct rollout_step *step)
{
    static const char *const keys[] = {"do", "alias", "keep_warm", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = read_text(place, object, "alias", &step->alias);
    if (!rc && step->alias[0] == '@')
        step->alias++;
    if (!rc && !str_is_name(str_of(step->alias)))
        return place_fail_at(place, "alias", "'%s' cannot be the name of an alias", step->alias);
    return rc ? rc : read_span(place, object, "keep_warm", &step->keep_warm_us);
}

static enum err_code read_step(struct place *place, yyjson_val *object, struct rollout_step *step)
{
    static enum err_code (*const readers[])(struct place *, yyjson_val *, struct rollout_step *) = {
        read_gate, read_shadow, read_canary, read_approve, read_promote};
    int kind = -1;
    *step = default_step;
    enum err_code rc = place_choice(place, object, "do", step_names, &kind);
    if (rc)
        return rc;
    if (kind < 0)
        return place_fail_at(place, "do", "is missing: gate, shadow, canary, approve or promote");
    step->kind = (enum step_kind)kind;
    return readers[kind](place, object, step);
}

/* Weights grow, what shares no traffic stands before it, and promote is the last step. */
static enum err_code check_order(struct place *place, const struct rollout_spec *spec, int at)
{
    const struct rollout_step *step = &spec->steps[at];
    int64_t weight = 0;
    for (int i = 0; i < at; i++)
        if (spec->steps[i].kind == STEP_CANARY)
            weight = spec->steps[i].weight_ppm;
    if (step->kind == STEP_CANARY && step->weight_ppm <= weight)
        return place_fail_at(place, "weight",
                             "%g%% does not grow: the canary before it has %g%%; a key that was "
                             "in the canary stays in it",
                             (double)step->weight_ppm / 1e4, (double)weight / 1e4);
    if ((step->kind == STEP_SHADOW || step->kind == STEP_GATE) && weight > 0)
        return place_fail(place, "%s stands before the first canary", step_kind_name(step->kind));
    if (at > 0 && spec->steps[at - 1].kind == STEP_PROMOTE)
        return place_fail(place, "nothing comes after promote");
    if (spec->is_ab && step->kind == STEP_PROMOTE)
        return place_fail(place, "an A/B test never promotes by itself; leave the step out");
    return ERR_OK;
}

static enum err_code read_steps(struct place *place, yyjson_val *root, struct rollout_spec *spec)
{
    yyjson_val *list = NULL, *item;
    size_t i, count;
    enum err_code rc = place_array(place, root, "steps", &list);
    yyjson_arr_foreach(list, i, count, item)
    {
        if (rc)
            return rc;
        size_t mark = place_push(place, "steps[%zu]", i);
        if (spec->step_count >= ROLLOUT_STEPS_MAX)
            return place_fail(place, "more than %d steps", ROLLOUT_STEPS_MAX);
        if (!yyjson_is_obj(item))
            return place_fail(place, "expected an object with 'do', got %s",
                              place_describe(place, item));
        rc = read_step(place, item, &spec->steps[spec->step_count]);
        if (!rc)
            rc = check_order(place, spec, spec->step_count);
        spec->step_count++;
        place_pop(place, mark);
    }
    return rc;
}

static void add_step(struct rollout_spec *spec, enum step_kind kind, double weight, int64_t min_us,
                     int64_t max_us)
{
    struct rollout_step *step = &spec->steps[spec->step_count++];
    *step = default_step;
    step->kind = kind;
    step->weight_ppm = (int64_t)(weight * WEIGHT_ONE + 0.5);
    step->min_us = min_us;
    step->max_us = max_us;
}

static void add_default_steps(struct rollout_spec *spec)
{
    if (spec->is_ab) {
        add_step(spec, STEP_CANARY, 0.5, 0, 0);
        return;
    }
    add_step(spec, STEP_CANARY, 0.01, 15 * MINUTE_US, 6 * HOUR_US);
    add_step(spec, STEP_CANARY, 0.1, HOUR_US, DAY_US);
    add_step(spec, STEP_CANARY, 0.5, HOUR_US, DAY_US);
    add_step(spec, STEP_PROMOTE, 0, 0, 0);
}

int rollout_last_canary(const struct rollout_spec *spec)
{
    for (int i = spec->step_count - 1; i >= 0; i--)
        if (spec->steps[i].kind == STEP_CANARY)
            return i;
    return -1;
}

static enum err_code read_all_steps(struct place *place, yyjson_val *root,
                                    struct rollout_spec *spec)
{
    enum err_code rc = read_steps(place, root, spec);
    if (rc)
        return rc;
    if (spec->step_count == 0)
        add_default_steps(spec);
    bool has_canary = rollout_last_canary(spec) >= 0;
    if (spec->is_ab && !has_canary)
        return place_fail_at(place, "steps", "an A/B test needs a canary step with its weight");
    if (!spec->is_ab && spec->steps[spec->step_count - 1].kind != STEP_PROMOTE)
        return place_fail_at(place, "steps",
                             "the last step is promote; for shares that stay say "
                             "mode: ab");
    if (!has_canary && spec->check_count > 0 && spec->checks[spec->check_count - 1].is_proof)
        return place_fail_at(place, "steps",
                             "no canary in which anything could be shown; say "
                             "prove: [] when nothing is to be");
    return ERR_OK;
}

/* ---- the rest ---- */

static enum err_code read_reaction(struct place *place, yyjson_val *on, const char *key,
                                   enum reaction other, enum reaction *reaction)
{
    const char *const names[] = {"hold", reaction_names[other], NULL};
    int choice = -1;
    enum err_code rc = place_choice(place, on, key, names, &choice);
    if (!rc && choice >= 0)
        *reaction = choice == 0 ? REACT_HOLD : other;
    return rc;
}

static enum err_code read_reactions(struct place *place, yyjson_val *root,
                                    struct rollout_spec *spec)
{
    static const char *const keys[] = {"fail",     "max",      "error", "wait",
                                       "deadline", "few_keys", NULL};
    yyjson_val *on = NULL;
    spec->on_fail = REACT_ROLLBACK;
    enum err_code rc = place_object(place, root, "on", &on);
    if (rc || !on)
        return rc;
    size_t mark = place_push(place, "on");
    rc = place_check_keys(place, on, keys);
    if (!rc)
        rc = read_reaction(place, on, "fail", REACT_ROLLBACK, &spec->on_fail);
    if (!rc)
        rc = read_reaction(place, on, "max", REACT_ROLLBACK, &spec->on_max);
    if (!rc)
        rc = read_reaction(place, on, "error", REACT_ROLLBACK, &spec->on_error);
    if (!rc)
        rc = read_reaction(place, on, "wait", REACT_ADVANCE, &spec->on_wait);
    if (!rc)
        rc = read_reaction(place, on, "deadline", REACT_ROLLBACK, &spec->on_deadline);
    if (!rc)
        rc = read_reaction(place, on, "few_keys", REACT_ROLLBACK, &spec->on_few_keys);
    place_pop(place, mark);
    return rc;
}

/* Text, or a number written without quotes: `to: 42`. "churn:42" names the model again, "@champion"
 * is the alias. */
static enum err_code read_version(struct place *place, yyjson_val *root, const char *key,
                                  const char *model, const char **out)
{
    yyjson_val *value = yyjson_obj_get(root, key);
    size_t model_bytes = strlen(model);
    if (yyjson_is_uint(value)) {
        *out = arena_printf(place->arena, "%llu", (unsigned long long)yyjson_get_uint(value));
        return *out ? ERR_OK : no_room(place);
    }
    enum err_code rc = read_text(place, root, key, out);
    if (rc || !*out)
        return rc;
    if (strncmp(*out, model, model_bytes) == 0 && (*out)[model_bytes] == ':')
        *out += model_bytes + 1;
    if ((*out)[0] == '@')
        (*out)++;
    if (!str_is_name(str_of(*out)))
        return place_fail_at(place, key,
                             "expected a version's number, an alias or latest of "
                             "model '%s', got '%s'",
                             model, *out);
    return ERR_OK;
}

static enum err_code read_names(struct place *place, yyjson_val *root, struct rollout_spec *spec)
{
    enum err_code rc = read_text(place, root, "model", &spec->model);
    if (!rc && !spec->model)
        return place_fail_at(place, "model", "is missing: which model's traffic is it?");
    if (!rc && !str_is_name(str_of(spec->model)))
        return place_fail_at(place, "model", "'%s' cannot be the name of a model", spec->model);
    if (!rc)
        rc = read_version(place, root, "to", spec->model, &spec->to);
    if (!rc && !spec->to)
        return place_fail_at(place, "to", "is missing: which version is to get traffic?");
    if (!rc)
        rc = read_version(place, root, "from", spec->model, &spec->from);
    if (!rc)
        rc = read_text(place, root, "owner", &spec->owner);
    return rc ? rc : read_text(place, root, "why", &spec->why);
}

/* "header:X-Customer", "customer_id", "$.customer_id". */
static enum err_code read_key(struct place *place, yyjson_val *root, struct rollout_spec *spec)
{
    const char *key = "header:" DEFAULT_HEADER;
    enum err_code rc = read_text(place, root, "key", &key);
    if (rc)
        return rc;
    if (strncmp(key, "header:", 7) == 0) {
        spec->key_header = key + 7;
        return key[7] ? ERR_OK : place_fail_at(place, "key", "header: names no header");
    }
    spec->key_field = strncmp(key, "$.", 2) == 0 ? key + 2 : key;
    if (!spec->key_field[0])
        return place_fail_at(place, "key", "expected a field's name or header:NAME");
    return ERR_OK;
}

static enum err_code read_salt(struct place *place, yyjson_val *root, struct rollout_spec *spec)
{
    const char *text = NULL;
    enum err_code rc = read_text(place, root, "salt", &text);
    if (rc || !text)
        return rc;
    spec->has_salt = strlen(text) == 2 * CHOOSE_SALT_BYTES &&
                     str_unhex(str_of(text), spec->salt, sizeof(spec->salt));
    return spec->has_salt ? ERR_OK
                          : place_fail_at(place, "salt", "expected %d hex digits, got '%s'",
                                          2 * CHOOSE_SALT_BYTES, text);
}

static enum err_code read_spec(struct place *place, yyjson_val *root, struct rollout_spec *spec)
{
    static const char *const keys[] = {"model", "to",    "from", "owner",    "why",
                                       "key",   "salt",  "mode", "deadline", "guards",
                                       "prove", "steps", "on",   NULL};
    static const char *const modes[] = {"canary", "ab", NULL};
    int mode = 0;
    enum err_code rc = place_check_keys(place, root, keys);
    if (!rc)
        rc = read_names(place, root, spec);
    if (!rc)
        rc = read_key(place, root, spec);
    if (!rc)
        rc = read_salt(place, root, spec);
    if (!rc)
        rc = place_choice(place, root, "mode", modes, &mode);
    spec->is_ab = mode == 1;
    if (!rc)
        rc = read_span(place, root, "deadline", &spec->deadline_us);
    if (!rc)
        rc = read_all_checks(place, root, spec);
    if (!rc)
        rc = read_all_steps(place, root, spec);
    return rc ? rc : read_reactions(place, root, spec);
}

enum err_code rollout_file_parse(struct str document, struct arena *arena,
                                 struct rollout_spec **out, struct err *err)
{
    struct place place = {.arena = arena, .err = err};
    yyjson_val *root;
    struct rollout_spec *spec = arena_calloc(arena, 1, sizeof(*spec));
    if (document.len > ROLLOUT_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a rollout file has at most %d bytes, this one %zu",
                       ROLLOUT_FILE_BYTES_MAX, document.len);
    if (!spec)
        return no_room(&place);
    enum err_code rc = yaml_read(document, arena, &root, err);
    if (rc)
        return rc;
    if (!yyjson_is_obj(root)) {
        err_set(err, ERR_INVALID, "a rollout file is an object, got %s",
                yyjson_get_type_desc(root));
        return err_hint(err, "it needs at least two lines: model: NAME and to: VERSION");
    }
    *spec = (struct rollout_spec){
        .from = "champion", .owner = "", .why = "", .deadline_us = DEFAULT_DEADLINE_US};
    rc = read_spec(&place, root, spec);
    if (!rc)
        *out = spec;
    return rc;
}
