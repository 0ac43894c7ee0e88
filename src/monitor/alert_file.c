/* alert_file.c - the file of alert rules: YAML -> rows. Every error names its place in the file. */
#include "monitor/alert_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/yaml.h"

enum { PLACE_BYTES = 256, OWNER_BYTES = 256, RUNBOOK_BYTES = 1024, TREE_BYTES_MAX = 64 << 20 };

/* One file being read. `place` is where in it: "rules.yaml: models.churn.rules.drift". */
struct reading {
    struct alert_rules *rules;
    const char *where;
    struct err *err;
};

/* ---- values ---- */

static enum err_code refuse(const struct reading *r, const char *place, const char *key,
                            const char *expected, yyjson_val *got)
{
    struct buf text;
    buf_init(&text, 256);
    json_write(&text, got);
    enum err_code rc = err_set(r->err, ERR_INVALID, "%s: %s%s%s: expected %s, got %.*s", r->where,
                               place, place[0] ? "." : "", key, expected, STR_ARG(buf_view(&text)));
    buf_done(&text);
    return rc;
}

static enum err_code read_span(const struct reading *r, yyjson_val *object, const char *place,
                               const char *key, int64_t max_us, int64_t *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    int64_t us;
    if (!value)
        return ERR_OK;
    if (!yyjson_is_str(value) || !str_to_span_us(json_str(value), &us) || us > max_us)
        return refuse(r, place, key, "a time with its unit, such as 30s, 10m or 3d", value);
    *out = us;
    return ERR_OK;
}

static enum err_code read_number(const struct reading *r, yyjson_val *object, const char *place,
                                 const char *key, double min, double max, double *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    char expected[64];
    if (!value)
        return ERR_OK;
    double number = yyjson_is_num(value) ? yyjson_get_num(value) : NAN;
    if (!(number >= min && number <= max)) {
        snprintf(expected, sizeof(expected), "a number from %g to %g", min, max);
        return refuse(r, place, key, expected, value);
    }
    *out = number;
    return ERR_OK;
}

static enum err_code read_count(const struct reading *r, yyjson_val *object, const char *place,
                                const char *key, int64_t *out)
{
    double number = (double)*out;
    yyjson_val *value = yyjson_obj_get(object, key);
    if (value && !yyjson_is_int(value))
        return refuse(r, place, key, "a whole number", value);
    enum err_code rc = read_number(r, object, place, key, 0, 1e12, &number);
    *out = (int64_t)number;
    return rc;
}

