/* csv_ignore.h - the columns of a CSV file that --ignore names, taken out before it is sent. */
#ifndef SLIPWAY_CLI_CSV_IGNORE_H
#define SLIPWAY_CLI_CSV_IGNORE_H

#include "cli/cli.h"

/* Does --ignore name this column? */
bool csv_is_ignored(struct cli *cli, struct str name);

/* `rows` without the ignored columns, line for line; untouched without the flag. ERR_INVALID when
 * the file has no column of such a name. */
enum err_code csv_ignore(struct cli *cli, struct buf *rows, struct err *err);

#endif
