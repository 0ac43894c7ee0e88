/* option_text.c - options as text for people: a value, the flags of --help, a file to start from,
 * the reference table. Everything is made from the rows of options.def. */
#include "base/option.h"

#include "base/check.h"
#include "base/option_value.h"

static const struct {
    const char *placeholder; /* in --help */
    const char *name;        /* in the reference */
} types[] = {
    [OPTION_BOOL] = {"", "true or false"}, [OPTION_INT] = {"N", "number"},
    [OPTION_SIZE] = {"SIZE", "size"},      [OPTION_DURATION_MS] = {"TIME", "duration"},
    [OPTION_REAL] = {"X", "decimal"},      [OPTION_CHOICE] = {"WORD", "word"},
    [OPTION_TEXT] = {"TEXT", "text"},      [OPTION_LIST] = {"A,B", "list"},
};

static struct str choice_word(const struct option *option, int index)
{
    struct str rest = str_of(option->min), word = {0};
    for (int i = 0; i <= index; i++) {
        bool there = str_split(&rest, '|', &word);
        assert(there);
    }
    return word;
}

static void write_list(const struct option_list *list, struct buf *out)
{
    for (int i = 0; i < list->count; i++) {
        if (i > 0)
            buf_char(out, ',');
        buf_text(out, list->items[i]);
    }
}

/* The largest unit that loses nothing: 16M, 1000. */
static void write_size(uint64_t size, struct buf *out)
{
    static const char suffixes[] = {'\0', 'K', 'M', 'G'};
    size_t i = 0;
    while (size > 0 && size % 1024 == 0 && i + 1 < sizeof(suffixes)) {
        size /= 1024;
        i++;
    }
    buf_u64(out, size);
    if (suffixes[i])
        buf_char(out, suffixes[i]);
}

static void write_duration(int64_t ms, struct buf *out)
{
    static const struct {
        int64_t ms;
        const char *suffix;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (units[i].ms > 1 && (ms == 0 || ms % units[i].ms != 0))
        i++;
    buf_i64(out, ms / units[i].ms);
    buf_text(out, units[i].suffix);
}

void option_format(const struct options *options, const struct option *option, struct buf *out)
{
    const void *value = (const char *)options + option->offset;
    switch (option->type) {
    case OPTION_BOOL:
        buf_text(out, *(const bool *)value ? "true" : "false");
        break;
    case OPTION_INT:
        buf_i64(out, *(const int64_t *)value);
        break;
    case OPTION_SIZE:
        write_size(*(const size_t *)value, out);
        break;
    case OPTION_DURATION_MS:
        write_duration(*(const int64_t *)value, out);
        break;
    case OPTION_REAL:
        buf_f64(out, *(const double *)value);
        break;
    case OPTION_CHOICE:
        buf_str(out, choice_word(option, *(const int *)value));
        break;
    case OPTION_TEXT:
        buf_text(out, *(const char *const *)value);
        break;
    case OPTION_LIST:
        write_list(value, out);
        break;
    }
}

static void write_with(struct buf *out, const char *text, char from, char to)
{
    for (; *text; text++)
        buf_char(out, *text == from ? to : *text);
}

/* "error, warn, info" or "1 to 16". */
static void write_bounds(const struct option *option, struct buf *out)
{
    struct str rest = str_of(option->min), word;
    if (option->type == OPTION_CHOICE) {
        for (int i = 0; str_split(&rest, '|', &word); i++) {
            buf_text(out, i ? ", " : "");
            buf_str(out, word);
        }
        return;
    }
    buf_printf(out, "%s to %s", option->min, option->max);
    if (option->type == OPTION_TEXT)
        buf_lit(out, " bytes");
    else if (option->type == OPTION_LIST)
        buf_lit(out, " items");
}

void option_expected(const struct option *option, struct buf *out)
{
    switch (option->type) {
    case OPTION_BOOL:
        buf_lit(out, "true or false");
        break;
    case OPTION_INT:
        buf_printf(out, "a whole number from %s to %s", option->min, option->max);
        break;
    case OPTION_SIZE:
        buf_printf(out, "a size from %s to %s (bytes; also K, M, G)", option->min, option->max);
        break;
    case OPTION_DURATION_MS:
        buf_printf(out, "a duration from %s to %s (ms; also s, m, h)", option->min, option->max);
        break;
    case OPTION_REAL:
        buf_printf(out, "a number from %s to %s", option->min, option->max);
        break;
    case OPTION_CHOICE:
        buf_lit(out, "one of ");
        write_bounds(option, out);
        break;
    case OPTION_TEXT:
        buf_printf(out, "text of %s to %s bytes", option->min, option->max);
        break;
    case OPTION_LIST:
        buf_printf(out, "%s to %s texts with commas between them", option->min, option->max);
        break;
    }
}

static void write_help(const struct option *option, struct buf *out)
{
    buf_lit(out, "  --");
    write_with(out, option->name, '_', '-');
    if (option->type != OPTION_BOOL)
        buf_printf(out, " %s", types[option->type].placeholder);
    buf_printf(out, "\n        %s\n", option->help);
    buf_printf(out, "        Default: %s; ", option->preset[0] ? option->preset : "empty");
    option_expected(option, out);
    buf_lit(out, ".\n");
}

void options_help(struct buf *out)
{
    buf_lit(
        out,
        "  --config FILE\n"
        "        YAML file with any of the options below; flags and SLIPWAY_* variables win.\n");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        write_help(&option_table[i], out);
}

static void write_sample(const struct option *option, struct buf *out)
{
    buf_printf(out, "\n# %s\n# Expects ", option->help);
    option_expected(option, out);
    buf_text(out, option->reloads ? "; read again on SIGHUP\n" : "\n");
    buf_printf(out, "#%s: ", option->name);
    if (option->type == OPTION_LIST || !option->preset[0])
        buf_printf(out, "\"%s\"", option->preset);
    else
        buf_text(out, option->preset);
    buf_char(out, '\n');
}

void options_sample_yaml(struct buf *out)
{
    buf_lit(out,
            "# Options of slipway serve, each at its default. Take the # away in front of a name\n"
            "# to change it. Variables (SLIPWAY_DATA_DIR) and flags (--data-dir) win over it.\n");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        write_sample(&option_table[i], out);
}

void options_reference(struct buf *out)
{
    buf_lit(out,
            "| option | type | default | range | reload | what |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        buf_printf(out, "| `%s` | %s | %s%s%s | ", option->name, types[option->type].name,
                   option->preset[0] ? "`" : "", option->preset[0] ? option->preset : "empty",
                   option->preset[0] ? "`" : "");
        if (option->type != OPTION_BOOL)
            write_bounds(option, out);
        buf_printf(out, " | %s | %s |\n", option->reloads ? "SIGHUP" : "restart", option->help);
    }
}