static enum err_code read_text(const struct reading *r, yyjson_val *object, const char *place,
                               const char *key, size_t bytes_max, const char **out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (!value)
        return ERR_OK;
    struct str text = json_str(value);
    bool is_plain = yyjson_is_str(value) && text.len && text.len <= bytes_max;
    for (size_t i = 0; is_plain && i < text.len; i++)
        is_plain = (unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 0x7f;
    if (!is_plain)
        return refuse(r, place, key, "a short text on one line", value);
    *out = arena_copy(r->rules->arena, text.ptr, text.len);
    return *out ? ERR_OK : err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
}

static enum err_code read_severity(const struct reading *r, yyjson_val *object, const char *place,
                                   enum alert_severity *out)
{
    yyjson_val *value = yyjson_obj_get(object, "severity");
    if (!value)
        return ERR_OK;
    for (int i = 0; i < ALERT_SEVERITY_COUNT; i++) {
        if (yyjson_equals_str(value, alert_severity_name((enum alert_severity)i))) {
            *out = (enum alert_severity)i;
            return ERR_OK;
        }
    }
    return refuse(r, place, "severity", "page, ticket or info", value);
}

static enum err_code check_object(const struct reading *r, yyjson_val *value, const char *place,
                                  const char *const *keys)
{
    char what[PLACE_BYTES];
    place = place[0] ? place : "the file";
    if (!yyjson_is_obj(value))
        return err_set(r->err, ERR_INVALID, "%s: %s: expected a mapping, got %s", r->where, place,
                       yyjson_get_type_desc(value));
    snprintf(what, sizeof(what), "%s: %s", r->where, place);
    return keys ? json_check_keys(value, what, keys, r->err) : ERR_OK;
}

/* ---- one rule ---- */

static bool is_windowed(const struct alert_rule *rule)
{
    return rule->window_us > 0;
}

static enum err_code check_measured(const struct reading *r, yyjson_val *object, const char *place,
                                    const struct alert_rule *rule)
{
    static const char *const windowed[] = {"window", "short_window", "requests_min", "bad_min"};
    if (rule->signal == ALERT_BY_RAISER || rule->signal == ALERT_BY_READY) {
        if (!yyjson_obj_get(object, "bound"))
            return ERR_OK;
        err_set(r->err, ERR_INVALID, "%s: %s.bound: this rule has no bound of its own", r->where,
                place);
        return err_hint(r->err, "its bound is where it is measured: the contract, the rollout or "
                                "an option");
    }
    for (size_t i = 0; i < ARRAY_LEN(windowed); i++)
        if (yyjson_obj_get(object, windowed[i]) && !is_windowed(rule))
            return err_set(r->err, ERR_INVALID, "%s: %s.%s: this rule looks at no window", r->where,
                           place, windowed[i]);
    return ERR_OK;
}

static enum err_code check_windows(const struct reading *r, const char *place,
                                   const struct alert_rule *rule)
{
    if (rule->short_us <= rule->window_us)
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "%s: %s: the short window is longer than the window",
                   r->where, place);
}

/* "drift: off" */
static bool is_switch(yyjson_val *value, bool *is_on)
{
    if (yyjson_is_bool(value))
        *is_on = yyjson_get_bool(value);
    else if (yyjson_equals_str(value, "on") || yyjson_equals_str(value, "off"))
        *is_on = yyjson_equals_str(value, "on");
    else
        return false;
    return true;
}

/* The longest window is what burn.h keeps. */
static enum err_code read_rule(const struct reading *r, yyjson_val *object, const char *place,
                               struct alert_rule *rule)
{
    static const char *const keys[] = {
        "enabled",      "severity", "bound", "window", "short_window",
        "requests_min", "bad_min",  "for",   "keep",   "expire",
        "owner",        "runbook",  NULL};
    const int64_t day_us = INT64_C(86400) * 1000 * 1000;
    bool is_on = !rule->is_off;
    if (is_switch(object, &is_on)) {
        rule->is_off = !is_on;
        return ERR_OK;
    }
    double bound_max =
        rule->signal == ALERT_BY_REJECTS || rule->signal == ALERT_BY_SUSPECTS ? 1 : 1e18;
    if (check_object(r, object, place, keys) || check_measured(r, object, place, rule) ||
        json_get_bool_opt(object, place, "enabled", &is_on, r->err) ||
        read_severity(r, object, place, &rule->severity) ||
        read_number(r, object, place, "bound", 0, bound_max, &rule->bound) ||
        read_span(r, object, place, "window", 3 * day_us, &rule->window_us) ||
        read_span(r, object, place, "short_window", 3 * day_us, &rule->short_us) ||
        read_count(r, object, place, "requests_min", &rule->requests_min) ||
        read_count(r, object, place, "bad_min", &rule->bad_min) ||
        read_span(r, object, place, "for", 7 * day_us, &rule->for_us) ||
        read_span(r, object, place, "keep", 7 * day_us, &rule->keep_us) ||
        read_span(r, object, place, "expire", 365 * day_us, &rule->expire_us) ||
        read_text(r, object, place, "owner", OWNER_BYTES, &rule->owner) ||
        read_text(r, object, place, "runbook", RUNBOOK_BYTES, &rule->runbook))
        return r->err->code;
    rule->is_off = !is_on;
    rule->is_severity_set |= yyjson_obj_get(object, "severity") != NULL;
    return check_windows(r, place, rule);
}

