/* oip_settings.c - which changes are possible, and making them: one event of the trail each. */
#include "api/oip_settings.h"

#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "registry/registry_check.h"

enum { TRACE_RATE_PRESET = 1000, TRACE_RATE_MAX = 1000 * 1000 * 1000, STATE_BYTES_MAX = 256 };

/* ---- the event ---- */

struct settings_change {
    const char *action, *subject;
    struct buf before, after; /* states, as JSON */
    struct log_settings log;
    struct trace_settings trace;
    log_reply_fn *log_reply; /* one of the two */
    trace_reply_fn *trace_reply;
};

static enum err_code put_change(struct call *call, struct control *control, struct store *store,
                                void *arg, struct err *err)
{
    const struct settings_change *c = arg;
    struct buf before, after;
    (void)control;
    buf_init(&before, STATE_BYTES_MAX);
    buf_init(&after, STATE_BYTES_MAX);
    buf_str(&before, buf_view(&c->before));
    buf_str(&after, buf_view(&c->after));
    enum err_code rc = registry_append(store, &call->actor, c->action, c->subject, &before, &after,
                                       clock_wall_us(), NULL, err);
    if (rc)
        return rc;
    if (c->log_reply)
        c->log_reply(call, &c->log);
    else
        c->trace_reply(call, &c->trace);
    return ERR_OK;
}

static enum err_code execute(struct call *call, struct settings_change *c, struct err *err)
{
    struct call_change change = {.fn = put_change, .arg = c};
    enum err_code rc = call_execute(call, &change, err);
    buf_done(&c->before);
    buf_done(&c->after);
    return rc;
}

static enum err_code refuse(yyjson_val *key, const char *reason, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: %s", yyjson_get_str(key), reason);
}

static enum err_code unknown(yyjson_val *key, const char *what, const char *known, struct err *err)
{
    err_set(err, ERR_INVALID, "'%s' is no %s setting", yyjson_get_str(key), what);
    return err_hint(err, "there are %s", known);
}

/* ---- logging ---- */

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static struct log_settings settings_of(enum log_level level)
{
    return (struct log_settings){.has_error = true,
                                 .has_warning = level >= LOG_WARN,
                                 .has_info = level >= LOG_INFO,
                                 .verbose_level = level >= LOG_DEBUG};
}

static enum log_level current_level(void)
{
    return log_is_on(LOG_DEBUG)  ? LOG_DEBUG
           : log_is_on(LOG_INFO) ? LOG_INFO
           : log_is_on(LOG_WARN) ? LOG_WARN
                                 : LOG_ERROR;
}

void log_settings_read(struct log_settings *settings)
{
    *settings = settings_of(current_level());
}

static enum err_code take_flag(yyjson_val *key, yyjson_val *value, bool preset, bool *flag,
                               struct err *err)
{
    if (!yyjson_is_null(value) && !yyjson_is_bool(value))
        return err_set(err, ERR_INVALID, "%s: expected true or false", yyjson_get_str(key));
    *flag = yyjson_is_null(value) ? preset : yyjson_get_bool(value);
    return ERR_OK;
}

/* null is what the option says. */
static enum err_code take_log(yyjson_val *key, yyjson_val *value, const struct log_settings *preset,
                              struct log_settings *wanted, struct err *err)
{
    if (yyjson_equals_str(key, "log_info"))
        return take_flag(key, value, preset->has_info, &wanted->has_info, err);
    if (yyjson_equals_str(key, "log_warning"))
        return take_flag(key, value, preset->has_warning, &wanted->has_warning, err);
    if (yyjson_equals_str(key, "log_error"))
        return take_flag(key, value, true, &wanted->has_error, err);
    if (yyjson_equals_str(key, "log_file"))
        return refuse(key, "log file location can not be updated through network protocol", err);
    if (yyjson_equals_str(key, "log_format"))
        return yyjson_is_null(value) || yyjson_equals_str(value, "ISO8601")
                   ? ERR_OK
                   : refuse(key, "lines have ISO 8601 times and no other form", err);
    if (!yyjson_equals_str(key, "log_verbose_level"))
        return unknown(key, "log", "log_info, log_warning, log_error, log_verbose_level", err);
    if (!yyjson_is_null(value) && (!yyjson_is_uint(value) || yyjson_get_uint(value) > INT32_MAX))
        return err_set(err, ERR_INVALID, "log_verbose_level: expected a whole number, 0 or more");
    wanted->verbose_level =
        yyjson_is_null(value) ? preset->verbose_level : (int)yyjson_get_uint(value);
    return ERR_OK;
}

