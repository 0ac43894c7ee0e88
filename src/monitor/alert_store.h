/* alert_store.h - open alerts, silences and counts that survive a restart. Inside the caller's
 * transaction; an alert's opening and closing, a silence and its end are one audit event each. */
#ifndef SLIPWAY_MONITOR_ALERT_STORE_H
#define SLIPWAY_MONITOR_ALERT_STORE_H

#include "event/audit.h"
#include "monitor/alert.h"
#include "monitor/burn.h"

enum { ALERT_SILENCES_MAX = 1000, ALERT_REASON_BYTES_MAX = 1000 };

/* Keep or forget the alert, by view->state. */
enum err_code alert_store_put(struct store *store, const struct alert_view *view, struct err *err);

/* The open ones. */
enum err_code alert_store_list(struct store *store, struct arena *arena, struct alert_view **list,
                               int *count, struct err *err);

struct alert_silence {
    int64_t id;        /* set by alert_silence_put */
    const char *match; /* of keys; '*' stands for any bytes */
    int64_t until_us;
    const char *reason, *actor;
    int64_t created_us;
};

/* ERR_INVALID when it names nothing or ends in the past, ERR_LIMIT past ALERT_SILENCES_MAX. Those
 * that have ended are forgotten. */
enum err_code alert_silence_put(struct store *store, struct alert_silence *silence,
                                const struct actor *actor, struct err *err);
enum err_code alert_silence_end(struct store *store, int64_t id, const struct actor *actor,
                                struct err *err);

/* Those that have not ended, oldest first. */
enum err_code alert_silence_list(struct store *store, int64_t now_us, struct arena *arena,
                                 struct alert_silence **list, int *count, struct err *err);

/* What was counted; no audit event, it is no decision. */
enum err_code alert_window_put(struct store *store, const char *model, struct str counts,
                               int64_t now_us, struct err *err);
typedef void alert_window_fn(void *arg, struct str model, struct str counts);
enum err_code alert_window_each(struct store *store, alert_window_fn *fn, void *arg,
                                struct err *err);

#endif
