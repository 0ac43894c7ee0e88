/* judgement_json.h - a column's judgement as members of a JSON object, for live windows and
 * batches.
 */
#ifndef SLIPWAY_MONITOR_JUDGEMENT_JSON_H
#define SLIPWAY_MONITOR_JUDGEMENT_JSON_H

#include "base/json.h"
#include "monitor/judge.h"

/* A number, or null when it is not one. */
void json_put_measure(struct json_writer *w, const char *key, double value);

/* "verdict", "rule", "reason", "cause" (NULL or "": none), "rows" and every number with its unit.
 */
void judgement_write(struct json_writer *w, const struct judgement *judgement, const char *cause);

/* What a reader should know of the column's baseline; "" when it is as it should be. */
const char *baseline_note(const struct baseline_column *column);

#endif
