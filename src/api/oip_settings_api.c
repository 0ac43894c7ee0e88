/* oip_settings_api.c - /v2/logging and /v2/trace/setting, as Triton's clients read and set them. */
#include "api/handlers.h"
#include "api/oip_settings.h"

static void write_log(struct call *call, const struct log_settings *settings)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "log_file", "");
    json_member_bool(&w, "log_info", settings->has_info);
    json_member_bool(&w, "log_warning", settings->has_warning);
    json_member_bool(&w, "log_error", settings->has_error);
    json_member_i64(&w, "log_verbose_level", settings->verbose_level);
    json_member_text(&w, "log_format", "ISO8601");
    json_end_object(&w);
}

enum err_code oip_logging_get(struct call *call, struct err *err)
{
    struct log_settings settings;
    (void)err;
    log_settings_read(&settings);
    write_log(call, &settings);
    return ERR_OK;
}

enum err_code oip_logging_post(struct call *call, struct err *err)
{
    yyjson_val *changes;
    enum err_code rc = call_body_object(call, &changes, err);
    return rc ? rc : log_settings_change(call, changes, write_log, err);
}

static void write_trace(struct call *call, const struct trace_settings *settings)
{
    char rate[STR_NUMBER_BYTES];
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "trace_file", "");
    json_key(&w, "trace_level");
    json_begin_array(&w);
    json_put_text(&w, settings->is_on ? "TIMESTAMPS" : "OFF");
    json_end_array(&w);
    json_key(&w, "trace_rate");
    json_put_str(&w, (struct str){rate, str_from_i64(settings->rate, rate)});
    json_member_text(&w, "trace_count", "-1");
    json_member_text(&w, "log_frequency", "0");
    json_member_text(&w, "trace_mode", "opentelemetry");
    json_end_object(&w);
}

/* Of one model they are those of all. */
enum err_code oip_trace_get(struct call *call, struct err *err)
{
    struct trace_settings settings;
    if (call->params[0].len && !snapshot_find(call->snapshot, call->params[0]))
        return err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                       STR_ARG(call->params[0]));
    trace_settings_read(call->node, &settings);
    write_trace(call, &settings);
    return ERR_OK;
}

enum err_code oip_trace_post(struct call *call, struct err *err)
{
    yyjson_val *changes;
    enum err_code rc = call_body_object(call, &changes, err);
    return rc ? rc : trace_settings_change(call, call->params[0], changes, write_trace, err);
}
