/* option.c - the rows of options.def, and a value's text into the field of struct options. */
#include "base/option.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/option_value.h"

enum { LIST_ITEMS_MAX = 64 };

#define UNIT_NONE ""
#define UNIT_BYTES "bytes"
#define UNIT_MS "ms"
#define UNIT_COUNT ""
#define RELOADS_YES true
#define RELOADS_NO false

const struct option option_table[OPTION_COUNT] = {
#define OPTION(name, type, preset, min, max, unit, reload, help)                                   \
    {#name,                                                                                        \
     OPTION_##type,                                                                                \
     preset,                                                                                       \
     min,                                                                                          \
     max,                                                                                          \
     UNIT_##unit,                                                                                  \
     RELOADS_##reload,                                                                             \
     help,                                                                                         \
     offsetof(struct options, name)},
#include "options.def"
};

static const struct {
    const char *alias, *name;
} aliases[] = {
#define OPTION_ALIAS(alias, name) {#alias, #name},
#include "options.def"
};

static void *field(struct options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

static bool parse_bool(struct str text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    size_t i = 0;
    while (i < ARRAY_LEN(words) && !str_equal_nocase(text, str_of(words[i])))
        i++;
    *value = i % 2 != 0;
    return i < ARRAY_LEN(words);
}

/* Milliseconds; the suffix says otherwise. */
static bool parse_duration(struct str text, int64_t *value)
{
    static const struct {
        struct str suffix;
        int64_t ms;
    } units[] = {{STR_LIT("ms"), 1},      {STR_LIT("s"), 1000},     {STR_LIT("m"), 60000},
                 {STR_LIT("h"), 3600000}, {STR_LIT("d"), 86400000}, {STR_LIT(""), 1}};
    size_t i = 0;
    while (!str_ends_with(text, units[i].suffix))
        i++;
    text.len -= units[i].suffix.len;
    return str_to_i64(text, value) && !__builtin_mul_overflow(*value, units[i].ms, value);
}

/* A number of any type, as an int64 or (REAL) a double. */
struct number {
    int64_t whole;
    double real;
};

static bool parse_number(enum option_type type, struct str text, struct number *n)
{
    uint64_t size;
    switch (type) {
    case OPTION_INT:
        return str_to_i64(text, &n->whole);
    case OPTION_DURATION_MS:
        return parse_duration(text, &n->whole);
    case OPTION_SIZE:
        if (!str_to_size(text, &size) || size > INT64_MAX)
            return false;
        n->whole = (int64_t)size;
        return true;
    default:
        return str_to_f64(text, &n->real) && isfinite(n->real);
    }
}

static bool number_is_less(enum option_type type, struct number a, struct number b)
{
    return type == OPTION_REAL ? a.real < b.real : a.whole < b.whole;
}

static bool parse_bounded(const struct option *option, struct str text, struct number *n)
{
    struct number min = {0}, max = {0};
    bool ok = parse_number(option->type, str_of(option->min), &min) &&
              parse_number(option->type, str_of(option->max), &max);
    assert(ok); /* the row's own texts */
    return parse_number(option->type, text, n) && !number_is_less(option->type, *n, min) &&
           !number_is_less(option->type, max, *n);
}

static bool set_number(const struct option *option, struct str text, void *out)
{
    struct number n = {0};
    if (!parse_bounded(option, text, &n))
        return false;
    if (option->type == OPTION_SIZE)
        *(size_t *)out = (size_t)n.whole;
    else if (option->type == OPTION_REAL)
        *(double *)out = n.real;
    else
        *(int64_t *)out = n.whole;
    return true;
}

static bool set_choice(const struct option *option, struct str text, int *out)
{
    struct str rest = str_of(option->min), word;
    for (int i = 0; str_split(&rest, '|', &word); i++) {
        if (str_equal_nocase(word, text)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool is_within(const struct option *option, uint64_t count)
{
    uint64_t min = 0, max = 0;
    bool ok = str_to_u64(str_of(option->min), &min) && str_to_u64(str_of(option->max), &max);
    assert(ok);
    return count >= min && count <= max;
}

static bool has_control_bytes(struct str text)
{
    size_t i = 0;
    while (i < text.len && (unsigned char)text.ptr[i] >= 0x20 && text.ptr[i] != 0x7F)
        i++;
    return i < text.len;
}

static const char *keep(struct options *options, struct str text)
{
    const char *copy = arena_copy(options->arena, text.ptr, text.len);
    assert(copy); /* the arena is larger than all sources together */
    return copy;
}

static bool set_text(struct options *options, const struct option *option, struct str text,
                     const char **out)
{
    if (has_control_bytes(text) || !is_within(option, text.len))
        return false;
    *out = keep(options, text);
    return true;
}

/* The items of `text` behind those already in `items`; false when they are too many. */
static bool split_list(struct options *options, struct str text, const char **items, int *count)
{
    struct str rest = text, part;
    if (str_trim(text).len == 0)
        return true;
    while (str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.len == 0 || has_control_bytes(part) || *count == LIST_ITEMS_MAX)
            return false;
        items[(*count)++] = keep(options, part);
    }
    return true;
}

static bool set_list(struct options *options, const struct option *option, struct str text,
                     bool is_more, struct option_list *out)
{
    const char *items[LIST_ITEMS_MAX];
    int count = 0;
    for (; is_more && count < out->count; count++)
        items[count] = out->items[count];
    if (!split_list(options, text, items, &count) || !is_within(option, (uint64_t)count))
        return false;
    const char **kept = arena_alloc(options->arena, (size_t)count * sizeof(*kept));
    assert(kept);
    memcpy(kept, items, (size_t)count * sizeof(*kept));
    *out = (struct option_list){kept, count};
    return true;
}

static bool set_field(struct options *options, const struct option *option, struct str text,
                      enum option_source source)
{
    void *out = field(options, option);
    /* A list's flag may be given several times; a later source begins anew. */
    bool is_more = source == OPTION_BY_FLAG && options->source[option - option_table] == source;
    switch (option->type) {
    case OPTION_BOOL:
        return parse_bool(text, out);
    case OPTION_CHOICE:
        return set_choice(option, text, out);
    case OPTION_TEXT:
        return set_text(options, option, text, out);
    case OPTION_LIST:
        return set_list(options, option, text, is_more, out);
    default:
        return set_number(option, text, out);
    }
}

static enum err_code refuse_value(const struct option *option, struct str text,
                                  const struct option_place *place, struct err *err)
{
    struct buf expected;
    int shown = text.len < OPTION_SHOWN_BYTES_MAX ? (int)text.len : OPTION_SHOWN_BYTES_MAX;
    buf_init(&expected, ERR_MSG_BYTES);
    option_expected(option, &expected);
    err_set(err, ERR_INVALID, "%s: got '%.*s', expected %s", place->text, shown,
            shown ? text.ptr : "", buf_c(&expected));
    buf_done(&expected);
    return err_hint(err, "%s: %s", option->name, option->help);
}

enum err_code option_set(struct options *options, const struct option *option, struct str text,
                         const struct option_place *place, struct err *err)
{
    if (!set_field(options, option, text, place->source))
        return refuse_value(option, text, place, err);
    options->source[option - option_table] = place->source;
    return ERR_OK;
}

static bool is_same_name(struct str a, struct str b)
{
    bool same = a.len == b.len;
    for (size_t i = 0; same && i < a.len; i++)
        same = a.ptr[i] == b.ptr[i] || (a.ptr[i] == '-' && b.ptr[i] == '_');
    return same;
}

const struct option *option_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (is_same_name(name, str_of(aliases[i].alias)))
            name = str_of(aliases[i].name);
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (is_same_name(name, str_of(option_table[i].name)))
            return &option_table[i];
    }
    return NULL;
}

/* Far more than a command line, an environment and a file of CONFIG_BYTES_MAX can fill. */
enum { OPTIONS_MEMORY_MAX = 256 * 1024 * 1024 };

void options_init(struct options *options)
{
    static const struct option_place preset = {"default", OPTION_BY_DEFAULT};
    memset(options, 0, sizeof(*options));
    options->arena = arena_new(OPTIONS_MEMORY_MAX);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct err err;
        enum err_code code =
            option_set(options, &option_table[i], str_of(option_table[i].preset), &preset, &err);
        assert(code == ERR_OK); /* the row's own text */
    }
}

void options_done(struct options *options)
{
    arena_free(options->arena);
    memset(options, 0, sizeof(*options));
}

enum err_code options_check(const struct options *options, struct err *err)
{
    bool has_cert = options->tls_cert[0] != '\0', has_key = options->tls_key[0] != '\0';
    if (has_cert != has_key) {
        err_set(err, ERR_INVALID, "%s is set without %s", has_cert ? "tls_cert" : "tls_key",
                has_cert ? "tls_key" : "tls_cert");
        return err_hint(err, "TLS needs both, each the path of a PEM file");
    }
    if (options->tls_client_ca[0] && !has_cert) {
        err_set(err, ERR_INVALID, "tls_client_ca is set without tls_cert");
        return err_hint(err, "clients show certificates over TLS only: give --tls-cert, --tls-key");
    }
    if (options->tls_client_crl[0] && !options->tls_client_ca[0]) {
        err_set(err, ERR_INVALID, "tls_client_crl is set without tls_client_ca");
        return err_hint(err, "revoked is what one of the roots in tls_client_ca has issued");
    }
    return ERR_OK;
}
