/* alert_api.c - alerts as they are now, the rules they follow, silences. */
#include "api/handlers.h"
#include "base/clock.h"
#include "monitor/alert_store.h"
#include "monitor/alert_text.h"

enum { PROMETHEUS_BYTES_MAX = 64 * 1024 * 1024 };

/* ---- alerts ---- */

/* In a process that watches nothing there is what the store has. */
static enum err_code list_alerts(struct call *call, struct alert_view **list, int *count,
                                 struct err *err)
{
    if (call->node->alerting) {
        *count = alerting_list(call->node->alerting, call->arena, list);
        return ERR_OK;
    }
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = alert_store_list(store, call->arena, list, count, err);
    control_read_end(call->node->control);
    return rc;
}

struct alert_filter {
    struct str model, state, severity, key;
};

static bool is_wanted(const struct alert_filter *filter, const struct alert_view *view)
{
    const struct alert *alert = &view->alert;
    return (!filter->model.ptr || str_equal_c(filter->model, alert->model)) &&
           (!filter->state.ptr || str_equal_c(filter->state, alert_state_name(view->state))) &&
           (!filter->severity.ptr ||
            str_equal_c(filter->severity, alert_severity_name(alert->severity))) &&
           (!filter->key.ptr || str_equal_c(filter->key, alert->key));
}

static bool is_one_of(struct str text, const char *const *words)
{
    while (*words && !str_equal_c(text, *words))
        words++;
    return *words != NULL;
}

static enum err_code read_filter(struct call *call, struct alert_filter *filter, struct err *err)
{
    static const char *const states[] = {"open", "pending", "silenced", NULL};
    static const char *const severities[] = {"page", "ticket", "info", NULL};
    struct str query = call->x->request.query;
    http_query_find(query, "model", call->arena, &filter->model);
    http_query_find(query, "key", call->arena, &filter->key);
    if (http_query_find(query, "state", call->arena, &filter->state) &&
        !is_one_of(filter->state, states))
        return err_set(err, ERR_INVALID,
                       "query 'state': expected open, pending or silenced, got '%.*s'",
                       STR_ARG(filter->state));
    if (http_query_find(query, "severity", call->arena, &filter->severity) &&
        !is_one_of(filter->severity, severities))
        return err_set(err, ERR_INVALID,
                       "query 'severity': expected page, ticket or info, got '%.*s'",
                       STR_ARG(filter->severity));
    return ERR_OK;
}

