/* compare.h - two versions' answers to the same rows: how often they differ, where, by how much.
 *
 * The comparer is chosen by what the answers are: classes count flips (a matrix of stable by
 * shadow class), probabilities the largest change of any class's probability, numbers the relative
 * error |shadow - stable| / max(|stable|, |shadow|). Memory is fixed: counts, a histogram of
 * changes, a reservoir of pairs for the rank correlation, the last examples that differed.
 *
 * One thread at a time.
 */
#ifndef SLIPWAY_ROLLOUT_COMPARE_H
#define SLIPWAY_ROLLOUT_COMPARE_H

#include "base/histogram.h"
#include "base/json.h"
#include "base/rand.h"
#include "monitor/record_answer.h"

enum {
    COMPARE_CLASSES_MAX = 32, /* flips of further classes are counted, not told apart */
    COMPARE_SLICES_MAX = 128, /* further ones are summed in one */
    COMPARE_SLICE_BYTES = 64, /* "country=BR", cut beyond */
    COMPARE_EXAMPLES_MAX = 20,
    COMPARE_PAIRS_MAX = 1000,
    COMPARE_ID_BYTES = 128,
};

/* A number differs when its relative error is larger than this. */
#define COMPARE_TOLERANCE 1e-3

struct compare_row {
    struct str request_id;
    int64_t row;
    struct record_answer stable, shadow;
    double delta;             /* classes: largest change of a class's probability; else unused */
    const struct str *slices; /* [slice_count], "country=BR" */
    int slice_count;
};

struct compare_slice {
    char name[COMPARE_SLICE_BYTES];
    uint64_t rows, differ;
};

struct compare_example {
    char request_id[COMPARE_ID_BYTES + 1];
    int64_t row;
    struct record_answer stable, shadow;
};

/* Zeroed is empty; set kind and names with compare_init. */
struct compare {
    bool is_class;
    int class_count;
    const struct str *class_names; /* [class_count] of the stable version, or NULL; borrowed */
    uint64_t rows, differ, identical;
    uint64_t errors;  /* rows the shadow failed to answer */
    uint64_t refused; /* rows that the shadow's contract refuses */
    uint64_t flips[COMPARE_CLASSES_MAX][COMPARE_CLASSES_MAX]; /* [stable][shadow] */
    uint64_t other_flips;
    struct histogram_sum change; /* in units of 1e-9: of probabilities, or relative */
    double change_max;
    int slice_count;
    struct compare_slice slices[COMPARE_SLICES_MAX]; /* the last one takes the rest */
    int example_count, example_next;
    struct compare_example examples[COMPARE_EXAMPLES_MAX];
    int pair_count;
    uint64_t pairs_seen;
    float pairs[COMPARE_PAIRS_MAX][2]; /* a reservoir of (stable, shadow) values */
    struct rand rand;
};

/* `class_names` must live as long as the comparison. */
void compare_init(struct compare *compare, int class_count, const struct str *class_names);

/* Does this pair count as differing? Another class; a relative error past COMPARE_TOLERANCE; one
 * of them is NaN. */
bool compare_differs(const struct compare_row *row);

void compare_add(struct compare *compare, const struct compare_row *row);

/* Spearman's rank correlation of the pairs kept, ties given their mean rank; NaN below 3 pairs or
 * when one side is constant. Source: Spearman (1904). */
double compare_rank_correlation(const struct compare *compare);

/* The members of the comparison into the writer's open object: rows, differ, differ_ratio, flips,
 * change, slices (worst first), examples (newest first). */
void compare_write(const struct compare *compare, struct json_writer *w);

#endif
