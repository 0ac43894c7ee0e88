/* commands_bench.h - argument and flags of the command bench; commands.c's own. */
#ifndef SLIPWAY_CLI_COMMANDS_BENCH_H
#define SLIPWAY_CLI_COMMANDS_BENCH_H

#include "cli/cli.h"

static const struct command_arg bench_args[] = {
    {.name = "MODEL",
     .kind = WORD_MODEL,
     .help = "churn, churn:2, or where it is served: http://host:8080/predict/churn"},
    {0},
};

static const struct command_flag bench_flags[] = {
    {.name = "against",
     .value = "VERSION",
     .help = "Compare with this version: both take turns in one run"},
    {.name = "rate",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Requests a second that fall due, answered or not; as fast as it answers when not "
             "given"},
    {.name = "connections",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Connections, each with one request under way; 16 when not given"},
    {.name = "duration", .value = "TIME", .help = "How long is measured; 10s when not given"},
    {.name = "warmup", .value = "TIME", .help = "What comes before that; 1s when not given"},
    {.name = "rows",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Rows in a request; 1 when not given"},
    {.name = "protocol",
     .value = "NAME",
     .kind = WORD_CHOICE,
     .choices = "rows|oip|binary",
     .help = "Fields by name, or tensors of the Open Inference Protocol as JSON or as bytes; rows "
             "when not given"},
    {.name = "csv",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Rows to send; drawn from the contract when not given"},
    {.name = "seed", .value = "N", .kind = WORD_NUMBER, .help = "Of the rows that are drawn; 1"},
    {.name = "timeout",
     .value = "TIME",
     .help = "A request that is not answered by then has failed; 5s when not given"},
    {.name = "max-p99",
     .value = "TIME",
     .help = "Exit status 1 when the 99th percentile is above this"},
    {0},
};

#endif