/* Levels are one in the other, so not every set of flags is one. */
static enum err_code level_of(const struct log_settings *wanted, enum log_level *level,
                              struct err *err)
{
    if (!wanted->has_error)
        return err_set(err, ERR_UNSUPPORTED, "log_error: errors are always logged");
    if (wanted->has_info && !wanted->has_warning) {
        err_set(err, ERR_INVALID, "log_warning: warnings are logged as long as log_info is on");
        return err_hint(err, "turn off both");
    }
    if (wanted->verbose_level && !wanted->has_info) {
        err_set(err, ERR_INVALID, "log_verbose_level: the level debug has log_info in it");
        return err_hint(err, "turn on both");
    }
    *level = wanted->verbose_level ? LOG_DEBUG
             : wanted->has_info    ? LOG_INFO
             : wanted->has_warning ? LOG_WARN
                                   : LOG_ERROR;
    return ERR_OK;
}

static void put_level(struct buf *out, enum log_level level)
{
    struct json_writer w = {.out = out};
    buf_init(out, STATE_BYTES_MAX);
    json_begin_object(&w);
    json_member_text(&w, "level", level_names[level]);
    json_end_object(&w);
}

static enum err_code set_level(struct call *call, enum log_level level, log_reply_fn *reply,
                               struct err *err)
{
    struct settings_change c = {.action = "server.logging",
                                .subject = "server/logging",
                                .log = settings_of(level),
                                .log_reply = reply};
    enum log_level before = current_level();
    put_level(&c.before, before);
    put_level(&c.after, level);
    enum err_code rc = execute(call, &c, err);
    if (rc)
        return rc;
    log_set_level(LOG_INFO); /* the change itself is told either way */
    log_info("log level changed", "level=%s by=%s", level_names[level], call->actor.name);
    log_set_level(level);
    return ERR_OK;
}

enum err_code log_settings_change(struct call *call, yyjson_val *changes, log_reply_fn *reply,
                                  struct err *err)
{
    const struct log_settings preset = settings_of((enum log_level)call->node->options->log_level);
    struct log_settings wanted = settings_of(current_level());
    enum log_level level = LOG_ERROR;
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(changes, i, count, key, value)
    {
        enum err_code rc = take_log(key, value, &preset, &wanted, err);
        if (rc)
            return rc;
    }
    enum err_code rc = level_of(&wanted, &level, err);
    if (rc || level != current_level())
        return rc ? rc : set_level(call, level, reply, err);
    wanted = settings_of(level);
    reply(call, &wanted);
    return ERR_OK;
}

/* ---- traces ---- */

static struct trace_settings settings_of_ratio(double ratio)
{
    bool is_on = ratio > 0;
    double rate = is_on ? round(1 / ratio) : TRACE_RATE_PRESET;
    return (struct trace_settings){.is_on = is_on,
                                   .rate = rate < TRACE_RATE_MAX ? (int64_t)rate : TRACE_RATE_MAX};
}

void trace_settings_read(const struct node *node, struct trace_settings *settings)
{
    *settings = settings_of_ratio(node->tracer ? tracer_ratio(node->tracer) : 0);
}

static bool is_number(yyjson_val *value, int64_t *number)
{
    if (yyjson_is_arr(value) && yyjson_arr_size(value) == 1)
        value = yyjson_arr_get_first(value);
    if (yyjson_is_str(value))
        return str_to_i64(json_str(value), number);
    *number = yyjson_get_sint(value);
    return yyjson_is_int(value);
}

static enum err_code take_level(yyjson_val *level, struct trace_settings *wanted, struct err *err)
{
    if (yyjson_equals_str(level, "TENSORS"))
        return err_set(err, ERR_UNSUPPORTED,
                       "trace_level: tensors are not in traces; kept predictions have the rows");
    bool is_on = yyjson_equals_str(level, "TIMESTAMPS");
    if (!is_on && !yyjson_equals_str(level, "OFF"))
        return err_set(err, ERR_INVALID, "trace_level: expected TIMESTAMPS or OFF");
    wanted->is_on = is_on;
    return ERR_OK;
}

static enum err_code take_levels(yyjson_val *value, const struct trace_settings *preset,
                                 struct trace_settings *wanted, struct err *err)
{
    size_t i, count;
    yyjson_val *level;
    enum err_code rc = ERR_OK;
    if (yyjson_is_null(value))
        wanted->is_on = preset->is_on;
    else if (!yyjson_is_arr(value))
        return take_level(value, wanted, err);
    yyjson_arr_foreach(value, i, count, level) if (!rc) rc = take_level(level, wanted, err);
    return rc;
}

