/* document.c - JSON by yyjson and UBJSON by our own reader, behind one set of look-ups. */
#include "runtime/document.h"

#include <math.h>
#include <string.h>
#include <yyjson.h>

#include "base/check.h"
#include "runtime/ubjson.h"

static void free_json(void *doc)
{
    yyjson_doc_free(doc);
}

static enum err_code read_json(const void *bytes, size_t size, struct arena *arena,
                               struct document_value *root, struct err *err)
{
    yyjson_read_err failure;
    if (size > DOCUMENT_JSON_BYTES_MAX) {
        err_set(err, ERR_LIMIT, "the JSON has %zu bytes, the limit is %d", size,
                DOCUMENT_JSON_BYTES_MAX);
        return err_hint(err, "save it as UBJSON: Booster.save_model(\"model.ubj\")");
    }
    /* Without YYJSON_READ_INSITU the text is copied, never written. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)bytes, size,
                                       YYJSON_READ_ALLOW_INF_AND_NAN, NULL, &failure);
    if (!doc)
        return err_set(err, ERR_INVALID, "JSON at byte %zu: %s", failure.pos, failure.msg);
    if (arena_defer(arena, free_json, doc)) {
        yyjson_doc_free(doc);
        return err_set(err, ERR_LIMIT, "no room to read JSON");
    }
    root->json = yyjson_doc_get_root(doc);
    return ERR_OK;
}

/* After '{' JSON continues with white space, '"' or '}'. UBJSON continues with a length marker,
 * '#', '$', 'N' or '}'; "{}" is the same in both. */
static bool looks_like_ubjson(const unsigned char *bytes, size_t size)
{
    static const char markers[] = "iUIlL#$N";
    return size >= 2 && bytes[0] == '{' && bytes[1] && strchr(markers, bytes[1]);
}

enum err_code document_read(const void *bytes, size_t size, struct arena *arena,
                            struct document_value *root, struct err *err)
{
    struct document_value value = {0};
    enum err_code rc;
    if (looks_like_ubjson(bytes, size))
        rc = ubjson_read(bytes, size, arena, &value.ubjson, err);
    else
        rc = read_json(bytes, size, arena, &value, err);
    if (!rc)
        *root = value;
    return rc;
}

static enum document_kind kind_of_json(yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_NULL:
        return DOCUMENT_NULL;
    case YYJSON_TYPE_BOOL:
        return DOCUMENT_BOOL;
    case YYJSON_TYPE_NUM:
        return DOCUMENT_NUMBER;
    case YYJSON_TYPE_STR:
        return DOCUMENT_TEXT;
    case YYJSON_TYPE_ARR:
        return DOCUMENT_ARRAY;
    case YYJSON_TYPE_OBJ:
        return DOCUMENT_OBJECT;
    default:
        return DOCUMENT_ABSENT;
    }
}

enum document_kind document_kind(struct document_value value)
{
    static const enum document_kind kinds[] = {
        [UBJSON_NULL] = DOCUMENT_NULL,      [UBJSON_BOOL] = DOCUMENT_BOOL,
        [UBJSON_INTEGER] = DOCUMENT_NUMBER, [UBJSON_REAL] = DOCUMENT_NUMBER,
        [UBJSON_TEXT] = DOCUMENT_TEXT,      [UBJSON_ARRAY] = DOCUMENT_ARRAY,
        [UBJSON_PACKED] = DOCUMENT_ARRAY,   [UBJSON_OBJECT] = DOCUMENT_OBJECT,
    };
    if (value.json)
        return kind_of_json(value.json);
    return value.ubjson ? kinds[value.ubjson->kind] : DOCUMENT_ABSENT;
}

struct document_value document_find(struct document_value object, const char *key)
{
    struct document_value found = {0};
    if (object.json)
        found.json = yyjson_obj_get(object.json, key);
    else if (object.ubjson)
        found.ubjson = ubjson_find(object.ubjson, key);
    return found;
}

struct str document_text(struct document_value value)
{
    if (document_kind(value) != DOCUMENT_TEXT)
        return (struct str){0};
    if (value.json)
        return (struct str){yyjson_get_str(value.json), yyjson_get_len(value.json)};
    return value.ubjson->text;
}

