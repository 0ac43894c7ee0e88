/* gate.h - does a version deserve traffic? Held-out rows, checks, a verdict with its numbers.
 *
 *     file + rows + candidate + champion -> gate_run -> checks: pass | fail | cannot tell | skipped
 *
 * A check passes when the data prove it, fails when they prove the opposite, and cannot tell in
 * between; what does not apply (no champion, no golden rows) is skipped and says so. The whole
 * fails when one check fails, cannot tell when one cannot or none passed, else passes.
 * docs/gates.md is the manual.
 */
#ifndef SLIPWAY_ROLLOUT_GATE_H
#define SLIPWAY_ROLLOUT_GATE_H

#include "base/json.h"
#include "registry/registry.h"
#include "rollout/gate_data.h"

enum { GATE_CHECKS_MAX = 2000, GATE_WORST_MAX = 10 };

enum gate_verdict { GATE_PASS, GATE_FAIL, GATE_CANNOT_TELL, GATE_SKIPPED };

const char *gate_verdict_name(enum gate_verdict verdict); /* "pass", "fail", "cannot_tell", ... */

struct gate_check {
    const char *kind; /* "floor", "champion", "slice", ... */
    const char *name; /* "auc", "country=BR" */
    enum gate_verdict verdict;
    const char *text;               /* what was found, in a sentence with the numbers */
    double value, low, high, limit; /* NaN: none */
    double p;                       /* adjusted for the number of slices; NaN: none */
    int64_t n;                      /* rows; 0: not about rows */
};

/* A slice of the rows and how it stands to the others. */
struct gate_slice {
    const char *name; /* "plan=basic", "age in (31, 45]" */
    int64_t n;
    double loss, rest_loss; /* mean loss: share of wrong answers, or absolute error */
    double low;             /* of the difference, one-sided at the file's confidence */
    double p;               /* of no difference, Benjamini-Hochberg adjusted */
};

struct gate_report {
    enum gate_verdict verdict;
    int check_count;
    struct gate_check *checks; /* [check_count] */
    bool has_champion;
    struct quality candidate[QUALITY_COUNT], champion[QUALITY_COUNT], difference[QUALITY_COUNT];
    int64_t *confusion; /* [class_count, class_count] truth, answer; NULL for numbers */
    int worst_count;
    struct gate_slice worst[GATE_WORST_MAX];
    double p50_us, p99_us, champion_p50_us, champion_p99_us; /* NaN: not measured */
    const struct gate_data *data;
    const struct gate_file *file;
    struct arena *arena;
};

struct gate_input {
    const struct gate_file *file;
    struct str data;    /* CSV */
    const char *target; /* column of the truth; NULL: by file or contract */
    const struct model *model;
    const struct version *version;
    struct loaded *candidate, *champion; /* champion NULL: none, or it is the candidate itself */
    int64_t champion_number;             /* 0: there is none */
    int64_t champion_bytes;              /* of its artifact */
    struct str artifact;                 /* the candidate's bytes */
    struct str contract;                 /* its contract's document */
};

/* Everything lives in `arena` (GATE_MEMORY_BYTES_MAX). Slow: seconds. ERR_INVALID and ERR_LIMIT are
 * about the rows; a failed check is no error. */
enum err_code gate_run(const struct gate_input *input, struct arena *arena,
                       struct gate_report **report, struct err *err);

/* The report as a JSON object, without what the store adds. */
void gate_report_write(struct json_writer *w, const struct gate_report *report);

#endif
