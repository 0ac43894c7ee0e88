/* place.c - reading members of a document's objects, with errors that name the spot. */
#include "contract/place.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/nearest.h"

size_t place_push(struct place *place, const char *fmt, ...)
{
    size_t mark = place->len;
    size_t room = sizeof(place->path) - place->len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(place->path + place->len, room, fmt, args);
    va_end(args);
    place->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    return mark;
}

void place_pop(struct place *place, size_t mark)
{
    place->len = mark;
    place->path[mark] = '\0';
}

enum err_code place_fail(struct place *place, const char *fmt, ...)
{
    char message[ERR_MSG_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    return err_set(place->err, ERR_INVALID, "%s: %s", place->len ? place->path : "the document",
                   message);
}

enum err_code place_fail_at(struct place *place, const char *key, const char *fmt, ...)
{
    char message[ERR_MSG_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    size_t mark = place_push(place, "%s%s", place->len ? "." : "", key);
    enum err_code code = place_fail(place, "%s", message);
    place_pop(place, mark);
    return code;
}

enum err_code place_full(struct place *place)
{
    return err_set(place->err, ERR_LIMIT, "%s: the contract needs more memory than is allowed",
                   place->len ? place->path : "the document");
}

enum { DESCRIBE_BYTES_MAX = 64 };

const char *place_describe(struct place *place, yyjson_val *value)
{
    char *text = NULL;
    if (yyjson_is_str(value)) {
        struct str s = json_str(value);
        if (s.len > DESCRIBE_BYTES_MAX)
            s.len = DESCRIBE_BYTES_MAX;
        text = arena_printf(place->arena, "the text '%.*s'", STR_ARG(s));
    } else if (yyjson_is_int(value) || yyjson_is_real(value)) {
        text = arena_printf(place->arena, "the number %.15g", yyjson_get_num(value));
    } else {
        return yyjson_is_null(value)   ? "nothing"
               : yyjson_is_bool(value) ? (yyjson_get_bool(value) ? "true" : "false")
               : yyjson_is_arr(value)  ? "a list"
                                       : "an object";
    }
    return text ? text : "something else";
}

/* The member unless it is absent or null. */
static yyjson_val *member(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return value && !yyjson_is_null(value) ? value : NULL;
}

static enum err_code wrong_type(struct place *place, const char *key, const char *expected,
                                yyjson_val *got)
{
    return place_fail_at(place, key, "expected %s, got %s", expected, place_describe(place, got));
}

enum err_code place_text(struct place *place, yyjson_val *object, const char *key, const char **out)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_str(value)) {
        enum err_code code = wrong_type(place, key, "text", value);
        if (!yyjson_is_ctn(value))
            err_hint(place->err, "put it in quotes");
        return code;
    }
    struct str s = json_str(value);
    if (s.len && memchr(s.ptr, '\0', s.len))
        return place_fail_at(place, key, "text with a NUL character is not allowed");
    char *copy = arena_copy(place->arena, s.ptr, s.len);
    if (!copy)
        return place_full(place);
    *out = copy;
    return ERR_OK;
}

enum err_code place_number(struct place *place, yyjson_val *object, const char *key, double *out,
                           bool *is_there)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_num(value))
        return wrong_type(place, key, "a number", value);
    *out = yyjson_get_num(value);
    if (is_there)
        *is_there = true;
    return ERR_OK;
}

enum err_code place_bool(struct place *place, yyjson_val *object, const char *key, bool *out)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_bool(value))
        return wrong_type(place, key, "true or false", value);
    *out = yyjson_get_bool(value);
    return ERR_OK;
}

enum err_code place_object(struct place *place, yyjson_val *object, const char *key,
                           yyjson_val **out)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_obj(value))
        return wrong_type(place, key, "an object", value);
    *out = value;
    return ERR_OK;
}

enum err_code place_array(struct place *place, yyjson_val *object, const char *key,
                          yyjson_val **out)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_arr(value))
        return wrong_type(place, key, "a list", value);
    *out = value;
    return ERR_OK;
}

/* "number, integer or boolean"; cut when too long. */
static void join_names(const char *const *names, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; names[i] && len < size; i++) {
        const char *glue = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        int n = snprintf(out + len, size - len, "%s%s", glue, names[i]);
        len += n < 0 ? 0 : (size_t)n;
    }
}

static size_t count_names(const char *const *names)
{
    size_t count = 0;
    while (names[count])
        count++;
    return count;
}

enum err_code place_choice(struct place *place, yyjson_val *object, const char *key,
                           const char *const *names, int *out)
{
    char list[ERR_MSG_BYTES / 2];
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    for (int i = 0; names[i]; i++) {
        if (yyjson_is_str(value) && str_equal_c(json_str(value), names[i])) {
            *out = i;
            return ERR_OK;
        }
    }
    join_names(names, list, sizeof(list));
    return wrong_type(place, key, list, value);
}

static bool is_listed(const char *const *names, struct str key)
{
    for (size_t i = 0; names[i]; i++)
        if (str_equal_c(key, names[i]))
            return true;
    return false;
}

enum err_code place_check_keys(struct place *place, yyjson_val *object, const char *const *keys)
{
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        (void)value;
        struct str name = json_str(key);
        if (is_listed(keys, name))
            continue;
        if (name.len > DESCRIBE_BYTES_MAX)
            name.len = DESCRIBE_BYTES_MAX;
        enum err_code code = place_fail(place, "unknown key '%.*s'", STR_ARG(name));
        size_t near = nearest_name(name, keys, count_names(keys));
        if (keys[near])
            err_hint(place->err, "did you mean '%s'?", keys[near]);
        return code;
    }
    return ERR_OK;
}
