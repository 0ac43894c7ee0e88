/* alert_prometheus.c - the alert rules as a Prometheus rules file.
 *
 * Rules that Slipway measures from its counters become the same arithmetic on the exposed counters,
 * so that Prometheus finds them alone; verdicts that need the data (drift, quality, rollouts) are
 * asked of slipway_alerts_active. A rule that is different for some models becomes one Prometheus
 * rule for each of these, and one for all others.
 *
 * Values are written as JSON strings, which YAML reads.
 */
#include "monitor/alert_file.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { SELECTOR_BYTES_MAX = 512 * 1024, EXPR_BYTES_MAX = 16 * 1024 * 1024, SPAN_BYTES = 32 };

/* One rule for the models that `selector` names. */
struct exported {
    const struct alert_rule *rule;
    const struct alert_slo *slo;
    const char *selector; /* model="churn" */
    const char *model;    /* the one the rule is for; NULL: all others */
    struct buf *out;
};

/* Upper bounds of the buckets of slipway_request_duration_seconds, in microseconds. */
static const struct {
    int64_t us;
    const char *le;
} buckets[] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {10000000, "10"},
};

static const char *bucket_of(int64_t slower_than_us)
{
    size_t i = 0;
    while (i < ARRAY_LEN(buckets) - 1 && buckets[i].us < slower_than_us)
        i++;
    return buckets[i].le;
}

/* The longest unit that divides it: 3d, 90m. */
static const char *span_text(int64_t us, char out[SPAN_BYTES])
{
    static const struct {
        int64_t us;
        const char *suffix;
    } units[] = {{INT64_C(86400000000), "d"},
                 {INT64_C(3600000000), "h"},
                 {60000000, "m"},
                 {1000000, "s"},
                 {1000, "ms"}};
    size_t i = 0;
    while (i < ARRAY_LEN(units) - 1 && us % units[i].us != 0)
        i++;
    snprintf(out, SPAN_BYTES, "%lld%s", (long long)(us / units[i].us), units[i].suffix);
    return out;
}

/* ---- expressions ---- */

/* What is bad, and what it is a share of: counters with their labels. */
static void put_counter(const struct exported *e, const char *metric, const char *label,
                        const char *function, int64_t window_us, struct buf *expr)
{
    char span[SPAN_BYTES];
    buf_printf(expr, "sum by (model) (%s(%s{%s%s%s}[%s]))", function, metric, e->selector,
               label[0] ? "," : "", label, span_text(window_us, span));
}

static void put_bad(const struct exported *e, const char *function, int64_t window_us,
                    struct buf *expr)
{
    char le[64];
    switch (e->rule->signal) {
    case ALERT_BY_ERRORS:
        put_counter(e, "slipway_requests_total", "code=~\"5..\"", function, window_us, expr);
        break;
    case ALERT_BY_REJECTS:
        put_counter(e, "slipway_requests_total", "code=\"422\"", function, window_us, expr);
        break;
    case ALERT_BY_SUSPECTS:
        put_counter(e, "slipway_suspect_rows_total", "", function, window_us, expr);
        break;
    default:
        snprintf(le, sizeof(le), "le=\"%s\"", bucket_of(e->slo->slower_than_us));
        buf_char(expr, '(');
        put_counter(e, "slipway_request_duration_seconds_count", "", function, window_us, expr);
        buf_lit(expr, " - ");
        put_counter(e, "slipway_request_duration_seconds_bucket", le, function, window_us, expr);
        buf_char(expr, ')');
    }
}

static void put_all(const struct exported *e, const char *function, int64_t window_us,
                    struct buf *expr)
{
    bool is_rows = e->rule->signal == ALERT_BY_SUSPECTS;
    put_counter(e, is_rows ? "slipway_prediction_rows_total" : "slipway_requests_total", "",
                function, window_us, expr);
}

