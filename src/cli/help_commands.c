/* help_commands.c - `slipway help` and `slipway version`. */
#include "base/option.h"
#include "base/version.h"
#include "cli/handlers.h"
#include "cli/help.h"
#include "cli/parse.h"

static enum err_code help_of(struct cli *cli, const char *first, const char *second,
                             struct buf *out, struct err *err)
{
    const char *name = second ? arena_printf(cli->arena, "%s %s", first, second) : first;
    const struct command *command = name ? command_find(name) : NULL;
    if (strcmp(first, "exit-codes") == 0)
        help_exit_codes(out);
    else if (strcmp(first, "config") == 0)
        options_sample_yaml(out);
    else if (command)
        help_command(command, cli->terminal.has_out_color, out);
    else if (!second && command_is_group(first))
        help_group(first, out);
    else
        return parse_unknown(first, second, err);
    return ERR_OK;
}

enum err_code cli_help(struct cli *cli, struct err *err)
{
    struct buf out;
    enum err_code rc = ERR_OK;
    buf_init(&out, HELP_BYTES_MAX);
    const char *first = cli_arg(cli, 0);
    if (first)
        rc = help_of(cli, first, cli_arg(cli, 1), &out, err);
    else
        help_overview(&out);
    if (!rc)
        cli_print(&out);
    buf_done(&out);
    cli->is_usage = rc != ERR_OK;
    return rc;
}

enum err_code cli_version(struct cli *cli, struct err *err)
{
    (void)err;
    if (cli->wants_json)
        printf("{\"version\":\"%s\"}\n", SLIPWAY_VERSION);
    else
        printf("slipway %s\n", SLIPWAY_VERSION);
    return ERR_OK;
}
