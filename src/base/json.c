/* json.c - yyjson on arena memory, with limits on depth and on duplicate keys.
 *
 * Every value except the root follows a ',', ':', '[' or '{', so counting these bytes bounds the
 * number of values before parsing (text inside strings only makes the bound looser). The bound
 * sizes the value array once; the count of openers bounds the depth, and only a document with more
 * openers than JSON_DEPTH_MAX is walked to see how deep it really is.
 *
 * A yyjson document is a flat array in reading order. A container knows where it ends, so a walk
 * keeps a stack of ends, and nothing here recurses.
 */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"

enum { YYJSON_PADDING_BYTES = 4 };

struct token_count {
    size_t openers, separators;
};

/* Written for the compiler to vectorise: sums of 0 and 1 in bytes, emptied before they overflow. */
static struct token_count count_tokens(struct str bytes)
{
    struct token_count count = {0, 0};
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    for (size_t left = bytes.len; left > 0;) {
        size_t size = left < 255 ? left : 255;
        unsigned char openers = 0, separators = 0;
        for (size_t i = 0; i < size; i++) {
            openers = (unsigned char)(openers + (p[i] == '[' || p[i] == '{'));
            separators = (unsigned char)(separators + (p[i] == ',' || p[i] == ':'));
        }
        count.openers += openers;
        count.separators += separators;
        p += size;
        left -= size;
    }
    return count;
}

/* yyjson's allocator on an arena. The first block has room for every value the text can hold, so
 * growing it is free; nothing is given back before the arena is. Where so much does not fit (a long
 * text full of commas has few values), yyjson's own smaller wish is tried. */
struct arena_allocator {
    struct arena *arena;
    size_t reserve;    /* bytes for the first block */
    void *first;       /* that block */
    bool is_exhausted; /* the arena refused */
};

static void *allocate_first(struct arena_allocator *a, size_t size)
{
    a->reserve = size < a->reserve ? a->reserve : size;
    a->first = arena_alloc(a->arena, a->reserve);
    if (!a->first && size < a->reserve) {
        a->reserve = size;
        a->first = arena_alloc(a->arena, size);
    }
    return a->first;
}

static void *allocate(void *ctx, size_t size)
{
    struct arena_allocator *a = ctx;
    void *p = a->first ? arena_alloc(a->arena, size) : allocate_first(a, size);
    a->is_exhausted = a->is_exhausted || !p;
    return p;
}

static void *reallocate(void *ctx, void *old, size_t old_size, size_t size)
{
    struct arena_allocator *a = ctx;
    if (old == a->first && size <= a->reserve)
        return old;
    void *p = allocate(ctx, size);
    if (p && old)
        memcpy(p, old, old_size < size ? old_size : size);
    return p;
}

