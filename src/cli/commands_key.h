/* commands_key.h - arguments and flags of the commands about API keys. */
#ifndef SLIPWAY_CLI_COMMANDS_KEY_H
#define SLIPWAY_CLI_COMMANDS_KEY_H

#include "cli/cli.h"

static const struct command_arg key_name_args[] = {
    {.name = "NAME", .help = "What people call the key, such as ci"},
    {0},
};

static const struct command_arg key_args[] = {
    {.name = "KEY", .help = "The key's name or id"},
    {0},
};

static const struct command_flag key_flags[] = {
    {.name = "scope",
     .value = "LIST",
     .is_required = true,
     .help = "What it may do: predict, observe, review, operate, admin, with commas between"},
    {.name = "expires",
     .value = "TIME",
     .help = "When it ends, such as 12h, 30d, 8w, 1y; never when not given"},
    {.name = "certificate",
     .value = "NAME",
     .help = "Instead of a secret: the client's certificate, as uri:, dns:, cn: or sha256:..."},
    {0},
};

#endif
