/* trees_bits_vbmi.c - scoring up to 256 rows at once, one bit a row.
 *
 *     1. ranks     a feature's rank in every row, as bytes: one feature after the other
 *     2. splits    each distinct split of a chunk of trees becomes 256 bits: does it send row r
 *                  right? 64 ranks are compared with one at once
 *     3. levels    a tree's level l says for each row whether its path goes right there. It is
 *                  the bits of one of 2^l splits, chosen by the levels above: a tournament in
 *                  which pairs of splits are merged by "level k says right ? second : first"
 *     4. leaves    the levels' bits, turned from columns to rows, are the number of a row's leaf;
 *                  leaves come out of registers by that number and are added in tree order
 *
 * The rank byte holds rank - 1, so that 256 thresholds fit; a mask says which ranks are not 0.
 */
#include "runtime/trees_ranks.h"

#include <immintrin.h>
#include <string.h>

#include "runtime/tier.h"

enum {
    WORDS = RANKS_BATCH / 64,
    LANES = 16, /* of float32 */
    GROUPS = RANKS_BATCH / LANES,
    TABLE = 2 * LANES, /* leaves that one instruction chooses from */
};

#define INLINE static inline __attribute__((always_inline))

/* Rows of a batch in which a feature is missing, and in which its rank is not 0. */
struct row_masks {
    uint64_t missing[WORDS], positive[WORDS];
};

struct batch {
    const struct ranks *m;
    int row_count;
    uint8_t (*ranks)[GROUPS][LANES]; /* [used_count] rank - 1 */
    struct row_masks *masks;         /* [used_count] */
    __m256i *splits;                 /* [RANKS_PREDICATES_MAX + 1] */
};

/* --- 1. ranks -------------------------------------------------------------------------------- */

/* One feature in all rows, in passes over them, so that no load waits for a store just before. */
struct column {
    float values[GROUPS][LANES] __attribute__((aligned(64)));
    uint32_t rows[GROUPS][LANES] __attribute__((aligned(64)));  /* of 16 thresholds: 0 ... 15 */
    uint16_t below[GROUPS][LANES] __attribute__((aligned(64))); /* which of the 16 are <= value */
};

static void read_column(const struct batch *b, int u, const float *rows, struct column *c)
{
    size_t stride = (size_t)b->m->feature_count;
    float *values = c->values[0];
    rows += b->m->used[u];
    for (int r = 0; r < b->row_count; r++)
        values[r] = rows[(size_t)r * stride];
}

/* The row of thresholds in which each value's rank lies: pivots that are <= it, by bisection. */
static void find_rows(const float *feature_pivots, int groups, struct column *c)
{
    const __m512 pivots = _mm512_load_ps(feature_pivots);
    for (int g = 0; g < groups; g++) {
        __m512 x = _mm512_load_ps(c->values[g]);
        __m512i row = _mm512_setzero_si512();
        for (int step = 8; step > 0; step /= 2) {
            __m512i probe = _mm512_add_epi32(row, _mm512_set1_epi32(step - 1));
            __m512 pivot = _mm512_permutexvar_ps(probe, pivots);
            __mmask16 is_below = _mm512_cmp_ps_mask(x, pivot, _CMP_GE_OQ);
            row = _mm512_mask_add_epi32(row, is_below, row, _mm512_set1_epi32(step));
        }
        _mm512_store_si512(c->rows[g], row);
    }
}

static void compare_rows(const float *thresholds, int row_count, struct column *c)
{
    const float *values = c->values[0];
    const uint32_t *rows = c->rows[0];
    uint16_t *below = c->below[0];
    for (int r = 0; r < row_count; r++) {
        __m512 x = _mm512_set1_ps(values[r]);
        __m512 edges = _mm512_load_ps(thresholds + 16 * (size_t)rows[r]);
        below[r] = _mm512_cmp_ps_mask(x, edges, _CMP_GE_OQ);
    }
}

static void count_ranks(const struct column *c, int groups, uint8_t (*ranks)[LANES],
                        struct row_masks *masks)
{
    uint16_t missing[GROUPS] = {0}, positive[GROUPS] = {0};
    for (int g = 0; g < groups; g++) {
        __m512 x = _mm512_load_ps(c->values[g]);
        __m512i row = _mm512_load_si512(c->rows[g]);
        __m256i below = _mm256_load_si256((const __m256i *)c->below[g]);
        __m256i rank = _mm512_cvtepi32_epi16(_mm512_slli_epi32(row, 4));
        rank = _mm256_add_epi16(rank, _mm256_popcnt_epi16(below));
        missing[g] = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        positive[g] = _mm256_test_epi16_mask(rank, rank);
        rank = _mm256_subs_epu16(rank, _mm256_set1_epi16(1));
        _mm_store_si128((__m128i *)ranks[g], _mm256_cvtepi16_epi8(rank));
    }
    memcpy(masks->missing, missing, sizeof(missing));
    memcpy(masks->positive, positive, sizeof(positive));
}

static void make_ranks(const struct batch *b, const float *rows)
{
    const struct ranks *m = b->m;
    int groups = (b->row_count + LANES - 1) / LANES;
    struct column column;
    memset(&column, 0, sizeof(column));
    for (int u = 0; u < m->used_count; u++) {
        read_column(b, u, rows, &column);
        find_rows(m->pivots + 16 * (size_t)u, groups, &column);
        compare_rows(m->thresholds + 16 * (size_t)m->first_row[u], b->row_count, &column);
        count_ranks(&column, groups, b->ranks[u], &b->masks[u]);
    }
}

