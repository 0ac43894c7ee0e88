/* watch.c - counters in, alerts out.
 *
 * A version counts from zero when it is loaded, so a total that is smaller than the last one seen
 * means that it was loaded again, and all of it is new.
 */
#include "serve/watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"

enum { KEY_BYTES = ALERT_KEY_BYTES, TEXT_BYTES = 400, RECENT_US = 600 * 1000 * 1000 };

/* A version's totals when it was last looked at. */
struct seen {
    int64_t number, slower_than_us;
    uint64_t totals[BURN_COUNTS], violations[RULE_COUNT];
    uint32_t tick; /* of the last look */
};

struct watched {
    char name[STR_NAME_BYTES_MAX + 1];
    struct burn *burn; /* NULL until the first request */
    struct seen *seen; /* [seen_count] */
    int seen_count;
    int64_t champion, champion_since_us; /* 0: it was there when the watch began */
    uint64_t violations[RULE_COUNT];     /* recent ones: halved every ten minutes */
    int64_t halved_us;
};

struct drops {
    const char *what;
    uint64_t total, before; /* `before` the first of the window that is open */
    int64_t last_us;        /* when it last grew */
};

struct watch {
    struct alerts *alerts;
    struct map models; /* name -> struct watched */
    uint32_t tick;
    struct drops drops[WATCH_DROPS_MAX];
    int drops_count;
};

struct watch *watch_new(struct alerts *alerts)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        abort();
    watch->alerts = alerts;
    map_init(&watch->models);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; i < watch->models.slot_count; i++) {
        struct watched *model =
            watch->models.slots[i].key.ptr ? watch->models.slots[i].value : NULL;
        if (!model)
            continue;
        burn_free(model->burn);
        free(model->seen);
        free(model);
    }
    map_done(&watch->models);
    free(watch);
}

static struct watched *model_of(struct watch *watch, struct str name)
{
    struct watched *model = map_find(&watch->models, name);
    if (model)
        return model;
    model = calloc(1, sizeof(*model));
    if (!model)
        abort();
    snprintf(model->name, sizeof(model->name), "%.*s", STR_ARG(name));
    map_put(&watch->models, str_of(model->name), model);
    return model;
}

/* ---- counting ---- */

static struct seen *seen_of(struct watched *model, int64_t number)
{
    for (int i = 0; i < model->seen_count; i++)
        if (model->seen[i].number == number)
            return &model->seen[i];
    struct seen *grown =
        realloc(model->seen, (size_t)(model->seen_count + 1) * sizeof(*model->seen));
    if (!grown)
        abort();
    model->seen = grown;
    struct seen *seen = &grown[model->seen_count++];
    *seen = (struct seen){.number = number};
    return seen;
}

/* Versions that are no longer in memory. */
static void forget_unseen(struct watched *model, uint32_t tick)
{
    int kept = 0;
    for (int i = 0; i < model->seen_count; i++)
        if (model->seen[i].tick == tick)
            model->seen[kept++] = model->seen[i];
    model->seen_count = kept;
}

static bool is_server_error(int slot)
{
    return loaded_status_name(slot)[0] == '5';
}

static void add_thread(const struct version_stats *stats, struct burn_sums *sums,
                       struct histogram_sum *latency, uint64_t *violations)
{
    const int rejected = loaded_status_slot(422);
    for (int slot = 0; slot < LOADED_STATUS_COUNT; slot++) {
        uint64_t count = counter_read(&stats->request_count[slot]);
        sums->counts[BURN_REQUESTS] += count;
        sums->counts[BURN_ERRORS] += is_server_error(slot) ? count : 0;
        sums->counts[BURN_REJECTS] += slot == rejected ? count : 0;
    }
    sums->counts[BURN_ROWS] += counter_read(&stats->row_count);
    sums->counts[BURN_SUSPECTS] += counter_read(&stats->suspect_row_count);
    for (int rule = 0; rule < RULE_COUNT; rule++)
        violations[rule] += counter_read(&stats->violation_count[rule]);
    histogram_add_to(&stats->latency, latency);
}

