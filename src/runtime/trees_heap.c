/* trees_heap.c - the tier for shallow numeric trees on any CPU: perfect binary heaps.
 *
 * Every tree is filled up to the depth of the deepest, so node i has the children 2i and 2i + 1,
 * a walk has as many steps as the forest is deep, and no step needs a branch:
 *
 *     i = 2 * i + !(x[slot[i]] < threshold[i])
 *
 * A place below a leaf repeats the leaf, so it does not matter where its tests lead.
 *
 * Missing values need no test either. A row is first spread over slots, one per feature and
 * default direction: a missing value becomes -infinity in the slot of the nodes that send it
 * left, and +infinity in the slot of those that send it right. (Therefore a threshold must not be
 * -infinity, of which nothing is left.)
 *
 * Eight trees are walked at once to keep eight loads under way; a batch takes eight trees through
 * all its rows before the next eight, so that they stay in the L1 cache.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/tier.h"

enum {
    LANES = 8,
    DEPTH_MAX = 8,     /* memory doubles with each level */
    SLOTS_DENSE = 256, /* up to here slots are numbered by a byte and every feature has both */
    SLOTS_MAX = 4096,
    SCRATCH_FLOATS = 16384,
    ROWS_MAX = 64, /* of one pass over the trees */
    BYTES_FREE = 1 << 20,
    BYTES_FACTOR = 4, /* padding may make a forest this much larger than its nodes, not more */
};
_Static_assert(SCRATCH_FLOATS * sizeof(float) <= TIER_SCRATCH_BYTES,
               "rows are spread on the stack");

struct heap {
    int feature_count, output_count;
    int depth;
    int slot_count, left_count; /* missing is -infinity in the first left_count slots */
    bool is_wide;               /* slots[] are uint16_t, slot_features[] says of which feature */
    const float *base;
    const int *first_tree;
    const float *thresholds; /* [trees + LANES, 1 << depth], entry 0 of each unused */
    const void *slots;       /* the same; uint8_t or uint16_t */
    const float *leaves;     /* [trees + LANES, 1 << depth] */
    const uint16_t *slot_features;
};

/* --- building ------------------------------------------------------------------ */

/* Numbers the slots a forest needs: those where missing goes left first. */
struct slots {
    int count, left_count;
    bool is_wide;
    int features;    /* of the forest */
    uint16_t *of[2]; /* [features] slot by direction (1: missing goes right) and feature */
};

static void mark_used(const struct forest *f, struct slots *s)
{
    for (int i = 0; i < f->node_count; i++)
        if (f->nodes[i].left)
            s->of[!f->nodes[i].is_missing_left][f->nodes[i].feature] = 1;
}

static void number_slots(const struct forest *f, struct slots *s)
{
    s->features = f->feature_count;
    s->is_wide = 2 * f->feature_count > SLOTS_DENSE;
    if (s->is_wide)
        mark_used(f, s);
    for (int right = 0; right < 2; right++) {
        for (int i = 0; i < f->feature_count; i++)
            if (!s->is_wide || s->of[right][i])
                s->of[right][i] = (uint16_t)s->count++;
            else
                s->of[right][i] = UINT16_MAX;
        if (!right)
            s->left_count = s->count;
    }
}

static bool slots_init(struct slots *s, const struct forest *f)
{
    *s = (struct slots){0};
    s->of[0] = calloc(2 * (size_t)f->feature_count, sizeof(uint16_t));
    if (!s->of[0])
        return false;
    s->of[1] = s->of[0] + f->feature_count;
    number_slots(f, s);
    return true;
}

static void slots_done(struct slots *s)
{
    free(s->of[0]);
}

static size_t tree_bytes(const struct forest *f, bool is_wide)
{
    size_t node = 2 * sizeof(float) + (is_wide ? sizeof(uint16_t) : sizeof(uint8_t));
    return node << f->depth;
}

static bool fits(const struct forest *f)
{
    struct slots slots;
    if (!forest_is_plain(f) || f->is_double || f->has_low_threshold || f->depth > DEPTH_MAX ||
        !slots_init(&slots, f))
        return false;
    size_t bytes = tree_bytes(f, slots.is_wide) * (size_t)f->tree_count;
    size_t bytes_max = BYTES_FREE + (size_t)BYTES_FACTOR * 16 * (size_t)f->node_count;
    int slot_count = slots.count;
    slots_done(&slots);
    return slot_count <= SLOTS_MAX && bytes <= bytes_max;
}

