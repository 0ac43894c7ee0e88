/* lineage.h - where versions come from and where they went, and which one answered at a time.
 *
 *     run, code, data  ->  version  ->  gates, aliases, times it answered
 *
 * What a version comes from are the members of its lineage, as it was registered; a search for one
 * member finds every version that comes from it. Who answered follows from the champion's moves;
 * what a rollout shared out is said beside it.
 */
#ifndef SLIPWAY_ROLLOUT_LINEAGE_H
#define SLIPWAY_ROLLOUT_LINEAGE_H

#include "base/json.h"
#include "rollout/gate_store.h"
#include "rollout/rollout_store.h"

enum { LINEAGE_VERSIONS_MAX = 1000 };

struct lineage_query {
    const char *model;
    int64_t version;         /* 0: all, newest first */
    const char *key, *value; /* only versions whose lineage has this member; NULL: any */
};

/* {"model", "owner", "versions": [{"version", "sources", "artifact", ..., "gates", "aliases",
 *  "answered": [{"from", "until"}], "rollouts": [{"rollout", "from", "to", "state", ...}]}]}. Reads
 * from the store only. */
enum err_code lineage_write(struct store *store, const struct lineage_query *query,
                            struct arena *arena, struct json_writer *w, struct err *err);

/* A stretch of time in which the champion was one version. */
struct reign {
    int64_t version;
    int64_t from_us, until_us; /* until_us 0: it still is */
    const char *kind;          /* of the move that began it: "set", "rollback" */
    const char *actor, *reason;
};

/* Oldest first. Times without a champion are left out. */
enum err_code lineage_reigns(struct store *store, const char *model, struct arena *arena,
                             struct reign **list, int *count, struct err *err);

/* A rollout that shared out traffic at a time, and how much of it went to the new version then. */
struct lineage_share {
    const struct rollout *rollout;
    double share;
    const char *state;
};
enum err_code lineage_shares(struct store *store, const char *model, int64_t at_us,
                             struct arena *arena, struct lineage_share **list, int *count,
                             struct err *err);

#endif
