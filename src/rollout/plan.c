/* plan.c - expected events and time until a verdict. */
#include "rollout/plan.h"

#include <math.h>

#include "base/check.h"

/* Where plan_ratio_noticed looks. */
enum { RATIO_MAX = 1000, RATIO_STEPS = 40 };

/* Mean that one event adds to the log likelihood ratio of `p_alternative` against `p_null`. */
static double drift(double p_true, double p_alternative, double p_null)
{
    return p_true * log(p_alternative / p_null) +
           (1 - p_true) * log((1 - p_alternative) / (1 - p_null));
}

static void finish(const struct plan_traffic *traffic, double theta, double ratio, double events,
                   struct plan_answer *answer)
{
    double canary_rate = traffic->event_rate * ratio;
    if (canary_rate > 1)
        canary_rate = 1;
    double share = theta * canary_rate + (1 - theta) * traffic->event_rate;
    double requests = share > 0 ? events / share : INFINITY;
    *answer = (struct plan_answer){
        .events = events,
        .canary_events = share > 0 ? events * theta * canary_rate / share : 0,
        .canary_requests = requests * theta,
        .seconds =
            traffic->requests_a_second > 0 ? requests / traffic->requests_a_second : INFINITY,
    };
}

void plan_fail(const struct guard_rule *rule, const struct plan_traffic *traffic, double theta,
               double ratio, struct plan_answer *answer)
{
    double best = 0, p_null = guard_share(theta, rule->worse_than);
    assert(theta > 0 && theta < 1 && ratio > 0);
    for (int i = 0; i < GUARD_ALTERNATIVES; i++) {
        double p = guard_share(theta, rule->worse_than * guard_ratios[i]);
        double d = drift(guard_share(theta, ratio), p, p_null);
        best = d > best ? d : best;
    }
    double needed = log(1 / (rule->alpha * GUARD_FIRST_WINDOW)) + log(GUARD_ALTERNATIVES);
    double events = best > 0 && rule->alpha > 0 ? needed / best : INFINITY;
    finish(traffic, theta, ratio, events < GUARD_EVENTS_MIN ? GUARD_EVENTS_MIN : events, answer);
}

/* Canary requests without an event until a rate of rate_below is excluded: the mixture's part
 * without any event has weight 1/2. */
static double requests_until_rate(const struct guard_rule *rule)
{
    if (rule->rate_below <= 0)
        return INFINITY;
    return log(2 / (rule->beta * GUARD_FIRST_WINDOW)) / -log1p(-rule->rate_below);
}

void plan_safe(const struct guard_rule *rule, const struct plan_traffic *traffic, double theta,
               struct plan_answer *answer)
{
    double events = INFINITY;
    assert(theta > 0 && theta < 1);
    if (rule->no_worse_than > 1 && rule->beta > 0) {
        double p_null = guard_share(theta, rule->no_worse_than);
        events = log(1 / (rule->beta * GUARD_FIRST_WINDOW)) / drift(theta, theta, p_null);
    }
    finish(traffic, theta, 1, events < GUARD_EVENTS_MIN ? GUARD_EVENTS_MIN : events, answer);
    double by_rate = requests_until_rate(rule);
    /* Less than one event is expected until then. */
    if (by_rate >= answer->canary_requests || by_rate * traffic->event_rate > 1)
        return;
    answer->events = answer->canary_events = 0;
    answer->canary_requests = by_rate;
    answer->seconds =
        traffic->requests_a_second > 0 ? by_rate / theta / traffic->requests_a_second : INFINITY;
}

double plan_ratio_noticed(const struct guard_rule *rule, const struct plan_traffic *traffic,
                          double theta, double seconds)
{
    struct plan_answer answer;
    double low = rule->worse_than, high = RATIO_MAX;
    plan_fail(rule, traffic, theta, high, &answer);
    if (!(answer.seconds <= seconds))
        return INFINITY;
    for (int i = 0; i < RATIO_STEPS; i++) {
        double middle = sqrt(low * high);
        plan_fail(rule, traffic, theta, middle, &answer);
        if (answer.seconds <= seconds)
            high = middle;
        else
            low = middle;
    }
    return high;
}
