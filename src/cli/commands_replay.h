/* commands_replay.h - arguments and flags of slipway replay; commands.c's own. */
#ifndef SLIPWAY_CLI_COMMANDS_REPLAY_H
#define SLIPWAY_CLI_COMMANDS_REPLAY_H

#include "cli/cli.h"

static const struct command_flag replay_flags[] = {
    {.name = "to",
     .value = "VERSION",
     .is_required = true,
     .help = "The version or alias that is asked"},
    {.name = "from", .value = "VERSION", .help = "Only requests that this version answered"},
    {.name = "since", .value = "TIME", .help = "Answered at or after: 1h (ago), 2026-01-31, ..."},
    {.name = "until", .value = "TIME", .help = "Answered before"},
    {.name = "limit",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Rows, the oldest first; 10000 when not given"},
    {.name = "rate",
     .value = "ROWS",
     .kind = WORD_NUMBER,
     .help = "Ask at most so many rows a second; as fast as it answers when not given"},
    {.name = "tolerance",
     .value = "X",
     .help = "Answers that are no further apart count as the same; 1e-6 when not given"},
    {.name = "max-changed",
     .value = "N",
     .help = "Changed and failing rows that are allowed, or their share: 0.1%; 0 when not given"},
    {.name = "out",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Write each row there: as CSV when the name ends in .csv, else as JSON lines"},
    {0},
};

#endif
