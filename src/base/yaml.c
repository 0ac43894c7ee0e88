/* yaml.c - libyaml's events into a tree of values.
 *
 * Open containers stand on a stack of YAML_DEPTH_MAX frames. Values are gathered in a growing
 * yyjson document on the arena and copied once, at the end, into the flat form everybody reads.
 */
#include "base/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/check.h"
#include "base/map.h"

/* A container that has begun and not ended. */
struct frame {
    yyjson_mut_val *container;
    yyjson_mut_val *key; /* of a mapping: the key whose value comes next */
    struct map lines;    /* of a mapping: key -> line it stands on */
};

struct reader {
    yaml_parser_t parser;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root; /* NULL until the document has a value */
    struct frame frames[YAML_DEPTH_MAX];
    int depth, documents;
    size_t nodes;
    struct err *err;
};

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void *reallocate(void *arena, void *old, size_t old_size, size_t size)
{
    void *p = arena_alloc(arena, size);
    if (p && old)
        memcpy(p, old, old_size < size ? old_size : size);
    return p;
}

static void free_nothing(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

static enum err_code no_room(struct reader *r)
{
    return err_set(r->err, ERR_LIMIT, "no room for the values of this file");
}

/* "line 3, column 5: ..."; people count from 1. */
#define REFUSE(r, mark, fmt, ...)                                                                  \
    err_set((r)->err, ERR_INVALID, "line %zu, column %zu: " fmt, (mark).line + 1,                  \
            (mark).column + 1, __VA_ARGS__)

static bool is_one_of(struct str s, const char *const *words)
{
    while (*words && !str_equal_c(s, *words))
        words++;
    return *words != NULL;
}

static bool is_null(struct str s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(s, words);
}

static bool is_bool(struct str s, bool *value)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    *value = is_one_of(s, yes);
    return *value || is_one_of(s, no);
}

static struct str without_sign(struct str s)
{
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        s = (struct str){s.ptr + 1, s.len - 1};
    return s;
}

static bool is_digits(struct str s)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    return s.len > 0 && i == s.len;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* 0o17 (base 8), 0x1F (base 16) */
static bool is_based(struct str s, int base)
{
    bool has_prefix = s.len > 2 && s.ptr[0] == '0' && s.ptr[1] == (base == 8 ? 'o' : 'x');
    size_t i = 2;
    while (has_prefix && i < s.len && digit_of(s.ptr[i]) < base)
        i++;
    return has_prefix && i == s.len;
}

static bool to_based(struct str s, int base, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 2; i < s.len; i++) {
        if (__builtin_mul_overflow(value, (uint64_t)base, &value))
            return false;
        value += (uint64_t)digit_of(s.ptr[i]); /* fits: value is a multiple of base */
    }
    *out = value;
    return true;
}

/* [-+]? ( .5 | 5 | 5. | 5.5 ) ( [eE] [-+]? 5 )?, not too large for a double. */
static bool is_float(struct str s, double *value)
{
    struct str unsigned_part = without_sign(s);
    char first = unsigned_part.len ? unsigned_part.ptr[0] : '\0';
    return (first == '.' || digit_of(first) < 10) && str_to_f64(s, value);
}

static bool is_infinite_or_nan(struct str s)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    return is_one_of(without_sign(s), words);
}

static bool is_integer(struct str s)
{
    return is_digits(without_sign(s)) || is_based(s, 8) || is_based(s, 16);
}

static yyjson_mut_val *integer_value(struct reader *r, struct str s)
{
    uint64_t unsigned_value;
    int64_t value;
    struct str digits = s.ptr[0] == '+' ? without_sign(s) : s;
    if (is_based(s, 8) || is_based(s, 16))
        return to_based(s, s.ptr[1] == 'o' ? 8 : 16, &unsigned_value)
                   ? yyjson_mut_uint(r->doc, unsigned_value)
                   : NULL;
    if (str_to_u64(digits, &unsigned_value))
        return yyjson_mut_uint(r->doc, unsigned_value);
    return str_to_i64(digits, &value) ? yyjson_mut_sint(r->doc, value) : NULL;
}

