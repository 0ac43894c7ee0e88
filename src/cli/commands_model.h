/* commands_model.h - arguments and flags of the commands about models, aliases and predictions, and
 * those that all rows of commands.c share.
 *
 * Included there only.
 */
#ifndef SLIPWAY_CLI_COMMANDS_MODEL_H
#define SLIPWAY_CLI_COMMANDS_MODEL_H

#include "cli/cli.h"

/* ---- arguments that several commands share ---- */

#define ARG_MODEL {.name = "NAME", .kind = WORD_MODEL, .help = "The model"}
#define FLAG_REASON                                                                                \
    {.name = "reason", .value = "TEXT", .help = "Why, for the history and the audit trail"}
#define FLAG_IF_REVISION                                                                           \
    {.name = "if-revision",                                                                        \
     .value = "N",                                                                                 \
     .kind = WORD_NUMBER,                                                                          \
     .help = "Only when the alias is at this revision; 0: only when it does not exist"}

static const struct command_arg arg_model[] = {ARG_MODEL, {0}};

static const struct command_arg arg_model_or_version[] = {
    {.name = "NAME[:VERSION]",
     .kind = WORD_MODEL,
     .help = "The model; a version by number, alias or latest"},
    {0},
};

/* ---- models ---- */

static const struct command_arg register_args[] = {
    {.name = "NAME", .kind = WORD_MODEL, .help = "The model; a new name makes a new model"},
    {.name = "FILE", .kind = WORD_FILE, .help = "The trained model; a folder for Python models"},
    {0},
};

static const struct command_flag register_flags[] = {
    {.name = "contract",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "What it accepts and returns, as YAML; slipway contract infer drafts one"},
    {.name = "owner",
     .value = "WHO",
     .help = "Person or team that answers for the model; needed for a new one"},
    {.name = "golden",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "CSV rows with the answers expected, which it must give before it is registered"},
    {.name = "note", .value = "TEXT", .help = "What is new in this version and why"},
    {.name = "alias", .value = "ALIAS", .help = "Give it this alias at once, such as champion"},
    FLAG_IF_REVISION,
    {.name = "lineage",
     .value = "KEY=VALUE",
     .may_repeat = true,
     .help = "Where it comes from, such as code_commit=4f2a91c"},
    {.name = "runtime",
     .value = "NAME",
     .help = "What runs it, such as trees; else found out from the file"},
    {.name = "description", .value = "TEXT", .help = "What the model is for"},
    {0},
};

static const struct command_flag list_flags[] = {
    {.name = "names", .help = "Only the names, one a line"},
    {0},
};

static const struct command_flag show_flags[] = {
    {.name = "limit",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Versions to show, newest first; 20 when not given"},
    {0},
};

static const struct command_flag update_flags[] = {
    {.name = "owner", .value = "WHO", .help = "Person or team that answers for the model"},
    {.name = "description", .value = "TEXT", .help = "What the model is for"},
    {0},
};

static const struct command_flag reason_flags[] = {FLAG_REASON, {0}};

static const struct command_flag serving_flags[] = {
    {.name = "file", .value = "FILE", .kind = WORD_FILE, .help = "Set what this YAML file says"},
    {.name = "remove", .help = "Go back to the presets"},
    {.name = "document", .help = "Show the file itself"},
    {0},
};

/* ---- Python models ---- */

static const struct command_arg worker_test_args[] = {
    {.name = "FOLDER",
     .kind = WORD_FOLDER,
     .help = "The model's folder, with slipway.yaml and the code"},
    {0},
};

static const struct command_flag worker_test_flags[] = {
    {.name = "rows",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "CSV rows to answer, the first line naming features or inputs; - reads standard "
             "input"},
    {.name = "contract",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Its contract, which says what a folder without slipway.yaml takes"},
    {.name = "python-path",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "The interpreter; else SLIPWAY_PYTHON_PATH, else the system's python3"},
    {.name = "python-environments",
     .value = "NAME=FOLDER",
     .help = "Environments it may name; else SLIPWAY_PYTHON_ENVIRONMENTS"},
    {.name = "python-sandbox",
     .value = "MODE",
     .kind = WORD_CHOICE,
     .choices = "require|try|off",
     .help = "As the server's option; else SLIPWAY_PYTHON_SANDBOX, else require"},
    {0},
};

/* ---- aliases ---- */

static const struct command_arg alias_set_args[] = {
    ARG_MODEL,
    {.name = "ALIAS", .help = "The alias, such as champion"},
    {.name = "VERSION", .help = "A version's number, another alias, or latest"},
    {0},
};

static const struct command_flag alias_set_flags[] = {FLAG_REASON, FLAG_IF_REVISION, {0}};

static const struct command_arg alias_delete_args[] = {
    ARG_MODEL,
    {.name = "ALIAS", .help = "The alias; champion can only be moved"},
    {0},
};

static const struct command_flag alias_delete_flags[] = {FLAG_IF_REVISION, {0}};

/* ---- predictions ---- */

static const struct command_flag predict_flags[] = {
    {.name = "json",
     .value = "JSON",
     .help = "One row or {\"rows\": [...]}; @FILE reads a file, - standard input. The reply is "
             "printed as it comes"},
    {.name = "csv",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Rows, the first line naming the columns; - reads standard input"},
    {.name = "out",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Where the answers to --csv go; else standard output"},
    {.name = "errors",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Where rows that break the contract are noted; else FILE.errors.csv"},
    {.name = "ignore",
     .value = "COLUMN",
     .may_repeat = true,
     .help = "A column of --csv that is not sent"},
    {0},
};

#endif
