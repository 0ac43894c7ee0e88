/* graph.h - the runtime "graph": several versions that answer as one. docs/runtimes/graph.md is the
 * manual for people who write one.
 *
 * A graph is registered with the numbers and digests of its versions in its file (pin), so it never
 * changes; in memory it holds them. It is a version like any other: it has a contract, records,
 * aliases, rollouts.
 *
 *     graph_file      the YAML                        graph_run        a batch, step by step
 *     graph_resolve   names -> sources                graph_flight     a model in its own lane
 *     graph_order     circles, scopes, steps          graph_ensemble   several answers -> one
 *     graph_types     datatypes, signature            graph_aside      what is recorded of nodes
 *     graph_pin       aliases -> numbers
 */
#ifndef SLIPWAY_SERVE_GRAPH_H
#define SLIPWAY_SERVE_GRAPH_H

#include "serve/graph_run.h"

extern const struct runtime_ops runtime_graph;

/* The file with the number and the digest of each version in it. */
enum err_code graph_pin(const struct runtime_file *file, struct buf *pinned, struct err *err);

/* What a loaded graph's nodes have done; NULL: the version is no graph. */
const struct graph_plan *graph_plan_of(const struct loaded *loaded);
const struct graph_count *graph_counts_of(const struct loaded *loaded);

#endif
