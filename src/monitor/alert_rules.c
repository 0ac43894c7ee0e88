/* alert_rules.c - the built-in rows, and the rows that a file makes of them.
 *
 * Burn rates after the Google SRE workbook, chapter 5: with a 30-day budget, 14.4 times the allowed
 * rate for an hour spends 2 % of it, 6 times for six hours 5 %, once for three days 10 %. The short
 * window, a twelfth of the long one, ends the alert soon after the trouble has ended.
 *
 * TO ADD A RULE: a row here and a paragraph in docs/alerts.md; whoever measures raises by its name.
 */
#include "monitor/alert_rules.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "monitor/alert_file.h"

#define MINUTE INT64_C(60000000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* clang-format off */
#define BURN(rule, by, how, times, window, short_window, text) \
    {.name = rule, .summary = text, .signal = by, .severity = how, .bound = times, \
     .unit = "times the error budget", .window_us = window, .short_us = short_window, \
     .requests_min = 100, .bad_min = 5, .keep_us = 2 * MINUTE}
#define RAISED(rule, how, text) \
    {.name = rule, .summary = text, .signal = ALERT_BY_RAISER, .severity = how, .unit = ""}

static const struct alert_rule builtin[] = {
    BURN("error_burn_fast", ALERT_BY_ERRORS, ALERT_PAGE, 14.4, HOUR, 5 * MINUTE,
         "Errors spend the month's budget within about two days"),
    BURN("error_burn_slow", ALERT_BY_ERRORS, ALERT_PAGE, 6, 6 * HOUR, 30 * MINUTE,
         "Errors spend the month's budget within five days"),
    BURN("error_burn_trickle", ALERT_BY_ERRORS, ALERT_TICKET, 1, 3 * DAY, 6 * HOUR,
         "Errors spend all of the month's budget"),
    BURN("latency_burn_fast", ALERT_BY_LATENCY, ALERT_PAGE, 14.4, HOUR, 5 * MINUTE,
         "Slow answers spend the month's budget within about two days"),
    BURN("latency_burn_slow", ALERT_BY_LATENCY, ALERT_PAGE, 6, 6 * HOUR, 30 * MINUTE,
         "Slow answers spend the month's budget within five days"),
    BURN("latency_burn_trickle", ALERT_BY_LATENCY, ALERT_TICKET, 1, 3 * DAY, 6 * HOUR,
         "Slow answers spend all of the month's budget"),
    {.name = "contract_rejects", .summary = "Many requests break the contract and are refused",
     .signal = ALERT_BY_REJECTS, .severity = ALERT_PAGE, .bound = 0.05, .unit = "of requests",
     .window_us = 10 * MINUTE, .requests_min = 100, .bad_min = 5, .for_us = 2 * MINUTE,
     .keep_us = 2 * MINUTE},
    {.name = "contract_suspects", .summary = "Many rows are quarantined by the contract",
     .signal = ALERT_BY_SUSPECTS, .severity = ALERT_TICKET, .bound = 0.05, .unit = "of rows",
     .window_us = 10 * MINUTE, .requests_min = 100, .bad_min = 5, .for_us = 2 * MINUTE,
     .keep_us = 2 * MINUTE},
    RAISED("drift", ALERT_TICKET, "A field or the answers are distributed as they were not before"),
    RAISED("missing", ALERT_TICKET, "A field is missing more often than it was"),
    RAISED("unseen", ALERT_TICKET, "A field has categories the model was not trained with"),
    RAISED("skew", ALERT_PAGE, "The first rows served do not look like the training data"),
    RAISED("quality", ALERT_PAGE, "A version's quality is below its floor"),
    RAISED("estimated_quality", ALERT_TICKET, "A version's quality is estimated below its floor"),
    RAISED("review_sla", ALERT_TICKET, "Review items wait for longer than was promised"),
    RAISED("rollout_held", ALERT_PAGE, "A rollout cannot go on by itself"),
    RAISED("rolled_back", ALERT_PAGE, "A rollout was taken back by itself"),
    {.name = "model_not_ready", .summary = "A model's champion is not in memory",
     .signal = ALERT_BY_READY, .severity = ALERT_PAGE, .unit = "", .for_us = MINUTE},
    {.name = "disk_free", .summary = "The data folder's disk is nearly full",
     .signal = ALERT_BY_DISK, .severity = ALERT_PAGE, .bound = 1024.0 * 1024 * 1024,
     .unit = "bytes", .for_us = MINUTE},
    {.name = "records_dropped", .summary = "Prediction records were dropped",
     .signal = ALERT_BY_DROPS, .severity = ALERT_TICKET, .bound = 0, .unit = "records",
     .window_us = 10 * MINUTE},
    RAISED("webhook_failing", ALERT_TICKET, "A webhook's receiver does not take its events"),
    RAISED("other", ALERT_TICKET, "What has no rule of its own"),
};
/* clang-format on */

