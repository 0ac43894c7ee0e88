/* trees_heap.c - the tier for shallow numeric trees on any CPU: perfect binary heaps.
 *
 * Every tree is filled up to the depth of the deepest, so node i has the children 2i and 2i + 1,
 * a walk has as many steps as the forest is deep, and no step needs a branch:
 *
 *     i = 2 * i + (threshold[i] < x[slot[i]])
 *
 * A place below a leaf repeats the leaf, so it does not matter where its tests lead. Numbers are
 * whole: floats in their order, thresholds one less, so that "left when x < t" is the carry of one
 * comparison, which the next instruction shifts in.
 *
 * Missing values need no test either. A row is first spread over slots, one per feature and
 * default direction: a missing value becomes the least number in the slot of the nodes that send it
 * left, and the greatest in the slot of those that send it right. Both are no number's, so that a
 * threshold of -infinity parts what is missing from all numbers.
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
    SCRATCH_NUMBERS = 16384,
    ROWS_MAX = 64, /* of one pass over the trees */
    BYTES_FREE = 1 << 20,
    BYTES_FACTOR = 4, /* padding may make a forest this much larger than its nodes, not more */
};
_Static_assert(SCRATCH_NUMBERS * sizeof(uint32_t) <= TIER_SCRATCH_BYTES,
               "rows are spread on the stack");

struct heap {
    int feature_count, output_count;
    int depth;
    int slot_count, left_count; /* missing is the least in the first left_count slots */
    bool is_wide;               /* slots[] are uint16_t, slot_features[] says of which feature */
    bool is_double;             /* leaves and margins are, else float */
    const float *base;
    const int *first_tree;
    const uint32_t *thresholds; /* [trees + LANES, 1 << depth], entry 0 of each unused */
    const void *slots;          /* the same; uint8_t or uint16_t */
    const void *leaves;         /* [trees + LANES, 1 << depth] */
    const uint16_t *slot_features;
};

#define ORDER_LEFT 0U
#define ORDER_RIGHT UINT32_MAX

/* Whole numbers in the order of the floats, between the two above; -0 is 0. */
static uint32_t order_of(float x)
{
    uint32_t bits;
    x += 0.0f;
    memcpy(&bits, &x, sizeof(bits));
    return bits ^ ((uint32_t)((int32_t)bits >> 31) | 0x80000000U);
}

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

static size_t leaf_bytes(const struct forest *f)
{
    return f->is_double ? sizeof(double) : sizeof(float);
}

static size_t tree_bytes(const struct forest *f, bool is_wide)
{
    size_t slot = is_wide ? sizeof(uint16_t) : sizeof(uint8_t);
    return (sizeof(uint32_t) + leaf_bytes(f) + slot) << f->depth;
}

static bool fits(const struct forest *f)
{
    struct slots slots;
    if (!forest_is_plain(f) || f->depth > DEPTH_MAX || !slots_init(&slots, f))
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
    uint32_t *thresholds;
    void *leaves;
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
            fill->thresholds[at] = order_of(node->left ? forest_threshold(node) : INFINITY) - 1;
            put_slot(fill, at, node);
            below[2 * i] = node->left ? node->left : places[i];
            below[2 * i + 1] = node->left ? node->left + 1 : places[i];
        }
        memcpy(places, below, 2 * level * sizeof(*places));
    }
    for (size_t i = 0, at = t * width; i < width; i++, at++)
        if (f->is_double)
            ((double *)fill->leaves)[at] = f->nodes[places[i]].value;
        else
            ((float *)fill->leaves)[at] = (float)f->nodes[places[i]].value;
}