static uint64_t growth(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

/* What this version counted since it was last seen. */
static void count_version(struct watched *model, const struct loaded *loaded, uint32_t tick,
                          const struct alert_slo *slo, struct burn_sums *counted)
{
    struct burn_sums totals = {0};
    struct histogram_sum latency = {0};
    uint64_t violations[RULE_COUNT] = {0};
    struct seen *seen = seen_of(model, loaded->number);
    if (seen->tick == tick)
        return;
    for (int t = 0; t < loaded->thread_count; t++)
        add_thread(&loaded->stats[t], &totals, &latency, violations);
    uint64_t quick = histogram_count_to(&latency, (uint64_t)slo->slower_than_us * 1000);
    totals.counts[BURN_SLOW] = latency.count - quick;
    if (seen->slower_than_us && seen->slower_than_us != slo->slower_than_us)
        seen->totals[BURN_SLOW] = totals.counts[BURN_SLOW]; /* another question from here on */
    bool is_fresh = totals.counts[BURN_REQUESTS] < seen->totals[BURN_REQUESTS];
    for (int i = 0; i < BURN_COUNTS; i++) {
        counted->counts[i] +=
            is_fresh ? totals.counts[i] : growth(totals.counts[i], seen->totals[i]);
        seen->totals[i] = totals.counts[i];
    }
    for (int rule = 0; rule < RULE_COUNT; rule++) {
        model->violations[rule] += growth(violations[rule], is_fresh ? 0 : seen->violations[rule]);
        seen->violations[rule] = violations[rule];
    }
    seen->slower_than_us = slo->slower_than_us;
    seen->tick = tick;
}

static void count_if(struct watched *model, const struct loaded *loaded, uint32_t tick,
                     const struct alert_slo *slo, struct burn_sums *counted)
{
    if (loaded)
        count_version(model, loaded, tick, slo, counted);
}

static void count_endpoint(struct watch *watch, struct watched *model,
                           const struct endpoint *endpoint, const struct alert_slo *slo,
                           int64_t now_us)
{
    struct burn_sums counted = {0};
    count_if(model, endpoint->champion, watch->tick, slo, &counted);
    count_if(model, endpoint->previous, watch->tick, slo, &counted);
    for (int i = 0; i < endpoint->alias_count; i++)
        count_if(model, endpoint->aliases[i].loaded, watch->tick, slo, &counted);
    for (int i = 0; i < endpoint->pinned_count; i++)
        count_if(model, endpoint->pinned[i], watch->tick, slo, &counted);
    forget_unseen(model, watch->tick);
    if (counted.counts[BURN_REQUESTS] && !model->burn)
        model->burn = burn_new();
    if (model->burn)
        burn_add(model->burn, now_us, &counted);
    if (now_us - model->halved_us >= RECENT_US) {
        for (int rule = 0; rule < RULE_COUNT; rule++)
            model->violations[rule] /= 2;
        model->halved_us = now_us;
    }
}

/* ---- judging ---- */

/* What is bad and out of how many, by signal. */
static void bad_of(enum alert_signal signal, enum burn_count *bad, enum burn_count *all)
{
    *all = signal == ALERT_BY_SUSPECTS ? BURN_ROWS : BURN_REQUESTS;
    *bad = signal == ALERT_BY_ERRORS    ? BURN_ERRORS
           : signal == ALERT_BY_LATENCY ? BURN_SLOW
           : signal == ALERT_BY_REJECTS ? BURN_REJECTS
                                        : BURN_SUSPECTS;
}

/* A window's counts and what they mean in the rule's unit. */
struct verdict {
    uint64_t bad, all;
    double value;
};

static double objective_of(const struct alert_rule *rule, const struct alert_slo *slo)
{
    return rule->signal == ALERT_BY_ERRORS    ? slo->errors_objective
           : rule->signal == ALERT_BY_LATENCY ? slo->latency_objective
                                              : NAN;
}

static struct verdict judge_window(const struct watched *model, const struct alert_rule *rule,
                                   const struct alert_slo *slo, int64_t window_us, int64_t now_us)
{
    struct burn_sums sums;
    enum burn_count bad, all;
    double objective = objective_of(rule, slo);
    burn_window(model->burn, now_us, window_us, &sums);
    bad_of(rule->signal, &bad, &all);
    struct verdict v = {.bad = sums.counts[bad], .all = sums.counts[all]};
    if (!isnan(objective))
        v.value = burn_rate(v.bad, v.all, objective);
    else
        v.value = v.all ? (double)v.bad / (double)v.all : 0;
    return v;
}

static const char *noun_of(enum alert_signal signal)
{
    return signal == ALERT_BY_ERRORS    ? "answers are errors"
           : signal == ALERT_BY_LATENCY ? "answers are late"
           : signal == ALERT_BY_REJECTS ? "requests break the contract"
                                        : "rows are quarantined";
}

static double percent(const struct verdict *v)
{
    return v->all ? 100 * (double)v->bad / (double)v->all : 0;
}

static void write_message(char out[TEXT_BYTES], const struct alert_rule *rule,
                          const struct alert_slo *slo, const struct verdict *in_long,
                          const struct verdict *in_short)
{
    double objective = objective_of(rule, slo);
    int used = snprintf(out, TEXT_BYTES, "%.3g %% of %s (%llu of %llu in %lld min",
                        percent(in_long), noun_of(rule->signal), (unsigned long long)in_long->bad,
                        (unsigned long long)in_long->all, (long long)(rule->window_us / 60000000));
    if (rule->short_us)
        used += snprintf(out + used, (size_t)(TEXT_BYTES - used), ", %.3g %% in %lld min",
                         percent(in_short), (long long)(rule->short_us / 60000000));
    if (!isnan(objective))
        used += snprintf(out + used, (size_t)(TEXT_BYTES - used),
                         "): %.3g times what the objective of %g %% allows", in_long->value,
                         100 * objective);
    else
        used += snprintf(out + used, (size_t)(TEXT_BYTES - used), "), bound %.3g %%",
                         100 * rule->bound);
    if (rule->signal == ALERT_BY_LATENCY)
        snprintf(out + used, (size_t)(TEXT_BYTES - used), "; late is over %g ms",
                 (double)slo->slower_than_us / 1000);
}

/* The rule of the contract that was broken most of late; RULE_COUNT when none was. */
static int most_broken(const struct watched *model)
{
    int most = RULE_COUNT;
    for (int rule = 0; rule < RULE_COUNT; rule++)
        if (model->violations[rule] &&
            (most == RULE_COUNT || model->violations[rule] > model->violations[most]))
            most = rule;
    return most;
}

/* What changed lately is the first thing to look at. */
static void write_cause(char out[TEXT_BYTES], const struct watched *model,
                        const struct alert_rule *rule, int64_t now_us)
{
    char at[CLOCK_TEXT_BYTES];
    int broken = most_broken(model), used = 0;
    out[0] = '\0';
    if ((rule->signal == ALERT_BY_REJECTS || rule->signal == ALERT_BY_SUSPECTS) &&
        broken < RULE_COUNT)
        used = snprintf(out, TEXT_BYTES, "mostly rule '%s'; ",
                        contract_rule_name((enum contract_rule)broken));
    if (model->champion_since_us && now_us - model->champion_since_us <= 2 * rule->window_us)
        used += snprintf(out + used, (size_t)(TEXT_BYTES - used),
                         "version %lld became champion at %.19sZ", (long long)model->champion,
                         clock_format(model->champion_since_us, at));
    else if (used >= 2)
        out[used - 2] = '\0';
}

static void judge(struct watch *watch, const struct watched *model, const struct alert_rule *rule,
                  const struct alert_slo *slo, int64_t now_us)
{
    char key[KEY_BYTES], message[TEXT_BYTES], cause[TEXT_BYTES];
    struct verdict in_long = judge_window(model, rule, slo, rule->window_us, now_us);
    struct verdict in_short = in_long;
    if (rule->short_us)
        in_short = judge_window(model, rule, slo, rule->short_us, now_us);
    bool is_enough =
        (int64_t)in_long.all >= rule->requests_min && (int64_t)in_long.bad >= rule->bad_min;
    snprintf(key, sizeof(key), "%s/%s", rule->name, model->name);
    write_message(message, rule, slo, &in_long, &in_short);
    write_cause(cause, model, rule, now_us);
    const struct alert alert = {
        .key = key,
        .model = model->name,
        .version = model->champion,
        .rule = rule->name,
        .severity = rule->severity,
        .value = is_enough ? fmin(in_long.value, in_short.value) : 0,
        .bound = rule->bound,
        .unit = rule->unit,
        .message = message,
        .cause = cause,
    };
    alert_observe(watch->alerts, &alert, false);
}

static void judge_readiness(struct watch *watch, struct watched *model,
                            const struct endpoint *endpoint, const struct alert_rules *rules)
{
    char key[KEY_BYTES], message[TEXT_BYTES];
    const struct alert_rule *rule = alert_rules_find(rules, model->name, "model_not_ready");
    const struct loaded *champion = endpoint->champion;
    const char *cause = champion ? loaded_problem(champion) : endpoint->problem;
    bool is_unready = endpoint->champion_version != 0 && (!champion || cause);
    snprintf(key, sizeof(key), "%s/%s", rule->name, model->name);
    if (!is_unready) {
        alert_clear(watch->alerts, key);
        return;
    }
    snprintf(message, sizeof(message), "the champion, version %lld, %s",
             (long long)endpoint->champion_version,
             champion ? "does not answer" : "is not in memory");
    const struct alert alert = {
        .key = key,
        .model = model->name,
        .version = endpoint->champion_version,
        .rule = rule->name,
        .severity = rule->severity,
        .value = NAN,
        .bound = NAN,
        .message = message,
        .cause = cause,
    };
    alert_raise(watch->alerts, &alert);
}

static void follow_champion(struct watched *model, const struct endpoint *endpoint, int64_t now_us)
{
    if (model->champion && model->champion != endpoint->champion_version)
        model->champion_since_us = now_us;
    model->champion = endpoint->champion_version;
}

static void watch_endpoint(struct watch *watch, const struct endpoint *endpoint,
                           const struct alert_rules *rules, int64_t now_us)
{
    struct watched *model = model_of(watch, str_of(endpoint->name));
    const struct alert_slo *slo = alert_rules_slo(rules, endpoint->name);
    const struct alert_rule *rule;
    follow_champion(model, endpoint, now_us);
    count_endpoint(watch, model, endpoint, slo, now_us);
    judge_readiness(watch, model, endpoint, rules);
    for (int i = 0; model->burn && (rule = alert_rules_at(rules, endpoint->name, i)); i++)
        if (rule->signal >= ALERT_BY_ERRORS && rule->signal <= ALERT_BY_SUSPECTS)
            judge(watch, model, rule, slo, now_us);
}

void watch_snapshot(struct watch *watch, const struct snapshot *snapshot,
                    const struct alert_rules *rules, int64_t now_us)
{
    watch->tick++;
    for (size_t i = 0; i < snapshot->endpoints.slot_count; i++)
        if (snapshot->endpoints.slots[i].key.ptr)
            watch_endpoint(watch, snapshot->endpoints.slots[i].value, rules, now_us);
}

/* ---- the machine ---- */

void watch_disk(struct watch *watch, double free_bytes, const struct alert_rules *rules)
{
    char message[TEXT_BYTES];
    const struct alert_rule *rule = alert_rules_find(rules, "", "disk_free");
    snprintf(message, sizeof(message), "%.3g MiB free on the data folder's disk, bound %.3g MiB",
             free_bytes / (1024 * 1024), rule->bound / (1024 * 1024));
    const struct alert alert = {
        .key = rule->name,
        .rule = rule->name,
        .severity = rule->severity,
        .value = free_bytes,
        .bound = rule->bound,
        .unit = rule->unit,
        .message = message,
        .cause = "predictions go on on a full disk; changes and records do not",
    };
    alert_observe(watch->alerts, &alert, true);
}

static struct drops *drops_of(struct watch *watch, const char *what)
{
    for (int i = 0; i < watch->drops_count; i++)
        if (strcmp(watch->drops[i].what, what) == 0)
            return &watch->drops[i];
    assert(watch->drops_count < WATCH_DROPS_MAX);
    struct drops *drops = &watch->drops[watch->drops_count++];
    drops->what = what;
    return drops;
}

void watch_drops(struct watch *watch, const char *what, uint64_t total,
                 const struct alert_rules *rules, int64_t now_us)
{
    char key[KEY_BYTES], message[TEXT_BYTES];
    const struct alert_rule *rule = alert_rules_find(rules, "", "records_dropped");
    struct drops *drops = drops_of(watch, what);
    bool is_open = drops->last_us && now_us - drops->last_us < rule->window_us;
    snprintf(key, sizeof(key), "%s/%s", rule->name, what);
    if (!is_open)
        drops->before = drops->total;
    if (total > drops->total) {
        drops->last_us = now_us;
        is_open = true;
    }
    drops->total = total;
    double count = (double)(total - drops->before);
    if (!is_open || count <= rule->bound) {
        alert_clear(watch->alerts, key);
        return;
    }
    snprintf(message, sizeof(message), "%llu %s were dropped", (unsigned long long)count, what);
    const struct alert alert = {
        .key = key,
        .rule = rule->name,
        .severity = rule->severity,
        .value = count,
        .bound = rule->bound,
        .unit = what,
        .message = message,
        .cause = "more than the disk or the receiver takes",
    };
    alert_raise(watch->alerts, &alert);
}

/* ---- saving ---- */

void watch_restore(struct watch *watch, struct str name, struct str counts)
{
    if (!str_is_name(name))
        return;
    struct watched *model = model_of(watch, name);
    if (!model->burn)
        model->burn = burn_new();
    burn_load(model->burn, counts);
}

void watch_each(struct watch *watch,
                void (*fn)(void *arg, const char *model, const struct burn *burn), void *arg)
{
    for (size_t i = 0; i < watch->models.slot_count; i++) {
        struct watched *model =
            watch->models.slots[i].key.ptr ? watch->models.slots[i].value : NULL;
        if (model && model->burn)
            fn(arg, model->name, model->burn);
    }
}
