/* option_source.c - the three places options come from: a YAML file, the environment, flags. */
#include "base/option.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/option_value.h"
#include "base/yaml.h"

enum { CONFIG_BYTES_MAX = 1024 * 1024, NAME_BYTES_MAX = 64 };

/* The option somebody probably meant; NULL when none is near. */
static const char *nearest_option(struct str name)
{
    const char *names[OPTION_COUNT];
    for (size_t i = 0; i < OPTION_COUNT; i++)
        names[i] = option_table[i].name;
    size_t i = nearest_name(name, names, OPTION_COUNT);
    return i < OPTION_COUNT ? names[i] : NULL;
}

/* The line on which a block-style file names the key, or 0: the tree does not keep lines. */
static size_t line_of_key(struct str file, struct str key)
{
    struct str rest = file, line;
    if (!file.ptr)
        return 0;
    for (size_t number = 1; str_split(&rest, '\n', &line); number++) {
        if (str_starts_with(line, key) && line.len > key.len &&
            (line.ptr[key.len] == ':' || line.ptr[key.len] == ' '))
            return number;
    }
    return 0;
}

static void place_in_file(struct option_place *place, const char *path, struct str file,
                          struct str key)
{
    size_t line = line_of_key(file, key);
    int shown = key.len < OPTION_SHOWN_BYTES_MAX ? (int)key.len : OPTION_SHOWN_BYTES_MAX;
    place->source = OPTION_BY_FILE;
    if (line)
        snprintf(place->text, sizeof(place->text), "%s line %zu: %.*s", path, line, shown, key.ptr);
    else
        snprintf(place->text, sizeof(place->text), "%s: %.*s", path, shown, key.ptr);
}

/* A scalar as the text that it would be elsewhere. */
static void scalar_text(yyjson_val *value, struct buf *out)
{
    if (yyjson_is_str(value))
        buf_str(out, json_str(value));
    else
        json_write(out, value);
}

/* A list's items with commas between them: an item has none, as in every other source. */
static void value_text(yyjson_val *value, struct buf *out)
{
    size_t i, count;
    yyjson_val *item;
    if (!yyjson_is_arr(value)) {
        scalar_text(value, out);
        return;
    }
    yyjson_arr_foreach(value, i, count, item)
    {
        if (i > 0)
            buf_char(out, ',');
        scalar_text(item, out);
    }
}

static bool is_scalar_or_list_of_them(yyjson_val *value)
{
    size_t i, count;
    yyjson_val *item;
    if (!yyjson_is_arr(value))
        return !yyjson_is_obj(value);
    yyjson_arr_foreach(value, i, count, item)
    {
        if (yyjson_is_ctn(item))
            return false;
    }
    return true;
}

static enum err_code set_from_file(struct options *options, yyjson_val *key, yyjson_val *value,
                                   struct option_place *place, struct err *err)
{
    const struct option *option = option_find(json_str(key));
    struct buf text;
    if (!option) {
        const char *near = nearest_option(json_str(key));
        err_set(err, ERR_INVALID, "%s: there is no such option", place->text);
        return near ? err_hint(err, "did you mean %s?", near)
                    : err_hint(err, "list the options with: slipway serve --help");
    }
    if (yyjson_is_null(value))
        return ERR_OK;
    if (!is_scalar_or_list_of_them(value))
        return err_set(err, ERR_INVALID, "%s: expected one value or a list of them", place->text);
    buf_init(&text, CONFIG_BYTES_MAX);
    value_text(value, &text);
    enum err_code code = option_set(options, option, buf_view(&text), place, err);
    buf_done(&text);
    return code;
}

static enum err_code take_tree(struct options *options, const char *path, struct str file,
                               yyjson_val *root, struct err *err)
{
    size_t i, count;
    yyjson_val *key, *value;
    if (yyjson_is_null(root))
        return ERR_OK; /* everything is commented out */
    if (!yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "%s: expected a mapping of options to values", path);
    yyjson_obj_foreach(root, i, count, key, value)
    {
        struct option_place place;
        place_in_file(&place, path, file, json_str(key));
        if (set_from_file(options, key, value, &place, err))
            return err->code;
    }
    return ERR_OK;
}