struct fill {
    const struct forest *forest;
    const struct slots *slots;
    float *thresholds, *leaves;
    uint8_t *slots8;
    uint16_t *slots16;
};

static void put_slot(const struct fill *fill, size_t at, const struct forest_node *node)
{
    uint16_t slot = node->left ? fill->slots->of[!node->is_missing_left][node->feature] : 0;
    if (fill->slots->is_wide)
        fill->slots16[at] = slot;
    else
        fill->slots8[at] = (uint8_t)slot;
}

/* One level of all places of tree t: nodes[i] is what stands at place (1 << level) + i. */
static void fill_tree(const struct fill *fill, size_t t)
{
    const struct forest *f = fill->forest;
    int32_t places[1 << DEPTH_MAX], below[1 << DEPTH_MAX];
    size_t width = (size_t)1 << f->depth;
    places[0] = f->trees[t].root;
    for (size_t level = 1; level < width; level *= 2) {
        for (size_t i = 0; i < level; i++) {
            const struct forest_node *node = &f->nodes[places[i]];
            size_t at = t * width + level + i;
            fill->thresholds[at] = node->left ? forest_threshold(node) : INFINITY;
            put_slot(fill, at, node);
            below[2 * i] = node->left ? node->left : places[i];
            below[2 * i + 1] = node->left ? node->left + 1 : places[i];
        }
        memcpy(places, below, 2 * level * sizeof(*places));
    }
    for (size_t i = 0; i < width; i++)
        fill->leaves[t * width + i] = (float)f->nodes[places[i]].value;
}

static void *build_with(const struct forest *f, const struct slots *slots, size_t *bytes)
{
    size_t outputs = (size_t)f->output_count, count = (size_t)slots->count;
    size_t places = ((size_t)f->tree_count + LANES) << f->depth;
    size_t slot_bytes = slots->is_wide ? sizeof(uint16_t) : sizeof(uint8_t);
    size_t at_thresholds = TIER_ROUND(sizeof(struct heap));
    size_t at_leaves = TIER_ROUND(at_thresholds + places * sizeof(float));
    size_t at_slots = TIER_ROUND(at_leaves + places * sizeof(float));
    size_t at_features = TIER_ROUND(at_slots + places * slot_bytes);
    size_t at_base = TIER_ROUND(at_features + count * sizeof(uint16_t));
    size_t at_first = TIER_ROUND(at_base + outputs * sizeof(float));
    size_t size = TIER_ROUND(at_first + (outputs + 1) * sizeof(int));
    char *block = aligned_alloc(TIER_ALIGN, size);
    if (!block)
        return NULL;
    memset(block, 0, size);
    struct fill fill = {f,
                        slots,
                        (float *)(block + at_thresholds),
                        (float *)(block + at_leaves),
                        (uint8_t *)(block + at_slots),
                        (uint16_t *)(block + at_slots)};
    for (size_t t = 0; t < (size_t)f->tree_count; t++)
        fill_tree(&fill, t);
    uint16_t *features = (uint16_t *)(block + at_features);
    for (int right = 0; right < 2; right++)
        for (int i = 0; i < f->feature_count; i++)
            if (slots->of[right][i] < count)
                features[slots->of[right][i]] = (uint16_t)i;
    memcpy(block + at_base, f->base, outputs * sizeof(float));
    memcpy(block + at_first, f->first_tree, (outputs + 1) * sizeof(int));
    *(struct heap *)block = (struct heap){
        .feature_count = f->feature_count,
        .output_count = f->output_count,
        .depth = f->depth,
        .slot_count = slots->count,
        .left_count = slots->left_count,
        .is_wide = slots->is_wide,
        .thresholds = fill.thresholds,
        .leaves = fill.leaves,
        .slots = block + at_slots,
        .slot_features = features,
        .base = (const float *)(block + at_base),
        .first_tree = (const int *)(block + at_first),
    };
    *bytes = size;
    return block;
}

static void *build(const struct forest *f, size_t *bytes)
{
    struct slots slots;
    if (!slots_init(&slots, f))
        return NULL;
    void *block = build_with(f, &slots, bytes);
    slots_done(&slots);
    return block;
}

