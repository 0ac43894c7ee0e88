/* trees_bits_vbmi.c - scoring up to 256 rows at once, one bit a row.
 *
 *     1. ranks     a feature's rank in every row: one feature after the other
 *     2. splits    each distinct split of a chunk of trees becomes 256 bits: does it send row r
 *                  right? Those of a run have ascending thresholds, so that is to ask whether the
 *                  row's place in the run is above 0, 1, 2, ...; a place is the number of splits
 *                  of the run that send the row right, and its binary digits give all the answers
 *     3. levels    a tree's level l says for each row whether its path goes right there. It is
 *                  the bits of one of 2^l splits, chosen by the levels above: a tournament in
 *                  which pairs of splits are merged by "level k says right ? second : first"
 *     4. leaves    the levels' bits, turned from columns to rows, are the number of a row's leaf;
 *                  leaves come out of registers by that number and are added in tree order
 */
#include "runtime/trees_ranks.h"

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "runtime/tier.h"

enum {
    WORDS = RANKS_BATCH / 64,
    LANES = 16, /* of float32 */
    GROUPS = RANKS_BATCH / LANES,
    TABLE = 2 * LANES, /* leaves that one instruction chooses from */
    DIGITS_RAGGED = 5, /* of a leaf's number in a ragged tree */
    DIGITS_MAX = 14,   /* of a place in a run, binary */
};

#define INLINE static inline __attribute__((always_inline))

/* Loops of their own: one large function would have too few registers for each. */
#define APART static __attribute__((noinline))

/* A feature in all rows. */
struct ranked {
    uint16_t ranks[GROUPS][LANES]; /* 0 when it is missing */
    uint16_t missing[GROUPS];
};

struct batch {
    const struct ranks *m;
    int row_count;
    struct ranked *features; /* [used_count] */
    __m256i *splits;         /* [RANKS_PREDICATES_MAX + 1] */
};

/* --- 1. ranks -------------------------------------------------------------------------------- */

/* One feature in all rows, in passes over them, so that no load waits for a store just before. */
struct column {
    float values[GROUPS][LANES] __attribute__((aligned(64)));
    uint32_t places[GROUPS][LANES] __attribute__((aligned(64))); /* in a level */
    uint16_t below[GROUPS][LANES] __attribute__((aligned(64)));  /* which of 16 are <= value */
};

APART void read_column(const struct batch *b, int u, const float *rows, struct column *c)
{
    size_t stride = (size_t)b->m->feature_count;
    float *values = c->values[0];
    rows += b->m->used[u];
    for (int r = 0; r < b->row_count; r++)
        values[r] = rows[(size_t)r * stride];
}

/* A feature's pivots [16 part, 16 part + 16), then NaN. */
static __m512 pivots_of(const struct ranks *m, int u, int part)
{
    const int group = u / RANKS_GROUP, left = m->pivot_count - LANES * part;
    const float *first =
        m->pivots + (ptrdiff_t)RANKS_GROUP * (group * m->pivot_count + LANES * part);
    __mmask16 lanes = left >= LANES ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0;
    __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i at = _mm512_add_epi32(_mm512_slli_epi32(lane, 4), _mm512_set1_epi32(u % RANKS_GROUP));
    return _mm512_mask_i32gather_ps(_mm512_set1_ps(NAN), lanes, at, first, sizeof(float));
}

/* Pivots that are <= each value, by bisection in `steps` steps. */
INLINE void bisect(__m512 low, __m512 high, int groups, int steps, struct column *c)
{
    for (int g = 0; g < groups; g++) {
        __m512 x = _mm512_load_ps(c->values[g]);
        __m512i count = _mm512_setzero_si512();
        for (int step = 1 << steps >> 1; step > 0; step /= 2) {
            __m512i probe = _mm512_add_epi32(count, _mm512_set1_epi32(step - 1));
            __m512 pivot = _mm512_permutex2var_ps(low, probe, high);
            __mmask16 is_below = _mm512_cmp_ps_mask(x, pivot, _CMP_GE_OQ);
            count = _mm512_mask_add_epi32(count, is_below, count, _mm512_set1_epi32(step));
        }
        _mm512_store_si512(c->places[g], count);
    }
}

