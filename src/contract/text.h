/* text.h - what the checks ask of one cell of text. */
#ifndef SLIPWAY_CONTRACT_TEXT_H
#define SLIPWAY_CONTRACT_TEXT_H

#include "base/str.h"
#include "contract/contract.h"

/* Characters (code points) of UTF-8 text; a broken byte counts as one. */
int64_t text_length(struct str text);

/* Is it a date (or a timestamp) in `format`, letters as in the standard: yyyy MM dd HH mm ss S X,
 * other letters quoted, everything else literal? NULL stands for ISO 8601: "yyyy-MM-dd", and RFC
 * 3339 for timestamps ("2026-01-31T09:30:00.5Z", offset or Z; "T" may be a space and the offset may
 * be absent). Months and days must exist; so must 24 hours and 60 minutes (seconds up to 60). */
bool text_is_date(struct str text, const char *format);
bool text_is_timestamp(struct str text, const char *format);

/* "true", "false", "1", "0" in any case. */
bool text_to_bool(struct str text, bool *out);

#endif
