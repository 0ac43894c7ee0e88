/* commands_feedback.h - arguments and flags of the commands about outcomes, for their rows in
 * commands.c.
 *
 * Included there only. A group with many flags keeps them in a file like this one.
 */
#ifndef SLIPWAY_CLI_COMMANDS_FEEDBACK_H
#define SLIPWAY_CLI_COMMANDS_FEEDBACK_H

#include "cli/cli.h"

#define FLAG_DIRECTION                                                                             \
    {.name = "direction",                                                                          \
     .value = "WAY",                                                                               \
     .kind = WORD_CHOICE,                                                                          \
     .choices = "up|down",                                                                         \
     .help = "Which way is better: up, as of revenue, or down, as of refunds"}

static const struct command_flag feedback_flags[] = {
    {.name = "id", .value = "ID", .help = "The prediction's id, as the answer had it: 4f1c-0"},
    {.name = "business-key",
     .value = "KEY",
     .help = "The row's own key instead: the newest prediction with it is meant"},
    {.name = "as-of", .value = "TIME", .help = "With --business-key: the newest one made by then"},
    {.name = "label", .value = "LABEL", .help = "The truth: a class, or a number"},
    {.name = "value",
     .value = "NAME=NUMBER",
     .may_repeat = true,
     .help = "A business value, such as revenue=12.5"},
    {.name = "unit", .value = "UNIT", .help = "Of --value at its first use, such as EUR"},
    FLAG_DIRECTION,
    {.name = "event", .value = "NAME", .help = "Something that happened, such as complaint"},
    {.name = "at", .value = "TIME", .help = "When it became true; else now"},
    {.name = "feedback-id", .value = "ID", .help = "Your own id: sent twice, it counts once"},
    {.name = "csv",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Rows, the first line naming the columns: id or key, label, values.NAME, event, at; "
             "- reads standard input"},
    {.name = "column",
     .value = "COLUMN=NAME",
     .may_repeat = true,
     .help = "What a column of --csv is, such as customer_id=key"},
    {.name = "ignore",
     .value = "COLUMN",
     .may_repeat = true,
     .help = "A column of --csv that is not sent"},
    {0},
};

static const struct command_arg value_args[] = {
    {.name = "NAME", .kind = WORD_MODEL, .help = "The model"},
    {.name = "VALUE", .help = "The value or event, such as revenue"},
    {0},
};

static const struct command_flag value_flags[] = {
    {.name = "unit", .value = "UNIT", .help = "What it is counted in, such as EUR or min"},
    {.name = "event", .help = "It has no number: it happens or does not"},
    FLAG_DIRECTION,
    {0},
};

static const struct command_flag quality_flags[] = {
    {.name = "from", .value = "TIME", .help = "Answers from then on; else the last 30 days"},
    {.name = "to", .value = "TIME", .help = "Answers before then; else until now"},
    {.name = "arm",
     .value = "ARM",
     .kind = WORD_CHOICE,
     .choices = "stable|canary|shadow",
     .help = "Only answers of this part of rollouts"},
    {.name = "rollout", .value = "ID", .kind = WORD_NUMBER, .help = "Only answers of this rollout"},
    {.name = "days", .help = "Day by day too"},
    {0},
};

static const struct command_flag report_flags[] = {
    {.name = "change",
     .value = "ID",
     .kind = WORD_NUMBER,
     .help = "A change of the champion by its id; else the last one"},
    {.name = "rollout",
     .value = "ID",
     .kind = WORD_NUMBER,
     .help = "A rollout by its id: its arms side by side"},
    {.name = "days",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Days to look at on either side, at most; else 7"},
    {0},
};

static const struct command_arg outcome_args[] = {
    {.name = "ID", .help = "The prediction's id"},
    {0},
};

#endif
