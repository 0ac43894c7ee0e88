/* trees_ranks.c - the tier for CPUs with AVX-512 VBMI: when it fits, and how its tables are made.
 *
 * Compiled for any x86-64; only trees_*_vbmi.c need the CPU's instructions. trees_ranks.h draws
 * the layout.
 */
#include "runtime/trees_ranks.h"

#ifdef __x86_64__

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/tier.h"

enum {
    BYTES_FREE = 1 << 20,
    BYTES_FACTOR = 8, /* padding may make a forest this much larger than its nodes, not more */
    SLOT_NONE = 0xffff,
    STRETCHES_MAX = RANKS_SLOTS_MAX, /* each has a split, so at least one slot */
};

/* What is found out about a forest before anything is laid out. */
struct survey {
    const struct forest *forest;
    int *used_of; /* [feature_count] index in used[], or -1 */
    uint16_t used[RANKS_USED_MAX];
    int used_count;
    float *thresholds[RANKS_USED_MAX]; /* sorted, distinct, finite or +infinity */
    int threshold_counts[RANKS_USED_MAX];
    int first_threshold[RANKS_USED_MAX]; /* thresholds of the features before */
    int threshold_count;
    int first_stretch[RANKS_USED_MAX];
    int stretch_count;
    uint16_t slot_of[STRETCHES_MAX][2]; /* by missing direction, 1: right */
    int slot_count;
    float *pool; /* the thresholds of all features */
};

