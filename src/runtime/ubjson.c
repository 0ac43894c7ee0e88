/* ubjson.c - a reader of Universal Binary JSON without recursion.
 *
 *     value     = 'Z' | 'T' | 'F' | number | 'S' length bytes | 'C' byte | array | object
 *     number    = 'i' int8 | 'U' uint8 | 'I' int16 | 'l' int32 | 'L' int64 | 'd' float | 'D' double
 *     array     = '[' { value } ']'  |  '[' '#' length { value }  |  '[' '$' type '#' length bytes
 *     object    = '{' { key value } '}'  |  '{' '#' length { key value }
 *     key       = length bytes
 *     length    = an integer number, marker included; not negative
 *
 * All numbers are big-endian. 'N' (no operation) may stand before any value. XGBoost writes
 * every length as 'L', objects without a count and arrays with one.
 */
#include "runtime/ubjson.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"

/* A container that is being filled. */
struct frame {
    struct ubjson_value *container;
    struct ubjson_value *last; /* child, NULL at first */
    bool is_counted;
    uint64_t left; /* children still to come when counted */
};

struct reader {
    const unsigned char *begin, *at, *end;
    struct arena *arena;
    struct err *err;
    struct frame stack[UBJSON_DEPTH_MAX];
    int depth;
    int value_count;
};

static size_t offset_of(const struct reader *r)
{
    return (size_t)(r->at - r->begin);
}

static enum err_code truncated(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_INVALID, "UBJSON ends at byte %zu inside %s", offset_of(r), what);
}

size_t ubjson_number_bytes(char marker)
{
    switch (marker) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static int64_t integer_at(char marker, const unsigned char *p)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (marker) {
    case 'i':
        return (int8_t)p[0];
    case 'U':
        return p[0];
    case 'I':
        memcpy(&u16, p, sizeof(u16));
        return (int16_t)be16toh(u16);
    case 'l':
        memcpy(&u32, p, sizeof(u32));
        return (int32_t)be32toh(u32);
    default:
        assert(marker == 'L');
        memcpy(&u64, p, sizeof(u64));
        return (int64_t)be64toh(u64);
    }
}

double ubjson_number(char marker, const unsigned char *p)
{
    if (marker == 'd') {
        uint32_t bits;
        float value;
        memcpy(&bits, p, sizeof(bits));
        bits = be32toh(bits);
        memcpy(&value, &bits, sizeof(value));
        return value;
    }
    if (marker == 'D') {
        uint64_t bits;
        double value;
        memcpy(&bits, p, sizeof(bits));
        bits = be64toh(bits);
        memcpy(&value, &bits, sizeof(value));
        return value;
    }
    return (double)integer_at(marker, p);
}

static bool is_integer_marker(char marker)
{
    return marker == 'i' || marker == 'U' || marker == 'I' || marker == 'l' || marker == 'L';
}

static enum err_code take_marker(struct reader *r, const char *what, char *marker)
{
    while (r->at < r->end && *r->at == 'N')
        r->at++;
    if (r->at == r->end)
        return truncated(r, what);
    *marker = (char)*r->at++;
    return ERR_OK;
}

/* A length is at most the bytes left, since what it counts takes a byte or more each. */
static enum err_code take_length(struct reader *r, const char *what, size_t *length)
{
    char marker = 0;
    enum err_code rc = take_marker(r, what, &marker);
    if (rc)
        return rc;
    size_t bytes = ubjson_number_bytes(marker);
    if (!is_integer_marker(marker))
        return err_set(r->err, ERR_INVALID,
                       "UBJSON at byte %zu: the length of %s is not an integer", offset_of(r) - 1,
                       what);
    if ((size_t)(r->end - r->at) < bytes)
        return truncated(r, what);
    int64_t value = integer_at(marker, r->at);
    r->at += bytes;
    if (value < 0 || value > r->end - r->at)
        return err_set(r->err, ERR_INVALID,
                       "UBJSON at byte %zu: %s claims length %lld, %lld bytes are left",
                       offset_of(r), what, (long long)value, (long long)(r->end - r->at));
    *length = (size_t)value;
    return ERR_OK;
}

static enum err_code take_text(struct reader *r, const char *what, struct str *text)
{
    size_t length = 0;
    enum err_code rc = take_length(r, what, &length);
    if (rc)
        return rc;
    *text = (struct str){(const char *)r->at, length};
    r->at += length;
    return ERR_OK;
}

static enum err_code take_number(struct reader *r, char marker, struct ubjson_value *value)
{
    size_t bytes = ubjson_number_bytes(marker);
    if ((size_t)(r->end - r->at) < bytes)
        return truncated(r, "a number");
    if (is_integer_marker(marker)) {
        value->kind = UBJSON_INTEGER;
        value->integer = integer_at(marker, r->at);
    } else {
        value->kind = UBJSON_REAL;
        value->real = ubjson_number(marker, r->at);
    }
    r->at += bytes;
    return ERR_OK;
}

