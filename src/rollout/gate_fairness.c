/* gate_fairness.c - do groups of people get the positive answer at different rates?
 *
 *     selection       share of the group's rows answered with the positive class
 *     true positive   the same among rows that are positive  (equal opportunity)
 *     false positive  the same among rows that are not
 *
 * The gap is between the groups with the highest and the lowest share. Its interval is Newcombe's
 * for two independent shares (square-and-add of Wilson's limits), at alpha over the number of pairs
 * (Bonferroni), because the two were chosen by looking:
 *
 *     low = d - sqrt((p1 - l1)^2 + (u2 - p2)^2)      high = d + sqrt((u1 - p1)^2 + (p2 - l2)^2)
 *
 * Groups with too few rows are left out and named. Source: R. G. Newcombe, Interval estimation for
 * the difference between independent proportions (1998), method 10.
 */
#include <math.h>
#include <stdio.h>

#include "monitor/special.h"
#include "rollout/gate_slice.h"
#include "runtime/answer.h"

struct share {
    int64_t hits, n;
};

struct group_shares {
    struct share selection, true_positive, false_positive;
};

static const struct rate {
    const char *name;
    size_t offset;       /* of its share in struct group_shares */
    size_t limit_offset; /* of its limit in struct gate_file */
} rates[] = {
    {"selection", offsetof(struct group_shares, selection),
     offsetof(struct gate_file, selection_gap_max)},
    {"true positive", offsetof(struct group_shares, true_positive),
     offsetof(struct gate_file, true_positive_gap_max)},
    {"false positive", offsetof(struct group_shares, false_positive),
     offsetof(struct gate_file, false_positive_gap_max)},
};

static const struct share *share_of(const struct group_shares *group, const struct rate *rate)
{
    return (const struct share *)(const void *)((const char *)group + rate->offset);
}

static double value_of(const struct share *share)
{
    return (double)share->hits / (double)share->n;
}

static enum err_code positive_class(const struct gate_run *run, int32_t *out, struct err *err)
{
    const struct loaded *loaded = run->data.candidate.loaded;
    const char *name = run->file->positive;
    int64_t number = -1;
    if (run->data.class_count == 0)
        return err_set(err, ERR_INVALID,
                       "fairness is about classes, and this model answers "
                       "numbers");
    if (!name && run->data.class_count > 2) {
        err_set(err, ERR_INVALID, "fairness of %d classes needs the one that counts as positive",
                run->data.class_count);
        return err_hint(err, "add to the gate file: positive: CLASS");
    }
    *out = 1;
    if (!name)
        return ERR_OK;
    for (int k = 0; k < run->data.class_count; k++) {
        struct str class = answer_class_name(loaded, k);
        if (class.ptr && str_equal_c(class, name)) {
            *out = k;
            return ERR_OK;
        }
    }
    if (!str_to_i64(str_of(name), &number) || number < 0 || number >= run->data.class_count)
        return err_set(err, ERR_INVALID,
                       "the gate file's positive class '%s' is no class of the "
                       "model",
                       name);
    *out = (int32_t)number;
    return ERR_OK;
}

static void count_groups(const struct gate_run *run, const struct gate_levels *levels,
                         int32_t positive, struct group_shares *groups)
{
    const struct quality_rows *rows = &run->data.candidate.quality;
    for (int k = 0; k < levels->count; k++)
        groups[k] = (struct group_shares){0};
    for (int64_t i = 0; i < rows->count; i++) {
        struct group_shares *group = &groups[levels->of[i]];
        bool is_positive = rows->truth[i] == positive;
        bool is_selected = rows->predicted[i] == positive;
        struct share *among = is_positive ? &group->true_positive : &group->false_positive;
        group->selection.hits += is_selected;
        group->selection.n++;
        among->hits += is_selected;
        among->n++;
    }
}

static struct interval gap_interval(const struct share *high, const struct share *low, double alpha)
{
    struct interval a = binomial_wilson(high->hits, high->n, alpha);
    struct interval b = binomial_wilson(low->hits, low->n, alpha);
    double p = value_of(high), q = value_of(low);
    return (struct interval){p - q - hypot(p - a.low, b.high - q),
                             p - q + hypot(a.high - p, q - b.low)};
}

struct extremes {
    int compared, highest, lowest;
};

static struct extremes find_extremes(const struct gate_run *run, const struct gate_levels *levels,
                                     const struct group_shares *groups, const struct rate *rate)
{
    struct extremes e = {0, -1, -1};
    for (int k = 0; k < levels->count; k++) {
        const struct share *share = share_of(&groups[k], rate);
        if (share->n < run->file->group_rows_min)
            continue;
        e.compared++;
        if (e.highest < 0 || value_of(share) > value_of(share_of(&groups[e.highest], rate)))
            e.highest = k;
        if (e.lowest < 0 || value_of(share) < value_of(share_of(&groups[e.lowest], rate)))
            e.lowest = k;
    }
    return e;
}

static void judge_gap(struct gate_run *run, const struct gate_levels *levels,
                      const struct group_shares *groups, const struct rate *rate,
                      const char *column)
{
    double limit = *(const double *)(const void *)((const char *)run->file + rate->limit_offset);
    if (isnan(limit))
        return;
    const char *name = arena_printf(run->arena, "%s by %s", rate->name, column);
    struct gate_check *check = gate_add(run, "fairness", name ? name : column);
    struct extremes e = find_extremes(run, levels, groups, rate);
    check->limit = limit;
    check->verdict = GATE_CANNOT_TELL;
    if (e.compared < 2) {
        gate_say(run, check, "%d groups of %d have the %lld rows that are needed", e.compared,
                 levels->count, (long long)run->file->group_rows_min);
        return;
    }
    const struct share *high = share_of(&groups[e.highest], rate);
    const struct share *low = share_of(&groups[e.lowest], rate);
    int pairs = e.compared * (e.compared - 1) / 2;
    struct interval i = gap_interval(high, low, run->file->alpha / pairs);
    check->value = value_of(high) - value_of(low);
    check->low = i.low;
    check->high = i.high;
    check->n = high->n + low->n;
    check->verdict = gate_at_most(i.low, i.high, limit);
    gate_say(run, check, "%s %s (n %lld), %s %s (n %lld): gap %s (%s to %s), at most %s%s",
             levels->names[e.highest], gate_number(run, value_of(high)), (long long)high->n,
             levels->names[e.lowest], gate_number(run, value_of(low)), (long long)low->n,
             gate_number(run, check->value), gate_number(run, i.low), gate_number(run, i.high),
             gate_number(run, limit),
             e.compared < levels->count ? "; groups with too few rows are left out" : "");
}

enum err_code gate_fairness(struct gate_run *run, struct err *err)
{
    int32_t positive = 1;
    enum err_code rc = ERR_OK;
    if (run->file->groups.count == 0)
        return ERR_OK;
    rc = positive_class(run, &positive, err);
    for (int i = 0; !rc && i < run->file->groups.count; i++) {
        struct gate_levels levels;
        struct group_shares groups[GATE_LEVELS_MAX + 1];
        const char *column = run->file->groups.names[i];
        rc = gate_levels_of_texts(run, gate_data_column(&run->data, column), &levels, err);
        if (rc)
            return rc;
        count_groups(run, &levels, positive, groups);
        for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
            judge_gap(run, &levels, groups, &rates[r], column);
    }
    return rc;
}