APART void count_pivots(const struct ranks *m, int u, int groups, struct column *c)
{
    const __m512 low = pivots_of(m, u, 0), high = pivots_of(m, u, 1);
    if (m->pivot_count < 8)
        bisect(low, high, groups, 3, c);
    else if (m->pivot_count < 16)
        bisect(low, high, groups, 4, c);
    else
        bisect(low, high, groups, 5, c);
}

APART void compare_level(const struct ranks_level *level, int u, int row_count, struct column *c)
{
    const float *edges = level->edges + RANKS_ROW * (size_t)level->first_row[u];
    const float *values = c->values[0];
    const uint32_t *places = c->places[0];
    uint16_t *below = c->below[0];
    for (int r = 0; r < row_count; r++) {
        __m512 row = _mm512_load_ps(edges + RANKS_ROW * (size_t)places[r]);
        below[r] = _mm512_cmp_ps_mask(_mm512_set1_ps(values[r]), row, _CMP_GE_OQ);
    }
    for (int g = 0; g < (row_count + LANES - 1) / LANES; g++) {
        __m512i place = _mm512_slli_epi32(_mm512_load_si512(c->places[g]), 4);
        __m256i counts = _mm256_popcnt_epi16(_mm256_load_si256((const __m256i *)c->below[g]));
        place = _mm512_add_epi32(place, _mm512_cvtepu16_epi32(counts));
        _mm512_store_si512(c->places[g], place);
    }
}

APART void make_ranks(const struct batch *b, const float *rows)
{
    const struct ranks *m = b->m;
    int groups = (b->row_count + LANES - 1) / LANES;
    struct column c;
    memset(&c, 0, sizeof(c));
    for (int u = 0; u < m->used_count; u++) {
        struct ranked *to = &b->features[u];
        read_column(b, u, rows, &c);
        count_pivots(m, u, groups, &c);
        for (int l = 0; l < m->level_count; l++)
            compare_level(&m->levels[l], u, b->row_count, &c);
        for (int g = 0; g < groups; g++) {
            __m512 x = _mm512_load_ps(c.values[g]);
            __m256i ranks = _mm512_cvtepi32_epi16(_mm512_load_si512(c.places[g]));
            _mm256_store_si256((__m256i *)to->ranks[g], ranks);
            to->missing[g] = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        }
    }
}

/* --- 2. splits ------------------------------------------------------------------------------- */

/* 16 parts of a run by number. Most runs have few, which then are in registers. */
struct part_table {
    const struct ranks_part *parts;
    __m512i first[4];
    int count; /* in registers; 0: more than fit */
};

INLINE struct part_table part_table_of(const struct ranks_part *parts, int count)
{
    struct part_table t = {.parts = parts, .count = count <= 4 * LANES ? count : 0};
    for (int i = 0; i < 4; i++) {
        int left = t.count - LANES * i;
        __mmask16 lanes = left >= LANES ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0;
        t.first[i] = _mm512_maskz_loadu_epi32(lanes, parts + (ptrdiff_t)LANES * i);
    }
    return t;
}

INLINE __m512i parts_at(const struct part_table *t, __m512i at)
{
    if (t->count == 0)
        return _mm512_i32gather_epi32(at, t->parts, sizeof(*t->parts));
    __m512i low = _mm512_permutex2var_epi32(t->first[0], at, t->first[1]);
    if (t->count <= 2 * LANES)
        return low;
    __m512i high = _mm512_permutex2var_epi32(t->first[2], at, t->first[3]);
    __mmask16 is_high = _mm512_cmpgt_epi32_mask(at, _mm512_set1_epi32(2 * LANES - 1));
    return _mm512_mask_mov_epi32(low, is_high, high);
}

/* Each row's place in a run, as two bytes. */
struct places {
    uint8_t low[GROUPS][LANES] __attribute__((aligned(64)));
    uint8_t high[GROUPS][LANES] __attribute__((aligned(64)));
};