/* --- 2. splits ------------------------------------------------------------------------------- */

INLINE void make_run(const struct batch *b, const struct ranks_run *run, const uint8_t *ranks,
                     int words, __m256i *splits)
{
    const struct row_masks *masks = &b->masks[run->used];
    __m512i row_ranks[WORDS];
    __mmask64 positive[WORDS];
    for (int w = 0; w < words; w++) {
        row_ranks[w] = _mm512_load_si512(b->ranks[run->used][(size_t)4 * w]);
        positive[w] = masks->positive[w];
        if (run->is_missing_right) {
            positive[w] |= masks->missing[w];
            row_ranks[w] = _mm512_mask_set1_epi8(row_ranks[w], masks->missing[w], -1);
        }
    }
    for (int k = 0; k < run->count; k++) {
        const __m512i rank = _mm512_set1_epi8((char)ranks[k]);
        uint64_t *out = (uint64_t *)&splits[k];
        for (int w = 0; w < words; w++)
            out[w] = _mm512_mask_cmpge_epu8_mask(positive[w], row_ranks[w], rank);
    }
}

INLINE void make_runs(const struct batch *b, const struct ranks_chunk *chunk, int words)
{
    const uint8_t *ranks = b->m->predicate_ranks + chunk->first_predicate;
    __m256i *splits = b->splits;
    for (int i = chunk->first_run; i < chunk->end_run; i++) {
        const struct ranks_run *run = &b->m->runs[i];
        make_run(b, run, ranks, words, splits);
        ranks += run->count;
        splits += run->count;
    }
}

static void make_splits(const struct batch *b, const struct ranks_chunk *chunk)
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

/* --- 4. leaves ------------------------------------------------------------------------------- */

/* The levels of a tree, as words of 64 rows or parts of 16. */
union level_bits {
    uint64_t words[RANKS_DEPTH_MAX][WORDS];
    uint16_t groups[RANKS_DEPTH_MAX][GROUPS];
    __m256i rows[RANKS_DEPTH_MAX];
};

/* The last five levels as numbers 0 ... 31, for 64 rows. */
INLINE __m512i leaf_numbers(const union level_bits *bits, int depth, int word)
{
    __m512i number = _mm512_setzero_si512();
    for (int i = 0; i < 5; i++) {
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
        __m512i numbers = leaf_numbers(bits, depth, w);
        for (int group = 4 * w; group < 4 * w + 4; group++) {
            __m512i number = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(numbers));
            __m512 leaf = look_up_leaves(leaves, number, bits, group, depth);
            _mm512_store_ps(sums[group], _mm512_add_ps(_mm512_load_ps(sums[group]), leaf));
            numbers = _mm512_shuffle_i32x4(numbers, numbers, 0x39); /* the next 16 rows */
        }
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

INLINE void add_trees(const struct batch *b, int tree, int end, int depth, float (*sums)[LANES])
{
    const size_t width = (size_t)1 << depth;
    const int words = (b->row_count + 63) / 64;
    for (; tree < end; tree++) {
        union level_bits bits;
        __m256i level[RANKS_DEPTH_MAX]; /* apart from the union, so that they stay in registers */
        resolve_levels(b->splits, b->m->predicates + (size_t)tree * width, depth, level);
        for (int l = 0; l < depth; l++)
            bits.rows[l] = level[l];
        add_leaves(b->m->leaves + (size_t)tree * width, &bits, depth, words, sums);
    }
}

/* The trees of one output in one chunk; its margins are gathered into one array meanwhile. */
static void add_output(const struct batch *b, int output, int tree, int end, float *margins)
{
    float sums[GROUPS][LANES] __attribute__((aligned(64))) = {0};
    float *sum = sums[0];
    size_t outputs = (size_t)b->m->output_count;
    for (int r = 0; r < b->row_count; r++)
        sum[r] = margins[(size_t)r * outputs + (size_t)output];
    if (b->m->is_deep)
        add_trees(b, tree, end, RANKS_DEPTH_MAX, sums);
    else
        add_trees(b, tree, end, RANKS_DEPTH_UPPER, sums);
    for (int r = 0; r < b->row_count; r++)
        margins[(size_t)r * outputs + (size_t)output] = sum[r];
}

void ranks_score_batch(const struct ranks *m, const float *rows, int row_count, float *margins)
{
    uint8_t ranks[RANKS_USED_MAX][GROUPS][LANES] __attribute__((aligned(64)));
    struct row_masks masks[RANKS_USED_MAX];
    __m256i splits[RANKS_PREDICATES_MAX + 1];
    struct batch b = {m, row_count, ranks, masks, splits};
    _Static_assert(sizeof(ranks) + sizeof(masks) + sizeof(splits) <= TIER_SCRATCH_BYTES, "stack");
    size_t outputs = (size_t)m->output_count;
    for (size_t r = 0; r < (size_t)row_count; r++)
        memcpy(margins + r * outputs, m->base, outputs * sizeof(float));
    make_ranks(&b, rows);
    int output = 0;
    for (const struct ranks_chunk *c = m->chunks; c < m->chunks + m->chunk_count; c++) {
        make_splits(&b, c);
        for (int tree = c->first_tree; tree < c->end_tree;) {
            while (m->first_tree[output + 1] <= tree)
                output++;
            int end =
                m->first_tree[output + 1] < c->end_tree ? m->first_tree[output + 1] : c->end_tree;
            add_output(&b, output, tree, end, margins);
            tree = end;
        }
    }
}
