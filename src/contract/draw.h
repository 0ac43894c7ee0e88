/* draw.h - values as a contract allows them, distributed as its profile says the training rows
 * were.
 *
 * Fields are drawn one by one: what they have to do with one another is not in a profile.
 */
#ifndef SLIPWAY_CONTRACT_DRAW_H
#define SLIPWAY_CONTRACT_DRAW_H

#include "base/buf.h"
#include "base/rand.h"
#include "contract/contract.h"

/* The value of a number, a boolean (0, 1) or a category (its code); NaN when it is missing. Within
 * a bin of the profile every value is as likely; without one, every allowed value is. */
double draw_number(const struct contract_field *field, struct rand *rand);

/* Any input field's value as JSON. Keys are "key-<row>", dates and times are the present. False,
 * and nothing written, for text with a pattern or a length that this does not have. */
bool draw_json(const struct contract_field *field, struct rand *rand, int64_t row, struct buf *out);

#endif
