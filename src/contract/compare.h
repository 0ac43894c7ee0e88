/* compare.h - may a version with this contract replace one with that? */
#ifndef SLIPWAY_CONTRACT_COMPARE_H
#define SLIPWAY_CONTRACT_COMPARE_H

#include "base/json.h"
#include "contract/contract.h"

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

/* From the callers' side: what they send today to `before` must work with `after`. */
enum err_code contract_compare(const struct contract *before, const struct contract *after,
                               struct arena *arena, struct contract_comparison *comparison,
                               struct err *err);

/* {"compatible": false, "changes": [{"kind": "breaking", "field": "...", "text": "..."}]} */
void contract_comparison_write(struct json_writer *w, const struct contract_comparison *comparison);

#endif
