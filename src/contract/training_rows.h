/* training_rows.h - which rows a model was trained on, small enough to travel in its contract.
 *
 * Each row is one 40-bit digest of its features, as the contract reads them; the contract keeps the
 * TRAINING_ROWS_KEPT least, under the custom property slipwayTrainingRows:
 *
 *     {n: 250000, repeated: 12, features: 8f0c..., digests: 0000000a3f00000041b2...}
 *
 *     n          rows that were read
 *     repeated   of them, rows that have the features of an earlier one
 *     features   digest of the features' names and types: digests of others mean nothing
 *     digests    ascending, ten hex digits each
 *
 * Up to that number of different rows every held-out row can be looked up; above it those with a
 * digest up to the largest kept one can, which is a sample drawn by the hash (bottom-k), so the
 * share of rows seen in training is known with an interval. It costs 10 bytes a row, 40 KiB at
 * most, and one more reading of the file. A digest tells no values, but somebody who has a row can
 * test whether it was trained on.
 */
#ifndef SLIPWAY_CONTRACT_TRAINING_ROWS_H
#define SLIPWAY_CONTRACT_TRAINING_ROWS_H

#include "base/csv.h"
#include "contract/check.h"

#define TRAINING_ROWS_PROPERTY "slipwayTrainingRows"

enum { TRAINING_ROWS_KEPT = 4096 };

struct training_rows {
    int64_t row_count, repeated_count;
    uint64_t features;
    bool is_whole; /* every different row is kept */
    int kept_count;
    const uint64_t *digests; /* [kept_count], ascending */
};

/* Digest of one row's features, below 2^40; and of what features there are. */
uint64_t training_row_digest(const struct rows *rows, int64_t row);
uint64_t training_rows_features(const struct contract *contract);

/* Read the rows again, as the contract in `yaml` reads them, and add the property to it. */
enum err_code training_rows_add(struct csv *csv, struct arena *arena, struct buf *yaml,
                                struct err *err);

/* From a contract's document. *is_there false: it keeps none. */
enum err_code training_rows_find(struct str document, struct arena *arena,
                                 struct training_rows *rows, bool *is_there, struct err *err);

/* Can the digest be looked up, and was it seen? */
bool training_rows_covers(const struct training_rows *rows, uint64_t digest);
bool training_rows_has(const struct training_rows *rows, uint64_t digest);

#endif
