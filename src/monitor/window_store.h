/* window_store.h - closed windows as JSON and as rows of the store.
 *
 * Of each version and arm the newest WINDOWS_KEPT summaries are kept, and one state: detectors of
 * the long run, since when columns are in trouble, the learnt baseline of the answer.
 */
#ifndef SLIPWAY_MONITOR_WINDOW_STORE_H
#define SLIPWAY_MONITOR_WINDOW_STORE_H

#include "base/json.h"
#include "monitor/window.h"
#include "store/store.h"

/* {"from":..,"to":..,"rows":..,"verdict":..,"worst":[..],"traffic":{..}}; units end the names. */
void window_summary_write(struct json_writer *w, const struct window_summary *summary,
                          const struct baseline *baseline);

struct window_key {
    const char *model;
    int64_t version;
    enum arm arm;
};

/* Inside a transaction: keep the summary and state (JSON texts), drop what is too old. */
enum err_code window_save(struct store *store, const struct window_key *key, int64_t from_us,
                          struct str summary, struct str state, struct err *err);

/* The state of a window as JSON. */
void window_state_write(struct json_writer *w, const struct window *window);

/* Put back what was saved: history, detectors, the learnt answer. The window has seen nothing yet,
 * or only what came since the start. Columns the baseline does not have are left out. */
enum err_code window_load(struct store *store, const struct window_key *key, struct window *window,
                          struct baseline *baseline, struct err *err);

/* Arms of which windows of this version are kept: has[ARM_COUNT]. */
enum err_code window_arms(struct store *store, const char *model, int64_t version, bool *has,
                          struct err *err);

/* The saved summaries of a model's version (0: all), newest first, as they were written, each in an
 * object with version and arm; for processes that watch nothing themselves. */
enum err_code window_list_write(struct store *store, const char *model, int64_t version, int limit,
                                struct json_writer *w, struct err *err);

#endif