static enum err_code unknown_rule(const struct reading *r, const char *place, struct str name)
{
    const char *names[ALERT_RULE_COUNT];
    for (int i = 0; i < ALERT_RULE_COUNT; i++)
        names[i] = r->rules->all.rules[i].name;
    size_t near = nearest_name(name, names, ALERT_RULE_COUNT);
    err_set(r->err, ERR_INVALID, "%s: %s: there is no rule '%.*s'", r->where, place, STR_ARG(name));
    if (near < ALERT_RULE_COUNT)
        return err_hint(r->err, "did you mean '%s'?", names[near]);
    return err_hint(r->err, "slipway alert rules lists them");
}

static enum err_code read_rules(const struct reading *r, yyjson_val *object, const char *place,
                                struct alert_set *set)
{
    size_t i, count;
    yyjson_val *key, *value;
    char inner[PLACE_BYTES];
    if (!object)
        return ERR_OK;
    if (check_object(r, object, place, NULL))
        return r->err->code;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        int index = alert_rule_index(json_str(key));
        if (index == ALERT_RULE_COUNT)
            return unknown_rule(r, place, json_str(key));
        snprintf(inner, sizeof(inner), "%s.%s", place, set->rules[index].name);
        if (read_rule(r, value, inner, &set->rules[index]))
            return r->err->code;
    }
    return ERR_OK;
}

/* ---- objectives ---- */

static enum err_code read_slo(const struct reading *r, yyjson_val *object, const char *place,
                              struct alert_slo *slo)
{
    static const char *const keys[] = {"errors", "latency", NULL};
    static const char *const error_keys[] = {"objective", NULL};
    static const char *const latency_keys[] = {"objective", "slower_than", NULL};
    char inner[PLACE_BYTES];
    if (!object)
        return ERR_OK;
    if (check_object(r, object, place, keys))
        return r->err->code;
    yyjson_val *errors = yyjson_obj_get(object, "errors");
    yyjson_val *latency = yyjson_obj_get(object, "latency");
    snprintf(inner, sizeof(inner), "%s.errors", place);
    if (errors &&
        (check_object(r, errors, inner, error_keys) ||
         read_number(r, errors, inner, "objective", 0.5, 0.999999, &slo->errors_objective)))
        return r->err->code;
    snprintf(inner, sizeof(inner), "%s.latency", place);
    if (latency &&
        (check_object(r, latency, inner, latency_keys) ||
         read_number(r, latency, inner, "objective", 0.5, 0.999999, &slo->latency_objective) ||
         read_span(r, latency, inner, "slower_than", INT64_C(600) * 1000 * 1000,
                   &slo->slower_than_us)))
        return r->err->code;
    return ERR_OK;
}

/* ---- for all models, for one ---- */

static enum err_code read_defaults(const struct reading *r, yyjson_val *object, const char *place,
                                   struct alert_set *set)
{
    const char *owner = NULL, *runbook = NULL;
    if (read_text(r, object, place, "owner", OWNER_BYTES, &owner) ||
        read_text(r, object, place, "runbook", RUNBOOK_BYTES, &runbook))
        return r->err->code;
    for (int i = 0; i < ALERT_RULE_COUNT; i++) {
        if (owner)
            set->rules[i].owner = owner;
        if (runbook)
            set->rules[i].runbook = runbook;
    }
    return ERR_OK;
}

static enum err_code read_model(const struct reading *r, yyjson_val *key, yyjson_val *object,
                                struct alert_set *set)
{
    static const char *const keys[] = {"owner", "runbook", "slo", "rules", NULL};
    char place[PLACE_BYTES], inner[PLACE_BYTES];
    if (!str_is_name(json_str(key)))
        return err_set(r->err, ERR_INVALID, "%s: models: '%.*s' cannot be the name of a model",
                       r->where, STR_ARG(json_str(key)));
    snprintf(place, sizeof(place), "models.%s", yyjson_get_str(key));
    if (check_object(r, object, place, keys) || read_defaults(r, object, place, set))
        return r->err->code;
    snprintf(inner, sizeof(inner), "%s.slo", place);
    if (read_slo(r, yyjson_obj_get(object, "slo"), inner, &set->slo))
        return r->err->code;
    snprintf(inner, sizeof(inner), "%s.rules", place);
    return read_rules(r, yyjson_obj_get(object, "rules"), inner, set);
}

