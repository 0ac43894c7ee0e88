/* guard.c - the e-process of guard.h, by key and by request. */
#include "rollout/guard.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

const double guard_ratios[GUARD_ALTERNATIVES] = {1.5, 2, 3, 5, 10, 30, 100, 1000};

/* Rates the canary may have, as shares of the rate it must stay below, and their weights. */
static const struct {
    double share, weight;
} rates[GUARD_RATES] = {{0, 0.5}, {0.1, 0.2}, {0.25, 0.15}, {0.5, 0.15}};

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"wait", "safe", "fail", "error"};
    assert(verdict >= VERDICT_WAIT && verdict <= VERDICT_ERROR);
    return names[verdict];
}

/* ---- exposure ---- */

void exposure_done(struct exposure *exposure)
{
    for (int side = 0; side < SIDE_COUNT; side++)
        key_sketch_done(&exposure->keys[side]);
    *exposure = (struct exposure){0};
}

int64_t exposure_keys(const struct exposure *exposure)
{
    return key_sketch_count(&exposure->keys[SIDE_STABLE]) +
           key_sketch_count(&exposure->keys[SIDE_CANARY]);
}

static bool has_enough_keys(const struct exposure *exposure)
{
    return exposure_keys(exposure) >= GUARD_KEYS_MIN;
}

/* Verdicts go by key when most requests name one, unless there turn out to be few of them. */
static bool goes_by_key(const struct exposure *exposure)
{
    int64_t keyed = exposure->keyed_requests[SIDE_STABLE] + exposure->keyed_requests[SIDE_CANARY];
    int64_t all = exposure->requests[SIDE_STABLE] + exposure->requests[SIDE_CANARY];
    return all > 0 && 2 * keyed >= all &&
           (all < GUARD_FEW_KEYS_REQUESTS || has_enough_keys(exposure));
}

/* ---- one event ---- */

double guard_share(double theta, double ratio)
{
    return theta * ratio / (theta * ratio + 1 - theta);
}

static double log_ratio(double p, double p_null, bool is_canary)
{
    return is_canary ? log(p / p_null) : log((1 - p) / (1 - p_null));
}

static void evidence_add(struct evidence *evidence, const struct guard_rule *rule, double theta,
                         int side)
{
    bool is_canary = side == SIDE_CANARY;
    double p_null = guard_share(theta, rule->worse_than);
    for (int i = 0; i < GUARD_ALTERNATIVES; i++)
        evidence->fail[i] +=
            log_ratio(guard_share(theta, rule->worse_than * guard_ratios[i]), p_null, is_canary);
    if (rule->no_worse_than > 0)
        evidence->safe += log_ratio(theta, guard_share(theta, rule->no_worse_than), is_canary);
    evidence->events[side]++;
}

/* log of the mean of exp(l[i]). */
static double log_mean(const double *l)
{
    double top = l[0], sum = 0;
    for (int i = 1; i < GUARD_ALTERNATIVES; i++)
        top = l[i] > top ? l[i] : top;
    for (int i = 0; i < GUARD_ALTERNATIVES; i++)
        sum += exp(l[i] - top);
    return top + log(sum / GUARD_ALTERNATIVES);
}

/* The part of alpha that a window may spend: 0.9, then 0.1 / (k (k - 1)), in all 1. */
static double window_share(int window)
{
    return window == 1 ? GUARD_FIRST_WINDOW
                       : (1 - GUARD_FIRST_WINDOW) / ((double)window * (window - 1));
}

/* Share of requests that went to the canary, for tests that count requests: with few keys it is
 * far from the share of keys. The nominal share weighs as one request, so it stays inside (0, 1).
 */
static double request_share(const struct exposure *exposure, double theta)
{
    double canary = (double)exposure->requests[SIDE_CANARY];
    double all = canary + (double)exposure->requests[SIDE_STABLE];
    return (canary + theta) / (all + 1);
}

static void open_window(struct guard *guard)
{
    key_set_done(&guard->seen);
    guard->by_key = (struct evidence){0};
    guard->window++;
}

static void count_key(struct guard *guard, const struct exposure *exposure, double theta, int side,
                      uint64_t key_hash)
{
    enum key_added added = key_set_add(&guard->seen, key_hash);
    if (added == KEY_IS_KNOWN)
        return;
    if (added == KEY_SET_IS_FULL ||
        (guard->seen.count > GUARD_KEYS_MIN && 2 * guard->seen.count > exposure_keys(exposure))) {
        open_window(guard);
        key_set_add(&guard->seen, key_hash);
    }
    evidence_add(&guard->by_key, &guard->rule, theta, side);
    guard->key_events += guard->window == 1 && side == SIDE_CANARY;
}

void guard_event(struct guard *guard, const struct exposure *exposure, double theta, int side,
                 const uint64_t *key_hash)
{
    struct guard_reading reading;
    assert(theta > 0 && theta < 1 && (side == SIDE_STABLE || side == SIDE_CANARY));
    guard->events[side]++;
    evidence_add(&guard->by_request, &guard->rule, request_share(exposure, theta), side);
    if (key_hash)
        count_key(guard, exposure, theta, side, *key_hash);
    guard_read(guard, exposure, &reading); /* what is shown once stays shown */
}

