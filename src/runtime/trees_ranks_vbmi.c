/* trees_ranks_vbmi.c - scoring one row by comparing 64 splits of a tree at once.
 *
 * Eight trees are a block, and a block goes through stages:
 *
 *     compare  the 64 slot bytes of a tree are replaced by the row's ranks (vpermb), compared with
 *              the 64 rank bytes, and a word has a bit for every place: does it send the row right?
 *     walk     eight such words are walked together, i = 2 i + bit i of the word:
 *
 *                  i = (i << 1) | (word rotated right by i) & 1      as vprorvq and vpshldq
 *
 *     lower    (deep trees) the splits of the two lower levels that the eight walks lead to are
 *              compared at once
 *     leaves   (ragged trees, instead of walking) the first that no split has crossed out
 *     add      leaves are added one by one in the order of the trees, which is what makes sums
 *              bit-equal
 *
 * Words go through memory from stage to stage, eight stores for one load. That load would wait for
 * the stores, so each turn of the loop takes the stages of different blocks, some turns apart: all
 * a stage needs has been there for long, and only the chain of additions is never interrupted.
 */
#include "runtime/trees_ranks.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum {
    BLOCK = 8,    /* trees */
    RING = 8,     /* blocks whose words are kept, more than each of the lags */
    LAG_WALK = 4, /* turns a block waits for a stage after the one before */
    LAG_LOWER = 2,
    LAG_ADD = 2,
};

#define INLINE static inline __attribute__((always_inline))

/* --- values to ranks ------------------------------------------------------------------- */

enum {
    GROUPS_MAX = RANKS_USED_MAX / RANKS_GROUP,
    WORD_RANKS = 32, /* 16-bit ranks of one register */
};

/* A row's used features on their way to ranks, in passes over all of them, so that no load waits
 * for a store just before. */
struct ranking {
    float values[RANKS_USED_MAX] __attribute__((aligned(64)));
    uint32_t rows[RANKS_USED_MAX] __attribute__((aligned(64)));  /* of 16 numbers, to look at */
    uint16_t below[RANKS_USED_MAX] __attribute__((aligned(64))); /* which of them are <= value */
    __m512i ranks[GROUPS_MAX];
    __mmask16 missing[GROUPS_MAX];
};

INLINE void read_values(const struct ranks *m, const float *row, struct ranking *r)
{
    for (int u = 0; m->is_prefix && u < m->used_count; u += RANKS_GROUP) {
        int left = m->used_count - u;
        __mmask16 lanes = left >= RANKS_GROUP ? 0xffff : (__mmask16)((1u << left) - 1);
        _mm512_store_ps(r->values + u, _mm512_maskz_loadu_ps(lanes, row + u));
    }
    for (int u = 0; !m->is_prefix && u < m->used_count; u++)
        r->values[u] = row[m->used[u]];
}

/* How many pivots are <= x, for 16 features. */
INLINE __m512i count_pivots(const struct ranks *m, int group, __m512 x)
{
    const float *pivots = m->pivots + RANKS_GROUP * (ptrdiff_t)group * m->pivot_count;
    __m512i count = _mm512_setzero_si512();
    for (int i = 0; i < m->pivot_count; i++, pivots += RANKS_GROUP) {
        __mmask16 is_below = _mm512_cmp_ps_mask(x, _mm512_load_ps(pivots), _CMP_GE_OQ);
        count = _mm512_mask_add_epi32(count, is_below, count, _mm512_set1_epi32(1));
    }
    return count;
}

