/* bench_rollout.c - how often the guards are wrong: ROLLOUTS simulated rollouts for each line.
 *
 * The canary has 10 % of keys; a rollout ends when the guard fails (rolled back), when it is shown
 * to be no more than twice as bad (promoted), or at the horizon (held: on_wait hold). Between two
 * events nothing is decided, so only events are drawn, and the requests between them as one
 * geometric number.
 *
 *     healthy   equal versions, never promoted early, so that every chance of a false rollback is
 *               taken until the horizon
 *     sticky    the same with 2,000 clients of Zipf activity (s = 0.9) that fail each at a rate of
 *               their own (log-normal, sigma 1 and 2), each always in its arm
 *     worse     a canary with 3 or 10 times the errors
 *
 * A share is judged by the upper end of its Clopper-Pearson interval of 99 %. Exit status 1 when a
 * bar is short.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rand.h"
#include "monitor/special.h"
#include "rollout/choose.h"
#include "rollout/guard.h"
#include "rollout/plan.h"

enum {
    ROLLOUTS = 10000,
    REQUESTS_MAX = 400000, /* horizon of one rollout */
    CLIENTS = 2000,
    CANARY_PPM = 100000,
};

#define THETA ((double)CANARY_PPM / WEIGHT_ONE)

struct scene {
    double base, ratio; /* error rate of the stable version, and how much worse the canary is */
    bool is_promoted_when_safe;
    double sigma; /* of the clients' own rates; negative: every request has a key of its own */
};

struct clients {
    double activity[CLIENTS], rate[CLIENTS];
    double cumulated[CLIENTS]; /* of events */
    uint64_t hash[CLIENTS];
    bool is_canary[CLIENTS];
};

enum result { ROLLED_BACK, PROMOTED, HELD, RESULT_COUNT };

struct tally {
    int64_t results[RESULT_COUNT];
    int count;                  /* of those rolled back */
    int64_t errors[ROLLOUTS];   /* canary errors seen until then */
    int64_t requests[ROLLOUTS]; /* canary requests until then */
};

static const struct guard_rule rule = {
    .worse_than = 1, .alpha = 0.01, .no_worse_than = 2, .beta = 0.05, .rate_below = 0.001};

static double unit_positive(struct rand *rand)
{
    return 1 - rand_unit(rand);
}

static double normal(struct rand *rand)
{
    double radius = sqrt(-2 * log(unit_positive(rand)));
    return radius * cos(2 * M_PI * rand_unit(rand));
}

/* Trials up to and with the first hit of probability p. */
static int64_t geometric(struct rand *rand, double p)
{
    double trials = ceil(log(unit_positive(rand)) / log1p(-p));
    return trials < 1 ? 1 : trials > REQUESTS_MAX ? REQUESTS_MAX + 1 : (int64_t)trials;
}

/* ---- one rollout ---- */

struct run {
    struct rand rand;
    struct choose choose;
    struct exposure exposure;
    struct guard guard;
    int64_t requests;
    uint64_t next_key;
};

static void begin(struct run *run, uint64_t seed)
{
    rand_seed(&run->rand, seed);
    run->choose = (struct choose){
        .salt = {rand_u64(&run->rand), rand_u64(&run->rand)},
        .threshold = choose_threshold(CANARY_PPM),
    };
    guard_init(&run->guard, &rule);
}

static void end(struct run *run)
{
    guard_done(&run->guard);
    exposure_done(&run->exposure);
}

static void expose(struct run *run, int64_t requests, double canary_share)
{
    double canary = (double)requests * canary_share;
    int64_t whole = (int64_t)canary + (rand_unit(&run->rand) < canary - floor(canary));
    run->exposure.requests[SIDE_CANARY] += whole;
    run->exposure.requests[SIDE_STABLE] += requests - whole;
    run->exposure.keyed_requests[SIDE_CANARY] += whole;
    run->exposure.keyed_requests[SIDE_STABLE] += requests - whole;
    run->requests += requests;
}

