/* help.h - what --help and `slipway help` say, made from the rows of commands.c. */
#ifndef SLIPWAY_CLI_HELP_H
#define SLIPWAY_CLI_HELP_H

#include "cli/cli.h"

enum { HELP_BYTES_MAX = 1024 * 1024 };

/* "slipway alias set NAME ALIAS VERSION [flags]" */
void help_usage(const struct command *command, struct buf *out);

/* "--owner EMAIL", "--dry-run" */
void help_flag(const struct command_flag *flag, struct buf *out);

void help_command(const struct command *command, bool has_color, struct buf *out);
void help_group(const char *group, struct buf *out);
void help_overview(struct buf *out);
void help_exit_codes(struct buf *out);

#endif