/* The share that may not be passed. */
static double share_of(const struct exported *e)
{
    if (e->rule->signal == ALERT_BY_ERRORS)
        return e->rule->bound * (1 - e->slo->errors_objective);
    if (e->rule->signal == ALERT_BY_LATENCY)
        return e->rule->bound * (1 - e->slo->latency_objective);
    return e->rule->bound;
}

static void put_share(const struct exported *e, int64_t window_us, struct buf *expr)
{
    buf_char(expr, '(');
    put_bad(e, "rate", window_us, expr);
    buf_lit(expr, " / ");
    put_all(e, "rate", window_us, expr);
    buf_printf(expr, " > %.6g)", share_of(e));
}

static void put_ratio_rule(const struct exported *e, struct buf *expr)
{
    put_share(e, e->rule->window_us, expr);
    if (e->rule->short_us) {
        buf_lit(expr, " and ");
        put_share(e, e->rule->short_us, expr);
    }
    buf_lit(expr, " and (");
    put_all(e, "increase", e->rule->window_us, expr);
    buf_printf(expr, " >= %lld) and (", (long long)e->rule->requests_min);
    put_bad(e, "increase", e->rule->window_us, expr);
    buf_printf(expr, " >= %lld)", (long long)e->rule->bad_min);
}

static void put_expr(const struct exported *e, struct buf *expr)
{
    switch (e->rule->signal) {
    case ALERT_BY_ERRORS:
    case ALERT_BY_LATENCY:
    case ALERT_BY_REJECTS:
    case ALERT_BY_SUSPECTS:
        put_ratio_rule(e, expr);
        break;
    case ALERT_BY_READY:
        buf_printf(expr, "slipway_model_ready{%s} == 0", e->selector);
        break;
    case ALERT_BY_DISK:
        buf_printf(expr, "slipway_disk_free_bytes < %.17g", e->rule->bound);
        break;
    default:
        buf_printf(expr, "sum by (model) (slipway_alerts_active{rule=\"%s\",%s}) > 0",
                   e->rule->name, e->selector);
    }
}

/* ---- rules ---- */

/* error_burn_fast -> SlipwayErrorBurnFast */
static void put_alert_name(struct buf *out, const char *name)
{
    bool is_first = true;
    buf_lit(out, "Slipway");
    for (; *name; name++) {
        if (*name != '_')
            buf_char(out, is_first && *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name);
        is_first = *name == '_';
    }
}

static void put_member(struct buf *out, const char *indent, const char *key, const char *value)
{
    buf_printf(out, "%s%s: ", indent, key);
    buf_json_str(out, str_of(value));
    buf_char(out, '\n');
}

static bool is_of_models(const struct alert_rule *rule)
{
    return rule->signal != ALERT_BY_DISK;
}

static void put_annotations(const struct exported *e)
{
    char summary[512];
    snprintf(summary, sizeof(summary), "%s%s", e->rule->summary,
             is_of_models(e->rule) ? ": {{ $labels.model }}" : "");
    buf_lit(e->out, "        annotations:\n");
    put_member(e->out, "          ", "summary", summary);
    put_member(e->out, "          ", "description", "value {{ $value | humanize }}");
    if (e->rule->runbook[0])
        put_member(e->out, "          ", "runbook_url", e->rule->runbook);
}

static void put_rule(const struct exported *e)
{
    char span[SPAN_BYTES];
    struct buf expr;
    buf_init(&expr, EXPR_BYTES_MAX);
    put_expr(e, &expr);
    buf_lit(e->out, "      - alert: ");
    put_alert_name(e->out, e->rule->name);
    buf_char(e->out, '\n');
    put_member(e->out, "        ", "expr", buf_c(&expr));
    if (e->rule->for_us && e->rule->signal != ALERT_BY_RAISER)
        put_member(e->out, "        ", "for", span_text(e->rule->for_us, span));
    if (e->rule->keep_us && e->rule->signal != ALERT_BY_RAISER)
        put_member(e->out, "        ", "keep_firing_for", span_text(e->rule->keep_us, span));
    buf_lit(e->out, "        labels:\n");
    put_member(e->out, "          ", "severity", alert_severity_name(e->rule->severity));
    put_member(e->out, "          ", "rule", e->rule->name);
    if (e->model) /* two rules of one name must differ in a label */
        put_member(e->out, "          ", "model", e->model);
    if (e->rule->owner[0])
        put_member(e->out, "          ", "owner", e->rule->owner);
    put_annotations(e);
    buf_done(&expr);
}

