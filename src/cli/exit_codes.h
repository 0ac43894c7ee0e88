/* exit_codes.h - what the exit status of a command means, for scripts. */
#ifndef SLIPWAY_CLI_EXIT_CODES_H
#define SLIPWAY_CLI_EXIT_CODES_H

#include "cli/cli.h"

struct exit_code {
    enum cli_exit status;
    const char *meaning;
};
extern const struct exit_code exit_codes[]; /* ends with meaning NULL */

enum cli_exit exit_code_of(enum err_code code);

#endif
