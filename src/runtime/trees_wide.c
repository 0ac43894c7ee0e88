/* trees_wide.c - thresholds to edges, and doubles to their ranks among them. */
#include "runtime/trees_wide.h"

#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Edges that are <= x. */
static uint32_t rank_of(const double *edges, uint32_t count, double x)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (edges[middle] <= x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Distinct edges move together; `ends` gets where each feature's end. */
static uint32_t make_distinct(double *edges, uint32_t begin, uint32_t end, uint32_t to)
{
    uint32_t first = to;
    if (begin < end)
        qsort(edges + begin, end - begin, sizeof(*edges), compare_doubles);
    for (uint32_t i = begin; i < end; i++)
        if (to == first || edges[i] != edges[to - 1])
            edges[to++] = edges[i];
    return to;
}

static bool is_number(const struct forest_node *node)
{
    return node->left && node->split == SPLIT_NUMBER;
}

static enum err_code mark_codes(const struct forest *f, uint8_t *are_codes, struct err *err)
{
    for (int i = 0; i < f->node_count; i++)
        if (f->nodes[i].left && !is_number(&f->nodes[i]))
            are_codes[f->nodes[i].feature] = 1;
    for (int i = 0; i < f->node_count; i++)
        if (is_number(&f->nodes[i]) && are_codes[f->nodes[i].feature])
            return err_set(err, ERR_UNSUPPORTED, "feature %d is split by number and by category",
                           (int)f->nodes[i].feature);
    return ERR_OK;
}

/* Thresholds by feature: counted, then placed, then sorted. */
static void collect_edges(const struct forest *f, uint32_t *first, uint32_t *next, double *edges)
{
    size_t features = (size_t)f->feature_count;
    for (int i = 0; i < f->node_count; i++)
        if (is_number(&f->nodes[i]))
            first[f->nodes[i].feature + 1]++;
    for (size_t i = 0; i < features; i++)
        first[i + 1] += first[i];
    for (size_t i = 0; i < features; i++)
        next[i] = first[i];
    for (int i = 0; i < f->node_count; i++)
        if (is_number(&f->nodes[i]))
            edges[next[f->nodes[i].feature]++] = f->nodes[i].value;
    uint32_t to = 0;
    for (size_t i = 0; i < features; i++) {
        uint32_t begin = first[i];
        first[i] = to;
        to = make_distinct(edges, begin, first[i + 1], to);
    }
    first[features] = to;
}

static enum err_code compare_ranks(struct forest *f, const struct trees_wide *w, struct err *err)
{
    for (int i = 0; i < f->node_count; i++) {
        struct forest_node *node = &f->nodes[i];
        if (!is_number(node))
            continue;
        uint32_t first = w->first_edge[node->feature];
        uint32_t rank =
            rank_of(w->edges + first, w->first_edge[node->feature + 1] - first, node->value);
        if (rank >= TREES_WIDE_RANKS_MAX)
            return err_set(err, ERR_LIMIT, "feature %d has more than %d thresholds",
                           (int)node->feature, TREES_WIDE_RANKS_MAX);
        node->value = rank;
    }
    f->has_low_threshold = false;
    return ERR_OK;
}

enum err_code trees_wide_make(struct forest *forest, struct arena *scratch, struct arena *keep,
                              struct trees_wide *wide, struct err *err)
{
    size_t features = (size_t)forest->feature_count, splits = 0;
    for (int i = 0; i < forest->node_count; i++)
        splits += is_number(&forest->nodes[i]);
    uint32_t *first = arena_calloc(keep, features + 1, sizeof(*first));
    uint32_t *next = arena_calloc(scratch, features, sizeof(*next));
    double *edges = arena_calloc(keep, splits, sizeof(*edges));
    uint8_t *are_codes = arena_calloc(keep, features, sizeof(*are_codes));
    if (!first || !next || !edges || !are_codes)
        return err_set(err, ERR_LIMIT, "no room for the thresholds of %zu features", features);
    *wide = (struct trees_wide){.feature_count = forest->feature_count,
                                .code_low = forest->code_low,
                                .first_edge = first,
                                .edges = edges,
                                .are_codes = are_codes};
    enum err_code rc = mark_codes(forest, are_codes, err);
    if (rc)
        return rc;
    collect_edges(forest, first, next, edges);
    return compare_ranks(forest, wide, err);
}

/* A category's code; what is none stays none: -1. */
static float code_of(double x, double code_low)
{
    return x >= code_low && x < FOREST_CATEGORY_END ? (float)trunc(x) : -1.0f;
}

static float rank_feature(const struct trees_wide *w, size_t feature, double x)
{
    uint32_t first = w->first_edge[feature];
    if (isnan(x) || (w->zero_missing && w->zero_missing[feature] && fabs(x) <= (double)FOREST_ZERO))
        return NAN;
    if (w->are_codes[feature])
        return code_of(x, (double)w->code_low);
    return (float)rank_of(w->edges + first, w->first_edge[feature + 1] - first, x);
}

void trees_wide_rank(const struct trees_wide *wide, const double *rows, int64_t count, float *ranks)
{
    size_t features = (size_t)wide->feature_count;
    for (size_t r = 0; r < (size_t)count; r++, rows += features, ranks += features)
        for (size_t i = 0; i < features; i++)
            ranks[i] = rank_feature(wide, i, rows[i]);
}
