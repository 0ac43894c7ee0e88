/* commands_prediction.h - arguments and flags of the commands for kept predictions; commands.c's
 * own.
 */
#ifndef SLIPWAY_CLI_COMMANDS_PREDICTION_H
#define SLIPWAY_CLI_COMMANDS_PREDICTION_H

#include "cli/cli.h"

static const struct command_arg prediction_args[] = {
    {.name = "ID", .help = "The prediction's id, 4f1c-0, or its request's: 4f1c"},
    {0},
};

static const struct command_flag prediction_export_flags[] = {
    {.name = "from", .value = "TIME", .help = "Answered at or after: 2026-01-31T09:30:00Z"},
    {.name = "to", .value = "TIME", .help = "Answered before"},
    {.name = "out",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "The file to write; standard output when not given"},
    {.name = "format",
     .value = "FORMAT",
     .kind = WORD_CHOICE,
     .choices = "csv|jsonl",
     .help = "jsonl when not given, or csv when the file ends in .csv"},
    {0},
};

static const struct command_flag prediction_erase_flags[] = {
    {.name = "key",
     .value = "FIELD=VALUE",
     .is_required = true,
     .help = "The subject: a field of the contract and its value, such as customer_id=c-17"},
    {0},
};

#endif