static void free_nothing(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

static enum err_code refuse_empty(struct err *err)
{
    return err_set(err, ERR_INVALID, "empty where JSON is expected");
}

static bool is_nan_or_infinity(struct str at)
{
    struct str word = {at.ptr, at.len < 3 ? at.len : 3};
    return str_equal_nocase(word, STR_LIT("nan")) || str_equal_nocase(word, STR_LIT("inf"));
}

/* yyjson stops behind the minus of -Infinity; the number begins before it. */
static enum err_code refuse_nan_or_infinity(struct str bytes, size_t offset, struct err *err)
{
    offset -= offset > 0 && bytes.ptr[offset - 1] == '-';
    err_set(err, ERR_INVALID, "NaN and Infinity are not JSON (byte %zu)", offset);
    return err_hint(err, "send null where a value is missing");
}

/* yyjson's reason in our words. (Its codes are variables, so they are no case labels.) */
static const char *reason_of(yyjson_read_code code)
{
    if (code == YYJSON_READ_ERROR_UNEXPECTED_CONTENT)
        return "something follows the JSON value";
    if (code == YYJSON_READ_ERROR_UNEXPECTED_END)
        return "the JSON text ends before it is complete,";
    if (code == YYJSON_READ_ERROR_INVALID_NUMBER)
        return "malformed or too large number";
    if (code == YYJSON_READ_ERROR_INVALID_STRING)
        return "malformed text (bad escape, control byte or not UTF-8)";
    if (code == YYJSON_READ_ERROR_LITERAL)
        return "unknown word (true, false and null are the only ones)";
    return "not JSON: unexpected character";
}

/* Offsets count from 0. */
static enum err_code refuse_syntax(struct str bytes, const yyjson_read_err *why, struct err *err)
{
    size_t offset = why->pos < bytes.len ? why->pos : bytes.len;
    struct str at = {bytes.ptr + offset, bytes.len - offset};
    if (is_nan_or_infinity(at))
        return refuse_nan_or_infinity(bytes, offset, err);
    if (why->code == YYJSON_READ_ERROR_EMPTY_CONTENT)
        return refuse_empty(err);
    return err_set(err, ERR_INVALID, "%s at byte %zu", reason_of(why->code), offset);
}

static enum err_code refuse_depth(struct err *err)
{
    return err_set(err, ERR_LIMIT, "JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
}

static enum err_code check_depth(yyjson_val *root, size_t values, struct err *err)
{
    const yyjson_val *ends[JSON_DEPTH_MAX]; /* [depth] where each open container ends */
    int depth = 0;
    const yyjson_val *end = root + values;
    for (yyjson_val *v = root; v < end; v++) {
        if (!unsafe_yyjson_is_ctn(v))
            continue;
        while (depth > 0 && v >= ends[depth - 1])
            depth--;
        if (depth == JSON_DEPTH_MAX)
            return refuse_depth(err);
        ends[depth++] = unsafe_yyjson_get_next(v);
    }
    return ERR_OK;
}

static enum err_code read_with(struct str bytes, yyjson_read_flag flags, struct arena *arena,
                               yyjson_val **root, struct err *err)
{
    struct token_count count = count_tokens(bytes);
    size_t values = count.openers + count.separators + 1;
    /* yyjson grows by half, and puts its document in front of the values. */
    struct arena_allocator a = {.arena = arena,
                                .reserve = (values + values / 2 + 16) * sizeof(yyjson_val)};
    yyjson_alc alc = {allocate, reallocate, free_nothing, &a};
    yyjson_read_err why = {0};
    if (bytes.len == 0)
        return refuse_empty(err);
    char *copy = arena_alloc(arena, bytes.len + YYJSON_PADDING_BYTES);
    if (!copy)
        return err_set(err, ERR_LIMIT, "no room to read %zu bytes of JSON", bytes.len);
    memcpy(copy, bytes.ptr, bytes.len);
    memset(copy + bytes.len, 0, YYJSON_PADDING_BYTES);
    yyjson_doc *doc = yyjson_read_opts(copy, bytes.len, YYJSON_READ_INSITU | flags, &alc, &why);
    if (a.is_exhausted)
        return err_set(err, ERR_LIMIT, "no room to read %zu bytes of JSON", bytes.len);
    if (!doc)
        return refuse_syntax(bytes, &why, err);
    yyjson_val *top = yyjson_doc_get_root(doc);
    if (count.openers > JSON_DEPTH_MAX && check_depth(top, yyjson_doc_get_val_count(doc), err))
        return err->code;
    *root = top;
    return ERR_OK;
}

enum err_code json_read(struct str bytes, struct arena *arena, yyjson_val **root, struct err *err)
{
    return read_with(bytes, 0, arena, root, err);
}

enum err_code json_read_numbers(struct str bytes, struct arena *arena, yyjson_val **root,
                                struct err *err)
{
    return read_with(bytes, YYJSON_READ_ALLOW_INF_AND_NAN, arena, root, err);
}

/* Small objects are compared pair by pair; larger ones through a hash map. */
enum { KEYS_BY_PAIRS_MAX = 16 };

static enum err_code refuse_duplicate(yyjson_val *key, struct err *err)
{
    struct str text = json_str(key);
    return err_set(err, ERR_INVALID, "key \"%.*s\" occurs twice in one object",
                   (int)(text.len < 100 ? text.len : 100), text.ptr);
}

static yyjson_val *find_duplicate_in_large(yyjson_val *object)
{
    struct map seen;
    size_t i, count;
    yyjson_val *key, *value, *duplicate = NULL;
    map_init(&seen);
    yyjson_obj_foreach(object, i, count, key, value)
    {
        if (map_find(&seen, json_str(key))) {
            duplicate = key;
            break;
        }
        map_put(&seen, json_str(key), key);
    }
    map_done(&seen);
    return duplicate;
}

static yyjson_val *find_duplicate_in_small(yyjson_val *object)
{
    struct str seen[KEYS_BY_PAIRS_MAX];
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        seen[i] = json_str(key);
        for (size_t j = 0; j < i; j++) {
            if (str_equal(seen[i], seen[j]))
                return key;
        }
    }
    return NULL;
}

enum err_code json_read_strict(struct str bytes, struct arena *arena, yyjson_val **root,
                               struct err *err)
{
    yyjson_val *top = NULL;
    if (json_read(bytes, arena, &top, err))
        return err->code;
    const yyjson_val *end = yyjson_is_ctn(top) ? unsafe_yyjson_get_next(top) : top + 1;
    for (yyjson_val *v = top; v < end; v++) {
        if (!yyjson_is_obj(v))
            continue;
        yyjson_val *duplicate = yyjson_obj_size(v) <= KEYS_BY_PAIRS_MAX
                                    ? find_duplicate_in_small(v)
                                    : find_duplicate_in_large(v);
        if (duplicate)
            return refuse_duplicate(duplicate, err);
    }
    *root = top;
    return ERR_OK;
}

/* The member's value; NULL when it is absent or null. */
static yyjson_val *member(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return yyjson_is_null(value) ? NULL : value;
}

static enum err_code refuse_absent(const char *what, const char *key, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s has no \"%s\"", what, key);
}

