/* parse.h - words of a command line into a row of the table, its arguments and its flags.
 *
 * Flags may stand anywhere behind the program's name; `--` ends them. `--flag=value` and
 * `--flag value` are the same. Every mistake is answered with the nearest thing there is.
 */
#ifndef SLIPWAY_CLI_PARSE_H
#define SLIPWAY_CLI_PARSE_H

#include "cli/cli.h"

struct parsed {
    bool wants_help;
    bool wants_version;
    const char *group; /* "model" when only a group was named */
};

/* Fill cli->command, args, flags, rest. With parsed->wants_help the rest is not checked; the
 * command may be NULL then. ERR_INVALID is a usage error, with a hint. */
enum err_code parse_line(int argc, const char *const *argv, struct cli *cli, struct parsed *parsed,
                         struct err *err);

/* ERR_INVALID that names what is probably meant; `second` may be NULL. */
enum err_code parse_unknown(const char *first, const char *second, struct err *err);

/* The row of "model register"; NULL when there is none. */
const struct command *command_find(const char *name);

/* Is there a command "model ..."? */
bool command_is_group(const char *word);

/* The flag of that name among the command's own, the API's and the common ones. */
const struct command_flag *command_flag_find(const struct command *command, struct str name);

/* Walk all flags of a command, its own first: i = 0, 1, ... until NULL. */
const struct command_flag *command_flag_at(const struct command *command, int i);

#endif
