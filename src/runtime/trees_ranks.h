/* trees_ranks.h - how the VBMI tier lays out a forest: features become ranks, splits bytes.
 *
 * The thresholds of each feature are sorted; a value's rank is the number of thresholds that are
 * <= it, so x < threshold[k] is the same as rank <= k, exactly. A split then is two bytes, and
 * comparing 64 pairs of bytes is one instruction.
 *
 *     used    a feature in splits
 *     slots   what a split's first byte names: a feature, where its missing values go, and which
 *             stretch of 254 ranks, since a byte has to say "missing goes right" too (254, above
 *             every rank of a split)
 *     places  a tree as a perfect heap of 6 levels (places 1 ... 63) or of 8 (1 ... 255); below a
 *             leaf it repeats the leaf. Trees that grow by leaves, as LightGBM's do, are deep and
 *             have few: up to 32 leaves they are laid out ragged, by numbers of splits and leaves
 *
 * A rank is found as in a B-tree with 16 numbers in a node, nodes of a level in one array:
 *
 *     pivots                 p0           p1           ...    at most 31: how many are <= x?
 *     level 0     ...  p0 | ...  ...  p1 | ...                row of 16 that number leads to: again
 *     last level  all thresholds, in rows of 16               how many are there is the rank
 *
 * Numbers at a row's end stand in the level above, but not those of the last row. The pivots of 16
 * features stand side by side, since one row asks for all features at once.
 *
 * One row (trees_ranks_vbmi.c): slot bytes are looked up for all 63 upper places of a tree at once
 * and compared with the rank bytes; the 64 bits are walked for eight trees in one register. The
 * two lower levels of 8 are eight bytes per place of level 6. In a ragged tree each split that
 * sends the row right crosses out the leaves on its left: the first that remains is the row's leaf.
 *
 * Batches (trees_bits_vbmi.c): a split becomes 256 bits, one per row: does it send the row right?
 * Splits that occur several times in a chunk of trees are computed once, all those of a feature in
 * one run. A level of a tree is resolved for 256 rows by selecting bits with bits; in a ragged tree
 * they are passed on from the root to the leaves.
 */
#ifndef SLIPWAY_RUNTIME_TREES_RANKS_H
#define SLIPWAY_RUNTIME_TREES_RANKS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RANKS_USED_MAX = 128, /* features that occur in splits */
    RANKS_SLOTS_MAX = 256,
    RANKS_STRETCH = 254, /* ranks of one slot */
    RANKS_GROUP = 16,    /* features ranked side by side */
    RANKS_ROW = 16,      /* thresholds compared at once */
    RANKS_PIVOTS_MAX = 31,
    RANKS_LEVELS_MAX = 3, /* 32 * 16^3 thresholds are more than the slots have room for */
    RANKS_DEPTH_UPPER = 6,
    RANKS_DEPTH_MAX = 8,
    RANKS_LEAVES_RAGGED = 32,
    RANKS_NOWHERE = 63,           /* a place behind the nodes of a ragged tree */
    RANKS_NEVER = 255,            /* a split's rank that sends nothing right */
    RANKS_MISSING = 0xffff,       /* rank of NaN before slots are made */
    RANKS_TREES_PADDED = 8,       /* trees that may be read behind the last */
    RANKS_BATCH = 256,            /* rows scored together, at most */
    RANKS_BATCH_MIN = 48,         /* fewer rows are scored one by one */
    RANKS_PREDICATES_MAX = 16383, /* of one chunk; times 4 they fit 16 bits */
};

/* How trees are laid out. */
enum ranks_form {
    RANKS_SHALLOW, /* 6 levels */
    RANKS_DEEP,    /* 8 levels */
    RANKS_RAGGED,  /* of any depth, with up to 32 leaves */
};

/* The two lower levels under one place of level 6. */
struct ranks_lower {
    uint8_t slots[4]; /* place p, 2p, 2p + 1; the fourth is unused */
    uint8_t ranks[4];
};

/* A ragged tree. Its splits are numbered breadth-first, its leaves from left to right. */
struct ranks_ragged {
    uint32_t passed[RANKS_LEAVES_RAGGED]; /* by split: the leaves on its left, of which a row that
                                             goes right can reach none */
    /* Places among all nodes, breadth-first, so that split k has the children 2k + 1 and 2k + 2;
     * RANKS_NOWHERE behind the last. */
    uint8_t split_places[RANKS_LEAVES_RAGGED], leaf_places[RANKS_LEAVES_RAGGED];
};

/* Rows of 16 thresholds, those of a feature together, NaN behind its last. */
struct ranks_level {
    const float *edges;
    const uint32_t *first_row; /* [used_count] */
};

/* Which of 16 thresholds are splits of a run, and how many of its splits stand before. */
struct ranks_part {
    uint16_t present, before;
};

/* Splits of one feature and missing direction in a chunk, by ascending rank. */
struct ranks_run {
    uint8_t used; /* index of the feature in used[] */
    bool is_missing_right;
    uint16_t count;
    uint16_t part_count; /* thresholds of the feature / 16, and 1 for what is above all */
    uint32_t first_part;
};

/* Trees [first_tree, end_tree) and the distinct splits in them. */
struct ranks_chunk {
    int first_tree, end_tree;
    int first_run, end_run;
};

struct ranks {
    int feature_count, output_count, tree_count;
    enum ranks_form form;
    bool is_double;             /* leaves and margins are, else float */
    bool is_prefix;             /* used[i] == i */
    int used_count, slot_words; /* 1, 2 or 4 words of 64 slots */
    const float *base;
    const int *first_tree;

    const uint16_t *used; /* [used_count] feature */
    int pivot_count;
    const float *pivots; /* [groups of 16 features, pivot_count, 16], NaN where there is none */
    int level_count;     /* 1 and more */
    struct ranks_level levels[RANKS_LEVELS_MAX];

    /* Slots: [slot_words * 64]. The left masks have a bit for each slot that sends missing left. */
    const uint16_t *slot_sources; /* index in used[] */
    const uint16_t *slot_bases;   /* first rank of the stretch */
    const uint32_t *slot_lefts;   /* [slot_words * 2] */

    const uint8_t *slots;              /* [trees + padding, 64]; ragged: 32 */
    const uint8_t *ranks;              /* the same */
    const void *leaves;                /* [trees + padding, 64, 256 or 32 by form] */
    const struct ranks_lower *lower;   /* [trees + padding, 64] when deep */
    const struct ranks_ragged *ragged; /* [trees + padding] when ragged */

    int chunk_count;
    const struct ranks_chunk *chunks;
    const struct ranks_run *runs;
    const struct ranks_part *parts;
    const uint16_t *predicates; /* [trees, as many] 4 * the split's number in its chunk */
};

/* rows [row_count, feature_count] -> margins [row_count, output_count], float or double; a batch
 * has at most RANKS_BATCH rows. */
void ranks_score_rows(const struct ranks *m, const float *rows, int64_t row_count, void *margins);
void ranks_score_batch(const struct ranks *m, const float *rows, int row_count, void *margins);

#endif
