/* monitor.h - a table of features with their verdicts, for live windows and for files. */
#ifndef SLIPWAY_CLI_MONITOR_H
#define SLIPWAY_CLI_MONITOR_H

#include "cli/cli.h"

/* `features` as the API has them; those that are ok only when `with_ok`, else counted. */
void monitor_print_features(struct cli *cli, yyjson_val *features, bool with_ok, struct buf *out);

#endif
