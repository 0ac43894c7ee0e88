/* option_value.h - between the files of option.h: one value's text, and where it stood. */
#ifndef SLIPWAY_BASE_OPTION_VALUE_H
#define SLIPWAY_BASE_OPTION_VALUE_H

#include "base/option.h"

enum { OPTION_PLACE_BYTES = 320, OPTION_SHOWN_BYTES_MAX = 100 };

/* Where a text stands, for messages, and which source that is. */
struct option_place {
    char text[OPTION_PLACE_BYTES]; /* "flag --listen", "slipway.yaml line 3: listen" */
    enum option_source source;
};

/* Parse, check against the row, set. ERR_INVALID names the place, what was there, what is expected.
 */
enum err_code option_set(struct options *options, const struct option *option, struct str text,
                         const struct option_place *place, struct err *err);

/* What the row accepts: "a whole number from 0 to 64". */
void option_expected(const struct option *option, struct buf *out);

#endif