INLINE void compare_level(const struct ranks *m, const struct ranks_level *level, int groups,
                          struct ranking *r)
{
    for (int g = 0; g < groups && RANKS_GROUP * g < m->used_count; g++) {
        size_t at = RANKS_GROUP * (size_t)g;
        __m512i first = _mm512_load_si512(level->first_row + at);
        _mm512_store_si512(r->rows + at, _mm512_add_epi32(first, r->ranks[g]));
    }
    for (int u = 0; u < m->used_count; u++) {
        __m512 edges = _mm512_load_ps(level->edges + RANKS_ROW * (size_t)r->rows[u]);
        r->below[u] = _mm512_cmp_ps_mask(_mm512_set1_ps(r->values[u]), edges, _CMP_GE_OQ);
    }
    for (int g = 0; g < groups; g++) {
        const uint16_t *below = r->below + RANKS_GROUP * (size_t)g;
        __m256i counts = _mm256_popcnt_epi16(_mm256_load_si256((const __m256i *)below));
        r->ranks[g] = _mm512_slli_epi32(r->ranks[g], 4);
        r->ranks[g] = _mm512_add_epi32(r->ranks[g], _mm512_cvtepu16_epi32(counts));
    }
}

INLINE void rank_row(const struct ranks *m, const float *row, int groups, struct ranking *r)
{
    read_values(m, row, r);
    for (int g = 0; g < groups; g++) {
        __m512 x = _mm512_load_ps(r->values + RANKS_GROUP * (size_t)g);
        r->missing[g] = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        bool is_used = RANKS_GROUP * g < m->used_count;
        r->ranks[g] = is_used ? count_pivots(m, g, x) : _mm512_setzero_si512();
    }
    for (int l = 0; l < m->level_count; l++)
        compare_level(m, &m->levels[l], groups, r);
    for (int g = 0; g < groups; g++)
        r->ranks[g] = _mm512_mask_set1_epi32(r->ranks[g], r->missing[g], RANKS_MISSING);
}

