/* profile.h - a batch of rows against a contract's baseline: `slipway contract check --drift`.
 *
 *     struct profile *p = profile_new(contract);
 *     profile_add(p, rows.values, rows.count);   as often as there are rows
 *     profile_write(p, &w);
 *     profile_free(p);
 *
 * Streaming: memory does not grow with the rows. One thread at a time.
 */
#ifndef SLIPWAY_MONITOR_PROFILE_H
#define SLIPWAY_MONITOR_PROFILE_H

#include "base/json.h"
#include "contract/check_csv.h"
#include "monitor/judge.h"

struct profile;

/* `contract` must outlive it. */
struct profile *profile_new(const struct contract *contract);
void profile_free(struct profile *profile); /* NULL is allowed */

/* values [row_count, contract->value_count], as struct rows has them. */
void profile_add(struct profile *profile, const float *values, int64_t row_count);

/* The worst verdict of all columns so far. */
enum monitor_verdict profile_verdict(struct profile *profile);

/* Check a CSV file (check_csv.h) and, when `with_drift`, profile the rows that are not refused: the
 * report's object with one more member, "drift". *verdict is MONITOR_WAIT without drift. */
enum err_code profile_check_csv(const struct contract *contract, struct str text, bool with_drift,
                                struct arena *arena, struct json_writer *w,
                                enum monitor_verdict *verdict, struct err *err);

/* {"rows":..,"verdict":..,"reason":..,"features":[{"feature","verdict","rule","reason","cause",
 *  "psi_nats",..}]}; reason only when the verdict is "wait". */
void profile_write(struct profile *profile, struct json_writer *w);

#endif