static enum err_code refuse_type(const char *what, const char *key, const char *expected,
                                 yyjson_val *value, struct err *err)
{
    return err_set(err, ERR_INVALID, "\"%s\" of %s must be %s, not %s", key, what, expected,
                   yyjson_get_type_desc(value));
}

enum err_code json_get_str_opt(yyjson_val *object, const char *what, const char *key,
                               struct str *out, struct err *err)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_str(value))
        return refuse_type(what, key, "text", value, err);
    if (memchr(yyjson_get_str(value), '\0', yyjson_get_len(value)))
        return err_set(err, ERR_INVALID, "\"%s\" of %s has a NUL character", key, what);
    *out = json_str(value);
    return ERR_OK;
}

enum err_code json_get_str(yyjson_val *object, const char *what, const char *key, struct str *out,
                           struct err *err)
{
    if (!member(object, key))
        return refuse_absent(what, key, err);
    return json_get_str_opt(object, what, key, out, err);
}

enum err_code json_get_i64_opt(yyjson_val *object, const char *what, const char *key, int64_t *out,
                               struct err *err)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_int(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX))
        return refuse_type(what, key, "a whole number of 64 bits", value, err);
    *out = yyjson_get_sint(value);
    return ERR_OK;
}

enum err_code json_get_i64(yyjson_val *object, const char *what, const char *key, int64_t *out,
                           struct err *err)
{
    if (!member(object, key))
        return refuse_absent(what, key, err);
    return json_get_i64_opt(object, what, key, out, err);
}

enum err_code json_get_bool_opt(yyjson_val *object, const char *what, const char *key, bool *out,
                                struct err *err)
{
    yyjson_val *value = member(object, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_bool(value))
        return refuse_type(what, key, "true or false", value, err);
    *out = yyjson_get_bool(value);
    return ERR_OK;
}

static bool is_listed(struct str key, const char *const *keys)
{
    while (*keys && !str_equal_c(key, *keys))
        keys++;
    return *keys != NULL;
}

/* "it may have a, b, c", with as many as there is room for. */
static enum err_code hint_keys(const char *const *keys, struct err *err)
{
    char names[ERR_HINT_BYTES - 32] = "";
    size_t used = 0;
    for (; *keys; keys++) {
        size_t room = sizeof(names) - used;
        int wrote = snprintf(names + used, room, "%s%s", used ? ", " : "", *keys);
        if ((size_t)wrote + sizeof(", ...") > room) {
            snprintf(names + used, room, ", ...");
            break;
        }
        used += (size_t)wrote;
    }
    return err_hint(err, "it may have %s", names);
}

