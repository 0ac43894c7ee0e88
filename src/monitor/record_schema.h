/* record_schema.h - how a loaded version's records are to be read, copied from its contract and its
 * model so that it outlives both. */
#ifndef SLIPWAY_MONITOR_RECORD_SCHEMA_H
#define SLIPWAY_MONITOR_RECORD_SCHEMA_H

#include "base/arena.h"
#include "monitor/record.h"
#include "monitor/redact.h"
#include "runtime/loaded.h"

/* The schema of a version, in `arena`, which has no limit of its own: contract and model have
 * theirs. Without a contract a column is named as the model names its feature, or "f0", "f1", ...
 */
struct record_schema *record_schema_new(const struct loaded *loaded, enum redaction policy,
                                        struct arena *arena);

#endif
