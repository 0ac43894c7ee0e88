/* match.c - rules, draws and chances. */
#include "review/match.h"

#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

const char *prediction_id_format(struct str request_id, int64_t row,
                                 char out[PREDICTION_ID_BYTES_MAX])
{
    snprintf(out, PREDICTION_ID_BYTES_MAX, "%.*s-%lld", STR_ARG(request_id), (long long)row);
    return out;
}

/* Uniform in [0, 1), the same for the same id and words. */
static double draw(const struct review_rules *rules, const char *prediction_id, const char *rule,
                   const char *purpose)
{
    char text[PREDICTION_ID_BYTES_MAX + STR_NAME_BYTES_MAX + 16];
    int len = snprintf(text, sizeof(text), "%s\n%s\n%s", prediction_id, rule, purpose);
    assert(len > 0 && (size_t)len < sizeof(text));
    return (double)(hash_sip(rules->salt, text, (size_t)len) >> 11) * 0x1p-53;
}

static bool holds(const struct review_rule *rule, const struct condition_facts *facts)
{
    if (rule->is_appeal || !facts->has_answer)
        return false;
    return rule->is_random || condition_holds(rule->when, facts);
}

bool review_match(const struct review_rules *rules, const struct condition_facts *facts,
                  struct review_match *match)
{
    char id[PREDICTION_ID_BYTES_MAX];
    double missed = 1;
    *match = (struct review_match){0};
    id[0] = '\0';
    for (int i = 0; i < rules->count; i++) {
        const struct review_rule *rule = &rules->rules[i];
        if (!holds(rule, facts))
            continue;
        if (!id[0])
            prediction_id_format(facts->record->request_id, facts->row, id);
        bool is_shadowed = rule->when && condition_needs_shadow(rule->when);
        missed *= 1 - rule->sample * (is_shadowed ? facts->shadow_share : 1);
        bool is_taken = draw(rules, id, rule->name, "sample") < rule->sample;
        if (is_taken && !match->rule)
            match->rule = rule;
        match->is_random |= is_taken && rule->is_random;
    }
    if (!match->rule)
        return false;
    match->probability = missed < 1 ? 1 - missed : match->rule->sample;
    match->is_blind = draw(rules, id, match->rule->name, "blind") < match->rule->blind;
    return true;
}

struct review_match review_match_appeal(const struct review_rules *rules)
{
    static const struct review_rule standard = {
        .name = "appeal", .is_appeal = true, .sample = 1, .reviewers = 1, .sla_us = DAY_US};
    return (struct review_match){.rule = rules && rules->appeal ? rules->appeal : &standard};
}