static const struct alert_slo builtin_slo = {
    .errors_objective = 0.999, .latency_objective = 0.99, .slower_than_us = 250 * 1000};

struct alert_rules *alert_rules_new(void)
{
    struct alert_rules *rules = calloc(1, sizeof(*rules));
    if (!rules)
        abort();
    atomic_init(&rules->refs, 1);
    rules->arena = arena_new(ALERT_RULES_ARENA_BYTES_MAX);
    map_init(&rules->models);
    for (int i = 0; i < ALERT_RULE_COUNT; i++) {
        struct alert_rule *rule = &rules->all.rules[i];
        *rule = builtin[i];
        rule->expire_us = DAY;
        rule->owner = "";
        rule->runbook = arena_printf(rules->arena, "docs/alerts.md#%s", rule->name);
    }
    rules->all.slo = builtin_slo;
    return rules;
}

static_assert(ARRAY_LEN(builtin) == ALERT_RULE_COUNT, "alert_file.h has another count");

struct alert_rules *alert_rules_default(void)
{
    return alert_rules_new();
}

struct alert_rules *alert_rules_ref(struct alert_rules *rules)
{
    atomic_fetch_add(&rules->refs, 1);
    return rules;
}

void alert_rules_unref(struct alert_rules *rules)
{
    if (!rules || atomic_fetch_sub(&rules->refs, 1) != 1)
        return;
    map_done(&rules->models);
    arena_free(rules->arena);
    free(rules);
}

static const struct alert_set *set_of(const struct alert_rules *rules, const char *model)
{
    const struct alert_set *own = map_find(&rules->models, str_of(model ? model : ""));
    return own ? own : &rules->all;
}

int alert_rule_index(struct str name)
{
    int i = 0;
    while (i < ALERT_RULE_COUNT && !str_equal_c(name, builtin[i].name))
        i++;
    return i;
}

const struct alert_rule *alert_rules_find(const struct alert_rules *rules, const char *model,
                                          const char *name)
{
    int index = alert_rule_index(str_of(name));
    return &set_of(rules, model)->rules[index < ALERT_RULE_COUNT ? index : ALERT_RULE_COUNT - 1];
}

const struct alert_slo *alert_rules_slo(const struct alert_rules *rules, const char *model)
{
    return &set_of(rules, model)->slo;
}

const struct alert_mail *alert_rules_mail(const struct alert_rules *rules)
{
    return &rules->mail;
}

const struct alert_rule *alert_rules_at(const struct alert_rules *rules, const char *model,
                                        int index)
{
    return index < ALERT_RULE_COUNT ? &set_of(rules, model)->rules[index] : NULL;
}

int alert_rules_models(const struct alert_rules *rules, const char *const **models)
{
    *models = rules->model_names;
    return rules->model_count;
}

int64_t alert_rules_silenced_until(const struct alert_rules *rules, const char *key, int64_t now_us)
{
    int64_t until_us = 0;
    for (int i = 0; i < rules->silence_count; i++) {
        const struct alert_file_silence *silence = &rules->silences[i];
        if (silence->until_us > now_us && silence->until_us > until_us &&
            str_matches(silence->match, key))
            until_us = silence->until_us;
    }
    return until_us;
}
