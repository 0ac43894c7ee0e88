/* quality_rank.c - how well scores order the items of a group: NDCG, MAP and MRR.
 *
 * Each group (query, basket) has a value of its own, and the metric is the mean over groups; what
 * is drawn again by the bootstrap is whole groups. A group without a relevant item has no value
 * and is counted as skipped: scikit-learn calls it 0, XGBoost 1, and both move the mean by what
 * says nothing about the model.
 *
 *     gain(rel)  = 2^rel - 1             as XGBoost and LightGBM; relevance 0, 1, 2, ...
 *     discount(i) = 1 / log2(i + 2)      for places i = 0 .. k - 1, else 0
 *     DCG  = sum gain(rel_i) discount(i);  items of equal score share their places' mean discount
 *     NDCG = DCG / DCG of the best order
 *     AP   = mean over relevant items (rel > 0) of the precision down to their score
 *     RR   = 1 / place of the first relevant item; the mean over the orders of equal scores
 *
 * Sources: Burges et al. (2005); McSherry, Najork, Computing Information Retrieval Performance
 * Measures Efficiently in the Presence of Tied Scores (2008). Agrees with scikit-learn's
 * ndcg_score of gains and average_precision_score; tests/golden/quality. (MAP and MRR are the
 * means of AP and RR.)
 */
#include <math.h>
#include <stdlib.h>

#include "monitor/quality_sample.h"

struct item {
    int64_t group;
    double score, relevance;
};

static int by_group_and_score(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->score < y->score) - (x->score > y->score);
}

static int by_relevance(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return (x->relevance < y->relevance) - (x->relevance > y->relevance);
}

static double gain(double relevance)
{
    return exp2(relevance) - 1;
}

static double discount(int64_t place, int at)
{
    return place < at ? 1 / log2((double)place + 2) : 0;
}

/* The end of the block of equal scores that begins at `from`. */
static int64_t block_end(const struct item *items, int64_t count, int64_t from)
{
    int64_t to = from + 1;
    while (to < count && items[to].score == items[from].score)
        to++;
    return to;
}

static double dcg(const struct item *items, int64_t count, int at)
{
    double sum = 0;
    for (int64_t from = 0, to; from < count; from = to) {
        double gains = 0, discounts = 0;
        to = block_end(items, count, from);
        for (int64_t i = from; i < to; i++) {
            gains += gain(items[i].relevance);
            discounts += discount(i, at);
        }
        sum += gains * discounts / (double)(to - from);
    }
    return sum;
}

/* Sorts the group's items anew. */
static double best_dcg(struct item *items, int64_t count, int at)
{
    double sum = 0;
    qsort(items, (size_t)count, sizeof(*items), by_relevance);
    for (int64_t i = 0; i < count && i < at; i++)
        sum += gain(items[i].relevance) * discount(i, at);
    return sum;
}

static double group_average_precision(const struct item *items, int64_t count)
{
    double hits = 0, sum = 0;
    for (int64_t from = 0, to; from < count; from = to) {
        double here = 0;
        to = block_end(items, count, from);
        for (int64_t i = from; i < to; i++)
            here += items[i].relevance > 0;
        hits += here;
        sum += here * hits / (double)to;
    }
    return sum / hits;
}

/* Of the block of equal scores with the first relevant items: the chance that place k of it is the
 * first relevant one is that of k - 1 misses and a hit, drawn without putting back. */
static double group_reciprocal_rank(const struct item *items, int64_t count)
{
    double relevant = 0, none_so_far = 1, sum = 0;
    int64_t from = 0, to = 0;
    while (from < count && relevant == 0) {
        from = to;
        to = from < count ? block_end(items, count, from) : count;
        for (int64_t i = from; i < to; i++)
            relevant += items[i].relevance > 0;
    }
    if (relevant == 0)
        return NAN;
    for (int64_t i = from; i < to && none_so_far > 0; i++) {
        double hit = fmin(1, relevant / (double)(to - i));
        sum += none_so_far * hit / (double)(i + 1);
        none_so_far *= 1 - hit;
    }
    return sum;
}

static int64_t group_end(const struct item *items, int64_t count, int64_t from)
{
    int64_t to = from + 1;
    while (to < count && items[to].group == items[from].group)
        to++;
    return to;
}

static struct item *sorted_items(const struct quality_rows *rows, struct arena *arena)
{
    struct item *items = arena_calloc(arena, (size_t)rows->count, sizeof(*items));
    for (int64_t i = 0; items && i < rows->count; i++)
        items[i] = (struct item){rows->group[i], rows->predicted_number[i], rows->truth_number[i]};
    if (items)
        qsort(items, (size_t)rows->count, sizeof(*items), by_group_and_score);
    return items;
}

enum err_code quality_rank_groups(struct quality_sample *sample, int ndcg_at, struct arena *arena,
                                  struct err *err)
{
    int64_t count = sample->rows->count;
    struct item *items = sorted_items(sample->rows, arena);
    double *ndcg = arena_calloc(arena, (size_t)count, sizeof(*ndcg));
    double *map = arena_calloc(arena, (size_t)count, sizeof(*map));
    double *mrr = arena_calloc(arena, (size_t)count, sizeof(*mrr));
    if (!items || !ndcg || !map || !mrr)
        return err_set(err, ERR_LIMIT, "no room for a ranking of %lld rows", (long long)count);
    sample->group_count = 0;
    for (int64_t from = 0, to; from < count; from = to) {
        to = group_end(items, count, from);
        int g = sample->group_count++;
        map[g] = group_average_precision(items + from, to - from);
        mrr[g] = group_reciprocal_rank(items + from, to - from);
        double got = dcg(items + from, to - from, ndcg_at);
        double best = best_dcg(items + from, to - from, ndcg_at);
        ndcg[g] = best > 0 ? got / best : NAN;
    }
    sample->ndcg = ndcg;
    sample->map = map;
    sample->mrr = mrr;
    return ERR_OK;
}

/* sample->weight here is one per group: 1, or how often the group was drawn. */
static double mean_of_groups(const struct quality_sample *sample, const double *values)
{
    double sum = 0, all = 0;
    for (int g = 0; g < sample->group_count; g++) {
        if (isnan(values[g]))
            continue;
        sum += sample->weight[g] * values[g];
        all += sample->weight[g];
    }
    return sum / all;
}

double quality_ndcg(const struct quality_sample *sample)
{
    return mean_of_groups(sample, sample->ndcg);
}

double quality_map(const struct quality_sample *sample)
{
    return mean_of_groups(sample, sample->map);
}

double quality_mrr(const struct quality_sample *sample)
{
    return mean_of_groups(sample, sample->mrr);
}
