/* redact.h - what of a record may be kept in files.
 *
 * A column whose contract classifies it as anything but "public" is redacted. Under the policy
 * "pseudonym" a text becomes the first 128 bits of HMAC-SHA-256(secret, text) as 32 hex digits: the
 * same person has the same pseudonym, nobody without the secret can tell who it is or try names.
 * Other columns, and all of them under "drop", become missing. Requests are answered, and watched
 * in memory, with what came.
 */
#ifndef SLIPWAY_MONITOR_REDACT_H
#define SLIPWAY_MONITOR_REDACT_H

#include "base/arena.h"
#include "monitor/record.h"

enum redaction { REDACT_PSEUDONYM, REDACT_DROP, REDACT_KEEP }; /* as the option's words */

enum { REDACT_SECRET_BYTES = 32, PSEUDONYM_BYTES = 32 };

enum kept_as redact_choose(enum redaction policy, const char *classification, bool is_text);

/* Is any column of it kept otherwise than as it came? */
bool redact_has_work(const struct record_schema *schema);

/* `out` gets PSEUDONYM_BYTES hex digits, no NUL. */
void redact_pseudonym(const uint8_t secret[REDACT_SECRET_BYTES], struct str text, char *out);

/* The record as its schema says it is kept; what differs lives in `arena`. */
void redact_record(const struct record *record, const uint8_t secret[REDACT_SECRET_BYTES],
                   struct arena *arena, struct record *redacted);

/* The record without its features: keys, segments, times and groups stay. */
void redact_inputs(const struct record *record, struct arena *arena, struct record *redacted);

#endif