static enum err_code read_models(const struct reading *r, yyjson_val *object)
{
    struct alert_rules *rules = r->rules;
    size_t i, count;
    yyjson_val *key, *value;
    if (!object)
        return ERR_OK;
    if (check_object(r, object, "models", NULL))
        return r->err->code;
    if (yyjson_obj_size(object) > ALERT_RULE_MODELS_MAX)
        return err_set(r->err, ERR_LIMIT, "%s: models: more than %d", r->where,
                       ALERT_RULE_MODELS_MAX);
    rules->model_names =
        arena_calloc(rules->arena, yyjson_obj_size(object) + 1, sizeof(*rules->model_names));
    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct alert_set *set = arena_alloc(rules->arena, sizeof(*set));
        const char *name = arena_copy(rules->arena, yyjson_get_str(key), yyjson_get_len(key));
        if (!set || !name || !rules->model_names)
            return err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
        *set = rules->all;
        if (read_model(r, key, value, set))
            return r->err->code;
        rules->model_names[rules->model_count++] = name;
        map_put(&rules->models, str_of(name), set);
    }
    return ERR_OK;
}

/* ---- silences and mail ---- */

static enum err_code read_silence(const struct reading *r, yyjson_val *object, const char *place,
                                  struct alert_file_silence *silence)
{
    static const char *const keys[] = {"match", "until", "why", NULL};
    if (check_object(r, object, place, keys) ||
        read_text(r, object, place, "match", ALERT_KEY_BYTES, &silence->match) ||
        read_text(r, object, place, "why", OWNER_BYTES, &silence->why))
        return r->err->code;
    yyjson_val *until = yyjson_obj_get(object, "until");
    if (!silence->match)
        return err_set(r->err, ERR_INVALID, "%s: %s: 'match' is missing", r->where, place);
    if (!until)
        return err_set(r->err, ERR_INVALID, "%s: %s: 'until' is missing", r->where, place);
    if (!yyjson_is_str(until) || !clock_parse(json_str(until), &silence->until_us))
        return refuse(r, place, "until", "a time such as 2026-02-01T00:00:00Z", until);
    return ERR_OK;
}

static enum err_code read_silences(const struct reading *r, yyjson_val *list)
{
    struct alert_rules *rules = r->rules;
    char place[PLACE_BYTES];
    size_t i, count;
    yyjson_val *value;
    if (!list)
        return ERR_OK;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > ALERT_FILE_SILENCES_MAX)
        return err_set(r->err, ERR_INVALID, "%s: silences: expected a list of at most %d", r->where,
                       ALERT_FILE_SILENCES_MAX);
    rules->silences =
        arena_calloc(rules->arena, yyjson_arr_size(list) + 1, sizeof(*rules->silences));
    if (!rules->silences)
        return err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
    yyjson_arr_foreach(list, i, count, value)
    {
        snprintf(place, sizeof(place), "silences[%zu]", i);
        if (read_silence(r, value, place, &rules->silences[rules->silence_count]))
            return r->err->code;
        rules->silence_count++;
    }
    return ERR_OK;
}

