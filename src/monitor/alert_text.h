/* alert_text.h - an alert as people and programs read it: JSON, a mail. */
#ifndef SLIPWAY_MONITOR_ALERT_TEXT_H
#define SLIPWAY_MONITOR_ALERT_TEXT_H

#include "base/json.h"
#include "monitor/alert_rules.h"

/* One JSON object; the same in the API, the audit trail and what webhooks carry. */
void alert_put_json(struct json_writer *w, const struct alert_view *view);

/* A whole mail, headers first, about what opened and closed. */
void alert_put_mail(struct buf *out, const struct alert_mail *mail, const struct alert_view *views,
                    int count);

#endif