enum err_code alerts_get(struct call *call, struct err *err)
{
    struct alert_filter filter = {0};
    struct alert_view *list = NULL;
    int count = 0;
    enum err_code rc = read_filter(call, &filter, err);
    if (!rc)
        rc = list_alerts(call, &list, &count, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "alerts");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        if (is_wanted(&filter, &list[i]))
            alert_put_json(&w, &list[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* ---- rules ---- */

static struct alert_rules *rules_of(struct call *call)
{
    return call->node->alerting ? alerting_rules(call->node->alerting) : alert_rules_default();
}

static void put_seconds(struct json_writer *w, const char *key, int64_t us)
{
    json_key(w, key);
    json_put_f64(w, (double)us / 1e6);
}

static void put_rule(struct json_writer *w, const struct alert_rule *rule)
{
    json_begin_object(w);
    json_key(w, "rule");
    json_put_text(w, rule->name);
    json_key(w, "summary");
    json_put_text(w, rule->summary);
    json_key(w, "enabled");
    json_put_bool(w, !rule->is_off);
    json_key(w, "severity");
    json_put_text(w, alert_severity_name(rule->severity));
    json_key(w, "bound");
    if (rule->signal == ALERT_BY_RAISER || rule->signal == ALERT_BY_READY)
        json_put_null(w);
    else
        json_put_f64(w, rule->bound);
    json_key(w, "unit");
    json_put_text(w, rule->unit);
    put_seconds(w, "window_seconds", rule->window_us);
    put_seconds(w, "short_window_seconds", rule->short_us);
    put_seconds(w, "for_seconds", rule->for_us);
    put_seconds(w, "keep_seconds", rule->keep_us);
    put_seconds(w, "expire_seconds", rule->expire_us);
    json_key(w, "requests_min");
    json_put_i64(w, rule->requests_min);
    json_key(w, "bad_min");
    json_put_i64(w, rule->bad_min);
    json_key(w, "owner");
    json_put_text(w, rule->owner);
    json_key(w, "runbook");
    json_put_text(w, rule->runbook);
    json_end_object(w);
}

static void write_rules(struct call *call, const struct alert_rules *rules, const char *model)
{
    const struct alert_rule *rule;
    const struct alert_slo *slo = alert_rules_slo(rules, model);
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "model");
    json_put_text(&w, model);
    json_key(&w, "slo");
    json_begin_object(&w);
    json_key(&w, "errors_objective");
    json_put_f64(&w, slo->errors_objective);
    json_key(&w, "latency_objective");
    json_put_f64(&w, slo->latency_objective);
    put_seconds(&w, "slower_than_seconds", slo->slower_than_us);
    json_end_object(&w);
    json_key(&w, "rules");
    json_begin_array(&w);
    for (int i = 0; (rule = alert_rules_at(rules, model, i)); i++)
        put_rule(&w, rule);
    json_end_array(&w);
    json_end_object(&w);
}

static void write_prometheus(struct call *call, const struct alert_rules *rules)
{
    struct buf text;
    buf_init(&text, PROMETHEUS_BYTES_MAX);
    alert_rules_prometheus(rules, &text);
    call->x->response.status = 200;
    call->x->response.content_type = "application/yaml";
    buf_str(&call->x->response.body, buf_view(&text));
    buf_done(&text);
}

enum err_code alert_rules_get(struct call *call, struct err *err)
{
    struct str format = STR_LIT("json"), model = STR_LIT("");
    http_query_find(call->x->request.query, "format", call->arena, &format);
    http_query_find(call->x->request.query, "model", call->arena, &model);
    if (model.len && !str_is_name(model))
        return err_set(err, ERR_INVALID, "'%.*s' cannot be the name of a model", STR_ARG(model));
    if (!str_equal_c(format, "json") && !str_equal_c(format, "prometheus"))
        return err_set(err, ERR_INVALID, "query 'format': expected json or prometheus, got '%.*s'",
                       STR_ARG(format));
    struct alert_rules *rules = rules_of(call);
    if (str_equal_c(format, "prometheus"))
        write_prometheus(call, rules);
    else
        write_rules(call, rules, arena_copy(call->arena, model.ptr, model.len));
    alert_rules_unref(rules);
    return ERR_OK;
}

/* ---- silences ---- */

static void put_silence(struct json_writer *w, const struct alert_silence *silence)
{
    json_begin_object(w);
    json_key(w, "id");
    json_put_i64(w, silence->id);
    json_key(w, "match");
    json_put_text(w, silence->match);
    json_key(w, "until");
    json_put_time(w, silence->until_us);
    json_key(w, "reason");
    json_put_text(w, silence->reason);
    json_key(w, "actor");
    json_put_text(w, silence->actor);
    json_key(w, "created_at");
    json_put_time(w, silence->created_us);
    json_end_object(w);
}

enum err_code silences_get(struct call *call, struct err *err)
{
    struct alert_silence *list;
    int count = 0;
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = alert_silence_list(store, clock_wall_us(), call->arena, &list, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "silences");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_silence(&w, &list[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static enum err_code add_silence(struct call *call, struct control *control, struct store *store,
                                 void *arg, struct err *err)
{
    struct alert_silence *silence = arg;
    (void)control;
    enum err_code rc = alert_silence_put(store, silence, &call->actor, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 201);
    put_silence(&w, silence);
    return ERR_OK;
}

/* "for": "2h" or "until": "2026-02-01T00:00:00Z". */
static enum err_code read_end(yyjson_val *root, int64_t *until_us, struct err *err)
{
    const int64_t longest_us = INT64_C(366) * 86400 * CLOCK_SECOND_US;
    struct str span = {0}, until = {0};
    int64_t us = 0;
    if (json_get_str_opt(root, "the request", "for", &span, err) ||
        json_get_str_opt(root, "the request", "until", &until, err))
        return err->code;
    if (!span.ptr == !until.ptr)
        return err_set(err, ERR_INVALID, "the request needs either \"for\" or \"until\"");
    if (until.ptr) {
        if (clock_parse(until, until_us))
            return ERR_OK;
        return err_set(err, ERR_INVALID,
                       "\"until\": expected a time such as 2026-02-01T00:00:00Z, got '%.*s'",
                       STR_ARG(until));
    }
    if (!str_to_span_us(span, &us) || us > longest_us)
        return err_set(err, ERR_INVALID,
                       "\"for\": expected a time with its unit up to 366d, such as 2h, got '%.*s'",
                       STR_ARG(span));
    *until_us = clock_wall_us() + us;
    return ERR_OK;
}

static enum err_code read_silence(struct call *call, struct alert_silence *silence, struct err *err)
{
    static const char *const keys[] = {"match", "for", "until", "reason", NULL};
    yyjson_val *root;
    struct str match, reason = STR_LIT("");
    if (call_body_object(call, &root, err) || json_check_keys(root, "the request", keys, err) ||
        json_get_str(root, "the request", "match", &match, err) ||
        json_get_str_opt(root, "the request", "reason", &reason, err) ||
        read_end(root, &silence->until_us, err))
        return err->code;
    silence->match = arena_copy(call->arena, match.ptr, match.len);
    silence->reason = arena_copy(call->arena, reason.ptr, reason.len);
    return silence->match && silence->reason
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the request does not fit its memory");
}

static enum err_code publish_silences(struct call *call, struct err *err)
{
    return call->node->alerting ? alerting_read_silences(call->node->alerting, err) : ERR_OK;
}

enum err_code silence_post(struct call *call, struct err *err)
{
    struct alert_silence silence = {0};
    enum err_code rc = read_silence(call, &silence, err);
    if (rc)
        return rc;
    struct call_change change = {.fn = add_silence, .arg = &silence};
    rc = call_execute(call, &change, err);
    return rc ? rc : publish_silences(call, err);
}

static enum err_code end_silence(struct call *call, struct control *control, struct store *store,
                                 void *arg, struct err *err)
{
    const int64_t *id = arg;
    (void)control;
    enum err_code rc = alert_silence_end(store, *id, &call->actor, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "ended");
    json_put_i64(&w, *id);
    json_end_object(&w);
    return ERR_OK;
}

enum err_code silence_delete(struct call *call, struct err *err)
{
    int64_t id;
    if (!str_to_i64(call->params[0], &id))
        return err_set(err, ERR_NOT_FOUND, "there is no silence '%.*s'", STR_ARG(call->params[0]));
    struct call_change change = {.fn = end_silence, .arg = &id};
    enum err_code rc = call_execute(call, &change, err);
    return rc ? rc : publish_silences(call, err);
}