/* How many splits of the run send each row right. */
APART void find_places(const struct batch *b, const struct ranks_run *run, struct places *places)
{
    const struct ranked *feature = &b->features[run->used];
    const struct part_table table = part_table_of(b->m->parts + run->first_part, run->part_count);
    const __m512i one = _mm512_set1_epi32(1);
    for (int g = 0; g < (b->row_count + LANES - 1) / LANES; g++) {
        __m256i narrow = _mm256_load_si256((const __m256i *)feature->ranks[g]);
        __m512i rank = _mm512_cvtepu16_epi32(narrow);
        __m512i part = parts_at(&table, _mm512_srli_epi32(rank, 4));
        __m512i in_part = _mm512_and_si512(rank, _mm512_set1_epi32(RANKS_ROW - 1));
        __m512i below = _mm512_sub_epi32(_mm512_sllv_epi32(one, in_part), one);
        __m512i place = _mm512_popcnt_epi32(_mm512_and_si512(part, below));
        place = _mm512_add_epi32(place, _mm512_srli_epi32(part, 16));
        if (run->is_missing_right)
            place = _mm512_mask_set1_epi32(place, feature->missing[g], run->count);
        _mm_store_si128((__m128i *)places->low[g], _mm512_cvtepi32_epi8(place));
        _mm_store_si128((__m128i *)places->high[g],
                        _mm512_cvtepi32_epi8(_mm512_srli_epi32(place, 8)));
    }
}

/* Bit n of each row's place, for all n that matter. */
INLINE int make_digits(const struct places *places, int count, int words, __m256i *digits)
{
    int n = 0;
    for (; count >> n; n++) {
        const uint8_t *bytes = n < 8 ? places->low[0] : places->high[0];
        const __m512i bit = _mm512_set1_epi8((char)(1 << n % 8));
        uint64_t *out = (uint64_t *)&digits[n];
        for (int w = 0; w < words; w++)
            out[w] = _mm512_test_epi8_mask(_mm512_load_si512(bytes + 64 * (size_t)w), bit);
    }
    return n;
}

/* Two digits more: four times as many splits, of which those up to `parts` * known are wanted. */
INLINE void quadruple(__m256i digit, __m256i next, int known, int parts, int k, int end,
                      __m256i *splits)
{
    for (; k < end; k++) {
        const __m256i right = _mm256_load_si256(&splits[k]);
        const __m256i low = _mm256_or_si256(digit, right), high = _mm256_and_si256(digit, right);
        _mm256_store_si256(&splits[k], _mm256_or_si256(next, low));
        _mm256_store_si256(&splits[k + known], _mm256_or_si256(next, high));
        if (parts > 2)
            _mm256_store_si256(&splits[k + 2 * known], _mm256_and_si256(next, low));
        if (parts > 3)
            _mm256_store_si256(&splits[k + 3 * known], _mm256_and_si256(next, high));
    }
}

static int clamp(int value, int max)
{
    return value < 0 ? 0 : value < max ? value : max;
}

/* Is each row's place above 0, 1, ... count - 1? By the lowest n digits of the place that is known
 * for 0 ... 2^n - 1; digit n says it for twice as many:
 *
 *     place mod 2^(n+1) > k         = digit n or  place mod 2^n > k
 *     place mod 2^(n+1) > k + 2^n   = digit n and place mod 2^n > k
 */
APART void compare_places(const __m256i *digits, int digit_count, int count, __m256i *splits)
{
    int n = digit_count % 2, known = 1 << n;
    splits[0] = n ? digits[0] : _mm256_setzero_si256();
    if (n && count > 1)
        splits[1] = _mm256_setzero_si256();
    for (; n < digit_count; n += 2, known *= 4) {
        const __m256i digit = digits[n], next = digits[n + 1];
        int four = clamp(count - 3 * known, known), three = clamp(count - 2 * known, known);
        quadruple(digit, next, known, 4, 0, four, splits);
        quadruple(digit, next, known, 3, four, three, splits);
        quadruple(digit, next, known, 2, three, known, splits);
    }
}

INLINE void make_run(const struct batch *b, const struct ranks_run *run, int words, __m256i *splits)
{
    struct places places;
    __m256i digits[DIGITS_MAX];
    find_places(b, run, &places);
    int digit_count = make_digits(&places, run->count, words, digits);
    compare_places(digits, digit_count, run->count, splits);
}

