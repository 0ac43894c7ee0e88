/* rollout_store.h - rollouts and their decisions as rows.
 *
 * What changes something runs inside the caller's transaction (serve/control) and appends its audit
 * event: "rollout.start", "rollout.advance", "rollout.rollback", ... A decision's row has the
 * number of that event, and the numbers the decision was made on.
 */
#ifndef SLIPWAY_ROLLOUT_ROLLOUT_STORE_H
#define SLIPWAY_ROLLOUT_ROLLOUT_STORE_H

#include "event/audit.h"
#include "rollout/rollout.h"
#include "store/store.h"

enum { ROLLOUT_LIST_MAX = 1000, ROLLOUT_DECISIONS_MAX = 1000 };

/* A transition that was made. */
struct rollout_event_row {
    int64_t id; /* of its audit event */
    int64_t at_us;
    const char *action, *cause, *state, *reason, *actor, *evidence;
    int step;
    int64_t weight_ppm;
};

/* A new rollout: everything but id, revision and started_us is given, and filled. ERR_CONFLICT when
 * the model has an active one. */
enum err_code rollout_insert(struct store *store, struct rollout *rollout,
                             const struct rollout_change *change, const struct actor *actor,
                             struct err *err);

/* Make a transition of the rollout at `revision`; `rollout` is brought up to date (its reason
 * borrows change->reason). ERR_CONFLICT when another one came first. */
enum err_code rollout_apply(struct store *store, struct rollout *rollout,
                            const struct rollout_change *change, const struct actor *actor,
                            struct arena *arena, struct err *err);

/* A row that this program cannot read (a state it does not know) is ERR_UNSUPPORTED, which names
 * it; lists leave it out. */
enum err_code rollout_get(struct store *store, int64_t id, struct arena *arena,
                          struct rollout *rollout, struct err *err);

/* The active one of a model; *is_there false when there is none. */
enum err_code rollout_find(struct store *store, const char *model, struct arena *arena,
                           struct rollout *rollout, bool *is_there, struct err *err);

/* The newest one of a model, active or over. */
enum err_code rollout_find_newest(struct store *store, const char *model, struct arena *arena,
                                  struct rollout *rollout, bool *is_there, struct err *err);

/* Newest first, at most `limit`; of all models when model is NULL; only active ones on request. */
enum err_code rollout_list(struct store *store, const char *model, bool is_active_only, int limit,
                           struct arena *arena, struct rollout **list, int *count, struct err *err);

/* Models with a rollout whose versions had to stay warm until a moment after `after_us`, not after
 * `until_us`. */
enum err_code rollout_cooled(struct store *store, int64_t after_us, int64_t until_us, int limit,
                             struct arena *arena, const char ***models, int *count,
                             struct err *err);

/* Oldest first. */
enum err_code rollout_decisions(struct store *store, int64_t id, struct arena *arena,
                                struct rollout_event_row **list, int *count, struct err *err);

/* A transition by words: read the model's active rollout and its file, make `action` of it. What
 * a person or the engine wants, inside the transaction. */
struct rollout_act {
    const char *model;
    enum rollout_action action;
    int64_t revision; /* at which it was decided; 0: any */
    const char *cause, *reason, *evidence;
};
/* `rollout` is as it is afterwards, in `arena`. ERR_NOT_FOUND when none is active. */
enum err_code rollout_act(struct store *store, const struct rollout_act *act,
                          const struct actor *actor, struct arena *arena, struct rollout *rollout,
                          struct err *err);

/* For rollback_log_set_rollout(): a rollout that was taken back while the store could not say so.
 */
enum err_code rollout_fold(struct store *store, const char *model, int64_t from, int64_t to,
                           const char *reason, const struct actor *actor, struct err *err);

/* ERR_CONFLICT while a rollout of the model decides who answers: its champion is not moved beside
 * it. */
enum err_code rollout_check_move(struct store *store, const char *model, const char *alias,
                                 struct err *err);

#endif