/* ---- reading ---- */

/* E-value against a rate of rate_below or more, from x events in n trials: the mixture over lower
 * rates q of (q/p)^x ((1-q)/(1-p))^(n-x). */
static double rate_e_value(double p, int64_t n, int64_t x)
{
    double e = 0;
    if (p <= 0 || n <= 0 || x > n)
        return 0;
    for (int i = 0; i < GUARD_RATES; i++) {
        double q = rates[i].share * p;
        if (q == 0 && x > 0)
            continue;
        double l = (double)(n - x) * (log1p(-q) - log1p(-p));
        l += x > 0 ? (double)x * log(rates[i].share) : 0;
        e += rates[i].weight * exp(l < 700 ? l : 700);
    }
    return e;
}

static void read_counts(const struct guard *guard, const struct exposure *exposure,
                        struct guard_reading *reading)
{
    const struct evidence *evidence = reading->is_by_key ? &guard->by_key : &guard->by_request;
    for (int side = 0; side < SIDE_COUNT; side++) {
        reading->requests[side] = exposure->requests[side];
        reading->keys[side] = key_sketch_count(&exposure->keys[side]);
        reading->events[side] = guard->events[side];
        reading->counted[side] = evidence->events[side];
    }
    reading->e_fail = exp(log_mean(evidence->fail));
    reading->e_safe = guard->rule.no_worse_than > 0 ? exp(evidence->safe) : 0;
}

/* The sketch may count some keys too many; a tenth less is 3 standard errors. */
static double read_rate(const struct guard *guard, const struct guard_reading *reading)
{
    int64_t keys = reading->keys[SIDE_CANARY];
    if (!reading->is_by_key)
        return rate_e_value(guard->rule.rate_below, reading->requests[SIDE_CANARY],
                            reading->events[SIDE_CANARY]);
    if (keys >= KEY_SKETCH_SIZE)
        keys -= keys / 10;
    return rate_e_value(guard->rule.rate_below, keys, guard->key_events);
}

static void read_bounds(const struct guard *guard, struct guard_reading *reading)
{
    double share = reading->is_by_key ? window_share(guard->window) : 1;
    double divisor = reading->is_by_key ? 1 : GUARD_KEYLESS_ALPHA_DIVISOR;
    reading->fail_at = guard->rule.alpha > 0 ? divisor / (guard->rule.alpha * share) : 0;
    reading->safe_at = guard->rule.beta > 0 ? divisor / (guard->rule.beta * share) : 0;
}

static bool shows_failure(const struct guard_reading *reading)
{
    return reading->fail_at > 0 && reading->e_fail >= reading->fail_at &&
           reading->counted[SIDE_STABLE] + reading->counted[SIDE_CANARY] >= GUARD_EVENTS_MIN;
}

static bool shows_safety(const struct guard_reading *reading)
{
    if (reading->safe_at <= 0)
        return false;
    if (reading->e_rate >= reading->safe_at)
        return true;
    return reading->e_safe >= reading->safe_at &&
           reading->counted[SIDE_STABLE] + reading->counted[SIDE_CANARY] >= GUARD_EVENTS_MIN;
}

void guard_read(struct guard *guard, const struct exposure *exposure, struct guard_reading *reading)
{
    *reading = (struct guard_reading){.is_by_key = goes_by_key(exposure), .window = guard->window};
    read_counts(guard, exposure, reading);
    read_bounds(guard, reading);
    reading->e_rate = read_rate(guard, reading);
    bool may_tell = !reading->is_by_key || has_enough_keys(exposure);
    if (may_tell && shows_failure(reading)) {
        guard->is_failed = true;
        guard->is_failed_by_key = guard->is_failed_by_key || reading->is_by_key;
    }
    guard->is_safe = guard->is_safe || (may_tell && shows_safety(reading));
    if (guard->is_failed) {
        reading->verdict = VERDICT_FAIL;
        reading->is_by_key = guard->is_failed_by_key;
    } else if (guard->is_safe) {
        reading->verdict = VERDICT_SAFE;
    }
}

void guard_forgive(struct guard *guard)
{
    if (guard->is_failed_by_key)
        return;
    guard->by_request = (struct evidence){0};
    guard->is_failed = false;
}

bool guard_is_harm(int64_t canary_events, int64_t canary_requests)
{
    return canary_events >= HARM_EVENTS_MIN && canary_requests >= HARM_REQUESTS_MIN &&
           100 * canary_events >= HARM_SHARE_PERCENT * canary_requests;
}

/* ---- beginning and end ---- */

void guard_init(struct guard *guard, const struct guard_rule *rule)
{
    assert(rule->worse_than >= 1 && rule->alpha >= 0 && rule->alpha < 1);
    *guard = (struct guard){.rule = *rule, .window = 1};
}

void guard_done(struct guard *guard)
{
    key_set_done(&guard->seen);
    *guard = (struct guard){0};
}
