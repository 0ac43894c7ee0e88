/* pattern.h - regular expressions of contracts (PCRE2), with a bound on the work one match may do.
 *
 * A pattern matches anywhere in the text unless it says ^ and $, as in JSON Schema and ODCS (which
 * name ECMA-262). Texts are UTF-8; bytes that are not UTF-8 match nothing.
 */
#ifndef SLIPWAY_CONTRACT_PATTERN_H
#define SLIPWAY_CONTRACT_PATTERN_H

#include <stddef.h>

#include "base/str.h"

enum pattern_verdict {
    PATTERN_MATCHES,
    PATTERN_DIFFERS,
    PATTERN_GAVE_UP, /* the match limit was reached: a pattern that backtracks too much */
};

enum { PATTERN_REASON_BYTES = 160 };

/* The compiled pattern, for pattern_free; or NULL with the reason ("at 3: missing ...") . */
void *pattern_compile(struct str pattern, char reason[PATTERN_REASON_BYTES]);

/* Does `text` contain a match? Any thread; the first call of a thread makes its work space, later
 * ones allocate nothing as long as the space suffices. */
enum pattern_verdict pattern_match(const void *code, struct str text);

void pattern_free(void *code); /* NULL is allowed */

#endif
