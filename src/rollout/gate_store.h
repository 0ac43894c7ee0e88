/* gate_store.h - results of gates, and the gate that a model's versions must have passed.
 *
 * A version gets traffic (the alias champion, a rollout's canary) only when its newest result under
 * the model's present gate file is a pass. A rollback is never asked.
 *
 * All functions work on the caller's connection; those that change something run inside the
 * caller's transaction and append their audit event to it.
 */
#ifndef SLIPWAY_ROLLOUT_GATE_STORE_H
#define SLIPWAY_ROLLOUT_GATE_STORE_H

#include "registry/registry.h"

enum {
    GATE_REPORT_BYTES_MAX = 768 * 1024,
    GATE_LIST_MAX = 1000,
};

struct gate_result {
    int64_t id; /* the number of its audit event */
    const char *model;
    int64_t version;
    const char *verdict;     /* "pass", "fail", "cannot_tell" */
    const char *file_digest; /* of the gate file's bytes */
    const char *data_digest; /* of the held-out rows */
    int64_t champion;        /* version it was compared with; 0: none */
    int64_t row_count;       /* measured */
    const char *report;      /* JSON */
    const char *actor;
    int64_t at_us;
};

/* Fills id, actor and at_us. `failed` names the checks that failed, for the event. */
enum err_code gate_result_put(struct store *store, struct gate_result *result, const char *failed,
                              const struct actor *actor, struct err *err);

/* The result of that id, or the version's newest when id is 0. ERR_NOT_FOUND says how to get one.
 */
enum err_code gate_result_get(struct store *store, const char *model, int64_t version, int64_t id,
                              struct arena *arena, struct gate_result *result, struct err *err);

/* Newest first; version 0: of all versions. */
enum err_code gate_result_list(struct store *store, const char *model, int64_t version, int limit,
                               struct arena *arena, struct gate_result **results, int *count,
                               struct err *err);

struct gate_requirement {
    const char *file, *digest, *actor; /* file NULL: nothing is required */
    int64_t at_us;
};
enum err_code gate_requirement_get(struct store *store, const char *model, struct arena *arena,
                                   struct gate_requirement *requirement, struct err *err);

/* `file` must have been parsed (gate_file.h); NULL ends the requirement. */
enum err_code gate_require(struct store *store, const char *model, const char *file,
                           const char *digest, const struct actor *actor, struct err *err);

/* ERR_CONFLICT when the model requires a gate that the version has not passed. */
enum err_code gate_check_required(struct store *store, const char *model, int64_t version,
                                  struct err *err);

#endif
