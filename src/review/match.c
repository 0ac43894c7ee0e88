/* match.c - rules, draws and chances. */
#include "review/match.h"

#include "base/check.h"
#include "base/hash.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

const char *prediction_id_format(struct str request_id, int64_t row,
                                 char out[PREDICTION_ID_BYTES_MAX])
{
    size_t len = request_id.len;
    assert(len + 1 + STR_NUMBER_BYTES < PREDICTION_ID_BYTES_MAX);
    memcpy(out, request_id.ptr, len);
    out[len++] = '-';
    len += str_from_i64(row, out + len);
    out[len] = '\0';
    return out;
}

enum purpose { PURPOSE_SAMPLE, PURPOSE_BLIND };

/* Uniform in [0, 1), the same for the same id, rule and purpose. */
static double draw(const struct review_rules *rules, const char *prediction_id,
                   const struct review_rule *rule, enum purpose purpose)
{
    const uint64_t key[2] = {rules->salt[0] ^ rule->name_hash, rules->salt[1] ^ purpose};
    return (double)(hash_sip(key, prediction_id, strlen(prediction_id)) >> 11) * 0x1p-53;
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
        bool is_taken = draw(rules, id, rule, PURPOSE_SAMPLE) < rule->sample;
        if (is_taken && !match->rule)
            match->rule = rule;
        match->is_random |= is_taken && rule->is_random;
    }
    if (!match->rule)
        return false;
    match->probability = missed < 1 ? 1 - missed : match->rule->sample;
    match->is_blind = draw(rules, id, match->rule, PURPOSE_BLIND) < match->rule->blind;
    return true;
}

struct review_match review_match_appeal(const struct review_rules *rules)
{
    static const struct review_rule standard = {
        .name = "appeal", .is_appeal = true, .sample = 1, .reviewers = 1, .sla_us = DAY_US};
    return (struct review_match){.rule = rules && rules->appeal ? rules->appeal : &standard};
}
