/* plan.h - what a guard will notice, and when, at the traffic of now.
 *
 * The expected log likelihood ratio that one event adds when the canary's rate is r times the
 * stable one's, for the best alternative of the guard's grid, is
 *
 *     D(r) = max_i [ p(r) ln(p(r_i)/p0) + (1 - p(r)) ln((1 - p(r_i))/(1 - p0)) ]
 *
 * so about (ln(1/alpha) + ln(grid size)) / D(r) events are needed, of which p(r) fall into the
 * canary (Wald). It is a mean: half of all rollouts decide sooner.
 */
#ifndef SLIPWAY_ROLLOUT_PLAN_H
#define SLIPWAY_ROLLOUT_PLAN_H

#include "rollout/guard.h"

struct plan_traffic {
    double requests_a_second; /* to the endpoint */
    double event_rate;        /* share of requests that are events of the guard, in (0, 1) */
};

struct plan_answer {
    double events;          /* of both sides until the verdict; infinite: never */
    double canary_events;   /* of the canary */
    double canary_requests; /* that the canary answers until then */
    double seconds;         /* infinite without traffic */
};

/* Until FAIL, when the canary's rate is `ratio` times the stable one's. `theta` is its share. */
void plan_fail(const struct guard_rule *rule, const struct plan_traffic *traffic, double theta,
               double ratio, struct plan_answer *answer);

/* Until SAFE, when both are equal: by the ratio or by the rate, whichever is sooner. */
void plan_safe(const struct guard_rule *rule, const struct plan_traffic *traffic, double theta,
               struct plan_answer *answer);

/* The smallest ratio that is noticed within `seconds`; infinite when none is. */
double plan_ratio_noticed(const struct guard_rule *rule, const struct plan_traffic *traffic,
                          double theta, double seconds);

#endif
