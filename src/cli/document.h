/* document.h - commands around a YAML file that a model has one of: shown, set, removed. */
#ifndef SLIPWAY_CLI_DOCUMENT_H
#define SLIPWAY_CLI_DOCUMENT_H

#include "cli/cli.h"

/* The file at `target`: --file sets it, --remove takes it away, else it is read. */
enum err_code cli_document(struct cli *cli, const char *target, size_t bytes_max,
                           struct cli_reply *reply, struct err *err);

/* With --json the reply, with --document the file are printed, and true is returned. */
bool cli_document_print(struct cli *cli, const struct cli_reply *reply);

#endif
