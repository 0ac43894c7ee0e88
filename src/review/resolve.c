/* resolve.c - what several people's decisions amount to. */
#include "base/check.h"
#include "review/review.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int count_equal(const struct review_vote *votes, int count, const char *label)
{
    int equal = 0;
    for (int i = 0; i < count; i++)
        equal += strcmp(votes[i].label, label) == 0;
    return equal;
}

/* The most frequent label, the earliest on a tie; how many said so. */
static int most_votes(const struct review_vote *votes, int count, const char **label)
{
    int most = 0;
    for (int i = 0; i < count; i++) {
        int equal = count_equal(votes, count, votes[i].label);
        if (equal > most) {
            most = equal;
            *label = votes[i].label;
        }
    }
    return most;
}

/* The median as text, and how many lie within `tolerance` of it. One of two numbers is the median
 * of both when they agree: their mean. */
static int near_median(const struct review_vote *votes, int count, double tolerance, char *label)
{
    double numbers[REVIEW_REVIEWERS_MAX] = {0};
    int near = 0;
    for (int i = 0; i < count; i++)
        str_to_f64(str_of(votes[i].label), &numbers[i]);
    qsort(numbers, (size_t)count, sizeof(*numbers), compare_numbers);
    bool do_all_agree = numbers[count - 1] - numbers[0] <= tolerance;
    double median = (numbers[(count - 1) / 2] + numbers[count / 2]) / 2;
    for (int i = 0; i < count; i++)
        near += fabs(numbers[i] - median) <= tolerance;
    label[str_from_f64(median, label)] = '\0';
    return do_all_agree ? count : near < count ? near : count - 1;
}

struct review_verdict review_resolve(const struct review_vote *votes, int count, int reviewers_rule,
                                     bool is_number, double tolerance)
{
    struct review_verdict verdict = {.state = REVIEW_OPEN, .reviewers = reviewers_rule};
    const char *label = "";
    assert(count <= REVIEW_REVIEWERS_MAX && reviewers_rule >= 1);
    if (count < reviewers_rule || count == 0)
        return verdict;
    int agreeing;
    if (is_number) {
        agreeing = near_median(votes, count, tolerance, verdict.label);
    } else {
        agreeing = most_votes(votes, count, &label);
        snprintf(verdict.label, sizeof(verdict.label), "%s", label);
    }
    if (agreeing == count || (count >= 3 && 2 * agreeing > count)) {
        verdict.state = REVIEW_DECIDED;
        verdict.reviewers = count;
        return verdict;
    }
    verdict.label[0] = '\0';
    verdict.is_escalated = count >= 3;
    verdict.reviewers = count + 1;
    if (count == REVIEW_REVIEWERS_MAX) {
        verdict.state = REVIEW_DISPUTED;
        verdict.reviewers = count;
    }
    return verdict;
}
