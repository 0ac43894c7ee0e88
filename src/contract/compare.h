/* compare.h - may a version with this contract replace one with that? */
#ifndef SLIPWAY_CONTRACT_COMPARE_H
#define SLIPWAY_CONTRACT_COMPARE_H

#include "base/json.h"
#include "contract/contract.h"

enum { CONTRACT_CHANGES_MAX = 1000 }; /* listed; more are judged but not listed */

struct contract_change {
    bool is_breaking;
    const char *field; /* "" when it is about the whole */
    const char *text;  /* "unit changed from 'mm' to 'cm'" */
};

struct contract_comparison {
    bool is_compatible; /* no breaking change */
    int count;
    const struct contract_change *changes; /* in the arena; breaking first */
};

/* From the callers' side: what they send today to `before` must work with `after`, and what comes
 * back must mean the same. Breaking:
 *   a field removed, or a new one that is required; an optional one made required
 *   another type (integer to number is safe), role of a key, format of a date, or unit: a unit
 *     change is always breaking, even when the numbers pass
 *   a value that was accepted and now rejects the request: narrower range, stricter policy, new
 *     or changed pattern, tighter length
 *   a category removed; a category whose code changed, and features in another order, because
 *     callers may send codes and columns by position
 *   a missing marker removed
 *   class names or type of the answer, meaning of the label
 * All else is safe and listed as such; texts for people (descriptions) are not compared. */
enum err_code contract_compare(const struct contract *before, const struct contract *after,
                               struct arena *arena, struct contract_comparison *comparison,
                               struct err *err);

/* For people, one line per change: "breaking  mean_radius: unit changed from 'mm' to 'cm'"; and
 * {"compatible": false, "changes": [{"kind": "breaking", "field": "...", "text": "..."}]} */
void contract_comparison_text(struct buf *out, const struct contract_comparison *comparison);
void contract_comparison_write(struct json_writer *w, const struct contract_comparison *comparison);

#endif