enum err_code json_check_keys(yyjson_val *object, const char *what, const char *const *keys,
                              struct err *err)
{
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct str text = json_str(key);
        if (!is_listed(text, keys)) {
            err_set(err, ERR_INVALID, "%s has an unknown member \"%.*s\"", what,
                    (int)(text.len < 100 ? text.len : 100), text.ptr);
            return hint_keys(keys, err);
        }
    }
    return ERR_OK;
}

void json_write(struct buf *buf, yyjson_val *value)
{
    /* Trees built by hand may hold what a parsed one cannot; writing them must not fail. */
    const yyjson_write_flag flags =
        YYJSON_WRITE_INF_AND_NAN_AS_NULL | YYJSON_WRITE_ALLOW_INVALID_UNICODE;
    size_t len = 0;
    char *text = yyjson_val_write(value, flags, &len);
    if (!text)
        abort();
    buf_append(buf, text, len);
    free(text);
}

static void begin_value(struct json_writer *w)
{
    if (w->needs_comma)
        buf_char(w->out, ',');
    w->needs_comma = true;
}

static void begin_container(struct json_writer *w, char opener)
{
    begin_value(w);
    buf_char(w->out, opener);
    w->needs_comma = false;
}

static void end_container(struct json_writer *w, char closer)
{
    buf_char(w->out, closer);
    w->needs_comma = true;
}

void json_begin_object(struct json_writer *w)
{
    begin_container(w, '{');
}

void json_end_object(struct json_writer *w)
{
    end_container(w, '}');
}

void json_begin_array(struct json_writer *w)
{
    begin_container(w, '[');
}

void json_end_array(struct json_writer *w)
{
    end_container(w, ']');
}

void json_key(struct json_writer *w, const char *key)
{
    json_key_str(w, str_of(key));
}

void json_key_str(struct json_writer *w, struct str key)
{
    begin_value(w);
    buf_json_str(w->out, key);
    buf_char(w->out, ':');
    w->needs_comma = false;
}

void json_put_str(struct json_writer *w, struct str value)
{
    begin_value(w);
    buf_json_str(w->out, value);
}

void json_put_text(struct json_writer *w, const char *value)
{
    if (value)
        json_put_str(w, str_of(value));
    else
        json_put_null(w);
}

void json_put_i64(struct json_writer *w, int64_t value)
{
    begin_value(w);
    buf_i64(w->out, value);
}

void json_put_u64(struct json_writer *w, uint64_t value)
{
    begin_value(w);
    buf_u64(w->out, value);
}

void json_put_f64(struct json_writer *w, double value)
{
    begin_value(w);
    buf_f64(w->out, value);
}

void json_put_f32(struct json_writer *w, float value)
{
    begin_value(w);
    buf_f32(w->out, value);
}

void json_put_bool(struct json_writer *w, bool value)
{
    json_put_raw(w, value ? STR_LIT("true") : STR_LIT("false"));
}

void json_put_null(struct json_writer *w)
{
    json_put_raw(w, STR_LIT("null"));
}

void json_put_raw(struct json_writer *w, struct str json)
{
    begin_value(w);
    buf_str(w->out, json);
}

void json_put_value(struct json_writer *w, yyjson_val *value)
{
    begin_value(w);
    json_write(w->out, value);
}

void json_put_time(struct json_writer *w, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];
    json_put_text(w, clock_format(wall_us, text));
}

void json_member_text(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_put_text(w, value);
}

void json_member_i64(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_put_i64(w, value);
}

void json_member_u64(struct json_writer *w, const char *key, uint64_t value)
{
    json_key(w, key);
    json_put_u64(w, value);
}

void json_member_f64(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_put_f64(w, value);
}

void json_member_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_put_bool(w, value);
}

void json_member_time(struct json_writer *w, const char *key, int64_t wall_us)
{
    json_key(w, key);
    if (wall_us)
        json_put_time(w, wall_us);
    else
        json_put_null(w);
}
