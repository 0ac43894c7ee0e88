/* realised_rank.c - how well a version's scores order the items of each group, by the labels.
 *
 * Only labelled items are seen: what nobody labelled is as if it had not been shown.
 */
#include <math.h>

#include "base/hash.h"
#include "monitor/realised.h"

static const uint64_t group_key[2] = {0x72616e6b696e6721, 0x67726f7570732121};

static bool is_ranked(const struct realised_row *row)
{
    bool has_score = row->answer_class < 0 || (row->class_count == 2 && row->probabilities);
    return row->group.len > 0 && has_score;
}

static double score_of(const struct realised_row *row)
{
    return row->answer_class < 0 ? row->answer_number : (double)row->probabilities[1];
}

static double relevance_of(const struct realised_row *row)
{
    return row->answer_class < 0 ? row->truth_number : (double)row->truth_class;
}

/* Labels that are no relevances (a price, a negative number) make no ranking. */
static void say_why_not(struct quality metrics[QUALITY_COUNT])
{
    for (int m = QUALITY_NDCG; m <= QUALITY_MRR; m++)
        metrics[m] = (struct quality){.is_measured = true,
                                      .value = NAN,
                                      .low = 0,
                                      .high = 1,
                                      .method = "",
                                      .missing = "a label is no relevance between 0 and 50"};
}

enum err_code realised_rank(const struct realised_row *const *rows, int64_t count,
                            const struct quality_options *options, struct arena *arena,
                            struct quality metrics[QUALITY_COUNT], struct err *err)
{
    struct quality ranks[QUALITY_COUNT];
    int64_t *group = arena_alloc(arena, (size_t)count * sizeof(*group));
    double *score = arena_alloc(arena, (size_t)count * sizeof(*score));
    double *relevance = arena_alloc(arena, (size_t)count * sizeof(*relevance));
    struct quality_rows ranked = {
        .truth_number = relevance, .predicted_number = score, .group = group};
    if (!group || !score || !relevance)
        return err_set(err, ERR_LIMIT, "no room for a ranking of %lld rows", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        if (!is_ranked(rows[i]))
            continue;
        group[ranked.count] = (int64_t)hash_sip(group_key, rows[i]->group.ptr, rows[i]->group.len);
        score[ranked.count] = score_of(rows[i]);
        relevance[ranked.count] = relevance_of(rows[i]);
        if (!(relevance[ranked.count] >= 0 && relevance[ranked.count] <= QUALITY_RELEVANCE_MAX)) {
            say_why_not(metrics);
            return ERR_OK;
        }
        ranked.count++;
    }
    if (ranked.count == 0)
        return ERR_OK;
    enum err_code rc = quality_measure(&ranked, options, arena, ranks, err);
    for (int m = QUALITY_NDCG; !rc && m <= QUALITY_MRR; m++)
        metrics[m] = ranks[m];
    return rc;
}
