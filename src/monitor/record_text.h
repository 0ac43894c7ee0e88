/* record_text.h - one row of a kept record as people and programs read it: JSON, or cells of CSV.
 *
 *     {"id":"4f1c-0","request_id":"4f1c","row":0,"at":"...","model":"churn","version":7,
 *      "arm":"canary","rollout":3,"status":200,"latency_us":112,"share":1,"quality":"ok",
 *      "violations":["range"],"inputs":{"plan":"plus","monthly_fee":31.5,"note":null},
 *      "prediction":{"label":"leaves","probability":0.8,"probabilities":{...}}}
 *
 * The record of a graph has "nodes" too (record_nodes.h).
 *
 * Numbers are written as the reply wrote them. quality is "ok", "suspect" or "erased"; prediction
 * is null when the request failed, inputs when it had no rows (then the id is the request's).
 */
#ifndef SLIPWAY_MONITOR_RECORD_TEXT_H
#define SLIPWAY_MONITOR_RECORD_TEXT_H

#include "base/json.h"
#include "monitor/record.h"

/* Row `row`; of a record without rows, row 0 stands for the request. */
void record_put_json(struct json_writer *w, const struct record *record, int64_t row);

/* The same as CSV: id, request_id, row, at, model, version, arm, rollout, status, latency_us,
 * share, quality, violations, label, probability, value, then one column for each input. Whole
 * lines. */
void record_put_csv_head(struct buf *out, const struct record_schema *schema);
void record_put_csv(struct buf *out, const struct record *record, int64_t row);

/* Have both the same input columns? */
bool record_has_same_columns(const struct record_schema *a, const struct record_schema *b);

#endif
