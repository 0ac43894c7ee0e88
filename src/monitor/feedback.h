/* feedback.h - what clients send about predictions, read into outcomes.
 *
 *     {"id": "<request id>-<row>", "label": "yes", "at": "2026-01-31T09:30:00Z"}
 *     {"model": "churn", "key": "C123", "values": {"revenue": 12.5}, "event": "complaint"}
 *     {"items": [{...}, {...}]}
 *
 *     id,label,at                             text/csv: the first line names the columns
 *     3f2a-0,yes,2026-01-31
 *
 * An item names one prediction and says one or more things of it; each becomes an outcome. What is
 * wrong with an item refuses that item with its reason; only a body that cannot be read at all is
 * an error.
 */
#ifndef SLIPWAY_MONITOR_FEEDBACK_H
#define SLIPWAY_MONITOR_FEEDBACK_H

#include "base/json.h"
#include "monitor/outcome.h"

struct feedback {
    struct outcome *outcomes; /* [count], in the order of the items */
    int *items;               /* [count] 0-based item of each */
    int count;
    int item_count;
    bool is_single; /* one object, not a list */
};

/* `model` ("" or NULL: none) is what an item without one is about. Texts live in `arena`, or are
 * borrowed from the body, which must outlive the outcomes. ERR_LIMIT past OUTCOME_BATCH_MAX. */
enum err_code feedback_read_json(yyjson_val *root, const char *model, struct arena *arena,
                                 struct feedback *feedback, struct err *err);
enum err_code feedback_read_csv(struct str text, const char *model, struct arena *arena,
                                struct feedback *feedback, struct err *err);

/* RFC 3339 with Z, an offset or none (then UTC), or a date alone (its first moment in UTC). */
bool feedback_time(struct str text, int64_t *wall_us);

/* ---- for the two readers ---- */

/* One item being read: what all its outcomes share, then each of them. */
struct feedback_item {
    struct feedback *feedback;
    struct arena *arena;
    struct outcome common;
    int index;
    int first; /* its first outcome */
};

void feedback_begin(struct feedback_item *item, struct feedback *feedback, struct arena *arena,
                    const char *model);
/* Room for one more outcome of this item, a copy of the common part. */
enum err_code feedback_add(struct feedback_item *item, struct outcome **outcome, struct err *err);
/* The item is read: refused when it names no prediction or says nothing. */
enum err_code feedback_end(struct feedback_item *item, struct err *err);
/* Refuse the whole item with a reason. */
enum err_code feedback_refuse(struct feedback_item *item, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
