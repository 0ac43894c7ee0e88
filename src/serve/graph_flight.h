/* graph_flight.h - a model of a graph that is asked in its own lane, while the graph goes on.
 *
 *     graph's thread: begin --lane_submit--> lane of the node's version --> done
 *                     ... other nodes ...                                    |
 *                     wait, land <-------------------------------------------+
 *
 * A flight has memory of its own, with copies of its inputs: at its deadline the graph leaves it
 * and goes on, whatever the lane is doing. Who comes last, graph or lane, frees it.
 */
#ifndef SLIPWAY_SERVE_GRAPH_FLIGHT_H
#define SLIPWAY_SERVE_GRAPH_FLIGHT_H

#include "serve/graph_run.h"

/* All flights of one graph. `versions` says how models are served now. */
struct graph_flights *graph_flights_new(const struct runtime_versions *versions);

/* Waits until the last one has come back; NULL is allowed. */
void graph_flights_free(struct graph_flights *flights);

/* Ask the node's model; run->visits[node].flight is set while it is under way. Without a snapshot
 * to read settings from, *is_begun is false. */
enum err_code graph_flight_begin(struct graph_run *run, int node, bool *is_begun);

/* Until a flight of the run is back or late. ERR_CANCELLED: the caller has left. */
enum err_code graph_flight_wait(struct graph_run *run);

/* Is the node's flight over: back or late? Then graph_run_answer has been told, *rc is what it
 * says, and the visit has no flight any more. */
bool graph_flight_land(struct graph_run *run, int node, enum err_code *rc);

/* The run has failed: nobody waits for its flights. */
void graph_flight_leave(struct graph_run *run);

#endif