static bool is_blank_or_comment(struct str file)
{
    struct str rest = file, line;
    while (str_split(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.len && line.ptr[0] != '#' && line.ptr[0] != '\r')
            return false;
    }
    return true;
}

enum err_code options_take_file(struct options *options, const char *path, struct err *err)
{
    struct buf file;
    yyjson_val *root = NULL;
    struct arena *arena = arena_new(64 * (size_t)CONFIG_BYTES_MAX);
    enum err_code code = file_read(path, CONFIG_BYTES_MAX, &file, err);
    if (code == ERR_OK && !is_blank_or_comment(buf_view(&file))) {
        code = yaml_read(buf_view(&file), arena, &root, err);
        code =
            code ? err_wrap(err, "%s", path) : take_tree(options, path, buf_view(&file), root, err);
    }
    buf_done(&file);
    arena_free(arena);
    return code;
}

#define ENVIRONMENT_PREFIX "SLIPWAY_"

/* "SLIPWAY_DATA_DIR=/x" -> "data_dir", "/x"; false for other programs' variables. */
static bool split_variable(const char *variable, char *name, struct str *value)
{
    struct str rest = str_of(variable), left;
    if (!str_starts_with(rest, STR_LIT(ENVIRONMENT_PREFIX)) || !str_split(&rest, '=', &left))
        return false;
    size_t prefix = sizeof(ENVIRONMENT_PREFIX) - 1, len = left.len - prefix;
    if (!rest.ptr || len == 0 || len >= NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = left.ptr[prefix + i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    name[len] = '\0';
    *value = rest;
    return true;
}

static enum err_code take_variable(struct options *options, const char *variable, struct err *err)
{
    char name[NAME_BYTES_MAX];
    struct str value;
    struct option_place place = {.source = OPTION_BY_ENVIRONMENT};
    if (!split_variable(variable, name, &value) || value.len == 0)
        return ERR_OK;
    snprintf(place.text, sizeof(place.text), "environment %.*s", (int)(value.ptr - 1 - variable),
             variable);
    const struct option *option = option_find(str_of(name));
    if (option)
        return option_set(options, option, value, &place, err);
    const char *near = nearest_option(str_of(name));
    if (!near)
        return ERR_OK;
    err_set(err, ERR_INVALID, "%s: there is no such option", place.text);
    return err_hint(err, "did you mean the option %s?", near);
}

enum err_code options_take_environment(struct options *options, const char *const *environment,
                                       struct err *err)
{
    for (; environment && *environment; environment++) {
        if (take_variable(options, *environment, err))
            return err->code;
    }
    return ERR_OK;
}

static const char *config_in_environment(const char *const *environment)
{
    static const char name[] = ENVIRONMENT_PREFIX "CONFIG=";
    for (; environment && *environment; environment++) {
        if (strncmp(*environment, name, sizeof(name) - 1) == 0 && (*environment)[sizeof(name) - 1])
            return *environment + sizeof(name) - 1;
    }
    return NULL;
}

/* data_dir -> "--data-dir" */
static const char *flag_of(const struct option *option, char *out)
{
    size_t len = strlen(option->name);
    assert(len + 3 <= NAME_BYTES_MAX);
    memcpy(out, "--", 2);
    for (size_t i = 0; i <= len; i++)
        out[2 + i] = option->name[i] == '_' ? '-' : option->name[i];
    return out;
}

/* A flag taken apart: its name without dashes in front, its value if one is in the same word. */
struct flag {
    struct str name, value;
    bool has_value;
};

static bool split_flag(const char *word, struct flag *flag)
{
    struct str rest = str_of(word);
    *flag = (struct flag){0};
    if (!str_starts_with(rest, STR_LIT("--")) || rest.len == 2)
        return false;
    rest = (struct str){rest.ptr + 2, rest.len - 2};
    str_split(&rest, '=', &flag->name);
    flag->has_value = rest.ptr != NULL;
    flag->value = rest;
    return true;
}

/* --no-behind-proxy: the option behind the "no-", when it is a BOOL. */
static const struct option *find_negated(struct flag *flag)
{
    if (flag->has_value || !str_starts_with(flag->name, STR_LIT("no-")))
        return NULL;
    const struct option *option = option_find((struct str){flag->name.ptr + 3, flag->name.len - 3});
    if (!option || option->type != OPTION_BOOL)
        return NULL;
    flag->value = STR_LIT("false");
    flag->has_value = true;
    return option;
}

/* The value in the word, of a BOOL without one, or in the next word. */
static enum err_code find_value(struct flag *flag, bool is_bool, int argc, const char *const *argv,
                                int *used, struct err *err)
{
    *used = 1;
    if (flag->has_value)
        return ERR_OK;
    if (is_bool) {
        flag->value = STR_LIT("true");
        return ERR_OK;
    }
    if (argc < 2)
        return err_set(err, ERR_INVALID, "flag --%.*s needs a value", STR_ARG(flag->name));
    flag->value = str_of(argv[1]);
    *used = 2;
    return ERR_OK;
}

enum err_code options_take_flag(struct options *options, int argc, const char *const *argv,
                                int *used, struct err *err)
{
    struct flag flag;
    char name[NAME_BYTES_MAX];
    struct option_place place = {.source = OPTION_BY_FLAG};
    *used = 0;
    if (argc < 1 || !split_flag(argv[0], &flag))
        return ERR_OK;
    const struct option *option = option_find(flag.name);
    if (!option)
        option = find_negated(&flag);
    if (!option)
        return ERR_OK;
    snprintf(place.text, sizeof(place.text), "flag %s", flag_of(option, name));
    if (find_value(&flag, option->type == OPTION_BOOL, argc, argv, used, err))
        return err->code;
    return option_set(options, option, flag.value, &place, err);
}

/* --config FILE or --config=FILE: *path and how many words; 0 when it is another flag. */
static enum err_code take_config_flag(int argc, const char *const *argv, const char **path,
                                      int *used, struct err *err)
{
    struct flag flag;
    *used = 0;
    if (argc < 1 || !split_flag(argv[0], &flag) || !str_equal(flag.name, STR_LIT("config")))
        return ERR_OK;
    if (find_value(&flag, false, argc, argv, used, err))
        return err->code;
    *path = flag.value.ptr; /* both forms end with the word, so with its NUL */
    return ERR_OK;
}

static enum err_code refuse_word(const char *word, struct err *err)
{
    struct flag flag;
    if (!split_flag(word, &flag))
        return err_set(err, ERR_INVALID, "'%.100s' is no flag; flags begin with --", word);
    const char *near = nearest_option(flag.name);
    err_set(err, ERR_INVALID, "there is no flag '%.100s'", word);
    const struct option *option = near ? option_find(str_of(near)) : NULL;
    char name[NAME_BYTES_MAX];
    return option ? err_hint(err, "did you mean %s?", flag_of(option, name))
                  : err_hint(err, "list the flags with: slipway serve --help");
}

/* All flags; *config is set when --config is among them. */
static enum err_code take_flags(struct options *options, int argc, const char *const *argv,
                                const char **config, struct err *err)
{
    while (argc > 0) {
        int used;
        if (take_config_flag(argc, argv, config, &used, err))
            return err->code;
        if (!used && options_take_flag(options, argc, argv, &used, err))
            return err->code;
        if (!used)
            return refuse_word(argv[0], err);
        argc -= used;
        argv += used;
    }
    return ERR_OK;
}

/* The file comes before the flags, and its name is one of them: they are read into a struct that is
 * thrown away first. */
static enum err_code find_config(int argc, const char *const *argv, const char *const *environment,
                                 const char **path, struct err *err)
{
    struct options scratch;
    *path = config_in_environment(environment);
    options_init(&scratch);
    enum err_code code = take_flags(&scratch, argc, argv, path, err);
    options_done(&scratch);
    return code;
}

enum err_code options_load(struct options *options, int argc, const char *const *argv,
                           const char *const *environment, struct err *err)
{
    const char *path, *same_path;
    if (find_config(argc, argv, environment, &path, err))
        return err->code;
    if (path && options_take_file(options, path, err))
        return err->code;
    if (options_take_environment(options, environment, err) ||
        take_flags(options, argc, argv, &same_path, err))
        return err->code;
    return options_check(options, err);
}