/* --- scoring -------------------------------------------------------------------- */

static void spread(const struct heap *m, const float *row, float *x)
{
    if (!m->is_wide) {
        float *restrict left = x, *restrict right = x + m->feature_count;
        for (int i = 0; i < m->feature_count; i++) {
            left[i] = isnan(row[i]) ? -INFINITY : row[i];
            right[i] = isnan(row[i]) ? INFINITY : row[i];
        }
        return;
    }
    for (int s = 0; s < m->slot_count; s++) {
        float value = row[m->slot_features[s]];
        x[s] = !isnan(value) ? value : s < m->left_count ? -INFINITY : INFINITY;
    }
}

#define EACH_LANE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* Adds the leaves of up to eight trees, of which `count` are wanted, to `sum`. The lanes are
 * separate variables so that each stays in a register of its own. */
static inline __attribute__((always_inline)) float add_trees(const struct heap *m, size_t tree,
                                                             int count, const float *x, float sum,
                                                             bool is_wide, int depth)
{
    const size_t width = (size_t)1 << depth;
    const float *thresholds = m->thresholds + tree * width;
    const float *leaves = m->leaves + tree * width;
    const uint8_t *slots8 = (const uint8_t *)m->slots + tree * width;
    const uint16_t *slots16 = (const uint16_t *)m->slots + tree * width;
#define BEGIN(k) uint32_t i##k = 1;
#define STEP(k)                                                                                    \
    {                                                                                              \
        size_t at = i##k + (k) * width;                                                            \
        i##k = 2 * i##k + !(x[is_wide ? slots16[at] : slots8[at]] < thresholds[at]);               \
    }
#define ADD(k)                                                                                     \
    if ((k) < count)                                                                               \
        sum += leaves[(k) * width + i##k - width];
    EACH_LANE(BEGIN)
    for (int d = 0; d < depth; d++) {
        EACH_LANE(STEP)
    }
    EACH_LANE(ADD)
#undef BEGIN
#undef STEP
#undef ADD
    return sum;
}

/* Eight trees, or the last ones of an output, for all rows. */
static inline __attribute__((always_inline)) void add_block(const struct heap *m, int tree,
                                                            int count, const float *x, int rows,
                                                            float *sums, bool is_wide, int depth)
{
    for (int r = 0; r < rows; r++, x += m->slot_count, sums += m->output_count)
        *sums = add_trees(m, (size_t)tree, count, x, *sums, is_wide, depth);
}

static inline __attribute__((always_inline)) void
score_rows(const struct heap *m, const float *x, int rows, float *margins, bool is_wide, int depth)
{
    size_t outputs = (size_t)m->output_count;
    for (int o = 0; o < m->output_count; o++) {
        int tree = m->first_tree[o], end = m->first_tree[o + 1];
        for (size_t r = 0; r < (size_t)rows; r++)
            margins[r * outputs + (size_t)o] = m->base[o];
        for (; tree + LANES <= end; tree += LANES)
            add_block(m, tree, LANES, x, rows, margins + o, is_wide, depth);
        if (tree < end)
            add_block(m, tree, end - tree, x, rows, margins + o, is_wide, depth);
    }
}

static void score_chunk(const struct heap *m, const float *x, int rows, float *margins)
{
    if (m->is_wide)
        score_rows(m, x, rows, margins, true, m->depth);
    else if (m->depth == 6)
        score_rows(m, x, rows, margins, false, 6);
    else
        score_rows(m, x, rows, margins, false, m->depth);
}

static void score(const void *built, const struct tier_rows *in, void *out)
{
    const struct heap *m = built;
    const float *rows = in->rows;
    const int64_t row_count = in->count;
    float *margins = out;
    float x[SCRATCH_FLOATS];
    int chunk = m->slot_count ? SCRATCH_FLOATS / m->slot_count : ROWS_MAX;
    chunk = chunk < ROWS_MAX ? chunk : ROWS_MAX;
    for (int64_t r = 0; r < row_count; r += chunk) {
        int n = row_count - r < chunk ? (int)(row_count - r) : chunk;
        for (int64_t i = 0; i < n; i++)
            spread(m, rows + (r + i) * m->feature_count, x + i * m->slot_count);
        score_chunk(m, x, n, margins + r * m->output_count);
    }
}

const struct tier tier_heap = {"heap", fits, build, score};