/* A plain scalar by the core schema. */
static enum err_code plain_value(struct reader *r, struct str s, yaml_mark_t at,
                                 yyjson_mut_val **value)
{
    bool truth;
    double number;
    if (is_infinite_or_nan(s))
        return REFUSE(r, at, "'%.*s' is not a value here; leave it out or write null", STR_ARG(s));
    if (is_null(s)) {
        *value = yyjson_mut_null(r->doc);
    } else if (is_bool(s, &truth)) {
        *value = yyjson_mut_bool(r->doc, truth);
    } else if (is_integer(s)) {
        *value = integer_value(r, s);
        if (!*value)
            return REFUSE(r, at, "integer past 64 bits; put it in quotes if it is %s", "text");
    } else if (is_float(s, &number)) {
        *value = yyjson_mut_real(r->doc, number);
    } else {
        *value = yyjson_mut_strncpy(r->doc, s.ptr, s.len);
    }
    return *value ? ERR_OK : no_room(r);
}

static enum err_code scalar_value(struct reader *r, const yaml_event_t *event,
                                  yyjson_mut_val **value)
{
    struct str s = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return plain_value(r, s, event->start_mark, value);
    *value = yyjson_mut_strncpy(r->doc, s.ptr, s.len);
    return *value ? ERR_OK : no_room(r);
}

static struct frame *top_frame(struct reader *r)
{
    return r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
}

enum { KEY_SHOWN_BYTES = 100 };

static enum err_code take_key(struct reader *r, struct frame *f, yyjson_mut_val *key,
                              yaml_mark_t at)
{
    if (!yyjson_mut_is_str(key))
        return REFUSE(r, at, "a key must be text; put it in %s", "quotes");
    struct str text = {yyjson_mut_get_str(key), yyjson_mut_get_len(key)};
    uintptr_t line = (uintptr_t)map_find(&f->lines, text);
    if (line)
        return REFUSE(r, at, "key '%.*s' a second time; the first is on line %zu",
                      (int)(text.len < KEY_SHOWN_BYTES ? text.len : KEY_SHOWN_BYTES), text.ptr,
                      (size_t)line);
    map_put(&f->lines, text, (void *)(uintptr_t)(at.line + 1));
    f->key = key;
    return ERR_OK;
}

/* Where a new value belongs: the root, a list's end, a mapping's key or its value. */
static enum err_code place(struct reader *r, yyjson_mut_val *value, yaml_mark_t at)
{
    struct frame *f = top_frame(r);
    if (++r->nodes > YAML_NODES_MAX)
        return err_set(r->err, ERR_LIMIT, "more than %d values", YAML_NODES_MAX);
    if (!f) {
        r->root = value;
        return ERR_OK;
    }
    if (yyjson_mut_is_arr(f->container)) {
        yyjson_mut_arr_append(f->container, value);
        return ERR_OK;
    }
    if (!f->key)
        return take_key(r, f, value, at);
    yyjson_mut_obj_add(f->container, f->key, value);
    f->key = NULL;
    return ERR_OK;
}

static enum err_code begin_container(struct reader *r, yyjson_mut_val *container, yaml_mark_t at)
{
    if (!container)
        return no_room(r);
    if (r->depth == YAML_DEPTH_MAX)
        return err_set(r->err, ERR_LIMIT, "line %zu: nested deeper than %d levels", at.line + 1,
                       YAML_DEPTH_MAX);
    if (place(r, container, at))
        return r->err->code;
    struct frame *f = &r->frames[r->depth++];
    *f = (struct frame){.container = container};
    map_init(&f->lines);
    return ERR_OK;
}

static void end_container(struct reader *r)
{
    struct frame *f = top_frame(r);
    assert(f && !f->key);
    map_done(&f->lines);
    r->depth--;
}

static enum err_code check_tag_and_anchor(struct reader *r, const yaml_char_t *tag,
                                          const yaml_char_t *anchor, yaml_mark_t at)
{
    if (anchor)
        return REFUSE(r, at, "anchors and aliases are not read; %s", "repeat the value");
    if (tag)
        return REFUSE(r, at, "tags are not read; %s", "leave out the word that begins with '!'");
    return ERR_OK;
}

