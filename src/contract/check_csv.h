/* check_csv.h - a CSV file against a contract: how many rows break which rule of which field. */
#ifndef SLIPWAY_CONTRACT_CHECK_CSV_H
#define SLIPWAY_CONTRACT_CHECK_CSV_H

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
    int64_t (*counts)[RULE_COUNT]; /* [contract->field_count] */
    int example_count;
    struct check_example examples[CHECK_CSV_EXAMPLES_MAX];
};

/* The header names the columns; prediction, score and label columns are allowed and not checked.
 * The report lives in `arena`. */
enum err_code contract_check_csv(const struct contract *contract, struct str text,
                                 struct arena *arena, struct check_report **report,
                                 struct err *err);

/* {"rows": 5, "bad_rows": 1, "rejected_rows": 1, "fields": [{"field", "rule", "policy", "count"}],
 *  "examples": [{"line", "field", "rule", "policy", "expected", "got"}]} */
void check_report_write(struct json_writer *w, const struct contract *contract,
                        const struct check_report *report);

#endif
