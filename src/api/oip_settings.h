/* oip_settings.h - Triton's logging and trace extensions over what there is to be set here: the log
 * level, and the share of predictions that are traced.
 *
 * Both last until the program ends or its options are read again. A setting that has no counterpart
 * can be set to what it is, and is refused with the reason otherwise.
 */
#ifndef SLIPWAY_API_OIP_SETTINGS_H
#define SLIPWAY_API_OIP_SETTINGS_H

#include "api/api.h"

struct log_settings {
    bool has_error, has_warning, has_info;
    int verbose_level; /* 1: debug */
};

struct trace_settings {
    bool is_on;
    int64_t rate; /* one prediction in so many */
};

void log_settings_read(struct log_settings *settings);
void trace_settings_read(const struct node *node, struct trace_settings *settings);

/* Take `changes`, an object of settings, and write the reply: what holds then. On a pool. */
typedef void log_reply_fn(struct call *call, const struct log_settings *settings);
typedef void trace_reply_fn(struct call *call, const struct trace_settings *settings);
enum err_code log_settings_change(struct call *call, yyjson_val *changes, log_reply_fn *reply,
                                  struct err *err);
enum err_code trace_settings_change(struct call *call, struct str model, yyjson_val *changes,
                                    trace_reply_fn *reply, struct err *err);

#endif