bool document_number(struct document_value value, double *out)
{
    if (value.json) {
        if (yyjson_is_bool(value.json))
            *out = yyjson_get_bool(value.json);
        else if (yyjson_is_num(value.json))
            *out = yyjson_get_num(value.json);
        else
            return false;
        return true;
    }
    if (!value.ubjson)
        return false;
    if (value.ubjson->kind == UBJSON_REAL)
        *out = value.ubjson->real;
    else if (value.ubjson->kind == UBJSON_INTEGER || value.ubjson->kind == UBJSON_BOOL)
        *out = (double)value.ubjson->integer;
    else
        return false;
    return true;
}

size_t document_count(struct document_value array)
{
    if (array.json)
        return yyjson_arr_size(array.json);
    return document_kind(array) == DOCUMENT_ARRAY ? array.ubjson->count : 0;
}

struct document_value document_first(struct document_value array, struct document_walk *walk)
{
    struct document_value first = {0};
    walk->left = document_count(array);
    if (walk->left && array.json)
        first.json = yyjson_arr_get_first(array.json);
    else if (walk->left && array.ubjson->kind == UBJSON_ARRAY)
        first.ubjson = array.ubjson->first;
    return first;
}

struct document_value document_next(struct document_value value, struct document_walk *walk)
{
    struct document_value next = {0};
    if (walk->left <= 1)
        return next;
    walk->left--;
    if (value.json)
        next.json = unsafe_yyjson_get_next(value.json);
    else
        next.ubjson = value.ubjson->next;
    return next;
}

/* Calls put(to, i, number) for every element; stops at the first it refuses. */
typedef bool put_fn(void *to, size_t i, double number);

static bool each_packed(const struct ubjson_value *array, put_fn *put, void *to, size_t *i)
{
    size_t width = ubjson_number_bytes(array->marker);
    for (*i = 0; *i < array->count; ++*i)
        if (!put(to, *i, ubjson_number(array->marker, array->packed + *i * width)))
            return false;
    return true;
}

static bool each_number(struct document_value array, put_fn *put, void *to, size_t *i)
{
    struct document_walk walk;
    if (array.ubjson && array.ubjson->kind == UBJSON_PACKED)
        return each_packed(array.ubjson, put, to, i);
    *i = 0;
    for (struct document_value v = document_first(array, &walk); document_kind(v);
         v = document_next(v, &walk)) {
        double number;
        if (!document_number(v, &number) || !put(to, *i, number))
            return false;
        ++*i;
    }
    return true;
}

static bool put_float(void *to, size_t i, double number)
{
    ((float *)to)[i] = (float)number;
    return true;
}

static bool put_int(void *to, size_t i, double number)
{
    if (!(number >= INT32_MIN && number <= INT32_MAX) || number != trunc(number))
        return false;
    ((int32_t *)to)[i] = (int32_t)number;
    return true;
}

static enum err_code read_numbers(struct document_value array, const char *what, const char *noun,
                                  put_fn *put, struct arena *arena, const void **out, size_t *count,
                                  struct err *err)
{
    size_t n = document_count(array), i;
    if (document_kind(array) == DOCUMENT_ABSENT)
        return err_set(err, ERR_INVALID, "%s is missing", what);
    if (document_kind(array) != DOCUMENT_ARRAY)
        return err_set(err, ERR_INVALID, "%s is not an array", what);
    uint32_t *numbers = arena_calloc(arena, n, sizeof(*numbers));
    if (!numbers)
        return err_set(err, ERR_LIMIT, "no room for the %zu elements of %s", n, what);
    if (!each_number(array, put, numbers, &i))
        return err_set(err, ERR_INVALID, "%s: element %zu is not %s", what, i, noun);
    *out = numbers;
    *count = n;
    return ERR_OK;
}

enum err_code document_floats(struct document_value array, const char *what, struct arena *arena,
                              const float **out, size_t *count, struct err *err)
{
    const void *numbers = NULL;
    enum err_code rc =
        read_numbers(array, what, "a number", put_float, arena, &numbers, count, err);
    if (!rc)
        *out = numbers;
    return rc;
}

enum err_code document_ints(struct document_value array, const char *what, struct arena *arena,
                            const int32_t **out, size_t *count, struct err *err)
{
    const void *numbers = NULL;
    enum err_code rc =
        read_numbers(array, what, "a 32-bit integer", put_int, arena, &numbers, count, err);
    if (!rc)
        *out = numbers;
    return rc;
}