/* Fresh keys until one has an event: the arms of those before it are only counted. */
static void fresh_event(struct run *run, const struct scene *scene)
{
    double rate = THETA * scene->base * scene->ratio + (1 - THETA) * scene->base;
    double p_canary = guard_share(THETA, scene->ratio);
    int64_t requests = geometric(&run->rand, rate);
    expose(run, requests, THETA);
    /* Keys in the right arm are found by their hash, as in the server. */
    bool is_canary = rand_unit(&run->rand) < p_canary;
    uint64_t hash;
    do
        hash = hash_sip(run->choose.salt, &run->next_key, sizeof(run->next_key));
    while (run->next_key++, choose_is_canary(&run->choose, hash) != is_canary);
    guard_event(&run->guard, &run->exposure, THETA, is_canary ? SIDE_CANARY : SIDE_STABLE, &hash);
}

/* Enough keys for a verdict; how many more there are plays no role. */
static void show_fresh_keys(struct run *run)
{
    for (uint64_t key = 0; key < (uint64_t)KEY_SKETCH_SIZE; key++) {
        uint64_t name = ~key;
        uint64_t hash = hash_sip(run->choose.salt, &name, sizeof(name));
        bool is_canary = choose_is_canary(&run->choose, hash);
        key_sketch_add(&run->exposure.keys[is_canary], hash);
    }
}

static void make_clients(struct run *run, const struct scene *scene, struct clients *clients)
{
    double events = 0, activity = 0, failing = 0;
    for (int i = 0; i < CLIENTS; i++) {
        uint64_t name = (uint64_t)i;
        double z = normal(&run->rand), s = scene->sigma;
        clients->hash[i] = hash_sip(run->choose.salt, &name, sizeof(name));
        clients->is_canary[i] = choose_is_canary(&run->choose, clients->hash[i]);
        clients->activity[i] = pow(i + 1, -0.9);
        clients->rate[i] = fmin(1, exp(s * z - s * s / 2));
        activity += clients->activity[i];
        failing += clients->activity[i] * clients->rate[i];
        key_sketch_add(&run->exposure.keys[clients->is_canary[i]], clients->hash[i]);
    }
    /* Scaled so that `base` of all requests fail. */
    for (int i = 0; i < CLIENTS; i++) {
        double rate = clients->rate[i] * scene->base * activity / failing;
        clients->activity[i] /= activity;
        clients->rate[i] = fmin(1, rate * (clients->is_canary[i] ? scene->ratio : 1));
        events += clients->activity[i] * clients->rate[i];
        clients->cumulated[i] = events;
    }
}

static double canary_activity(const struct clients *clients)
{
    double share = 0;
    for (int i = 0; i < CLIENTS; i++)
        share += clients->is_canary[i] ? clients->activity[i] : 0;
    return share;
}

