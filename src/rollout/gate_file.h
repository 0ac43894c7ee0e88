/* gate_file.h - what a version must prove: the file people write, with a default for everything.
 *
 *     floors: {auc: 0.9}               at least (losses: at most), with confidence
 *     champion: {margins: {accuracy: 0.02, rmse: 5%}}
 *     slices: {columns: [country]}     ...                docs/gates.md is the manual
 *
 * An empty file is a gate too: not worse than the champion, rows that keep the contract, no crash,
 * no unreasonable time or size, an owner. Immutable; lives in the arena it was parsed into.
 */
#ifndef SLIPWAY_ROLLOUT_GATE_FILE_H
#define SLIPWAY_ROLLOUT_GATE_FILE_H

#include "base/hash.h"
#include "monitor/quality.h"

enum {
    GATE_FILE_BYTES_MAX = 256 * 1024,
    GATE_COLUMNS_MAX = 32, /* of slices, of groups, of one invariance */
    GATE_INVARIANCES_MAX = 64,
    GATE_RECORDS_MAX = 32, /* names under `record` */
};

/* A limit that may be left out (NaN), or be a share of the champion's value. */
struct gate_limit {
    double value; /* NaN: none */
    bool is_relative;
};

struct gate_columns {
    int count;
    const char *names[GATE_COLUMNS_MAX];
};

/* The answer must not change when these columns do, or between two versions of a row. */
struct gate_invariance {
    struct gate_columns columns; /* take the value of another row, all together */
    int pair_count;              /* else: columns with one text and another */
    const char *pair_columns[GATE_COLUMNS_MAX], *first[GATE_COLUMNS_MAX], *second[GATE_COLUMNS_MAX];
    double tolerance; /* of the score or number */
    double share_max; /* of rows that may change all the same */
};

struct gate_file {
    char digest[SHA256_HEX_BYTES + 1]; /* of the file's bytes; an empty file has one too */
    const char *target;                /* column with the truth; NULL: the contract says */
    const char *positive;              /* class that shares of groups are about; NULL: class 1 */
    const char *group;                 /* column of a ranking's groups; NULL: no ranking */
    const char *data_sha256;           /* the rows that must be used; NULL: any */
    double alpha;                      /* 1 - confidence */
    int64_t rows_min;
    uint64_t seed;

    double floors[QUALITY_COUNT]; /* NaN: none */

    bool is_champion_off, is_champion_required;
    struct gate_limit margins[QUALITY_COUNT];

    struct gate_columns slices;
    bool is_auto;                       /* look for the worst slices */
    double slice_margin, slice_gap_max; /* gap to the other rows; NaN: none */
    int64_t slice_rows_min, auto_rows_min;

    struct gate_columns groups;                                              /* of fairness */
    double selection_gap_max, true_positive_gap_max, false_positive_gap_max; /* NaN: none */
    int64_t group_rows_min;

    double ece_max, brier_max, slope_min, slope_max; /* NaN: none */

    bool is_speed_off;
    double p50_ratio_max, p99_ratio_max, size_ratio_max;
    double fine_us, fine_bytes; /* below these nobody asks for the ratio */

    bool is_robustness_off, is_golden_required;
    int invariance_count;
    struct gate_invariance invariances[GATE_INVARIANCES_MAX];
    double rejected_share_max;
    bool is_leakage_required;
    double overlap_max;
    int record_count;
    const char *records[GATE_RECORDS_MAX]; /* "owner", "note", "license", "lineage.code_commit" */
};

/* ERR_INVALID names the place, what was expected and what was found. */
enum err_code gate_file_parse(struct str text, struct arena *arena, struct gate_file **file,
                              struct err *err);

/* Is the column named anywhere in the file? */
bool gate_file_has_column(const struct gate_file *file, struct str name);

#endif
