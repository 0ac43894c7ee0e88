/* commands_gate.h - flags of the commands about gates, cards and lineage, for commands.c.
 *
 * Included there only. A group with many flags keeps them in a file like this one.
 */
#ifndef SLIPWAY_CLI_COMMANDS_GATE_H
#define SLIPWAY_CLI_COMMANDS_GATE_H

#include "cli/cli.h"

#define FLAG_GATE_FORMAT                                                                           \
    {.name = "format",                                                                             \
     .value = "FORMAT",                                                                            \
     .kind = WORD_CHOICE,                                                                          \
     .choices = "text|json|junit|markdown",                                                        \
     .help = "text, json, junit or markdown"}

static const struct command_flag gate_flags[] = {
    {.name = "data",
     .value = "FILE",
     .kind = WORD_FILE,
     .may_repeat = true,
     .help = "Held-out rows with the truth, as CSV; - is standard input. A folder is the data "
             "folder"},
    {.name = "file",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "The gate file; else the one the model requires, else the defaults"},
    {.name = "target",
     .value = "COLUMN",
     .help = "The column with the truth; else the file's, else the contract's label"},
    FLAG_GATE_FORMAT,
    {0},
};

static const struct command_flag gate_show_flags[] = {
    {.name = "id",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "This result; else the version's newest"},
    FLAG_GATE_FORMAT,
    {0},
};

static const struct command_flag gate_require_flags[] = {
    {.name = "file",
     .value = "FILE",
     .kind = WORD_FILE,
     .is_required = true,
     .help = "The gate file"},
    {0},
};

/* ---- cards and lineage ---- */

static const struct command_flag lineage_flags[] = {
    {.name = "of",
     .value = "KEY=VALUE",
     .help = "Only versions whose lineage has it, such as data_sha256=9f2c..."},
    {0},
};

static const struct command_flag who_answered_flags[] = {
    {.name = "at", .value = "TIME", .help = "In UTC, such as 2026-11-03T14:05:00Z; else now"},
    {0},
};

#endif
