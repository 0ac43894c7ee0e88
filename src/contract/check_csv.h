/* check_csv.h - a CSV file against a contract: how many rows break which rule of which field. */
#ifndef SLIPWAY_CONTRACT_CHECK_CSV_H
#define SLIPWAY_CONTRACT_CHECK_CSV_H

#include "base/csv.h"
#include "base/json.h"
#include "contract/check.h"

enum { CHECK_CSV_EXAMPLES_MAX = 100 };

struct check_example {
    int64_t line; /* in the file, 1-based */
    struct violation violation;
};

struct check_report {
    int64_t row_count, bad_row_count; /* bad: at least one violation of any policy */
    int64_t rejected_row_count;
    int64_t suspect_row_count;     /* not rejected, but quarantined */
    int64_t (*counts)[RULE_COUNT]; /* [contract->field_count] */
    int64_t shape_count;           /* rows with too few or too many cells */
    int example_count;
    struct check_example examples[CHECK_CSV_EXAMPLES_MAX];
};

/* The header names the columns; prediction, score and label columns are allowed and not checked.
 * ERR_VIOLATION when the header itself breaks the contract: a name it does not have, a name twice,
 * no column for a required field. The report lives in `arena`. */
enum err_code contract_check_csv(const struct contract *contract, struct str text,
                                 struct arena *arena, struct check_report **report,
                                 struct err *err);

/* Who hears of a check while it runs; either function may be NULL. */
struct check_csv_watch {
    /* Every violation as it is found; violation->row counts from 0 behind the header. */
    void (*violation)(void *arg, int64_t line, const struct violation *violation);
    /* One row that is not refused, in its final form; valid during the call. */
    void (*row)(void *arg, const struct rows *row);
    void *arg;
};

/* The same for a reader at the beginning of its file; `watch` may be NULL. */
enum err_code contract_check_csv_each(const struct contract *contract, struct csv *csv,
                                      const struct check_csv_watch *watch, struct arena *arena,
                                      struct check_report **report, struct err *err);

/* Which column of a CSV header is which field: columns[i] is NULL for prediction, score and label
 * columns. Errors as above. */
enum err_code contract_map_header(const struct contract *contract, const struct str *names,
                                  int count, const struct contract_field **columns,
                                  struct err *err);

/* {"rows": 5, "bad_rows": 1, "rejected_rows": 1, "suspect_rows": 0, "shape": 0,
 *  "fields": [{"field", "rule", "policy", "count"}],
 *  "examples": [{"line", "field", "rule", "policy", "expected", "got"}]} */
void check_report_write_members(struct json_writer *w, const struct contract *contract,
                                const struct check_report *report); /* without the braces */
void check_report_write(struct json_writer *w, const struct contract *contract,
                        const struct check_report *report);

#endif
