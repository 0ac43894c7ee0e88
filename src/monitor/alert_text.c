/* alert_text.c - alerts written as JSON and as a mail. */
#include "monitor/alert_text.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"

static void put_text(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_put_text(w, value ? value : "");
}

void alert_put_json(struct json_writer *w, const struct alert_view *view)
{
    const struct alert *alert = &view->alert;
    json_begin_object(w);
    put_text(w, "key", alert->key);
    put_text(w, "rule", alert->rule);
    put_text(w, "state", alert_state_name(view->state));
    put_text(w, "severity", alert_severity_name(alert->severity));
    put_text(w, "model", alert->model);
    json_key(w, "version");
    json_put_i64(w, alert->version);
    put_text(w, "message", alert->message);
    put_text(w, "cause", alert->cause);
    json_key(w, "value");
    json_put_f64(w, alert->value);
    json_key(w, "bound");
    json_put_f64(w, alert->bound);
    put_text(w, "unit", alert->unit);
    json_member_time(w, "since", alert->since_us);
    json_member_time(w, "opened_at", view->opened_us);
    put_text(w, "owner", view->owner);
    put_text(w, "runbook", view->runbook);
    if (view->state == ALERT_CLOSED) {
        json_key(w, "expired");
        json_put_bool(w, view->is_expired);
    }
    json_end_object(w);
}

/* ---- mail ---- */

static void put_line(struct buf *out, const char *name, const char *value)
{
    if (value && value[0])
        buf_printf(out, "%-9s %s\n", name, value);
}

static void put_number(struct buf *out, const char *name, double value, const char *unit)
{
    if (isnan(value))
        return;
    buf_printf(out, "%-9s ", name);
    buf_f64(out, value);
    buf_printf(out, "%s%s\n", unit && unit[0] ? " " : "", unit ? unit : "");
}

static void put_view(struct buf *out, const struct alert_view *view)
{
    char since[CLOCK_TEXT_BYTES], version[32];
    const struct alert *alert = &view->alert;
    snprintf(version, sizeof(version), "%lld", (long long)alert->version);
    buf_printf(out, "\n%s: %s\n", alert_state_name(view->state), alert->message);
    put_line(out, "cause", alert->cause);
    put_line(out, "severity", alert_severity_name(alert->severity));
    put_line(out, "model", alert->model);
    put_line(out, "version", alert->version ? version : "");
    put_number(out, "value", alert->value, alert->unit);
    put_number(out, "bound", alert->bound, alert->unit);
    put_line(out, "since", clock_format(alert->since_us, since));
    put_line(out, "rule", alert->rule);
    put_line(out, "owner", view->owner);
    put_line(out, "runbook", view->runbook);
    put_line(out, "key", alert->key);
}

/* RFC 2047 would be needed for other characters, so a header has none. */
static void put_header_text(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_char(out, *text >= ' ' && *text < 0x7f ? *text : '?');
}

static void put_subject(struct buf *out, const struct alert_view *views, int count)
{
    buf_printf(out, "Subject: [slipway] %s %s: ", alert_severity_name(views[0].alert.severity),
               alert_state_name(views[0].state));
    put_header_text(out, views[0].alert.message);
    if (count > 1)
        buf_printf(out, " (and %d more)", count - 1);
    buf_char(out, '\n');
}

void alert_put_mail(struct buf *out, const struct alert_mail *mail, const struct alert_view *views,
                    int count)
{
    if (mail->from[0])
        buf_printf(out, "From: %s\n", mail->from);
    if (mail->to[0])
        buf_printf(out, "To: %s\n", mail->to);
    put_subject(out, views, count);
    buf_lit(out, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                 "Content-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n");
    for (int i = 0; i < count; i++)
        put_view(out, &views[i]);
}
