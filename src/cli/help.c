/* help.c - what --help and `slipway help` say, made from the rows of commands.c. */
#include "cli/help.h"

#include "base/check.h"
#include "base/option.h"
#include "cli/exit_codes.h"
#include "cli/parse.h"
#include "cli/table.h"

enum { COLUMNS = 80, INDENT = 2, SUMMARY_AT = 28, HELP_TABLE_BYTES = 1024 * 1024 };

void help_usage(const struct command *command, struct buf *out)
{
    buf_printf(out, "slipway %s", command->name);
    for (const struct command_arg *a = command->args; a && a->name; a++)
        buf_printf(out, a->is_optional ? " [%s]" : " %s", a->name);
    for (const struct command_flag *f = command->flags; f && f->name; f++)
        if (f->is_required)
            buf_printf(out, " --%s %s", f->name, f->value);
    buf_lit(out, " [flags]");
}

void help_flag(const struct command_flag *flag, struct buf *out)
{
    buf_printf(out, "--%s", flag->name);
    if (flag->value)
        buf_printf(out, " %s", flag->value);
}

static void spaces(struct buf *out, int count)
{
    for (int i = 0; i < count; i++)
        buf_char(out, ' ');
}

/* Words from column `at` on, broken before COLUMNS; the first line begins where the cursor is. */
static void wrap(struct buf *out, const char *text, int at)
{
    struct str rest = str_of(text), word;
    int column = at;
    bool is_first = true;
    while (str_split(&rest, ' ', &word)) {
        int width = terminal_width(word);
        if (!is_first && column + 1 + width > COLUMNS) {
            buf_char(out, '\n');
            spaces(out, at);
            column = at;
        } else if (!is_first) {
            buf_char(out, ' ');
            column++;
        }
        buf_str(out, word);
        column += width;
        is_first = false;
    }
    buf_char(out, '\n');
}

/* "  --owner EMAIL            who answers for it" */
static void entry(struct buf *out, const char *name, const char *text)
{
    int width = terminal_width(str_of(name)) + INDENT;
    spaces(out, INDENT);
    buf_text(out, name);
    if (width + 2 > SUMMARY_AT) {
        buf_char(out, '\n');
        width = 0;
    }
    spaces(out, SUMMARY_AT - width);
    wrap(out, text, SUMMARY_AT);
}

static void title(struct buf *out, const char *text, bool has_color)
{
    buf_char(out, '\n');
    terminal_append_tinted(out, str_of(text), TINT_BOLD, has_color);
    buf_char(out, '\n');
}

static void lines(struct buf *out, const char *text)
{
    struct str rest = str_of(text), line;
    while (str_split(&rest, '\n', &line)) {
        spaces(out, INDENT);
        buf_str(out, line);
        buf_char(out, '\n');
    }
}

static void paragraphs(struct buf *out, const char *text)
{
    struct str rest = str_of(text), line;
    while (str_split(&rest, '\n', &line)) {
        char copy[2048];
        assert(line.len < sizeof(copy));
        memcpy(copy, line.ptr, line.len);
        copy[line.len] = '\0';
        buf_char(out, '\n');
        wrap(out, copy, 0);
    }
}

static void flag_entries(struct buf *out, const struct command *command)
{
    const struct command_flag *flag;
    for (int i = 0; (flag = command_flag_at(command, i)); i++) {
        struct buf name;
        buf_init(&name, COLUMNS);
        help_flag(flag, &name);
        entry(out, buf_c(&name), flag->help);
        buf_done(&name);
    }
}

void help_command(const struct command *command, bool has_color, struct buf *out)
{
    buf_lit(out, "usage: ");
    help_usage(command, out);
    buf_lit(out, "\n\n");
    wrap(out, command->summary, 0);
    if (command->detail)
        paragraphs(out, command->detail);
    if (command->args) {
        title(out, "Arguments", has_color);
        for (const struct command_arg *a = command->args; a->name; a++)
            entry(out, a->name, a->help);
    }
    title(out, "Flags", has_color);
    if (command->takes_options)
        options_help(out);
    else
        flag_entries(out, command);
    title(out, "Example", has_color);
    lines(out, command->example);
}

static void group_entries(struct buf *out, const char *group)
{
    size_t length = group ? strlen(group) : 0;
    for (const struct command *c = commands; c->name; c++) {
        bool is_in = !group || (strncmp(c->name, group, length) == 0 && c->name[length] == ' ');
        if (is_in && !c->is_hidden)
            entry(out, c->name, c->summary);
    }
}

void help_group(const char *group, struct buf *out)
{
    buf_printf(out, "usage: slipway %s COMMAND [flags]\n\n", group);
    group_entries(out, group);
    buf_printf(out, "\nMore: slipway %s COMMAND --help\n", group);
}

void help_overview(struct buf *out)
{
    buf_lit(out, "usage: slipway COMMAND [flags]\n\n"
                 "Takes a trained model into production and keeps it honest there.\n\n");
    group_entries(out, NULL);
    buf_lit(out, "\nMore: slipway COMMAND --help, slipway help exit-codes\n"
                 "First step: slipway contract infer --help\n");
}

void help_exit_codes(struct buf *out)
{
    buf_lit(out, "Exit status of every command:\n\n");
    for (const struct exit_code *e = exit_codes; e->meaning; e++) {
        buf_printf(out, "  %3d  ", e->status);
        wrap(out, e->meaning, 7);
    }
}