static enum err_code take_scalar(struct reader *r, const yaml_event_t *event)
{
    yyjson_mut_val *value = NULL;
    if (check_tag_and_anchor(r, event->data.scalar.tag, event->data.scalar.anchor,
                             event->start_mark) ||
        scalar_value(r, event, &value))
        return r->err->code;
    return place(r, value, event->start_mark);
}

static enum err_code take_list(struct reader *r, const yaml_event_t *event)
{
    if (check_tag_and_anchor(r, event->data.sequence_start.tag, event->data.sequence_start.anchor,
                             event->start_mark))
        return r->err->code;
    return begin_container(r, yyjson_mut_arr(r->doc), event->start_mark);
}

static enum err_code take_mapping(struct reader *r, const yaml_event_t *event)
{
    if (check_tag_and_anchor(r, event->data.mapping_start.tag, event->data.mapping_start.anchor,
                             event->start_mark))
        return r->err->code;
    return begin_container(r, yyjson_mut_obj(r->doc), event->start_mark);
}

static enum err_code take_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents++ > 0)
            return REFUSE(r, event->start_mark, "a second document begins; %s", "one is read");
        return ERR_OK;
    case YAML_ALIAS_EVENT:
        return check_tag_and_anchor(r, NULL, event->data.alias.anchor, event->start_mark);
    case YAML_SCALAR_EVENT:
        return take_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return take_list(r, event);
    case YAML_MAPPING_START_EVENT:
        return take_mapping(r, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        end_container(r);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err_code refuse_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "unreadable";
    if (p->error == YAML_MEMORY_ERROR)
        return no_room(r);
    if (p->error == YAML_READER_ERROR)
        return err_set(r->err, ERR_INVALID, "not YAML: %s at byte %zu", problem, p->problem_offset);
    return REFUSE(r, p->problem_mark, "not YAML: %s%s%s", problem, p->context ? " " : "",
                  p->context ? p->context : "");
}

static enum err_code read_events(struct reader *r)
{
    enum err_code code = ERR_OK;
    bool at_end = false;
    while (!at_end && code == ERR_OK) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event))
            return refuse_syntax(r);
        at_end = event.type == YAML_STREAM_END_EVENT;
        code = take_event(r, &event);
        yaml_event_delete(&event);
    }
    return code;
}

static enum err_code finish(struct reader *r, const yyjson_alc *alc, yyjson_val **root)
{
    if (!r->root)
        return err_set(r->err, ERR_INVALID, "empty where YAML is expected");
    yyjson_doc *flat = yyjson_mut_val_imut_copy(r->root, alc);
    if (!flat)
        return no_room(r);
    *root = yyjson_doc_get_root(flat);
    return ERR_OK;
}

/* A JSON text is read as JSON: libyaml does not know the surrogate pairs that JSON writers make of
 * emoji. What is not quite JSON (a flow mapping, a comma too many) is left to libyaml. */
static bool read_as_json(struct str bytes, struct arena *arena, yyjson_val **root)
{
    struct err ignored;
    size_t i = 0;
    while (i < bytes.len && strchr(" \t\r\n", bytes.ptr[i]))
        i++;
    bool looks_like_json = i < bytes.len && (bytes.ptr[i] == '{' || bytes.ptr[i] == '[');
    return looks_like_json && json_read_strict(bytes, arena, root, &ignored) == ERR_OK;
}

enum err_code yaml_read(struct str bytes, struct arena *arena, yyjson_val **root, struct err *err)
{
    yyjson_alc alc = {allocate, reallocate, free_nothing, arena};
    struct reader r = {.err = err};
    if (bytes.len > YAML_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "larger than %d bytes", YAML_BYTES_MAX);
    if (read_as_json(bytes, arena, root))
        return ERR_OK;
    r.doc = yyjson_mut_doc_new(&alc);
    if (!r.doc || !yaml_parser_initialize(&r.parser))
        return no_room(&r);
    /* Told the encoding, libyaml does not guess UTF-16 from the first bytes. */
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    const char *text = bytes.ptr ? bytes.ptr : ""; /* of an empty file there may be none */
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes.len);
    enum err_code code = read_events(&r);
    while (r.depth > 0)
        map_done(&r.frames[--r.depth].lines);
    yaml_parser_delete(&r.parser);
    return code ? code : finish(&r, &alc, root);
}