INLINE void make_runs(const struct batch *b, const struct ranks_chunk *chunk, int words)
{
    __m256i *splits = b->splits;
    for (int i = chunk->first_run; i < chunk->end_run; i++) {
        make_run(b, &b->m->runs[i], words, splits);
        splits += b->m->runs[i].count;
    }
}

APART void make_splits(const struct batch *b, const struct ranks_chunk *chunk)
{
    if (b->row_count <= 64)
        make_runs(b, chunk, 1);
    else if (b->row_count <= 128)
        make_runs(b, chunk, 2);
    else
        make_runs(b, chunk, WORDS);
}

/* --- 3. levels ------------------------------------------------------------------------------- */

INLINE __m256i split_at(const __m256i *splits, uint16_t number)
{
    return _mm256_load_si256((const __m256i *)((const uint64_t *)splits + number));
}

/* right ? b : a, bit by bit */
INLINE __m256i choose(__m256i right, __m256i a, __m256i b)
{
    return _mm256_ternarylogic_epi64(right, a, b, 0xac);
}

/* The winner among 2^n splits; level[0] decides between the halves. C has no recursion in
 * registers, so there is a function for each n. */
#define DEFINE_WINNER(n, half)                                                                     \
    INLINE __m256i winner_##n(const __m256i *splits, const uint16_t *numbers,                      \
                              const __m256i *level)                                                \
    {                                                                                              \
        __m256i a = winner_##half(splits, numbers, level + 1);                                     \
        __m256i b = winner_##half(splits, numbers + (1 << (half)), level + 1);                     \
        return choose(level[0], a, b);                                                             \
    }

INLINE __m256i winner_0(const __m256i *splits, const uint16_t *numbers, const __m256i *level)
{
    (void)level;
    return split_at(splits, numbers[0]);
}

DEFINE_WINNER(1, 0)
DEFINE_WINNER(2, 1)
DEFINE_WINNER(3, 2)
DEFINE_WINNER(4, 3)
DEFINE_WINNER(5, 4)
DEFINE_WINNER(6, 5)
DEFINE_WINNER(7, 6)

INLINE void resolve_levels(const __m256i *splits, const uint16_t *numbers, int depth,
                           __m256i *level)
{
    level[0] = winner_0(splits, numbers + 1, level);
    level[1] = winner_1(splits, numbers + 2, level);
    level[2] = winner_2(splits, numbers + 4, level);
    level[3] = winner_3(splits, numbers + 8, level);
    level[4] = winner_4(splits, numbers + 16, level);
    level[5] = winner_5(splits, numbers + 32, level);
    if (depth > RANKS_DEPTH_UPPER) {
        level[6] = winner_6(splits, numbers + 64, level);
        level[7] = winner_7(splits, numbers + 128, level);
    }
}

/* Which rows come to each leaf of a ragged tree: from the root on, a split's rows are parted among
 * its children. The rows of some leaves together are the binary digits of the leaves' numbers. */
INLINE void resolve_ragged(const __m256i *splits, const uint16_t *numbers,
                           const struct ranks_ragged *tree, __m256i *level)
{
    __m256i rows[2 * RANKS_LEAVES_RAGGED], some[RANKS_LEAVES_RAGGED];
    rows[0] = _mm256_set1_epi8(-1);
    rows[RANKS_NOWHERE] = _mm256_setzero_si256();
    for (int k = 0; k < RANKS_LEAVES_RAGGED - 1; k++) {
        __m256i here = rows[tree->split_places[k]], right = split_at(splits, numbers[k]);
        rows[2 * k + 1] = _mm256_andnot_si256(right, here);
        rows[2 * k + 2] = _mm256_and_si256(right, here);
    }
    for (int i = 0; i < RANKS_LEAVES_RAGGED; i++)
        some[i] = rows[tree->leaf_places[i]];
    for (int digit = DIGITS_RAGGED - 1, count = RANKS_LEAVES_RAGGED / 2; digit >= 0;
         digit--, count /= 2) {
        level[digit] = _mm256_setzero_si256();
        for (int i = 0; i < count; i++) {
            level[digit] = _mm256_or_si256(level[digit], some[2 * i + 1]);
            some[i] = _mm256_or_si256(some[2 * i], some[2 * i + 1]);
        }
    }
}

