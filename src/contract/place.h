/* place.h - where in a document its reader is, so that an error can name the spot.
 *
 *     size_t mark = place_push(&place, ".properties[%zu]", i);
 *     ... place_fail(&place, "expected ...") says "schema[0].properties[3]: expected ..." ...
 *     place_pop(&place, mark);
 *
 * The getters read one member of an object. All leave *out alone when the member is absent or
 * null, and fail with the member's own path when it has another type. Texts are copied into the
 * arena.
 */
#ifndef SLIPWAY_CONTRACT_PLACE_H
#define SLIPWAY_CONTRACT_PLACE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

enum { PLACE_BYTES = 256 };

struct place {
    struct arena *arena;
    struct err *err;
    size_t len;
    char path[PLACE_BYTES]; /* "schema[0].properties[3]"; cut when it grows too long */
};

size_t place_push(struct place *place, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void place_pop(struct place *place, size_t mark);

/* ERR_INVALID "<path>: <message>". */
enum err_code place_fail(struct place *place, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a member of the thing at the place. */
enum err_code place_fail_at(struct place *place, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_LIMIT: the arena is full. */
enum err_code place_full(struct place *place);

/* What a value is, for messages: "a number", "the text 'flot'". Lives in the arena. */
const char *place_describe(struct place *place, yyjson_val *value);

enum err_code place_text(struct place *place, yyjson_val *object, const char *key,
                         const char **out);
enum err_code place_number(struct place *place, yyjson_val *object, const char *key, double *out,
                           bool *is_there);
enum err_code place_bool(struct place *place, yyjson_val *object, const char *key, bool *out);
enum err_code place_object(struct place *place, yyjson_val *object, const char *key,
                           yyjson_val **out);
enum err_code place_array(struct place *place, yyjson_val *object, const char *key,
                          yyjson_val **out);

/* One of `names` (NULL ends the list); *out is its index. */
enum err_code place_choice(struct place *place, yyjson_val *object, const char *key,
                           const char *const *names, int *out);

/* Only these members may occur (NULL ends the list). */
enum err_code place_check_keys(struct place *place, yyjson_val *object, const char *const *keys);

#endif
