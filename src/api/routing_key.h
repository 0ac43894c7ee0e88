/* routing_key.h - the text by which a rollout knows a caller's unit, from what a request says.
 *
 * Text is taken as it is, a number as its shortest decimal form, so that 7 and "7" are one key
 * whatever the protocol. ptr NULL: the request names none. Numbers are written in the arena.
 */
#ifndef SLIPWAY_API_ROUTING_KEY_H
#define SLIPWAY_API_ROUTING_KEY_H

#include "api/oip.h"

struct str routing_key_of(yyjson_val *value, struct arena *arena);

/* Of an OIP request: its parameter of that name, else the first element of that input. */
struct str routing_key_of_oip(const struct oip_request *request, const char *name,
                              struct arena *arena);

#endif
