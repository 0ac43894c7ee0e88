/* grpc_settings.c - LogSettings and TraceSetting: the twins of oip_settings_api.c.
 *
 *     map<string, SettingValue> settings = 1; string model_name = 2;
 *
 * Without settings nothing is changed.
 */
#include "api/grpc.h"
#include "api/handlers.h"
#include "api/oip_settings.h"

enum { CHANGES_BYTES_MAX = 16 * 1024 };

/* ---- requests, as the JSON that REST takes ---- */

/* bool_param 1, uint32_param 2, string_param 3; none of them: null. */
static void put_log_value(struct json_writer *w, struct str message)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f, value = {0};
    while (pb_next(&r, &f))
        value = f;
    if (value.number == 1 && value.wire == PB_VARINT)
        json_put_bool(w, value.value != 0);
    else if (value.number == 2 && value.wire == PB_VARINT)
        json_put_u64(w, value.value);
    else if (value.number == 3 && value.wire == PB_BYTES)
        json_put_str(w, value.bytes);
    else
        json_put_null(w);
}

/* repeated string value = 1; none: null. */
static void put_trace_value(struct json_writer *w, struct str message)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    int count = 0;
    while (pb_next(&r, &f)) {
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        if (count++ == 0)
            json_begin_array(w);
        json_put_str(w, f.bytes);
    }
    if (count)
        json_end_array(w);
    else
        json_put_null(w);
}

typedef void put_value_fn(struct json_writer *w, struct str message);

static void put_entry(struct json_writer *w, struct str entry, put_value_fn *put_value)
{
    struct pb_reader r = pb_read(entry);
    struct pb_field f;
    struct str key = {"", 0}, value = {"", 0};
    while (pb_next(&r, &f))
        if (f.wire == PB_BYTES && (f.number == 1 || f.number == 2))
            *(f.number == 1 ? &key : &value) = f.bytes;
    json_key_str(w, key);
    put_value(w, value);
}

static enum err_code read_changes(struct call *call, put_value_fn *put_value, struct str *model,
                                  yyjson_val **changes, struct err *err)
{
    struct str message;
    struct pb_field f;
    struct buf text;
    struct json_writer w = {.out = &text};
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    buf_init(&text, CHANGES_BYTES_MAX);
    struct pb_reader r = pb_read(message);
    json_begin_object(&w);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            put_entry(&w, f.bytes, put_value);
        else if (f.number == 2 && f.wire == PB_BYTES)
            *model = f.bytes;
    }
    json_end_object(&w);
    if (r.problem)
        rc = err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem);
    else if (text.is_full)
        rc = err_set(err, ERR_LIMIT, "the settings are larger than %d bytes", CHANGES_BYTES_MAX);
    else
        rc = json_read_strict(buf_view(&text), call->arena, changes, err);
    buf_done(&text);
    return rc;
}

/* ---- replies ---- */

/* An entry of a map<string, SettingValue>, open: its value is written before pb_end(value), then
 * pb_end(entry). */
static size_t begin_entry(struct buf *out, const char *key, size_t *value)
{
    size_t entry = pb_begin(out, 1);
    pb_put_text(out, 1, key);
    *value = pb_begin(out, 2);
    return entry;
}

static void put_number_setting(struct buf *out, const char *key, uint32_t field, uint64_t number)
{
    size_t value, entry = begin_entry(out, key, &value);
    pb_put_varint(out, field, number);
    pb_end(out, value);
    pb_end(out, entry);
}

static void put_text_setting(struct buf *out, const char *key, uint32_t field, const char *text)
{
    size_t value, entry = begin_entry(out, key, &value);
    pb_put_text(out, field, text);
    pb_end(out, value);
    pb_end(out, entry);
}

static void write_log(struct call *call, const struct log_settings *settings)
{
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(out);
    put_text_setting(out, "log_file", 3, "");
    put_number_setting(out, "log_info", 1, settings->has_info);
    put_number_setting(out, "log_warning", 1, settings->has_warning);
    put_number_setting(out, "log_error", 1, settings->has_error);
    put_number_setting(out, "log_verbose_level", 2, (uint64_t)settings->verbose_level);
    put_text_setting(out, "log_format", 3, "ISO8601");
    grpc_end(out, mark);
}

static void write_trace(struct call *call, const struct trace_settings *settings)
{
    struct buf *out = &call->x->response.body;
    char rate[STR_NUMBER_BYTES + 1];
    rate[str_from_i64(settings->rate, rate)] = '\0';
    size_t mark = grpc_begin(out);
    put_text_setting(out, "trace_file", 1, "");
    put_text_setting(out, "trace_level", 1, settings->is_on ? "TIMESTAMPS" : "OFF");
    put_text_setting(out, "trace_rate", 1, rate);
    put_text_setting(out, "trace_count", 1, "-1");
    put_text_setting(out, "log_frequency", 1, "0");
    put_text_setting(out, "trace_mode", 1, "opentelemetry");
    grpc_end(out, mark);
}

/* ---- the methods ---- */

enum err_code grpc_log_settings(struct call *call, struct err *err)
{
    yyjson_val *changes;
    struct str model;
    enum err_code rc = read_changes(call, put_log_value, &model, &changes, err);
    return rc ? rc : log_settings_change(call, changes, write_log, err);
}

enum err_code grpc_trace_setting(struct call *call, struct err *err)
{
    yyjson_val *changes;
    struct str model = {"", 0};
    enum err_code rc = read_changes(call, put_trace_value, &model, &changes, err);
    return rc ? rc : trace_settings_change(call, model, changes, write_trace, err);
}
