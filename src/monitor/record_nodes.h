/* record_nodes.h - how the nodes of a graph answered, as its records keep it: outputs called
 *
 *     node.NAME            the node's answer, or what a switch chose
 *     node.NAME.outcome    "ok", "late", "failed", or "unused": the row did not come to it
 *     node.NAME.us         how long its model took
 */
#ifndef SLIPWAY_MONITOR_RECORD_NODES_H
#define SLIPWAY_MONITOR_RECORD_NODES_H

#include "base/json.h"
#include "monitor/record.h"

/* "nodes": {"fast": {"answer": 0.5, "outcome": "ok", "us": 12}, ...} as a member of the open
 * object; nothing when the record is of no graph, or has no answer. */
void record_put_nodes(struct json_writer *w, const struct record *record, int64_t row);

#endif