static enum err_code take_packed(struct reader *r, struct ubjson_value *value)
{
    char marker = 0, sharp = 0;
    enum err_code rc = take_marker(r, "an array", &marker);
    if (!rc)
        rc = take_marker(r, "an array", &sharp);
    if (rc)
        return rc;
    size_t width = ubjson_number_bytes(marker), count = 0;
    if (width == 0 || sharp != '#')
        return err_set(r->err, ERR_UNSUPPORTED,
                       "UBJSON at byte %zu: a typed array that is not a counted array of numbers",
                       offset_of(r));
    rc = take_length(r, "an array", &count);
    if (rc)
        return rc;
    if (count > (size_t)(r->end - r->at) / width)
        return truncated(r, "an array of numbers");
    value->kind = UBJSON_PACKED;
    value->marker = marker;
    value->count = count;
    value->packed = r->at;
    r->at += count * width;
    return ERR_OK;
}

/* Open an array or object, or read a packed array whole. */
static enum err_code take_container(struct reader *r, enum ubjson_kind kind,
                                    struct ubjson_value *value)
{
    struct frame frame = {.container = value};
    if (r->at < r->end && *r->at == '$' && kind == UBJSON_ARRAY) {
        r->at++;
        return take_packed(r, value);
    }
    if (r->at < r->end && *r->at == '#') {
        size_t count = 0;
        r->at++;
        enum err_code rc = take_length(r, "a container", &count);
        if (rc)
            return rc;
        frame.is_counted = true;
        frame.left = count;
    }
    if (r->depth == UBJSON_DEPTH_MAX)
        return err_set(r->err, ERR_LIMIT, "UBJSON at byte %zu: deeper than %d containers",
                       offset_of(r), UBJSON_DEPTH_MAX);
    value->kind = kind;
    value->first = NULL;
    r->stack[r->depth++] = frame;
    return ERR_OK;
}

static enum err_code take_value(struct reader *r, char marker, struct ubjson_value *value)
{
    switch (marker) {
    case 'Z':
        value->kind = UBJSON_NULL;
        return ERR_OK;
    case 'T':
    case 'F':
        value->kind = UBJSON_BOOL;
        value->integer = marker == 'T';
        return ERR_OK;
    case 'S':
        value->kind = UBJSON_TEXT;
        return take_text(r, "a text", &value->text);
    case 'C':
        if (r->at == r->end)
            return truncated(r, "a character");
        value->kind = UBJSON_TEXT;
        value->text = (struct str){(const char *)r->at++, 1};
        return ERR_OK;
    case '[':
        return take_container(r, UBJSON_ARRAY, value);
    case '{':
        return take_container(r, UBJSON_OBJECT, value);
    default:
        if (ubjson_number_bytes(marker))
            return take_number(r, marker, value);
        return err_set(r->err, ERR_INVALID, "UBJSON at byte %zu: 0x%02x is not a value's marker",
                       offset_of(r) - 1, (unsigned char)marker);
    }
}

/* True when the innermost container ends here. */
static enum err_code at_close(struct reader *r, bool *is_closed)
{
    struct frame *f = &r->stack[r->depth - 1];
    *is_closed = f->is_counted && f->left == 0;
    if (f->is_counted)
        return ERR_OK;
    while (r->at < r->end && *r->at == 'N')
        r->at++;
    if (r->at == r->end)
        return truncated(r, "a container");
    *is_closed = *r->at == (f->container->kind == UBJSON_OBJECT ? '}' : ']');
    r->at += *is_closed;
    return ERR_OK;
}

static enum err_code take_child(struct reader *r)
{
    struct frame *f = &r->stack[r->depth - 1];
    struct ubjson_value *child = NULL;
    enum err_code rc = ERR_OK;
    char marker = 0;
    if (r->value_count++ < UBJSON_VALUES_MAX)
        child = arena_calloc(r->arena, 1, sizeof(*child));
    if (!child)
        return err_set(r->err, ERR_LIMIT, "UBJSON at byte %zu: the file has too many values",
                       offset_of(r));
    if (f->container->kind == UBJSON_OBJECT)
        rc = take_text(r, "a key", &child->key);
    if (!rc)
        rc = take_marker(r, "a container", &marker);
    if (rc)
        return rc;
    if (f->last)
        f->last->next = child;
    else
        f->container->first = child;
    f->last = child;
    f->container->count++;
    f->left -= f->is_counted;
    return take_value(r, marker, child);
}

enum err_code ubjson_read(const void *bytes, size_t size, struct arena *arena,
                          const struct ubjson_value **root, struct err *err)
{
    struct reader r = {.begin = bytes, .at = bytes, .arena = arena, .err = err};
    struct ubjson_value *top = arena_calloc(arena, 1, sizeof(*top));
    bool is_closed = false;
    char marker = 0;
    if (!top)
        return err_set(err, ERR_LIMIT, "no room to read UBJSON");
    r.end = r.begin + size;
    enum err_code rc = take_marker(&r, "the document", &marker);
    if (!rc)
        rc = take_value(&r, marker, top);
    while (!rc && r.depth > 0) {
        rc = at_close(&r, &is_closed);
        if (rc)
            break;
        if (is_closed)
            r.depth--;
        else
            rc = take_child(&r);
    }
    if (rc)
        return rc;
    if (r.at != r.end)
        return err_set(err, ERR_INVALID, "UBJSON ends at byte %zu, but the file has %zu bytes",
                       offset_of(&r), size);
    *root = top;
    return ERR_OK;
}

const struct ubjson_value *ubjson_find(const struct ubjson_value *object, const char *key)
{
    if (object->kind != UBJSON_OBJECT)
        return NULL;
    for (const struct ubjson_value *v = object->first; v; v = v->next)
        if (str_equal_c(v->key, key))
            return v;
    return NULL;
}