static bool has_instructions(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static bool is_split(const struct forest_node *node)
{
    return node->left != 0;
}

/* Equal thresholds become one; -0 and 0 are equal. */
static int make_distinct(float *values, int count)
{
    int distinct = 0;
    qsort(values, (size_t)count, sizeof(*values), compare_floats);
    for (int i = 0; i < count; i++)
        if (distinct == 0 || values[i] != values[distinct - 1])
            values[distinct++] = values[i];
    return distinct;
}

/* All thresholds by feature: begins[i] ... begins[i + 1] of the pool. */
static void gather_thresholds(struct survey *s, size_t *begins)
{
    const struct forest *f = s->forest;
    size_t features = (size_t)f->feature_count;
    for (int i = 0; i < f->node_count; i++)
        if (is_split(&f->nodes[i]))
            begins[f->nodes[i].feature + 2]++;
    for (size_t i = 1; i < features + 2; i++)
        begins[i] += begins[i - 1];
    for (int i = 0; i < f->node_count; i++)
        if (is_split(&f->nodes[i]))
            s->pool[begins[f->nodes[i].feature + 1]++] = forest_threshold(&f->nodes[i]);
}

static bool use_feature(struct survey *s, int feature, float *thresholds, int count)
{
    int u = s->used_count, stretches = (count + RANKS_STRETCH - 1) / RANKS_STRETCH;
    if (u == RANKS_USED_MAX || stretches > STRETCHES_MAX - s->stretch_count)
        return false;
    s->used_of[feature] = u;
    s->used[u] = (uint16_t)feature;
    s->thresholds[u] = thresholds;
    s->threshold_counts[u] = count;
    s->first_threshold[u] = s->threshold_count;
    s->first_stretch[u] = s->stretch_count;
    s->threshold_count += count;
    s->stretch_count += stretches;
    s->used_count++;
    return true;
}

static bool collect_thresholds(struct survey *s)
{
    size_t features = (size_t)s->forest->feature_count;
    size_t *begins = calloc(features + 2, sizeof(*begins));
    bool is_fit = begins != NULL;
    if (begins)
        gather_thresholds(s, begins);
    for (size_t i = 0; is_fit && i < features; i++) {
        float *thresholds = s->pool + begins[i];
        int count = make_distinct(thresholds, (int)(begins[i + 1] - begins[i]));
        s->used_of[i] = -1;
        is_fit = count == 0 || use_feature(s, (int)i, thresholds, count);
    }
    free(begins);
    return is_fit;
}

/* Where a split's threshold is: its feature's index in used[], and its own among the feature's. */
struct rank_place {
    int used, rank;
};

static struct rank_place find_place(const struct survey *s, const struct forest_node *node)
{
    int u = s->used_of[node->feature], low = 0, high = s->threshold_counts[u];
    const float threshold = forest_threshold(node);
    while (low < high) {
        int middle = (low + high) / 2;
        if (s->thresholds[u][middle] < threshold)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct rank_place){u, low};
}

static uint16_t *slot_of(struct survey *s, const struct forest_node *node)
{
    struct rank_place place = find_place(s, node);
    int stretch = s->first_stretch[place.used] + place.rank / RANKS_STRETCH;
    return &s->slot_of[stretch][!node->is_missing_left];
}

static bool number_slots(struct survey *s)
{
    const struct forest *f = s->forest;
    memset(s->slot_of, 0xff, sizeof(s->slot_of));
    for (int i = 0; i < f->node_count; i++) {
        if (!is_split(&f->nodes[i]) || *slot_of(s, &f->nodes[i]) != SLOT_NONE)
            continue;
        if (s->slot_count == RANKS_SLOTS_MAX)
            return false;
        *slot_of(s, &f->nodes[i]) = (uint16_t)s->slot_count++;
    }
    return true;
}

static void survey_done(struct survey *s)
{
    free(s->used_of);
    free(s->pool);
}

/* False when the forest does not fit; survey_done() in both cases. */
static bool survey_init(struct survey *s, const struct forest *forest)
{
    *s = (struct survey){.forest = forest};
    s->used_of = malloc((size_t)forest->feature_count * sizeof(*s->used_of));
    s->pool = malloc(((size_t)forest->node_count + 1) * sizeof(*s->pool));
    return s->used_of && s->pool && collect_thresholds(s) && number_slots(s);
}

static bool is_ragged(const struct forest *f)
{
    for (int t = 0; t < f->tree_count; t++)
        if (f->trees[t].node_count >= 2 * RANKS_LEAVES_RAGGED)
            return false;
    return true;
}

/* False: no form takes the forest. */
static bool choose_form(const struct forest *f, enum ranks_form *form)
{
    *form = f->depth <= RANKS_DEPTH_UPPER ? RANKS_SHALLOW
            : is_ragged(f)                ? RANKS_RAGGED
                                          : RANKS_DEEP;
    return *form != RANKS_DEEP || f->depth <= RANKS_DEPTH_MAX;
}

static size_t width_of(enum ranks_form form)
{
    return form == RANKS_SHALLOW ? 1 << RANKS_DEPTH_UPPER
           : form == RANKS_DEEP  ? 1 << RANKS_DEPTH_MAX
                                 : RANKS_LEAVES_RAGGED;
}

/* Splits of a tree that are compared at once. */
static size_t compared_of(enum ranks_form form)
{
    return form == RANKS_RAGGED ? RANKS_LEAVES_RAGGED : 1 << RANKS_DEPTH_UPPER;
}

static size_t leaf_bytes(const struct forest *f)
{
    return f->is_double ? sizeof(double) : sizeof(float);
}

static size_t tree_bytes(const struct forest *f, enum ranks_form form)
{
    size_t bytes = 2 * compared_of(form) + width_of(form) * (leaf_bytes(f) + sizeof(uint16_t));
    bytes += form == RANKS_DEEP ? 64 * sizeof(struct ranks_lower) : 0;
    return bytes + (form == RANKS_RAGGED ? sizeof(struct ranks_ragged) : 0);
}

static bool fits(const struct forest *f)
{
    struct survey survey;
    enum ranks_form form;
    size_t bytes_max = BYTES_FREE + (size_t)BYTES_FACTOR * 16 * (size_t)f->node_count;
    if (!has_instructions() || !forest_is_plain(f) || f->has_low_threshold ||
        !choose_form(f, &form) || tree_bytes(f, form) * (size_t)f->tree_count > bytes_max)
        return false;
    bool is_fit = survey_init(&survey, f);
    survey_done(&survey);
    return is_fit;
}

/* --- chunks of trees ----------------------------------------------------------------- */

/* Numbers the distinct splits of trees until there are RANKS_PREDICATES_MAX, chunk by chunk. */
struct chunker {
    struct survey *survey;
    uint16_t *numbers; /* [threshold_count, 2] of the current chunk; the second: missing right */
    int chunk_count, run_count;
    uint32_t part_count;
    struct ranks_chunk *chunks; /* NULL while they are only counted */
    struct ranks_run *runs;
    struct ranks_part *parts;
};

enum { ABSENT = 0, PRESENT = 1 };

static uint16_t *number_of(const struct chunker *c, const struct forest_node *node)
{
    struct rank_place place = find_place(c->survey, node);
    size_t threshold = (size_t)c->survey->first_threshold[place.used] + (size_t)place.rank;
    return &c->numbers[2 * threshold + !node->is_missing_left];
}

static int mark_tree(struct chunker *c, const struct forest_tree *tree)
{
    const struct forest_node *nodes = c->survey->forest->nodes + tree->root;
    int added = 0;
    for (int i = 0; i < tree->node_count; i++)
        if (is_split(&nodes[i]) && *number_of(c, &nodes[i]) == ABSENT) {
            *number_of(c, &nodes[i]) = PRESENT;
            added++;
        }
    return added;
}

/* A run's marks become numbers, four times the split's place in the chunk; how many there are. */
static int number_run(struct chunker *c, int used, int right, int first_number)
{
    const struct survey *s = c->survey;
    uint16_t *marks = c->numbers + 2 * (size_t)s->first_threshold[used] + right;
    struct ranks_part *parts = c->chunks ? c->parts + c->part_count : NULL;
    int count = 0, thresholds = s->threshold_counts[used];
    for (int k = 0; k < thresholds; k++, marks += 2) {
        if (parts && k % RANKS_ROW == 0)
            parts[k / RANKS_ROW].before = (uint16_t)count;
        if (*marks == ABSENT)
            continue;
        if (parts)
            parts[k / RANKS_ROW].present |= (uint16_t)(1 << k % RANKS_ROW);
        *marks = (uint16_t)(4 * (first_number + count++));
    }
    if (parts && count > 0 && thresholds % RANKS_ROW == 0)
        parts[thresholds / RANKS_ROW].before = (uint16_t)count;
    return count;
}

static void close_chunk(struct chunker *c, int first_tree, int end_tree)
{
    struct ranks_chunk chunk = {first_tree, end_tree, c->run_count, 0};
    int number = 0;
    for (int run = 0; run < 2 * c->survey->used_count; run++) {
        int used = run / 2, right = run % 2, count = number_run(c, used, right, number);
        int parts = c->survey->threshold_counts[used] / RANKS_ROW + 1;
        if (count == 0)
            continue;
        if (c->chunks)
            c->runs[c->run_count] = (struct ranks_run){(uint8_t)used, right, (uint16_t)count,
                                                       (uint16_t)parts, c->part_count};
        number += count;
        c->run_count++;
        c->part_count += (uint32_t)parts;
    }
    chunk.end_run = c->run_count;
    if (c->chunks)
        c->chunks[c->chunk_count] = chunk;
    c->chunk_count++;
}

static void clear_marks(struct chunker *c)
{
    memset(c->numbers, 0, 2 * (size_t)c->survey->threshold_count * sizeof(*c->numbers));
}

/* The end of the chunk that begins with tree `first`; its splits are marked. */
static int mark_chunk(struct chunker *c, int first)
{
    const struct forest *f = c->survey->forest;
    int splits = 0, end = first;
    clear_marks(c);
    for (; end < f->tree_count; end++) {
        if (splits + f->trees[end].node_count > RANKS_PREDICATES_MAX)
            break;
        splits += mark_tree(c, &f->trees[end]);
    }
    return end;
}

/* --- filling ------------------------------------------------------------------------- */

struct fill {
    struct survey *survey;
    struct chunker *chunker;
    enum ranks_form form;
    size_t width, compared;
    uint8_t *slots, *ranks;
    void *leaves;
    struct ranks_lower *lower;
    struct ranks_ragged *ragged;
    uint16_t *predicates;
};

static void put_leaf(const struct fill *fill, size_t at, double value)
{
    if (fill->survey->forest->is_double)
        ((double *)fill->leaves)[at] = value;
    else
        ((float *)fill->leaves)[at] = (float)value;
}

static void put_split(struct fill *fill, size_t tree, size_t place, const struct forest_node *node)
{
    struct survey *s = fill->survey;
    uint8_t slot = 0, rank = RANKS_NEVER;
    if (is_split(node)) {
        slot = (uint8_t)*slot_of(s, node);
        rank = (uint8_t)(find_place(s, node).rank % RANKS_STRETCH);
        fill->predicates[tree * fill->width + place] = *number_of(fill->chunker, node);
    }
    if (place < fill->compared) {
        fill->slots[tree * fill->compared + place] = slot;
        fill->ranks[tree * fill->compared + place] = rank;
        return;
    }
    /* Place p of level 6 and its children stand together at p - 64. */
    size_t at = place < 128 ? place - 64 : place / 2 - 64;
    size_t part = place < 128 ? 0 : 1 + place % 2;
    fill->lower[tree * 64 + at].slots[part] = slot;
    fill->lower[tree * 64 + at].ranks[part] = rank;
}

static void fill_heap(struct fill *fill, size_t tree)
{
    const struct forest *f = fill->survey->forest;
    int32_t places[1 << RANKS_DEPTH_MAX], below[1 << RANKS_DEPTH_MAX];
    places[0] = f->trees[tree].root;
    fill->ranks[tree * 64] = RANKS_NEVER;
    for (size_t level = 1; level < fill->width; level *= 2) {
        for (size_t i = 0; i < level; i++) {
            const struct forest_node *node = &f->nodes[places[i]];
            put_split(fill, tree, level + i, node);
            below[2 * i] = node->left ? node->left : places[i];
            below[2 * i + 1] = node->left ? node->left + 1 : places[i];
        }
        memcpy(places, below, 2 * level * sizeof(*places));
    }
    for (size_t i = 0; i < fill->width; i++)
        put_leaf(fill, tree * fill->width + i, f->nodes[places[i]].value);
}

/* Leaves below each node and the first of them, from left to right. */
struct spans {
    uint8_t first[2 * RANKS_LEAVES_RAGGED], count[2 * RANKS_LEAVES_RAGGED];
};

static void find_spans(const struct forest *f, const struct forest_tree *tree, struct spans *spans)
{
    const struct forest_node *nodes = f->nodes + tree->root;
    for (int i = tree->node_count - 1; i >= 0; i--) {
        int left = nodes[i].left - tree->root;
        spans->count[i] = 1;
        if (is_split(&nodes[i]))
            spans->count[i] = (uint8_t)(spans->count[left] + spans->count[left + 1]);
    }
    spans->first[0] = 0;
    for (int i = 0; i < tree->node_count; i++) {
        int left = nodes[i].left - tree->root;
        if (!is_split(&nodes[i]))
            continue;
        spans->first[left] = spans->first[i];
        spans->first[left + 1] = (uint8_t)(spans->first[i] + spans->count[left]);
    }
}

static void fill_ragged(struct fill *fill, size_t tree)
{
    const struct forest *f = fill->survey->forest;
    const struct forest_tree *t = &f->trees[tree];
    struct ranks_ragged *to = &fill->ragged[tree];
    struct spans spans;
    size_t splits = 0;
    find_spans(f, t, &spans);
    memset(to->split_places, RANKS_NOWHERE, sizeof(to->split_places));
    memset(to->leaf_places, RANKS_NOWHERE, sizeof(to->leaf_places));
    memset(fill->ranks + tree * fill->compared, RANKS_NEVER, fill->compared);
    for (int i = 0; i < t->node_count; i++) {
        const struct forest_node *node = &f->nodes[t->root + i];
        if (!is_split(node)) {
            to->leaf_places[spans.first[i]] = (uint8_t)i;
            put_leaf(fill, tree * fill->width + spans.first[i], node->value);
            continue;
        }
        int left = node->left - t->root;
        assert(left == 2 * (int)splits + 1);
        to->split_places[splits] = (uint8_t)i;
        to->passed[splits] = ((1U << spans.count[left]) - 1) << spans.first[left];
        put_split(fill, tree, splits++, node);
    }
}

static void fill_trees(struct fill *fill)
{
    struct chunker *c = fill->chunker;
    int trees = fill->survey->forest->tree_count;
    for (int first = 0, end; first < trees; first = end) {
        end = mark_chunk(c, first);
        close_chunk(c, first, end);
        for (int t = first; t < end; t++)
            if (fill->form == RANKS_RAGGED)
                fill_ragged(fill, (size_t)t);
            else
                fill_heap(fill, (size_t)t);
    }
}

static void count_chunks(struct chunker *c)
{
    int trees = c->survey->forest->tree_count;
    for (int first = 0, end; first < trees; first = end) {
        end = mark_chunk(c, first);
        close_chunk(c, first, end);
    }
}

/* Number i of a level whose rows stand for `step` thresholds each; NaN: there is none. Above the
 * last level that is the last threshold of a row below, unless no row follows. */
static float edge_at(const struct survey *s, int u, int step, int i)
{
    int end = step * (i + 1), count = s->threshold_counts[u];
    return end < count || (step == 1 && end == count) ? s->thresholds[u][end - 1] : NAN;
}

static int rows_of(const struct survey *s, int u, int step)
{
    return (s->threshold_counts[u] + step * RANKS_ROW - 1) / (step * RANKS_ROW);
}

static void fill_level(const struct survey *s, int step, float *edges, uint32_t *first_row)
{
    uint32_t row = 0;
    for (int u = 0; u < s->used_count; u++) {
        int rows = rows_of(s, u, step);
        first_row[u] = row;
        for (int i = 0; i < RANKS_ROW * rows; i++)
            edges[RANKS_ROW * row + (uint32_t)i] = edge_at(s, u, step, i);
        row += (uint32_t)rows;
    }
}

static void fill_pivots(const struct survey *s, int step, int pivot_count, float *pivots)
{
    for (int u = 0; u < (s->used_count + RANKS_GROUP - 1) / RANKS_GROUP * RANKS_GROUP; u++)
        for (int i = 0; i < pivot_count; i++)
            pivots[(u / RANKS_GROUP * pivot_count + i) * RANKS_GROUP + u % RANKS_GROUP] =
                u < s->used_count ? edge_at(s, u, step, i) : NAN;
}

static void fill_slots(const struct survey *s, uint16_t *sources, uint16_t *bases, uint32_t *lefts)
{
    for (int u = 0; u < s->used_count; u++)
        for (int at = 0; at < s->threshold_counts[u]; at += RANKS_STRETCH)
            for (int right = 0; right < 2; right++) {
                uint16_t slot = s->slot_of[s->first_stretch[u] + at / RANKS_STRETCH][right];
                if (slot == SLOT_NONE)
                    continue;
                sources[slot] = (uint16_t)u;
                bases[slot] = (uint16_t)at;
                lefts[slot / 32] |= (uint32_t)!right << slot % 32;
            }
}

/* --- one block for everything ------------------------------------------------------------ */

/* Hands out parts of the block; without a block it only adds up their sizes. */
struct layout {
    char *block;
    size_t used;
};

static void *part(struct layout *l, size_t count, size_t bytes)
{
    size_t at = l->used;
    l->used = TIER_ROUND(at + count * bytes);
    return l->block ? l->block + at : NULL;
}

struct parts {
    struct ranks *head;
    float *base, *pivots;
    int *first_tree;
    uint16_t *used, *slot_sources, *slot_bases;
    uint32_t *slot_lefts;
    int pivot_count, level_count;
    float *edges[RANKS_LEVELS_MAX];
    uint32_t *first_row[RANKS_LEVELS_MAX];
    struct fill fill;
};

/* Thresholds for which a number of level `l` stands. */
static int step_of(const struct parts *p, int l)
{
    int step = 1;
    for (; l < p->level_count - 1; l++)
        step *= RANKS_ROW;
    return step;
}

/* As many levels as it takes until the pivots are few. */
static void lay_out_levels(struct layout *l, const struct survey *s, struct parts *p)
{
    int most = 0;
    for (int u = 0; u < s->used_count; u++)
        most = rows_of(s, u, 1) > most ? rows_of(s, u, 1) : most;
    p->level_count = 1;
    for (; most > RANKS_PIVOTS_MAX + 1; most = (most + RANKS_ROW - 1) / RANKS_ROW)
        p->level_count++;
    p->pivot_count = most > 0 ? most - 1 : 0;
    size_t groups = ((size_t)s->used_count + RANKS_GROUP - 1) / RANKS_GROUP;
    p->pivots = part(l, groups * (size_t)p->pivot_count, RANKS_GROUP * sizeof(float));
    for (int level = 0; level < p->level_count; level++) {
        size_t rows = 0;
        for (int u = 0; u < s->used_count; u++)
            rows += (size_t)rows_of(s, u, step_of(p, level));
        p->edges[level] = part(l, rows, RANKS_ROW * sizeof(float));
        p->first_row[level] = part(l, (size_t)s->used_count, sizeof(uint32_t));
    }
}

static void fill_levels(const struct survey *s, const struct parts *p)
{
    for (int l = 0; l < p->level_count; l++)
        fill_level(s, step_of(p, l), p->edges[l], p->first_row[l]);
    fill_pivots(s, RANKS_ROW * step_of(p, 0), p->pivot_count, p->pivots);
}

static void lay_out(struct layout *l, struct survey *s, struct chunker *c, struct parts *p)
{
    size_t used = (size_t)s->used_count, outputs = (size_t)s->forest->output_count;
    size_t trees = (size_t)s->forest->tree_count, padded = trees + RANKS_TREES_PADDED;
    const enum ranks_form form = p->fill.form;
    size_t width = width_of(form), compared = compared_of(form);
    p->head = part(l, 1, sizeof(*p->head));
    p->used = part(l, used, sizeof(*p->used));
    p->slot_sources = part(l, RANKS_SLOTS_MAX, sizeof(*p->slot_sources));
    p->slot_bases = part(l, RANKS_SLOTS_MAX, sizeof(*p->slot_bases));
    p->slot_lefts = part(l, RANKS_SLOTS_MAX / 32, sizeof(*p->slot_lefts));
    lay_out_levels(l, s, p);
    p->base = part(l, outputs, sizeof(*p->base));
    p->first_tree = part(l, outputs + 1, sizeof(*p->first_tree));
    p->fill.slots = part(l, padded, compared);
    p->fill.ranks = part(l, padded, compared);
    p->fill.leaves = part(l, padded * width, leaf_bytes(s->forest));
    p->fill.lower = part(l, form == RANKS_DEEP ? padded : 0, 64 * sizeof(struct ranks_lower));
    p->fill.ragged = part(l, form == RANKS_RAGGED ? padded : 0, sizeof(struct ranks_ragged));
    p->fill.predicates = part(l, trees * width, sizeof(uint16_t));
    c->chunks = part(l, (size_t)c->chunk_count, sizeof(*c->chunks));
    c->runs = part(l, (size_t)c->run_count, sizeof(*c->runs));
    c->parts = part(l, c->part_count, sizeof(*c->parts));
    p->fill.width = width;
    p->fill.compared = compared;
    p->fill.survey = s;
    p->fill.chunker = c;
}

/* Is each feature used once, and are they the first ones? */
static bool is_prefix(const struct survey *s)
{
    for (int u = 0; u < s->used_count; u++)
        if (s->used[u] != u)
            return false;
    return true;
}

static void fill_head(const struct survey *s, const struct chunker *c, const struct parts *p)
{
    const struct forest *f = s->forest;
    *p->head = (struct ranks){
        .feature_count = f->feature_count,
        .output_count = f->output_count,
        .tree_count = f->tree_count,
        .form = p->fill.form,
        .is_double = f->is_double,
        .is_prefix = is_prefix(s),
        .used_count = s->used_count,
        .slot_words = s->slot_count <= 64    ? 1
                      : s->slot_count <= 128 ? 2
                                             : 4,
        .base = p->base,
        .first_tree = p->first_tree,
        .used = p->used,
        .pivot_count = p->pivot_count,
        .pivots = p->pivots,
        .level_count = p->level_count,
        .slot_sources = p->slot_sources,
        .slot_bases = p->slot_bases,
        .slot_lefts = p->slot_lefts,
        .slots = p->fill.slots,
        .ranks = p->fill.ranks,
        .leaves = p->fill.leaves,
        .lower = p->fill.lower,
        .ragged = p->fill.ragged,
        .chunk_count = c->chunk_count,
        .chunks = c->chunks,
        .runs = c->runs,
        .parts = c->parts,
        .predicates = p->fill.predicates,
    };
    for (int l = 0; l < p->level_count; l++)
        p->head->levels[l] = (struct ranks_level){p->edges[l], p->first_row[l]};
}

static void *fill_block(struct survey *s, struct chunker *c, size_t *bytes)
{
    struct layout layout = {0};
    struct parts parts = {0};
    bool is_fit = choose_form(s->forest, &parts.fill.form);
    assert(is_fit);
    count_chunks(c);
    lay_out(&layout, s, c, &parts);
    size_t size = layout.used;
    layout = (struct layout){.block = aligned_alloc(TIER_ALIGN, size)};
    if (!layout.block)
        return NULL;
    memset(layout.block, 0, size);
    lay_out(&layout, s, c, &parts);
    assert(layout.used == size);
    c->chunk_count = c->run_count = 0;
    c->part_count = 0;
    fill_trees(&parts.fill);
    fill_head(s, c, &parts);
    fill_levels(s, &parts);
    fill_slots(s, parts.slot_sources, parts.slot_bases, parts.slot_lefts);
    memcpy(parts.used, s->used, (size_t)s->used_count * sizeof(*parts.used));
    memcpy(parts.base, s->forest->base, (size_t)s->forest->output_count * sizeof(float));
    memcpy(parts.first_tree, s->forest->first_tree,
           ((size_t)s->forest->output_count + 1) * sizeof(int));
    *bytes = size;
    return layout.block;
}

static void *build(const struct forest *forest, size_t *bytes)
{
    struct survey survey;
    void *block = NULL;
    bool is_fit = survey_init(&survey, forest);
    struct chunker chunker = {.survey = &survey};
    size_t numbers = 2 * (size_t)survey.threshold_count;
    chunker.numbers = calloc(numbers + 1, sizeof(*chunker.numbers));
    if (is_fit && chunker.numbers)
        block = fill_block(&survey, &chunker, bytes);
    free(chunker.numbers);
    survey_done(&survey);
    return block;
}

static void score(const void *built, const struct tier_rows *in, void *out)
{
    const struct ranks *m = built;
    const float *rows = in->rows;
    const size_t row_bytes =
        (size_t)m->output_count * (m->is_double ? sizeof(double) : sizeof(float));
    int64_t row_count = in->count;
    char *margins = out;
    while (row_count >= RANKS_BATCH_MIN) {
        int count = row_count < RANKS_BATCH ? (int)row_count : RANKS_BATCH;
        ranks_score_batch(m, rows, count, margins);
        rows += (size_t)count * (size_t)m->feature_count;
        margins += (size_t)count * row_bytes;
        row_count -= count;
    }
    ranks_score_rows(m, rows, row_count, margins);
}

const struct tier tier_vbmi = {"vbmi", fits, build, score};

#endif
