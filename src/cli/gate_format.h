/* gate_format.h - a gate result of the API as text, Markdown or JUnit's XML.
 */
#ifndef SLIPWAY_CLI_GATE_FORMAT_H
#define SLIPWAY_CLI_GATE_FORMAT_H

#include "cli/cli.h"

/* `result` is what POST .../gate and GET .../gate answer. Each appends to `out`. */
void gate_format_text(struct cli *cli, yyjson_val *result, struct buf *out);
void gate_format_markdown(struct cli *cli, yyjson_val *result, struct buf *out);
void gate_format_junit(struct cli *cli, yyjson_val *result, struct buf *out);

#endif
