/* simulate.h - a rollout file against requests that were answered already: what would have
 * happened?
 *
 * Logged requests are sorted into arms by their keys, as live ones are, and their events go to the
 * guards; time is the log's. Steps that need something else than traffic (a gate, a shadow, a
 * person) are taken as passed after their `min`. What the new version would have done is not in the
 * log: its events are those that were logged, `worse` times as many of them. At 1 the run shows how
 * long a version as good as the old one takes, and whether its clients alone would have stopped it.
 */
#ifndef SLIPWAY_ROLLOUT_SIMULATE_H
#define SLIPWAY_ROLLOUT_SIMULATE_H

#include "base/rand.h"
#include "rollout/rollout.h"

enum { SIMULATE_TRANSITIONS_MAX = 2 * ROLLOUT_STEPS_MAX };

struct simulated_request {
    int64_t at_us;
    struct str key; /* empty: it named none */
    int status;
    int64_t latency_us;
    bool is_invalid;
};

struct simulated_transition {
    int64_t at_us;
    struct rollout_decision decision;
    enum rollout_state state;
    int step;
    int64_t weight_ppm;
};

struct simulation {
    const struct rollout_spec *spec;
    struct choose choose;
    struct rand rand;
    double worse;
    struct rollout rollout;
    struct rollout_view view; /* as of the last request */
    struct exposure exposure;
    struct guard guards[ROLLOUT_CHECKS_MAX];
    int64_t logged[ROLLOUT_CHECKS_MAX]; /* events in the log */
    int64_t requests, harm;
    int64_t began_us, step_began_us;
    int transition_count;
    struct simulated_transition transitions[SIMULATE_TRANSITIONS_MAX];
};

/* `worse` >= 1. The seed decides about arms of requests without a key and about added events. */
void simulation_begin(struct simulation *simulation, const struct rollout_spec *spec, double worse,
                      uint64_t seed);
void simulation_end(struct simulation *simulation);

/* In order of time. False once the rollout is over. */
bool simulation_add(struct simulation *simulation, const struct simulated_request *request);

#endif
