/* gate_check.h - inside of gate*.c: one run of a gate, and the kinds of checks it makes.
 *
 * A kind is a file and a function that looks at the run and adds its checks. TO ADD A KIND: its
 * file, its line in the list of gate.c, its section in gate_file.h and docs/gates.md.
 */
#ifndef SLIPWAY_ROLLOUT_GATE_CHECK_H
#define SLIPWAY_ROLLOUT_GATE_CHECK_H

#include "rollout/gate.h"

struct gate_run {
    const struct gate_input *input;
    const struct gate_file *file;
    struct gate_data data;
    struct arena *arena;
    struct gate_report *report;
    double *loss, *champion_loss; /* [data.count] 0 or 1 of a class, |error| of a number */
};

typedef enum err_code gate_kind_fn(struct gate_run *run, struct err *err);

gate_kind_fn gate_contract;    /* gate_rows.c: do the rows keep the contract, are there enough? */
gate_kind_fn gate_floors;      /* gate_quality.c */
gate_kind_fn gate_champion;    /* gate_quality.c */
gate_kind_fn gate_calibration; /* gate_quality.c */
gate_kind_fn gate_slices;      /* gate_slice.c: declared ones */
gate_kind_fn gate_worst;       /* gate_slice.c: found ones */
gate_kind_fn gate_fairness;    /* gate_fairness.c */
gate_kind_fn gate_speed;       /* gate_speed.c: time and size */
gate_kind_fn gate_robustness;  /* gate_robust.c */
gate_kind_fn gate_invariance;  /* gate_robust.c */
gate_kind_fn gate_leakage;     /* gate_record.c */
gate_kind_fn gate_records;     /* gate_record.c: owner, lineage, licence; golden rows; no pickle */

/* A new check, skipped until it says otherwise: numbers NaN, text "". Past GATE_CHECKS_MAX or the
 * arena the last one is used again; never NULL. */
struct gate_check *gate_add(struct gate_run *run, const char *kind, const char *name);

/* Its sentence. */
void gate_say(struct gate_run *run, struct gate_check *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Is [low, high] on the right side of the limit, on the wrong one, or on both? */
enum gate_verdict gate_at_least(double low, double high, double limit);
enum gate_verdict gate_at_most(double low, double high, double limit);

/* About how many rows would tell: the interval shrinks with the root of n. 0: not by more rows,
 * because the value itself is on the wrong side. `bound` is the end of the interval that counts. */
int64_t gate_rows_needed(double value, double bound, double limit, int64_t n);

/* Texts of numbers for people: 0.9123, 12.3, 1,234. In the run's arena. */
const char *gate_number(struct gate_run *run, double value);

#endif
