/* document.h - one way to read a model file that comes as JSON or as UBJSON.
 *
 * Values are small handles by value. They borrow the arena given to document_read() and, for
 * UBJSON, the bytes, and live as long as both do. Absent members are values too (kind
 * DOCUMENT_ABSENT), so look-ups chain: document_find(document_find(root, "learner"), "objective").
 */
#ifndef SLIPWAY_RUNTIME_DOCUMENT_H
#define SLIPWAY_RUNTIME_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    DOCUMENT_JSON_BYTES_MAX = 256 * 1024 * 1024
}; /* JSON needs many times its size to be read */

struct ubjson_value;
struct yyjson_val;

/* At most one pointer is set. */
struct document_value {
    struct yyjson_val *json;
    const struct ubjson_value *ubjson;
};

enum document_kind {
    DOCUMENT_ABSENT,
    DOCUMENT_NULL,
    DOCUMENT_BOOL,
    DOCUMENT_NUMBER,
    DOCUMENT_TEXT,
    DOCUMENT_ARRAY,
    DOCUMENT_OBJECT,
};

/* Parse a whole file: UBJSON when its second byte is a UBJSON length marker or a UBJSON sign, JSON
 * (which may contain NaN and Infinity, as XGBoost writes them) otherwise. */
enum err_code document_read(const void *bytes, size_t size, struct arena *arena,
                            struct document_value *root, struct err *err);

enum document_kind document_kind(struct document_value value);

/* The member of that key; absent when there is none or `object` is no object. */
struct document_value document_find(struct document_value object, const char *key);

/* The text; {NULL, 0} for any other kind. */
struct str document_text(struct document_value value);

/* The number (true and false are 1 and 0); false, and *out untouched, for any other kind. */
bool document_number(struct document_value value, double *out);

/* Elements of an array, 0 for any other kind. */
size_t document_count(struct document_value array);

/* Walk an array whose elements are no packed numbers:
 *     for (v = document_first(array); document_kind(v); v = document_next(v, &walk))  */
struct document_walk {
    size_t left;
};
struct document_value document_first(struct document_value array, struct document_walk *walk);
struct document_value document_next(struct document_value value, struct document_walk *walk);

/* All elements as numbers, in the arena. Fails with ERR_INVALID that names `what` and the element
 * when `array` is absent, no array, or has an element that is no number (_ints: no integer within
 * int32). The float nearest to each number; `*out` may be read only up to *count. */
enum err_code document_floats(struct document_value array, const char *what, struct arena *arena,
                              const float **out, size_t *count, struct err *err);
enum err_code document_ints(struct document_value array, const char *what, struct arena *arena,
                            const int32_t **out, size_t *count, struct err *err);

#endif
