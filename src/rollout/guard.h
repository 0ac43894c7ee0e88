/* guard.h - "who got the error": has the canary more than its share of the bad events?
 *
 * An event falls into the canary with probability theta, the canary's known share, when both
 * versions are equal; with a rate that is r times higher,
 *
 *     p(theta, r) = theta r / (theta r + 1 - theta)
 *
 * FAIL. Null: r <= worse_than. For each r_i of a grid the likelihood ratio of r_i worse_than
 * against worse_than is a test martingale; E is their mean, so P(E ever >= 1/alpha) <= alpha at any
 * moment one looks, whatever the error rate does over time and whatever theta each event had.
 * SAFE. Null: r >= no_worse_than, tested the same way by equal rates against it, bound 1/beta. Or,
 * where events are so rare that nobody gets one: the canary's own rate lies below rate_below.
 * Else WAIT.
 *
 * What makes it true in traffic: a client that fails, fails again and again, in the arm its key is
 * in. So only the first event of each key counts, and theta is the share of keys. When most keys
 * have had an event a new counting window opens, in which each may count once more; windows spend
 * alpha (9/10, then 1/20, 1/60, ...: in all 1), because the arms of known keys are no longer
 * random. Keyless traffic, or less than GUARD_KEYS_MIN keys: each request counts, with alpha/10,
 * and a failure holds the rollout instead of ending it (is_by_key false).
 *
 * Source: M. Lindon, A. Malek, Anytime-Valid Inference for Multinomial Count Data (arXiv
 * 2011.03567), for conditioning on the arm an event fell into; J. Ville (1939) for the bound. Error
 * rates of 10,000 simulated rollouts: tests/bench/bench_rollout.c.
 */
#ifndef SLIPWAY_ROLLOUT_GUARD_H
#define SLIPWAY_ROLLOUT_GUARD_H

#include "rollout/keys.h"

enum {
    GUARD_ALTERNATIVES = 8,
    GUARD_EVENTS_MIN = 5,           /* for any verdict */
    GUARD_KEYS_MIN = 50,            /* for a verdict by key */
    GUARD_FEW_KEYS_REQUESTS = 1000, /* with fewer keys after that many requests there are few */
    GUARD_KEYLESS_ALPHA_DIVISOR = 10,
    GUARD_RATES = 4,

    HARM_EVENTS_MIN = 5, /* the harm guard: */
    HARM_REQUESTS_MIN = 20,
    HARM_SHARE_PERCENT = 50,
};

enum verdict {
    VERDICT_WAIT,  /* not enough to tell */
    VERDICT_SAFE,  /* shown: no worse than asked */
    VERDICT_FAIL,  /* shown: worse */
    VERDICT_ERROR, /* our own trouble; neither failure nor success */
};
const char *verdict_name(enum verdict verdict); /* "wait", "safe", "fail", "error" */

/* Ratios the canary may have, as multiples of worse_than; and the part of alpha that the first
 * window spends. */
extern const double guard_ratios[GUARD_ALTERNATIVES];
#define GUARD_FIRST_WINDOW 0.9

/* p(theta, r): how likely an event falls into the canary. */
double guard_share(double theta, double ratio);

/* Index of the two arms in counts. */
enum { SIDE_STABLE, SIDE_CANARY, SIDE_COUNT };

struct guard_rule {
    double worse_than;    /* ratio that is still fine, >= 1 */
    double alpha;         /* in (0, 1): chance of a false alarm; 0: never fails */
    double no_worse_than; /* ratio that must be excluded, > 1; 0: nothing to show */
    double beta;          /* in (0, 1): chance of excluding it wrongly */
    double rate_below;    /* or this rate, in (0, 1); 0: only the ratio counts */
};

/* What a rollout has sent where; all guards of it share one. */
struct exposure {
    int64_t requests[SIDE_COUNT];
    int64_t keyed_requests[SIDE_COUNT];
    struct key_sketch keys[SIDE_COUNT];
};
void exposure_done(struct exposure *exposure);
int64_t exposure_keys(const struct exposure *exposure); /* distinct keys of both sides */

/* One test in the making: by key or by request. */
struct evidence {
    double fail[GUARD_ALTERNATIVES]; /* log likelihood ratios */
    double safe;                     /* log likelihood ratio */
    int64_t events[SIDE_COUNT];      /* that counted in this window */
};

struct guard {
    struct guard_rule rule;
    struct evidence by_key, by_request;
    struct key_set seen;        /* keys whose event has counted in this window */
    int window;                 /* 1, 2, ... */
    int64_t key_events;         /* that counted, of the canary, in the first window: for the rate */
    int64_t events[SIDE_COUNT]; /* all of them */
    bool is_safe;               /* shown once */
    bool is_failed, is_failed_by_key;
};

void guard_init(struct guard *guard, const struct guard_rule *rule);
void guard_done(struct guard *guard);

/* An event happened. `theta` is the canary's share of keys at that moment, in (0, 1); key_hash NULL
 * when the request named no key. The exposure has counted the request already. */
void guard_event(struct guard *guard, const struct exposure *exposure, double theta, int side,
                 const uint64_t *key_hash);

/* The verdict with what it was made on. */
struct guard_reading {
    enum verdict verdict;
    bool is_by_key; /* else each request counted: a failure holds */
    int window;
    int64_t requests[SIDE_COUNT], keys[SIDE_COUNT];
    int64_t events[SIDE_COUNT];  /* all */
    int64_t counted[SIDE_COUNT]; /* those the verdict rests on */
    double e_fail, fail_at;      /* E and the bound it must reach; fail_at 0: never */
    double e_safe, safe_at;
    double e_rate; /* against rate_below, same bound as e_safe; 0 without */
};
void guard_read(struct guard *guard, const struct exposure *exposure,
                struct guard_reading *reading);

/* Somebody has looked at a failure that was counted by request, and goes on: those requests count
 * no more. One by key stays. */
void guard_forgive(struct guard *guard);

/* The absolute harm guard, no statistics: the canary is dead. */
bool guard_is_harm(int64_t canary_events, int64_t canary_requests);

#endif