/* --- 4. leaves ------------------------------------------------------------------------------- */

/* The levels of a tree, as words of 64 rows or parts of 16. */
union level_bits {
    uint64_t words[RANKS_DEPTH_MAX][WORDS];
    uint16_t groups[RANKS_DEPTH_MAX][GROUPS];
    __m256i rows[RANKS_DEPTH_MAX];
};

/* The last `count` levels as numbers 0 ... 2^count - 1, for 64 rows. */
INLINE __m512i leaf_numbers(const union level_bits *bits, int depth, int count, int word)
{
    __m512i number = _mm512_setzero_si512();
    for (int i = 0; i < count; i++) {
        __mmask64 right = bits->words[depth - 1 - i][word];
        number = _mm512_mask_add_epi8(number, right, number, _mm512_set1_epi8((char)(1 << i)));
    }
    return number;
}

/* The leaf of 16 rows: 32 leaves by number, then halves by the levels above. */
INLINE __m512 look_up_leaves(__m512 (*leaves)[2], __m512i number, const union level_bits *bits,
                             int group, int depth)
{
    enum { TABLES_MAX = 1 << (RANKS_DEPTH_MAX - 5) };
    __m512 found[TABLES_MAX];
    for (int i = 0; i < 1 << (depth - 5); i++)
        found[i] = _mm512_permutex2var_ps(leaves[i][0], number, leaves[i][1]);
    for (int level = depth - 6; level >= 0; level--)
        for (int i = 0, j = 0; i < 1 << level; i++, j += 2)
            found[i] = _mm512_mask_mov_ps(found[j], bits->groups[level][group], found[j + 1]);
    return found[0];
}

INLINE void add_leaves(const float *tree_leaves, const union level_bits *bits, int depth, int words,
                       float (*sums)[LANES])
{
    __m512 leaves[1 << (RANKS_DEPTH_MAX - 5)][2];
    for (int i = 0; i < 1 << (depth - 5); i++, tree_leaves += TABLE) {
        leaves[i][0] = _mm512_load_ps(tree_leaves);
        leaves[i][1] = _mm512_load_ps(tree_leaves + LANES);
    }
    for (int w = 0; w < words; w++) {
        __m512i numbers = leaf_numbers(bits, depth, 5, w);
        for (int group = 4 * w; group < 4 * w + 4; group++) {
            __m512i number = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(numbers));
            __m512 leaf = look_up_leaves(leaves, number, bits, group, depth);
            _mm512_store_ps(sums[group], _mm512_add_ps(_mm512_load_ps(sums[group]), leaf));
            numbers = _mm512_shuffle_i32x4(numbers, numbers, 0x39); /* the next 16 rows */
        }
    }
}

/* Doubles are too wide for registers. */
INLINE void add_wide_leaves(const double *tree_leaves, const union level_bits *bits, int depth,
                            int words, double *sums)
{
    uint8_t numbers[RANKS_BATCH] __attribute__((aligned(64)));
    for (int w = 0; w < words; w++)
        _mm512_store_si512(numbers + 64 * (size_t)w, leaf_numbers(bits, depth, depth, w));
    for (int r = 0; r < 64 * words; r++)
        sums[r] += tree_leaves[numbers[r]];
}

/* --- all of it ------------------------------------------------------------------------------- */

/* An output's margins of a batch, as float or double. */
union sums {
    float floats[GROUPS][LANES];
    double doubles[RANKS_BATCH];
    char aligned __attribute__((aligned(64)));
};