/* The program is named by its whole path: what PATH says must not decide what runs. */
static enum err_code read_command(const struct reading *r, yyjson_val *list,
                                  struct alert_mail *mail)
{
    struct arena *arena = r->rules->arena;
    const char **argv = arena_calloc(arena, ALERT_MAIL_ARGS_MAX + 1, sizeof(*argv));
    size_t i, count;
    yyjson_val *value;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0 ||
        yyjson_arr_size(list) > ALERT_MAIL_ARGS_MAX || !argv)
        return err_set(r->err, ERR_INVALID, "%s: email.command: expected a list of 1 to %d words",
                       r->where, ALERT_MAIL_ARGS_MAX);
    yyjson_arr_foreach(list, i, count, value)
    {
        if (!yyjson_is_str(value) || strlen(yyjson_get_str(value)) != yyjson_get_len(value))
            return err_set(r->err, ERR_INVALID, "%s: email.command[%zu]: expected a text, got %s",
                           r->where, i, yyjson_get_type_desc(value));
        argv[i] = arena_copy(arena, yyjson_get_str(value), yyjson_get_len(value));
        if (!argv[i])
            return err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
    }
    if (argv[0][0] != '/') {
        err_set(r->err, ERR_INVALID, "%s: email.command: '%s' is no whole path", r->where, argv[0]);
        return err_hint(r->err, "write it like /usr/sbin/sendmail; no shell reads the words");
    }
    mail->argv = argv;
    mail->argc = (int)count;
    return ERR_OK;
}

static enum err_code read_mail(const struct reading *r, yyjson_val *object)
{
    static const char *const keys[] = {"command", "to", "from", "severity", "timeout", NULL};
    struct alert_mail *mail = &r->rules->mail;
    *mail = (struct alert_mail){
        .to = "", .from = "", .severity = ALERT_PAGE, .timeout_us = INT64_C(30) * 1000 * 1000};
    if (!object)
        return ERR_OK;
    if (check_object(r, object, "email", keys) ||
        read_text(r, object, "email", "to", OWNER_BYTES, &mail->to) ||
        read_text(r, object, "email", "from", OWNER_BYTES, &mail->from) ||
        read_severity(r, object, "email", &mail->severity) ||
        read_span(r, object, "email", "timeout", INT64_C(300) * 1000 * 1000, &mail->timeout_us))
        return r->err->code;
    yyjson_val *command = yyjson_obj_get(object, "command");
    if (!command)
        return err_set(r->err, ERR_INVALID, "%s: email: 'command' is missing", r->where);
    return read_command(r, command, mail);
}

static enum err_code read_file(const struct reading *r, yyjson_val *root)
{
    static const char *const keys[] = {"owner",  "runbook",  "slo",   "rules",
                                       "models", "silences", "email", NULL};
    struct alert_set *all = &r->rules->all;
    if (check_object(r, root, "", keys) || read_defaults(r, root, "", all) ||
        read_slo(r, yyjson_obj_get(root, "slo"), "slo", &all->slo) ||
        read_rules(r, yyjson_obj_get(root, "rules"), "rules", all) ||
        read_models(r, yyjson_obj_get(root, "models")) ||
        read_silences(r, yyjson_obj_get(root, "silences")) ||
        read_mail(r, yyjson_obj_get(root, "email")))
        return r->err->code;
    return ERR_OK;
}

/* Nothing but blank lines and comments: the built-in rows as they are. */
static bool is_blank(struct str text)
{
    struct str line;
    while (text.ptr && str_split(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len && line.ptr[0] != '#' && line.ptr[0] != '\r')
            return false;
    }
    return true;
}

enum err_code alert_rules_read(struct str yaml, const char *where, struct alert_rules **rules,
                               struct err *err)
{
    yyjson_val *root;
    struct arena *arena = arena_new(TREE_BYTES_MAX);
    struct reading r = {.rules = alert_rules_new(), .where = where, .err = err};
    enum err_code rc = ERR_OK;
    if (yaml.len > ALERT_FILE_BYTES_MAX)
        rc = err_set(err, ERR_LIMIT, "%s is larger than %d bytes", where, ALERT_FILE_BYTES_MAX);
    bool is_empty = is_blank(yaml);
    if (!rc && !is_empty && yaml_read(yaml, arena, &root, err))
        rc = err_wrap(err, "%s", where);
    if (!rc && !is_empty)
        rc = read_file(&r, root);
    arena_free(arena);
    if (rc)
        alert_rules_unref(r.rules);
    else
        *rules = r.rules;
    return rc;
}
