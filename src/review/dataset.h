/* dataset.h - what people decided, as rows to train and measure with: versioned, weighted, split.
 *
 * A data set is what the decisions with ids up to `through` amount to; its bytes can be made again
 * from the store as long as none of its rows was erased, and its digest says whether they are the
 * same. One row an item that people decided (not what merely expired):
 *
 *     inputs            as the caller sent them
 *     label, answer     what people say, what the model said
 *     probability       chance that a row like it came to review; empty when it was asked for
 *     weight            1 / probability, 1 when it was asked for: an appeal stands for itself alone
 *     split             "train" or "test", by the business key (else the prediction id):
 *                       SHA-256(model LF key), its first 8 bytes as a big-endian fraction of 2^64,
 *                       below the test share is "test"; so all rows of a key are on one side, in
 *                       every version of the data set
 *     random            the row is of the plain random share
 *     prediction_id, version, rule, decisions, at
 *
 * CSV has the inputs first, as they are called, then the others; one whose name an input has gets
 * "review_" in front. JSON Lines have the inputs in an object of their own.
 */
#ifndef SLIPWAY_REVIEW_DATASET_H
#define SLIPWAY_REVIEW_DATASET_H

#include "base/hash.h"
#include "review/review.h"

enum {
    REVIEW_DATASET_BYTES_MAX = 256 * 1024 * 1024,
    REVIEW_DATASET_COLUMNS_MAX = 8000,
    REVIEW_DATASETS_LISTED_MAX = 1000,
};

enum review_format { REVIEW_CSV, REVIEW_JSONL };
const char *review_format_name(enum review_format format); /* "csv", "jsonl" */
bool review_format_parse(struct str name, enum review_format *format);

struct review_dataset {
    const char *model;
    int64_t version; /* 1, 2, ...; 0: not stored yet */
    enum review_format format;
    double test_share; /* 0..1 */
    int64_t through;   /* id of the last decision that counts */
    int64_t row_count, test_count;
    char digest[SHA256_HEX_BYTES + 1]; /* of the bytes */
    const char *created_by;
    int64_t created_us;
};

/* The last decision about the model there is; 0: none. */
enum err_code review_dataset_through(struct store *store, const char *model, int64_t *through,
                                     struct err *err);

/* The bytes of a data set into `out`; fills row_count, test_count and digest. ERR_LIMIT past
 * REVIEW_DATASET_BYTES_MAX. Reads everything twice: give it a connection of its own. */
enum err_code review_dataset_write(struct store *store, struct review_dataset *dataset,
                                   struct buf *out, struct err *err);

/* Keep a data set under the next version of its model; the newest one when that is the same in
 * everything. Fills version, created_by, created_us. */
enum err_code review_dataset_put(struct store *store, struct review_dataset *dataset,
                                 const struct actor *actor, int64_t now_us, struct arena *arena,
                                 struct err *err);

enum err_code review_dataset_get(struct store *store, const char *model, int64_t version,
                                 struct arena *arena, struct review_dataset *dataset,
                                 struct err *err);

/* Newest first. */
enum err_code review_dataset_list(struct store *store, const char *model, struct arena *arena,
                                  struct review_dataset **datasets, int *count, struct err *err);

#endif