/* 32 ranks as 16-bit numbers. */
INLINE __m512i rank_word(const struct ranking *r, int word)
{
    __m256i low = _mm512_cvtepi32_epi16(r->ranks[2 * word]);
    __m256i high = _mm512_cvtepi32_epi16(r->ranks[2 * word + 1]);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* The ranks that 32 slots look at. */
INLINE __m512i source_ranks(const __m512i *words, int groups, __m512i source)
{
    if (groups == 2)
        return _mm512_permutexvar_epi16(source, words[0]);
    __m512i ranks = _mm512_permutex2var_epi16(words[0], source, words[1]);
    if (groups == 4)
        return ranks;
    __m512i upper = _mm512_permutex2var_epi16(words[2], source, words[3]);
    __mmask32 is_upper = _mm512_cmpgt_epu16_mask(source, _mm512_set1_epi16(2 * WORD_RANKS - 1));
    return _mm512_mask_mov_epi16(ranks, is_upper, upper);
}

/* The bytes of 32 slots: the rank within the slot's stretch, 0 ... 254. */
INLINE __m256i slot_bytes(const struct ranks *m, const __m512i *words, int groups, int at)
{
    __m512i r = source_ranks(words, groups, _mm512_load_si512(m->slot_sources + at));
    __mmask32 missing = _mm512_cmpeq_epi16_mask(r, _mm512_set1_epi16((short)RANKS_MISSING));
    __mmask32 to_zero = missing & m->slot_lefts[at / 32];
    r = _mm512_subs_epu16(r, _mm512_load_si512(m->slot_bases + at));
    r = _mm512_min_epu16(r, _mm512_set1_epi16(RANKS_STRETCH));
    return _mm512_maskz_cvtepi16_epi8((__mmask32)~to_zero, r);
}

/* Up to four words of 64 slots. */
struct slot_words {
    __m512i word[4];
};

INLINE void make_slots(const struct ranks *m, const float *row, int groups, struct slot_words *s)
{
    struct ranking r;
    __m512i words[RANKS_USED_MAX / WORD_RANKS];
    rank_row(m, row, groups, &r);
    for (int w = 0; w < groups / 2; w++)
        words[w] = rank_word(&r, w);
    for (int w = 0; w < m->slot_words; w++) {
        __m256i low = slot_bytes(m, words, groups, 64 * w);
        __m256i high = slot_bytes(m, words, groups, 64 * w + 32);
        s->word[w] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
}

static void look_up_slots(const struct ranks *m, const float *row, struct slot_words *s)
{
    if (m->used_count <= 2 * RANKS_GROUP)
        make_slots(m, row, 2, s);
    else if (m->used_count <= 4 * RANKS_GROUP)
        make_slots(m, row, 4, s);
    else
        make_slots(m, row, GROUPS_MAX, s);
}

/* --- trees ------------------------------------------------------------------------------ */

/* Which of 64 splits send the row right. */
INLINE __mmask64 compare_splits(const struct slot_words *s, int words, __m512i slots, __m512i ranks)
{
    __m512i x;
    if (words == 1) {
        x = _mm512_permutexvar_epi8(slots, s->word[0]);
    } else {
        x = _mm512_permutex2var_epi8(s->word[0], slots, s->word[1]);
        if (words == 4) {
            __m512i upper = _mm512_permutex2var_epi8(s->word[2], slots, s->word[3]);
            x = _mm512_mask_mov_epi8(x, _mm512_movepi8_mask(slots), upper);
        }
    }
    return _mm512_cmpgt_epu8_mask(x, ranks);
}

/* A word has the splits of a tree, or of two ragged ones. */
INLINE void compare_block(const struct ranks *m, const struct slot_words *s, int words, int tree,
                          bool is_ragged, uint64_t *bits)
{
    const size_t compared = is_ragged ? RANKS_LEAVES_RAGGED : 64;
    const uint8_t *slots = m->slots + compared * (size_t)tree;
    const uint8_t *ranks = m->ranks + compared * (size_t)tree;
    for (int t = 0; t < (is_ragged ? BLOCK / 2 : BLOCK); t++, slots += 64, ranks += 64)
        bits[t] = compare_splits(s, words, _mm512_load_si512(slots), _mm512_load_si512(ranks));
}

/* One level down: the highest bit of `right` says to which side. */
INLINE __m512i step_down(__m512i places, __m512i right)
{
    return _mm512_shldi_epi64(places, right, 1);
}

/* Places of level 6, 64 ... 127, that the trees reach. */
INLINE void walk_upper(const uint64_t *bits, uint64_t *places)
{
    __m512i words = _mm512_ror_epi64(_mm512_load_si512(bits), 1);
    __m512i i = _mm512_set1_epi64(1);
    for (int level = 0; level < RANKS_DEPTH_UPPER; level++)
        i = step_down(i, _mm512_rorv_epi64(words, i));
    _mm512_store_si512(places, i);
}

/* The lower splits that the trees reach. Eight loads: a gather is slower. */
INLINE __m512i load_lower(const struct ranks_lower *lower, const uint64_t *places)
{
    __m128d pairs[BLOCK / 2];
    for (int i = 0; i < BLOCK; i += 2) {
        const struct ranks_lower *first = lower + (size_t)i * 64 + places[i] - 64;
        const struct ranks_lower *second = lower + (size_t)i * 64 + places[i + 1];
        pairs[i / 2] = _mm_load_sd((const double *)(const void *)first);
        pairs[i / 2] = _mm_loadh_pd(pairs[i / 2], (const double *)(const void *)second);
    }
    __m256d low = _mm256_insertf128_pd(_mm256_castpd128_pd256(pairs[0]), pairs[1], 1);
    __m256d high = _mm256_insertf128_pd(_mm256_castpd128_pd256(pairs[2]), pairs[3], 1);
    return _mm512_castpd_si512(_mm512_insertf64x4(_mm512_castpd256_pd512(low), high, 1));
}

/* Places of level 8, 256 ... 511. Byte 0 of a tree's answers is of its split in level 6, bytes 1
 * and 2 are of the two below. */
INLINE void walk_lower(const struct ranks *m, const struct slot_words *s, int words, int tree,
                       const uint64_t *upper, uint64_t *places)
{
    __m512i splits = load_lower(m->lower + 64 * (size_t)tree, upper);
    __mmask64 mask = compare_splits(s, words, splits, _mm512_srli_epi64(splits, 32));
    __m512i right = _mm512_movm_epi8(mask);
    __m512i second = _mm512_and_si512(right, _mm512_set1_epi64(8)); /* 8 bits further? */
    __m512i i = step_down(_mm512_load_si512(upper), _mm512_ror_epi64(right, 8));
    second = _mm512_or_si512(second, _mm512_set1_epi64(16));
    _mm512_store_si512(places, step_down(i, _mm512_rorv_epi64(right, second)));
}

/* The leaves of a ragged tree that are crossed out, in 16 parts. */
INLINE __m512i passed_leaves(const struct ranks_ragged *tree, const char *bits)
{
    __mmask16 right[2];
    memcpy(right, bits, sizeof(right));
    __m512i low = _mm512_maskz_load_epi32(right[0], tree->passed);
    __m512i high = _mm512_maskz_load_epi32(right[1], tree->passed + 16);
    return _mm512_or_si512(low, high);
}

/* Half as many parts for two trees, or for two pairs of trees. */
INLINE __m512i fold_halves(__m512i a, __m512i b)
{
    return _mm512_or_si512(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xee));
}

INLINE __m512i fold_quarters(__m512i a, __m512i b)
{
    return _mm512_or_si512(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* Leaves of ragged trees, from 32 on: the first that no split has crossed out. */
INLINE void find_leaves(const struct ranks *m, int tree, const uint64_t *bits, uint64_t *places)
{
    const struct ranks_ragged *ragged = m->ragged + tree;
    __m512i p[BLOCK];
    for (int t = 0; t < BLOCK; t++)
        p[t] = passed_leaves(ragged + t, (const char *)bits + sizeof(uint32_t) * (size_t)t);
    __m512i even = fold_quarters(fold_halves(p[0], p[2]), fold_halves(p[4], p[6]));
    __m512i odd = fold_quarters(fold_halves(p[1], p[3]), fold_halves(p[5], p[7]));
    __m512i passed =
        _mm512_or_si512(_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd));
    passed = _mm512_or_si512(passed, _mm512_srli_epi64(passed, 32));
    /* Ones below the lowest zero. */
    __m512i below = _mm512_add_epi64(passed, _mm512_set1_epi64(1));
    below = _mm512_andnot_si512(below, passed);
    __m512i leaves = _mm512_popcnt_epi64(below);
    _mm512_store_si512(places, _mm512_add_epi64(leaves, _mm512_set1_epi64(RANKS_LEAVES_RAGGED)));
}

/* What leaves are added to: the sum of the output whose turn it is. */
struct total {
    const struct ranks *m;
    void *margins;
    int output;
    float sum;
    double wide_sum; /* instead of sum */
};

INLINE void begin_output(struct total *total, int output)
{
    total->output = output;
    total->sum = total->m->base[output];
    total->wide_sum = (double)total->sum;
}

INLINE void end_output(const struct total *total, bool is_double)
{
    if (is_double)
        ((double *)total->margins)[total->output] = total->wide_sum;
    else
        ((float *)total->margins)[total->output] = total->sum;
}

INLINE void add_leaf(struct total *total, size_t at, bool is_double)
{
    if (is_double)
        total->wide_sum += ((const double *)total->m->leaves)[at];
    else
        total->sum += ((const float *)total->m->leaves)[at];
}

/* A block in which outputs or the forest may end. */
INLINE void add_last(struct total *total, int tree, size_t width, const uint64_t *places,
                     bool is_double)
{
    const struct ranks *m = total->m;
    for (int t = 0; t < BLOCK && tree + t < m->tree_count; t++) {
        while (tree + t == m->first_tree[total->output + 1]) {
            end_output(total, is_double);
            begin_output(total, total->output + 1);
        }
        add_leaf(total, (size_t)(tree + t - 1) * width + places[t], is_double);
    }
}

INLINE void add_block(struct total *total, int tree, size_t width, const uint64_t *places,
                      bool is_double)
{
    if (total->m->first_tree[total->output + 1] - tree < BLOCK) {
        add_last(total, tree, width, places, is_double);
        return;
    }
    for (int t = 0; t < BLOCK; t++)
        add_leaf(total, (size_t)(tree + t) * width - width + places[t], is_double);
}

/* What the stages of some blocks have stored. */
struct belt {
    uint64_t bits[RING][BLOCK] __attribute__((aligned(64)));
    uint64_t upper[RING][BLOCK] __attribute__((aligned(64))); /* places of level 6 */
    uint64_t lower[RING][BLOCK] __attribute__((aligned(64))); /* and 8 */
};

INLINE bool is_block(int block, int block_count)
{
    return (unsigned)block < (unsigned)block_count;
}

INLINE void add_trees(const struct slot_words *s, int words, enum ranks_form form, bool is_double,
                      struct total *total)
{
    struct belt belt;
    const struct ranks *m = total->m;
    const bool is_deep = form == RANKS_DEEP, is_ragged = form == RANKS_RAGGED;
    const int blocks = (m->tree_count + BLOCK - 1) / BLOCK;
    const int lag_lower = LAG_WALK + LAG_LOWER;
    const int lag_add = (is_deep ? lag_lower : LAG_WALK) + LAG_ADD;
    const size_t width = is_ragged ? RANKS_LEAVES_RAGGED
                         : is_deep ? 1 << RANKS_DEPTH_MAX
                                   : 1 << RANKS_DEPTH_UPPER;
    for (int turn = 0; turn < blocks + lag_add; turn++) {
        int added = turn - lag_add, lower = turn - lag_lower, walked = turn - LAG_WALK;
        if (added >= 0)
            add_block(total, BLOCK * added, width,
                      (is_deep ? belt.lower : belt.upper)[added % RING], is_double);
        if (is_deep && is_block(lower, blocks))
            walk_lower(m, s, words, BLOCK * lower, belt.upper[lower % RING],
                       belt.lower[lower % RING]);
        if (is_ragged && is_block(walked, blocks))
            find_leaves(m, BLOCK * walked, belt.bits[walked % RING], belt.upper[walked % RING]);
        else if (is_block(walked, blocks))
            walk_upper(belt.bits[walked % RING], belt.upper[walked % RING]);
        if (turn < blocks)
            compare_block(m, s, words, BLOCK * turn, is_ragged, belt.bits[turn % RING]);
    }
}

INLINE void score_row(const struct ranks *m, const float *row, void *margins, int words,
                      enum ranks_form form, bool is_double)
{
    struct slot_words s;
    struct total total = {.m = m, .margins = margins};
    look_up_slots(m, row, &s);
    begin_output(&total, 0);
    add_trees(&s, words, form, is_double, &total);
    end_output(&total, is_double);
    while (total.output + 1 < m->output_count) {
        begin_output(&total, total.output + 1);
        end_output(&total, is_double);
    }
}

INLINE void score_as(const struct ranks *m, const float *row, void *margins, int words,
                     bool is_double)
{
    if (m->form == RANKS_SHALLOW)
        score_row(m, row, margins, words, RANKS_SHALLOW, is_double);
    else if (m->form == RANKS_DEEP)
        score_row(m, row, margins, words, RANKS_DEEP, is_double);
    else
        score_row(m, row, margins, words, RANKS_RAGGED, is_double);
}

INLINE void score_any(const struct ranks *m, const float *row, void *margins, int words)
{
    if (m->is_double)
        score_as(m, row, margins, words, true);
    else
        score_as(m, row, margins, words, false);
}

void ranks_score_rows(const struct ranks *m, const float *rows, int64_t row_count, void *margins)
{
    const size_t row_bytes =
        (size_t)m->output_count * (m->is_double ? sizeof(double) : sizeof(float));
    char *out = margins;
    for (; row_count > 0; row_count--, rows += m->feature_count, out += row_bytes) {
        if (m->slot_words == 1)
            score_any(m, rows, out, 1);
        else if (m->slot_words == 2)
            score_any(m, rows, out, 2);
        else
            score_any(m, rows, out, 4);
    }
}
