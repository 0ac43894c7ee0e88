/* man.c - manual pages (roff) and the reference page (Markdown), made from the rows of commands.c.
 */
#include "base/check.h"
#include "base/option.h"
#include "base/version.h"
#include "cli/exit_codes.h"
#include "cli/handlers.h"
#include "cli/help.h"
#include "cli/parse.h"

/* ---- roff ---- */

/* A dot or quote that begins a line would be a request, a backslash an escape; dashes of flags are
 * meant as they are typed. */
static void roff(struct buf *out, const char *text)
{
    bool is_line_start = true;
    for (; *text; text++) {
        if (is_line_start && (*text == '.' || *text == '\''))
            buf_lit(out, "\\&");
        if (*text == '\\')
            buf_lit(out, "\\e");
        else if (*text == '-')
            buf_lit(out, "\\-");
        else
            buf_char(out, *text);
        is_line_start = *text == '\n';
    }
}

static void roff_line(struct buf *out, const char *text)
{
    roff(out, text);
    buf_char(out, '\n');
}

/* "slipway-model-register" */
static void page_name(const struct command *command, struct buf *out)
{
    buf_lit(out, "slipway-");
    for (const char *c = command->name; *c; c++)
        buf_char(out, *c == ' ' ? '-' : *c);
}

static void roff_head(struct buf *out, const char *name, const char *summary)
{
    buf_lit(out, ".TH \"");
    roff(out, name);
    buf_printf(out, "\" \"1\" \"\" \"slipway %s\" \"Slipway\"\n.SH NAME\n", SLIPWAY_VERSION);
    roff(out, name);
    buf_lit(out, " \\- ");
    roff_line(out, summary);
}

static void roff_entry(struct buf *out, const char *name, const char *text)
{
    buf_lit(out, ".TP\n.B ");
    roff_line(out, name);
    roff_line(out, text);
}

static void roff_paragraphs(struct buf *out, const char *text)
{
    struct str rest = str_of(text), line;
    while (str_split(&rest, '\n', &line)) {
        char copy[2048];
        assert(line.len < sizeof(copy));
        memcpy(copy, line.ptr, line.len);
        copy[line.len] = '\0';
        buf_lit(out, ".PP\n");
        roff_line(out, copy);
    }
}

static void roff_flags(struct buf *out, const struct command *command)
{
    const struct command_flag *flag;
    buf_lit(out, ".SH OPTIONS\n");
    for (int i = 0; (flag = command_flag_at(command, i)); i++) {
        struct buf name;
        buf_init(&name, HELP_BYTES_MAX);
        help_flag(flag, &name);
        roff_entry(out, buf_c(&name), flag->help);
        buf_done(&name);
    }
}

static void roff_options(struct buf *out)
{
    struct buf text;
    buf_init(&text, HELP_BYTES_MAX);
    options_help(&text);
    buf_lit(out, ".SH OPTIONS\n.nf\n");
    roff_line(out, buf_c(&text));
    buf_lit(out, ".fi\n");
    buf_done(&text);
}

static void roff_exit_codes(struct buf *out)
{
    buf_lit(out, ".SH EXIT STATUS\n");
    for (const struct exit_code *e = exit_codes; e->meaning; e++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", e->status);
        roff_entry(out, number, e->meaning);
    }
}

static void roff_command(struct buf *out, const struct command *command)
{
    struct buf text;
    buf_init(&text, HELP_BYTES_MAX);
    page_name(command, &text);
    roff_head(out, buf_c(&text), command->summary);
    buf_clear(&text);
    help_usage(command, &text);
    buf_lit(out, ".SH SYNOPSIS\n.B ");
    roff_line(out, buf_c(&text));
    buf_done(&text);
    buf_lit(out, ".SH DESCRIPTION\n");
    roff_line(out, command->summary);
    if (command->detail)
        roff_paragraphs(out, command->detail);
    for (const struct command_arg *a = command->args; a && a->name; a++)
        roff_entry(out, a->name, a->help);
    if (command->takes_options)
        roff_options(out);
    else
        roff_flags(out, command);
    buf_lit(out, ".SH EXAMPLE\n.nf\n");
    roff_line(out, command->example);
    buf_lit(out, ".fi\n");
    roff_exit_codes(out);
    buf_lit(out, ".SH SEE ALSO\n.BR slipway (1)\n");
}

static void roff_program(struct buf *out)
{
    roff_head(out, "slipway", "takes a trained model into production and keeps it honest there");
    buf_lit(out, ".SH SYNOPSIS\n.B slipway\nCOMMAND [flags]\n.SH COMMANDS\n");
    for (const struct command *c = commands; c->name; c++)
        if (!c->is_hidden)
            roff_entry(out, c->name, c->summary);
    buf_lit(out, ".SH ENVIRONMENT\n");
    for (const struct command_flag *f = cli_api_flags; f->name; f++)
        roff_entry(out, f->name, f->help);
    roff_exit_codes(out);
    buf_lit(out, ".SH SEE ALSO\n");
    for (const struct command *c = commands; c->name; c++) {
        if (c->is_hidden)
            continue;
        buf_lit(out, ".BR ");
        page_name(c, out);
        buf_printf(out, " (1)%s\n", c[1].name && !c[1].is_hidden ? "," : "");
    }
}