static void client_event(struct run *run, const struct clients *clients, double canary_share)
{
    double rate = clients->cumulated[CLIENTS - 1], at = rand_unit(&run->rand) * rate;
    int low = 0, high = CLIENTS - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (clients->cumulated[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    expose(run, geometric(&run->rand, rate), canary_share);
    guard_event(&run->guard, &run->exposure, THETA,
                clients->is_canary[low] ? SIDE_CANARY : SIDE_STABLE, &clients->hash[low]);
}

static enum result simulate(struct run *run, const struct scene *scene, struct clients *clients)
{
    double share = THETA;
    if (scene->sigma < 0) {
        show_fresh_keys(run);
    } else {
        make_clients(run, scene, clients);
        share = canary_activity(clients);
    }
    while (run->requests < REQUESTS_MAX) {
        struct guard_reading reading;
        if (scene->sigma < 0)
            fresh_event(run, scene);
        else
            client_event(run, clients, share);
        if (run->requests >= REQUESTS_MAX)
            break;
        guard_read(&run->guard, &run->exposure, &reading);
        if (guard_is_harm(reading.events[SIDE_CANARY], reading.requests[SIDE_CANARY]) ||
            (reading.verdict == VERDICT_FAIL && reading.is_by_key))
            return ROLLED_BACK;
        if (reading.verdict == VERDICT_SAFE && scene->is_promoted_when_safe)
            return PROMOTED;
    }
    return HELD;
}

/* ---- many ---- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void run_all(const struct scene *scene, uint64_t seed, struct tally *tally)
{
    static struct clients clients;
    memset(tally, 0, sizeof(*tally));
    for (int i = 0; i < ROLLOUTS; i++) {
        struct run run = {0};
        begin(&run, seed + (uint64_t)i);
        enum result result = simulate(&run, scene, &clients);
        tally->results[result]++;
        if (result == ROLLED_BACK) {
            tally->errors[tally->count] = run.guard.events[SIDE_CANARY];
            tally->requests[tally->count++] = run.exposure.requests[SIDE_CANARY];
        }
        end(&run);
    }
    qsort(tally->errors, (size_t)tally->count, sizeof(int64_t), compare);
    qsort(tally->requests, (size_t)tally->count, sizeof(int64_t), compare);
}

static void show(const char *name, const struct scene *scene, const struct tally *tally)
{
    int middle = tally->count / 2, late = tally->count * 9 / 10;
    printf("%s base=%g%% ratio=%g: rolled back %lld, promoted %lld, held %lld of %d", name,
           scene->base * 100, scene->ratio, (long long)tally->results[ROLLED_BACK],
           (long long)tally->results[PROMOTED], (long long)tally->results[HELD], ROLLOUTS);
    if (tally->count)
        printf("; until then canary errors median %lld p90 %lld, canary requests median %lld "
               "p90 %lld",
               (long long)tally->errors[middle], (long long)tally->errors[late],
               (long long)tally->requests[middle], (long long)tally->requests[late]);
    printf("\n");
}

/* The whole interval of 99 % lies below the bound. */
static int share_bar(const char *name, int64_t hits, double bound_percent)
{
    double upper = 100 * binomial_clopper_pearson(hits, ROLLOUTS, 0.01).high;
    bool is_ok = upper <= bound_percent;
    printf("bar %s %.2f%%(limit,of_%.2f%%) <=%g%% %s\n", name, upper,
           100.0 * (double)hits / ROLLOUTS, bound_percent, is_ok ? "ok" : "short");
    return !is_ok;
}

static int median_bar(const char *name, const struct tally *tally, int64_t bound)
{
    /* Those that were never rolled back would have needed more. */
    int middle = ROLLOUTS / 2;
    int64_t median = middle < tally->count ? tally->errors[middle] : INT64_MAX;
    printf("bar %s %lld <=%lld %s\n", name, (long long)median, (long long)bound,
           median <= bound ? "ok" : "short");
    return median > bound;
}

static int healthy(double base, double sigma, const char *name)
{
    static struct tally tally;
    struct scene scene = {.base = base, .ratio = 1, .sigma = sigma};
    run_all(&scene, 1000003 + (uint64_t)(base * 1e9), &tally);
    show(name, &scene, &tally);
    return share_bar(name, tally.results[ROLLED_BACK], 1);
}

static int worse(double base, double ratio, double sigma, const char *name)
{
    static struct tally tally;
    struct scene scene = {
        .base = base, .ratio = ratio, .sigma = sigma, .is_promoted_when_safe = true};
    run_all(&scene, 2000003 + (uint64_t)(base * 1e9), &tally);
    show(name, &scene, &tally);
    if (ratio < 10)
        return share_bar(name, tally.results[PROMOTED], 0.3);
    return median_bar(name, &tally, 10);
}

int main(void)
{
    int short_count = 0;
    short_count += healthy(0.001, -1, "rollout_false_rollback_0.1%");
    short_count += healthy(0.005, -1, "rollout_false_rollback_0.5%");
    short_count += healthy(0.001, 1, "rollout_false_rollback_sticky_0.1%");
    short_count += healthy(0.005, 1, "rollout_false_rollback_sticky_0.5%");
    short_count += healthy(0.001, 2, "rollout_false_rollback_sticky_spread_0.1%");
    short_count += healthy(0.005, 2, "rollout_false_rollback_sticky_spread_0.5%");
    short_count += worse(0.001, 3, -1, "rollout_3x_promoted_0.1%");
    short_count += worse(0.005, 3, -1, "rollout_3x_promoted_0.5%");
    short_count += worse(0.001, 10, -1, "rollout_10x_canary_errors_0.1%");
    short_count += worse(0.005, 10, -1, "rollout_10x_canary_errors_0.5%");
    return short_count ? 1 : 0;
}
