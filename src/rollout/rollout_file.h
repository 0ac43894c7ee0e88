/* rollout_file.h - the file in which people say how a version earns its traffic.
 *
 *     model: churn                   # required, and so is `to`
 *     to: 42                         # a version's number, an alias, latest
 *     key: customer_id               # sticky unit: a field of the row; else a header
 *     guards: [{event: error, worse_than: 1, alpha: 0.01}]
 *     prove: [{event: error, no_worse_than: 2, beta: 0.05, rate_below: 0.1%}]
 *     steps: [{do: canary, weight: 1%, min: 15m, max: 6h}, {do: promote}]
 *     on: {fail: rollback, wait: hold}
 *
 * Everything else has a default; docs/rollouts.md is the manual. YAML or JSON. Immutable; texts
 * live in the arena it was read with.
 */
#ifndef SLIPWAY_ROLLOUT_ROLLOUT_FILE_H
#define SLIPWAY_ROLLOUT_ROLLOUT_FILE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "rollout/choose.h"
#include "rollout/guard.h"

enum {
    ROLLOUT_FILE_BYTES_MAX = 64 * 1024,
    ROLLOUT_MEMORY_BYTES_MAX = 1024 * 1024, /* of the file as read */
    ROLLOUT_CHECKS_MAX = 16,                /* guards and proofs together */
    ROLLOUT_STEPS_MAX = 32,
    ROLLOUT_APPROVERS_MAX = 32,
    ROLLOUT_TEXT_BYTES_MAX = 1024,
};

/* A share: "1%", "0.05%", or a number up to 1. */
bool rollout_parse_share(struct str text, double *share);

enum event_kind {
    EVENT_ERROR,          /* status 500 and above */
    EVENT_SLOWER_THAN,    /* than a bound, as measured by the server */
    EVENT_INVALID_OUTPUT, /* NaN or infinite, or a row the contract calls suspect */
    EVENT_OVERRIDE,       /* a person decided otherwise */
    EVENT_OUTCOME,        /* an event of that name came as feedback; "label": it was wrong */
    EVENT_COST,           /* a value of that name came as feedback and was above the bound */
    EVENT_REFUSED,        /* status 422 or 400: the version's contract refuses what was sent */
};
enum { EVENT_KIND_COUNT = 7 };

/* Did the version's contract refuse the request? In each protocol's status. */
static inline bool rollout_is_refused(int status)
{
    return status == 422 || status == 400;
}

struct rollout_event {
    enum event_kind kind;
    const char *text;  /* as people read it: "slower_than 80ms" */
    const char *name;  /* OUTCOME, COST */
    int64_t bound_us;  /* SLOWER_THAN */
    double above;      /* COST */
    int64_t within_us; /* OUTCOME, COST: later ones do not count; 0: all do */
};

/* A guard (may fail) or a proof (must be shown before the promotion). */
struct rollout_check {
    struct rollout_event event;
    struct guard_rule rule; /* alpha of guards is split among them already */
    bool is_proof;
    bool is_dry_run; /* its verdict is shown and decides nothing */
};

enum step_kind { STEP_GATE, STEP_SHADOW, STEP_CANARY, STEP_APPROVE, STEP_PROMOTE };
const char *step_kind_name(enum step_kind kind); /* "gate", "shadow", ... */

struct rollout_step {
    enum step_kind kind;
    int64_t min_us, max_us; /* max_us 0: none */
    int64_t weight_ppm;     /* CANARY */
    int64_t keys_min;       /* CANARY: distinct keys (or requests without keys) it must have seen */
    double sample;          /* SHADOW: share of requests that are copied */
    double disagreement_max;                      /* SHADOW: share of rows that may differ */
    int64_t rows_min;                             /* SHADOW: compared rows it must have seen */
    int approver_count;                           /* APPROVE; 0: anyone who may operate */
    const char *approvers[ROLLOUT_APPROVERS_MAX]; /* actors as the audit trail names them */
    bool is_author_refused;                       /* APPROVE */
    const char *alias;                            /* PROMOTE */
    int64_t keep_warm_us;                         /* PROMOTE */
};

/* What happens then. */
enum reaction { REACT_HOLD, REACT_ROLLBACK, REACT_ADVANCE };
const char *reaction_name(enum reaction reaction); /* "hold", "rollback", "advance" */

struct rollout_spec {
    const char *model, *to, *from; /* to, from: as written; from: an alias or a number */
    const char *owner, *why;       /* "" when absent */
    const char *key_header;        /* NULL when key_field is set */
    const char *key_field;
    bool has_salt;
    uint64_t salt[2];
    bool is_ab; /* fixed shares: it ends when a person says so */
    int64_t deadline_us;
    int check_count;
    struct rollout_check checks[ROLLOUT_CHECKS_MAX]; /* guards first */
    int step_count;
    struct rollout_step steps[ROLLOUT_STEPS_MAX];
    enum reaction on_fail, on_max, on_error, on_wait, on_deadline, on_few_keys;
};

/* ERR_INVALID names the place ("steps[2].weight"), what was expected and what was found. */
enum err_code rollout_file_parse(struct str document, struct arena *arena,
                                 struct rollout_spec **spec, struct err *err);

/* The last step in which traffic is shared: what must be proven is proven there. -1: none. */
int rollout_last_canary(const struct rollout_spec *spec);

#endif