/* `depth` digits of a leaf's number. */
INLINE void add_trees(const struct batch *b, int tree, int end, int depth, bool is_double,
                      union sums *sums)
{
    const size_t width = (size_t)1 << depth;
    const int words = (b->row_count + 63) / 64;
    for (; tree < end; tree++) {
        const uint16_t *numbers = b->m->predicates + (size_t)tree * width;
        union level_bits bits;
        __m256i level[RANKS_DEPTH_MAX]; /* apart from the union, so that they stay in registers */
        if (depth == DIGITS_RAGGED)
            resolve_ragged(b->splits, numbers, &b->m->ragged[tree], level);
        else
            resolve_levels(b->splits, numbers, depth, level);
        for (int l = 0; l < depth; l++)
            bits.rows[l] = level[l];
        if (is_double)
            add_wide_leaves((const double *)b->m->leaves + (size_t)tree * width, &bits, depth,
                            words, sums->doubles);
        else
            add_leaves((const float *)b->m->leaves + (size_t)tree * width, &bits, depth, words,
                       sums->floats);
    }
}

INLINE void add_as(const struct batch *b, int tree, int end, bool is_double, union sums *sums)
{
    if (b->m->form == RANKS_SHALLOW)
        add_trees(b, tree, end, RANKS_DEPTH_UPPER, is_double, sums);
    else if (b->m->form == RANKS_DEEP)
        add_trees(b, tree, end, RANKS_DEPTH_MAX, is_double, sums);
    else
        add_trees(b, tree, end, DIGITS_RAGGED, is_double, sums);
}

APART void add_floats(const struct batch *b, int tree, int end, union sums *sums)
{
    add_as(b, tree, end, false, sums);
}

APART void add_doubles(const struct batch *b, int tree, int end, union sums *sums)
{
    add_as(b, tree, end, true, sums);
}

/* The trees of one output in one chunk; its margins are gathered into one array meanwhile. */
static void add_output(const struct batch *b, int output, int tree, int end, float *margins)
{
    union sums sums = {0};
    size_t stride = (size_t)b->m->output_count;
    margins += output;
    for (size_t r = 0; r < (size_t)b->row_count; r++)
        sums.floats[r / LANES][r % LANES] = margins[r * stride];
    add_floats(b, tree, end, &sums);
    for (size_t r = 0; r < (size_t)b->row_count; r++)
        margins[r * stride] = sums.floats[r / LANES][r % LANES];
}

static void add_wide_output(const struct batch *b, int output, int tree, int end, double *margins)
{
    union sums sums = {0};
    size_t stride = (size_t)b->m->output_count;
    margins += output;
    for (size_t r = 0; r < (size_t)b->row_count; r++)
        sums.doubles[r] = margins[r * stride];
    add_doubles(b, tree, end, &sums);
    for (size_t r = 0; r < (size_t)b->row_count; r++)
        margins[r * stride] = sums.doubles[r];
}

static void begin_margins(const struct batch *b, void *margins)
{
    size_t outputs = (size_t)b->m->output_count, count = (size_t)b->row_count * outputs;
    for (size_t at = 0; at < count; at += outputs)
        for (size_t o = 0; o < outputs; o++)
            if (b->m->is_double)
                ((double *)margins)[at + o] = (double)b->m->base[o];
            else
                ((float *)margins)[at + o] = b->m->base[o];
}

void ranks_score_batch(const struct ranks *m, const float *rows, int row_count, void *margins)
{
    struct ranked features[RANKS_USED_MAX] __attribute__((aligned(64)));
    __m256i splits[RANKS_PREDICATES_MAX + 1];
    struct batch b = {m, row_count, features, splits};
    _Static_assert(sizeof(features) + sizeof(splits) <= TIER_SCRATCH_BYTES, "stack");
    begin_margins(&b, margins);
    make_ranks(&b, rows);
    int output = 0;
    for (const struct ranks_chunk *c = m->chunks; c < m->chunks + m->chunk_count; c++) {
        make_splits(&b, c);
        for (int tree = c->first_tree; tree < c->end_tree;) {
            while (m->first_tree[output + 1] <= tree)
                output++;
            int end =
                m->first_tree[output + 1] < c->end_tree ? m->first_tree[output + 1] : c->end_tree;
            if (m->is_double)
                add_wide_output(&b, output, tree, end, margins);
            else
                add_output(&b, output, tree, end, margins);
            tree = end;
        }
    }
}
