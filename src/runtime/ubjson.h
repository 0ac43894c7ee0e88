/* ubjson.h - reading Universal Binary JSON (draft 12), the binary form of XGBoost models.
 *
 * Values borrow the arena, and texts and packed arrays borrow the bytes themselves, which must
 * live as long as the values do. Children of a container are a list, because a container need
 * not say how many it has.
 *
 * Not read, because no model uses them and a few bytes could stand for endless values: typed
 * arrays of anything but numbers, typed objects, high-precision numbers.
 */
#ifndef SLIPWAY_RUNTIME_UBJSON_H
#define SLIPWAY_RUNTIME_UBJSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    UBJSON_DEPTH_MAX = 32,
    UBJSON_VALUES_MAX = 1 << 22, /* apart from those in packed arrays; each takes some 70 bytes */
};

enum ubjson_kind {
    UBJSON_NULL,
    UBJSON_BOOL,    /* integer is 0 or 1 */
    UBJSON_INTEGER, /* integer */
    UBJSON_REAL,    /* real */
    UBJSON_TEXT,    /* text */
    UBJSON_ARRAY,   /* first, count */
    UBJSON_PACKED,  /* packed, marker, count: numbers of one type, big-endian */
    UBJSON_OBJECT,  /* first, count; children have keys */
};

struct ubjson_value {
    enum ubjson_kind kind;
    char marker; /* of a packed array's elements: i U I l L d D */
    struct str key;
    struct ubjson_value *next; /* in the same container */
    size_t count;
    union {
        int64_t integer;
        double real;
        struct str text;
        struct ubjson_value *first;
        const unsigned char *packed;
    };
};

/* Read one document that fills bytes[0..size). Fails with ERR_INVALID or ERR_UNSUPPORTED that
 * names the byte offset, or ERR_LIMIT past UBJSON_DEPTH_MAX,
 * UBJSON_VALUES_MAX or the arena's limit. */
enum err_code ubjson_read(const void *bytes, size_t size, struct arena *arena,
                          const struct ubjson_value **root, struct err *err);

/* The member of that key, or NULL when there is none or `object` is no object. */
const struct ubjson_value *ubjson_find(const struct ubjson_value *object, const char *key);

/* Bytes of one number with this marker; 0 when it is no fixed-size number. */
size_t ubjson_number_bytes(char marker);

/* The number at `bytes` in the form the marker says. */
double ubjson_number(char marker, const unsigned char *bytes);

#endif