static void *build_with(const struct forest *f, const struct slots *slots, size_t *bytes)
{
    size_t outputs = (size_t)f->output_count, count = (size_t)slots->count;
    size_t places = ((size_t)f->tree_count + LANES) << f->depth;
    size_t slot_bytes = slots->is_wide ? sizeof(uint16_t) : sizeof(uint8_t);
    size_t at_thresholds = TIER_ROUND(sizeof(struct heap));
    size_t at_leaves = TIER_ROUND(at_thresholds + places * sizeof(uint32_t));
    size_t at_slots = TIER_ROUND(at_leaves + places * leaf_bytes(f));
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
                        (uint32_t *)(block + at_thresholds),
                        block + at_leaves,
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
        .is_double = f->is_double,
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

static void spread(const struct heap *m, const float *row, uint32_t *x)
{
    if (!m->is_wide) {
        uint32_t *restrict left = x, *restrict right = x + m->feature_count;
        for (int i = 0; i < m->feature_count; i++) {
            uint32_t order = order_of(row[i]);
            left[i] = isnan(row[i]) ? ORDER_LEFT : order;
            right[i] = isnan(row[i]) ? ORDER_RIGHT : order;
        }
        return;
    }
    for (int s = 0; s < m->slot_count; s++) {
        float value = row[m->slot_features[s]];
        uint32_t missing = s < m->left_count ? ORDER_LEFT : ORDER_RIGHT;
        x[s] = isnan(value) ? missing : order_of(value);
    }
}

#define INLINE static inline __attribute__((always_inline))

/* Keeps the compiler from seeing that a copy is one: i + copy + carry is one instruction, 2 i +
 * carry would be three. */
#define HIDE(copy) __asm__("" : "+r"(copy))

#define EACH_LANE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* Which of the loops below this is; constants where they are compiled. */
struct form {
    bool is_wide, is_double;
    int depth;
};

/* Adds the leaves of up to eight trees, of which `count` are wanted, to a margin. The lanes are
 * separate variables so that each stays in a register of its own. */
INLINE void add_trees(const struct heap *m, size_t tree, int count, const uint32_t *x,
                      struct form form, float *margin, double *wide_margin)
{
    const size_t width = (size_t)1 << form.depth;
    const uint32_t *thresholds = m->thresholds + tree * width;
    const uint8_t *slots8 = (const uint8_t *)m->slots + tree * width;
    const uint16_t *slots16 = (const uint16_t *)m->slots + tree * width;
    const float *leaves = (const float *)m->leaves + tree * width;
    const double *wide_leaves = (const double *)m->leaves + tree * width;
#define BEGIN(k) uint32_t i##k = 1;
#define STEP(k)                                                                                    \
    {                                                                                              \
        size_t at = i##k + (k) * width;                                                            \
        uint32_t twice = i##k;                                                                     \
        HIDE(twice);                                                                               \
        i##k += twice + (thresholds[at] < x[form.is_wide ? slots16[at] : slots8[at]]);             \
    }
#define ADD(k)                                                                                     \
    if ((k) < count && form.is_double)                                                             \
        *wide_margin += wide_leaves[(k) * width + i##k - width];                                   \
    else if ((k) < count)                                                                          \
        *margin += leaves[(k) * width + i##k - width];
    EACH_LANE(BEGIN)
    for (int d = 0; d < form.depth; d++) {
        EACH_LANE(STEP)
    }
    EACH_LANE(ADD)
#undef BEGIN
#undef STEP
#undef ADD
}

/* Eight trees, or the last ones of an output, for all rows. */
INLINE void add_block(const struct heap *m, int tree, int count, const uint32_t *x, int rows,
                      void *margins, int output, struct form form)
{
    float *narrow = (float *)margins + output;
    double *wide = (double *)margins + output;
    for (int r = 0; r < rows; r++, x += m->slot_count) {
        float sum = form.is_double ? 0 : *narrow;
        double wide_sum = form.is_double ? *wide : 0;
        add_trees(m, (size_t)tree, count, x, form, &sum, &wide_sum);
        if (form.is_double)
            *wide = wide_sum;
        else
            *narrow = sum;
        narrow += m->output_count;
        wide += m->output_count;
    }
}

static void begin_margins(const struct heap *m, int rows, void *margins)
{
    size_t outputs = (size_t)m->output_count;
    for (size_t i = 0; i < (size_t)rows * outputs; i++)
        if (m->is_double)
            ((double *)margins)[i] = (double)m->base[i % outputs];
        else
            ((float *)margins)[i] = m->base[i % outputs];
}

INLINE void score_rows(const struct heap *m, const uint32_t *x, int rows, void *margins,
                       struct form form)
{
    for (int o = 0; o < m->output_count; o++) {
        int tree = m->first_tree[o], end = m->first_tree[o + 1];
        for (; tree + LANES <= end; tree += LANES)
            add_block(m, tree, LANES, x, rows, margins, o, form);
        if (tree < end)
            add_block(m, tree, end - tree, x, rows, margins, o, form);
    }
}

static void score_chunk(const struct heap *m, const uint32_t *x, int rows, void *margins)
{
    begin_margins(m, rows, margins);
    if (m->is_double && m->is_wide)
        score_rows(m, x, rows, margins, (struct form){true, true, m->depth});
    else if (m->is_double)
        score_rows(m, x, rows, margins, (struct form){false, true, m->depth});
    else if (m->is_wide)
        score_rows(m, x, rows, margins, (struct form){true, false, m->depth});
    else if (m->depth == 6)
        score_rows(m, x, rows, margins, (struct form){false, false, 6});
    else
        score_rows(m, x, rows, margins, (struct form){false, false, m->depth});
}

static void score(const void *built, const struct tier_rows *in, void *out)
{
    const struct heap *m = built;
    const float *rows = in->rows;
    const int64_t row_count = in->count;
    const size_t row_bytes =
        (size_t)m->output_count * (m->is_double ? sizeof(double) : sizeof(float));
    char *margins = out;
    uint32_t x[SCRATCH_NUMBERS];
    int chunk = m->slot_count ? SCRATCH_NUMBERS / m->slot_count : ROWS_MAX;
    chunk = chunk < ROWS_MAX ? chunk : ROWS_MAX;
    for (int64_t r = 0; r < row_count; r += chunk) {
        int n = row_count - r < chunk ? (int)(row_count - r) : chunk;
        for (int64_t i = 0; i < n; i++)
            spread(m, rows + (r + i) * m->feature_count, x + i * m->slot_count);
        score_chunk(m, x, n, margins + (size_t)r * row_bytes);
    }
}

const struct tier tier_heap = {"heap", fits, build, score};
