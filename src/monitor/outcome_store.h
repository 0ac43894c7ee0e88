/* outcome_store.h - what the files that keep outcomes share: names, orphans, reading back. */
#ifndef SLIPWAY_MONITOR_OUTCOME_STORE_H
#define SLIPWAY_MONITOR_OUTCOME_STORE_H

#include "base/json.h"
#include "monitor/outcome.h"

/* One transaction's submission. */
struct outcome_run {
    struct store *store;
    const struct actor *actor;
    struct arena *arena;
    int64_t now_us;
    int64_t next_seq, next_orphan; /* 0: not asked for yet */
    int64_t orphan_count;          /* at least as many as wait */
    bool is_orphan_count_known, is_orphan_count_exact;
};

/* The outcome is refused with these words. Always ERR_OK: it is a result, not a failure. */
enum err_code outcome_refuse(struct outcome *outcome, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- outcome_name.c ---- */

/* A value or an event of a model, as declared. */
struct outcome_name {
    const char *name;
    enum outcome_kind kind;
    const char *unit; /* "" for events */
    enum outcome_direction direction;
    int64_t created_us;
    const char *created_by;
};

/* Declare one, or change its direction; the kind and the unit of what was counted already stay.
 * Writes its audit event. ERR_CONFLICT, ERR_INVALID, ERR_LIMIT say why not. */
enum err_code outcome_name_put(struct store *store, const char *model,
                               const struct outcome_name *name, const struct actor *actor,
                               struct arena *arena, struct err *err);
enum err_code outcome_name_list(struct store *store, const char *model, struct arena *arena,
                                struct outcome_name **names, int *count, struct err *err);

/* Is this value or event one that its model knows? Declares it by its first use when it may; else
 * the outcome is refused. */
enum err_code outcome_name_check(struct outcome_run *run, struct outcome *outcome, struct err *err);

/* "up" -> UP, "" -> NEUTRAL; false on other words. */
bool outcome_direction_parse(struct str text, enum outcome_direction *direction);
bool outcome_kind_parse(struct str text, enum outcome_kind *kind);

/* ---- outcome_orphan.c ---- */

enum { ORPHANS_MAX = 200 * 1000, ORPHAN_BATCH_MAX = 500 };
#define ORPHAN_KEEP_US (INT64_C(90) * 24 * 3600 * 1000000)

/* Keep an outcome whose prediction is not there; fills result. */
enum err_code outcome_orphan_put(struct outcome_run *run, struct outcome *outcome, struct err *err);

/* Those whose turn it is to look again, at most ORPHAN_BATCH_MAX; seq is the orphan's. at_us is
 * set. */
enum err_code outcome_orphan_due(struct store *store, int64_t now_us, struct arena *arena,
                                 struct outcome **list, int *count, struct err *err);

/* After the lookup, inside a transaction: those with `predicted` set are submitted and their orphan
 * is removed (or keeps its refusal); the others wait longer each time, until ORPHAN_KEEP_US. */
enum err_code outcome_orphan_settle(struct store *store, struct outcome *list, int count,
                                    struct arena *arena, struct err *err);

/* Refused ones are kept for who asks why, for ORPHAN_KEEP_US: those past it go, of the
 * ORPHAN_BATCH_MAX oldest. The first only looks. */
enum err_code outcome_orphan_has_old(struct store *store, int64_t now_us, bool *has_old,
                                     struct err *err);
enum err_code outcome_orphan_prune(struct store *store, int64_t now_us, int64_t *count,
                                   struct err *err);

struct orphan_counts {
    int64_t waiting, refused;
};
enum err_code outcome_orphan_count(struct store *store, struct orphan_counts *counts,
                                   struct err *err);

/* ---- outcome_read.c ---- */

/* One line of a prediction's history. */
struct outcome_row {
    int64_t seq;
    const char *model, *name, *kind, *state, *label, *source, *actor, *feedback_id;
    double value;
    int64_t version, at_us, received_us;
};

/* Everything ever learnt about a prediction, oldest first. Model "" is any. */
enum err_code outcome_history(struct store *store, const char *model, struct str prediction_id,
                              struct arena *arena, struct outcome_row **rows, int *count,
                              struct err *err);

/* ---- outcome_forget.c ---- */

enum { OUTCOME_FORGET_MAX = 500 }; /* predictions that one call looks up and forgets */

/* Forget predictions of a model by their ids: what was predicted, all that was said about them, and
 * orphans that name them. *count: rows removed. */
enum err_code outcome_erase_ids(struct store *store, const char *model, const char *const *ids,
                                int id_count, int64_t *count, struct err *err);

/* The same for what is filed under a business key, with the orphans that wait for it. *is_done
 * false: call it again, in another transaction. */
enum err_code outcome_erase_key(struct store *store, const char *model, struct str key,
                                struct arena *arena, int64_t *count, bool *is_done,
                                struct err *err);

/* Forget predictions answered before a time with their outcomes; some of them at a call. Nothing is
 * left when *count is 0. The first tells whether there is anything to do, without a transaction. */
enum err_code outcome_has_old(struct store *store, int64_t before_us, bool *has_old,
                              struct err *err);
enum err_code outcome_prune(struct store *store, int64_t before_us, struct arena *arena,
                            int64_t *count, struct err *err);

#endif
