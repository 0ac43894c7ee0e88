/* intake.h - where outcomes come in: each is joined to its prediction, stored and made known.
 *
 *     feedback -> recorder_sync -> lookup of each prediction -> control_execute(outcome_submit)
 *              -> outcomes_publish to the sinks -> counted
 *     once a second: orphans whose turn it is go the same way
 *     every ten seconds: outcomes of predictions past their age go, with what was predicted
 */
#ifndef SLIPWAY_SERVE_INTAKE_H
#define SLIPWAY_SERVE_INTAKE_H

#include "base/histogram.h"
#include "monitor/outcome_store.h"
#include "monitor/outcome_watch.h"
#include "monitor/recorder.h"
#include "monitor/tally.h"
#include "serve/control.h"

enum {
    INTAKE_RETRY_MS = 1000,
    INTAKE_PRUNE_MS = 10 * 1000,
    INTAKE_PRUNE_BATCHES_MAX = 10, /* of OUTCOME_FORGET_MAX, each a transaction, at a time */
};
/* The clock stepped when it went this much further than time did; then nothing is forgotten by it
 * for a day, in which somebody may set it right. */
#define INTAKE_CLOCK_STEP_US (INT64_C(3600) * 1000000)
#define INTAKE_CLOCK_PAUSE_US (INT64_C(24) * 3600 * 1000000)

struct intake {
    struct control *control;
    struct recorder *recorder;                     /* NULL in-process: everything is on disk */
    const struct prediction_lookup *lookup;        /* NULL: no record is kept, all are orphans */
    struct outcomes *outcomes;                     /* NULL: nobody hears */
    struct outcome_watch *watch;                   /* NULL in-process */
    struct tallies *tallies;                       /* NULL in-process */
    atomic_bool is_saving;                         /* one at a time */
    int64_t pruned_day;                            /* in which old tallies were removed last */
    int64_t keep_us;                               /* of predictions with outcomes; 0: for ever */
    int64_t wall_us, monotonic_us;                 /* when pruning looked at the clocks last */
    int64_t paused_until_us;                       /* monotonic: the clock has stepped */
    _Atomic uint64_t counts[OUTCOME_RESULT_COUNT]; /* outcomes taken, by their result */
    _Atomic uint64_t joined_count;                 /* orphans that found their prediction */
};

/* Take `count` outcomes (at most OUTCOME_BATCH_MAX), all in one transaction; their results say what
 * became of each. Not from a data thread or the control thread. */
enum err_code intake_take(struct intake *intake, struct outcome *outcomes, int count,
                          const struct actor *actor, struct arena *arena, struct err *err);

/* For the ticker: look for the predictions of orphans again. `arg` is the intake. */
void intake_retry(void *arg);

/* For the ticker: forget what is past its age. `arg` is the intake. */
void intake_prune(void *arg);

/* For the ticker: keep what versions answered since the last time. `arg` is the intake. */
void intake_save(void *arg);

/* Everything answered before the call is in the store when it returns, if nobody else is just
 * saving: for reports. Not from a data thread or the control thread. NULL is allowed. */
void intake_refresh(struct intake *intake);

#endif