static enum err_code take_rate(yyjson_val *value, const struct trace_settings *preset,
                               struct trace_settings *wanted, struct err *err)
{
    int64_t rate = preset->rate;
    if (!yyjson_is_null(value) && (!is_number(value, &rate) || rate < 1 || rate > TRACE_RATE_MAX))
        return err_set(err, ERR_INVALID, "trace_rate: expected a whole number from 1 to %d",
                       TRACE_RATE_MAX);
    wanted->rate = rate;
    return ERR_OK;
}

/* A setting that is always `only`. */
static enum err_code take_only(yyjson_val *key, yyjson_val *value, const char *only,
                               const char *reason, struct err *err)
{
    int64_t number, same;
    if (yyjson_is_arr(value) && yyjson_arr_size(value) == 1)
        value = yyjson_arr_get_first(value);
    bool is_same = yyjson_is_null(value) || yyjson_equals_str(value, only) ||
                   (is_number(value, &number) && str_to_i64(str_of(only), &same) && number == same);
    return is_same ? ERR_OK : refuse(key, reason, err);
}

static enum err_code take_trace(yyjson_val *key, yyjson_val *value,
                                const struct trace_settings *preset, struct trace_settings *wanted,
                                struct err *err)
{
    if (yyjson_equals_str(key, "trace_level"))
        return take_levels(value, preset, wanted, err);
    if (yyjson_equals_str(key, "trace_rate"))
        return take_rate(value, preset, wanted, err);
    if (yyjson_equals_str(key, "trace_file"))
        return refuse(key, "trace file location can not be updated through network protocol", err);
    if (yyjson_equals_str(key, "trace_count"))
        return take_only(key, value, "-1", "traces are not counted down", err);
    if (yyjson_equals_str(key, "log_frequency"))
        return take_only(key, value, "0", "traces go to a collector, once a second", err);
    if (yyjson_equals_str(key, "trace_mode"))
        return take_only(key, value, "opentelemetry", "traces are OpenTelemetry's", err);
    return unknown(key, "trace", "trace_level and trace_rate", err);
}

static void put_ratio(struct buf *out, double ratio)
{
    struct json_writer w = {.out = out};
    buf_init(out, STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "sample_ratio");
    json_put_f64(&w, ratio);
    json_end_object(&w);
}

static enum err_code set_ratio(struct call *call, const struct trace_settings *wanted,
                               trace_reply_fn *reply, struct err *err)
{
    double ratio = wanted->is_on ? 1.0 / (double)wanted->rate : 0;
    struct settings_change c = {.action = "server.tracing",
                                .subject = "server/tracing",
                                .trace = settings_of_ratio(ratio),
                                .trace_reply = reply};
    put_ratio(&c.before, tracer_ratio(call->node->tracer));
    put_ratio(&c.after, ratio);
    enum err_code rc = execute(call, &c, err);
    if (!rc)
        tracer_set_ratio(call->node->tracer, ratio);
    return rc;
}

static enum err_code check_target(const struct call *call, struct str model, struct err *err)
{
    if (model.len) {
        err_set(err, ERR_UNSUPPORTED, "the share that is traced is one for all models");
        return err_hint(err, "set it without a model: /v2/trace/setting");
    }
    if (call->node->tracer)
        return ERR_OK;
    err_set(err, ERR_UNSUPPORTED, "there is no collector to send traces to");
    return err_hint(err, "name one: slipway serve --otlp-endpoint http://HOST:4318");
}

/* A rate that would be forgotten: the share that is traced stays 0. */
static enum err_code refuse_rate(struct err *err)
{
    err_set(err, ERR_INVALID, "trace_rate: nothing is traced while trace_level is OFF");
    return err_hint(err, "send both: {\"trace_level\": [\"TIMESTAMPS\"], \"trace_rate\": \"50\"}");
}

enum err_code trace_settings_change(struct call *call, struct str model, yyjson_val *changes,
                                    trace_reply_fn *reply, struct err *err)
{
    struct trace_settings preset = settings_of_ratio(call->node->options->otlp_sample_ratio);
    struct trace_settings now, wanted;
    size_t i, count;
    yyjson_val *key, *value;
    enum err_code rc = ERR_OK;
    trace_settings_read(call->node, &now);
    wanted = now;
    yyjson_obj_foreach(changes, i, count, key, value) if (!rc) rc =
        take_trace(key, value, &preset, &wanted, err);
    bool is_changed = wanted.is_on != now.is_on || wanted.rate != now.rate;
    if (!rc && is_changed)
        rc = check_target(call, model, err);
    if (!rc && is_changed && !wanted.is_on && !now.is_on)
        rc = refuse_rate(err);
    if (rc || is_changed)
        return rc ? rc : set_ratio(call, &wanted, reply, err);
    reply(call, &now);
    return ERR_OK;
}