/* "model" of "model register" as a page that names its commands: people look for it. */
static void roff_group(struct buf *out, const char *group)
{
    struct buf name;
    size_t length = strlen(group);
    buf_init(&name, HELP_BYTES_MAX);
    buf_printf(&name, "slipway-%s", group);
    roff_head(out, buf_c(&name), "a group of commands of slipway");
    buf_lit(out, ".SH SYNOPSIS\n.B ");
    buf_clear(&name);
    buf_printf(&name, "slipway %s COMMAND [flags]", group);
    roff_line(out, buf_c(&name));
    buf_done(&name);
    buf_lit(out, ".SH COMMANDS\n");
    for (const struct command *c = commands; c->name; c++)
        if (!c->is_hidden && strncmp(c->name, group, length) == 0 && c->name[length] == ' ')
            roff_entry(out, c->name, c->summary);
}

/* For `make install`: the names of all pages, one a line; a group stands before its commands. */
static void list_pages(struct buf *out)
{
    struct str before = {0};
    buf_lit(out, "slipway\n");
    for (const struct command *c = commands; c->name; c++) {
        struct str rest = str_of(c->name), first;
        str_split(&rest, ' ', &first);
        if (c->is_hidden)
            continue;
        if (c->name[first.len] == ' ' && !str_equal(first, before))
            buf_printf(out, "slipway-%.*s\n", STR_ARG(first));
        page_name(c, out);
        buf_char(out, '\n');
        before = first;
    }
}

static const struct command *find_page(const char *name)
{
    struct buf page;
    const struct command *found = NULL;
    buf_init(&page, HELP_BYTES_MAX);
    for (const struct command *c = commands; c->name && !found; c++) {
        buf_clear(&page);
        page_name(c, &page);
        if (!c->is_hidden && strcmp(buf_c(&page), name) == 0)
            found = c;
    }
    buf_done(&page);
    return found;
}

/* "model register", "slipway-model-register", "model", "slipway-model", "slipway" or nothing. */
static enum err_code roff_page(struct buf *out, const char *name, struct err *err)
{
    static const char prefix[] = "slipway-";
    size_t skip = name && strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? sizeof(prefix) - 1 : 0;
    const struct command *command = name ? command_find(name) : NULL;
    if (name && !command)
        command = find_page(name);
    if (!name || strcmp(name, "slipway") == 0)
        roff_program(out);
    else if (command)
        roff_command(out, command);
    else if (command_is_group(name + skip))
        roff_group(out, name + skip);
    else
        return parse_unknown(name, NULL, err);
    return ERR_OK;
}

enum err_code cli_man(struct cli *cli, struct err *err)
{
    struct buf out;
    const char *first = cli_arg(cli, 0), *second = cli_arg(cli, 1);
    const char *name = second ? arena_printf(cli->arena, "%s %s", first, second) : first;
    enum err_code rc = ERR_OK;
    buf_init(&out, HELP_BYTES_MAX);
    if (cli_has(cli, "list"))
        list_pages(&out);
    else
        rc = roff_page(&out, name, err);
    if (!rc)
        cli_print(&out);
    buf_done(&out);
    cli->is_usage = rc != ERR_OK;
    return rc;
}

/* ---- Markdown ---- */

static void markdown_flags(struct buf *out, const struct command_flag *flags)
{
    for (const struct command_flag *f = flags; f && f->name; f++) {
        buf_lit(out, "| `");
        help_flag(f, out);
        buf_printf(out, "` | %s%s%s |\n", f->help, f->is_required ? " (required)" : "",
                   f->may_repeat ? " (may repeat)" : "");
    }
}

static void markdown_table(struct buf *out, const struct command *command)
{
    if (command->args || command->flags)
        buf_lit(out, "\n| word | meaning |\n|---|---|\n");
    for (const struct command_arg *a = command->args; a && a->name; a++)
        buf_printf(out, "| `%s` | %s%s |\n", a->name, a->help, a->is_optional ? " (optional)" : "");
    markdown_flags(out, command->flags);
}

static void markdown_command(struct buf *out, const struct command *command)
{
    buf_printf(out, "\n## slipway %s\n\n%s.\n", command->name, command->summary);
    if (command->detail) {
        buf_char(out, '\n');
        for (const char *c = command->detail; *c; c++) {
            buf_char(out, *c);
            if (*c == '\n')
                buf_char(out, '\n');
        }
        buf_char(out, '\n');
    }
    buf_lit(out, "\n```\n");
    help_usage(command, out);
    buf_lit(out, "\n```\n");
    markdown_table(out, command);
    buf_printf(out, "\n```sh\n%s\n```\n", command->example);
}

enum err_code cli_reference(struct cli *cli, struct err *err)
{
    struct buf out;
    (void)cli;
    (void)err;
    buf_init(&out, HELP_BYTES_MAX);
    buf_lit(&out, "# The command line\n\nMade by `slipway reference` from the table in "
                  "`src/cli/commands.c`; change it there.\n\n"
                  "Flags of every command that asks a server or a folder:\n\n"
                  "| flag | meaning |\n|---|---|\n");
    markdown_flags(&out, cli_api_flags);
    markdown_flags(&out, cli_common_flags);
    buf_lit(&out, "\n| exit status | meaning |\n|---|---|\n");
    for (const struct exit_code *e = exit_codes; e->meaning; e++)
        buf_printf(&out, "| %d | %s |\n", e->status, e->meaning);
    for (const struct command *c = commands; c->name; c++)
        if (!c->is_hidden)
            markdown_command(&out, c);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