/* ---- which models ---- */

static bool is_same(const struct alert_rule *a, const struct alert_rule *b)
{
    return a->is_off == b->is_off && a->severity == b->severity && a->bound == b->bound &&
           a->window_us == b->window_us && a->short_us == b->short_us &&
           a->requests_min == b->requests_min && a->bad_min == b->bad_min &&
           a->for_us == b->for_us && a->keep_us == b->keep_us && strcmp(a->owner, b->owner) == 0 &&
           strcmp(a->runbook, b->runbook) == 0;
}

static bool needs_own(const struct alert_rules *rules, const char *model, int index)
{
    const struct alert_rule *general = &rules->all.rules[index];
    const struct alert_slo *a = alert_rules_slo(rules, model), *b = &rules->all.slo;
    if (!is_of_models(general))
        return false;
    if (!is_same(alert_rules_at(rules, model, index), general))
        return true;
    if (general->signal == ALERT_BY_ERRORS)
        return a->errors_objective != b->errors_objective;
    return general->signal == ALERT_BY_LATENCY &&
           (a->latency_objective != b->latency_objective || a->slower_than_us != b->slower_than_us);
}

/* "." is the only character of a name that means something in a pattern. */
static void put_pattern(struct buf *out, const char *name)
{
    for (; *name; name++) {
        if (*name == '.')
            buf_lit(out, "\\\\");
        buf_char(out, *name);
    }
}

/* model!~"a|b": the models that have no rule of their own; counters without a model are not
 * predictions. */
static void select_others(const struct alert_rules *rules, int index, struct buf *selector)
{
    bool is_first = true;
    buf_clear(selector);
    for (int i = 0; i < rules->model_count; i++) {
        if (!needs_own(rules, rules->model_names[i], index))
            continue;
        buf_text(selector, is_first ? "model!~\"" : "|");
        put_pattern(selector, rules->model_names[i]);
        is_first = false;
    }
    buf_text(selector, is_first ? "model=~\".*\"" : "\"");
}

static void put_rule_for_all(const struct alert_rules *rules, int index, struct buf *out)
{
    struct buf selector;
    struct exported e = {.rule = &rules->all.rules[index], .slo = &rules->all.slo, .out = out};
    buf_init(&selector, SELECTOR_BYTES_MAX);
    select_others(rules, index, &selector);
    e.selector = buf_c(&selector);
    if (!e.rule->is_off)
        put_rule(&e);
    for (int i = 0; i < rules->model_count; i++) {
        const char *model = rules->model_names[i];
        if (!needs_own(rules, model, index) || alert_rules_at(rules, model, index)->is_off)
            continue;
        buf_clear(&selector);
        buf_printf(&selector, "model=\"%s\"", model);
        e = (struct exported){.rule = alert_rules_at(rules, model, index),
                              .slo = alert_rules_slo(rules, model),
                              .selector = buf_c(&selector),
                              .model = model,
                              .out = out};
        put_rule(&e);
    }
    buf_done(&selector);
}

void alert_rules_prometheus(const struct alert_rules *rules, struct buf *out)
{
    buf_lit(out, "# Slipway's alert rules for Prometheus, made by: slipway alert rules "
                 "--prometheus\ngroups:\n  - name: slipway\n    rules:\n");
    for (int i = 0; i < ALERT_RULE_COUNT; i++)
        put_rule_for_all(rules, i, out);
}
