/* rollout.h - the states of a rollout, and what is decided at each look at it.
 *
 *                  guards safe enough, min passed
 *     running ----------------------------------------> next step ... -> promoted
 *        |  ^ resume                 approve step -> awaiting approval -> next step
 *        |  |
 *        |  +-- hold   (max passed without enough evidence, few keys, our own trouble, deadline)
 *        |  +-- paused (a person said so)
 *        |
 *        +-- any guard fails, harm -> rolled back        abort, rollback -> aborted
 *
 * In every state that is not an end: manual abort > harm > any fail > hold causes > advance. A
 * paused, held or waiting rollout goes on sharing its traffic, so its guards go on deciding.
 *
 * rollout_decide() is pure: what it looks at and what it says is stored with every transition.
 */
#ifndef SLIPWAY_ROLLOUT_ROLLOUT_H
#define SLIPWAY_ROLLOUT_ROLLOUT_H

#include "base/json.h"
#include "rollout/rollout_file.h"

/* How long our own trouble may last. */
#define ROLLOUT_ERROR_US_MAX (INT64_C(5) * 60 * 1000000)

enum rollout_state {
    ROLLOUT_RUNNING,
    ROLLOUT_HELD,
    ROLLOUT_PAUSED,
    ROLLOUT_AWAITING,
    ROLLOUT_PROMOTED,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_ABORTED,
};
enum { ROLLOUT_STATE_COUNT = 7 };

const char *rollout_state_name(enum rollout_state state); /* "running", "hold", ... */
bool rollout_state_parse(struct str text, enum rollout_state *state);
bool rollout_is_over(enum rollout_state state);

enum rollout_action {
    ACT_NOTHING,
    ACT_ADVANCE, /* to the next step; the one behind the last canary may promote */
    ACT_AWAIT,   /* the step asks for a person */
    ACT_HOLD,
    ACT_ROLLBACK,
    /* By people only: */
    ACT_START,
    ACT_PAUSE,
    ACT_RESUME,
    ACT_APPROVE,
    ACT_PROMOTE,
    ACT_ABORT,
};
enum { ROLLOUT_ACTION_COUNT = 11 };

const char *rollout_action_name(enum rollout_action action); /* "advance", ..., "start", ... */

/* What a look at the step's own condition said. */
enum finding {
    FINDING_NONE,    /* the step has none */
    FINDING_PENDING, /* not known yet */
    FINDING_GOOD,
    FINDING_BAD,
    FINDING_TROUBLE, /* could not be looked at */
};

/* A rollout as it is stored. */
struct rollout {
    int64_t id; /* 1, 2, ... */
    const char *model;
    int64_t from, to;                    /* versions, resolved when it started */
    const char *from_digest, *to_digest; /* of their artifacts */
    const char *file, *file_digest;      /* as it was given */
    uint64_t salt[2];
    const char *author;
    int64_t started_us;
    enum rollout_state state;
    int64_t revision; /* 1, 2, ...: grows with every transition */
    int step;
    int64_t weight_ppm;
    int64_t step_started_us;
    const char *reason;    /* of the last transition */
    int64_t ended_us;      /* 0: active */
    int64_t warm_until_us; /* both versions stay in memory */
};

/* What a transition makes of it. */
struct rollout_change {
    enum rollout_action action;
    const char *cause, *reason;
    const char *evidence; /* JSON of rollout_view_write(); "{}" when a person decided unseen */
    enum rollout_state state;
    int step;
    int64_t weight_ppm;
    int64_t warm_us;   /* after the end */
    const char *alias; /* that moves to `to`; NULL: none */
};

/* State, step and weight after `action`. ERR_CONFLICT when the state does not allow it. */
enum err_code rollout_next(const struct rollout *rollout, const struct rollout_spec *spec,
                           enum rollout_action action, struct rollout_change *change,
                           struct err *err);

/* May this actor approve? ERR_DENIED says why not. */
enum err_code rollout_check_approver(const struct rollout *rollout, const struct rollout_spec *spec,
                                     const char *actor, const char *version_author,
                                     struct err *err);

/* Everything a decision rests on. */
struct rollout_view {
    const struct rollout_spec *spec;
    enum rollout_state state;
    int step;
    int64_t step_us;          /* the step has run: not held, not paused */
    int64_t age_us;           /* since the start */
    int64_t error_us;         /* trouble of our own has lasted */
    int64_t step_keys;        /* canary keys seen in this rollout; requests when they name no key */
    int64_t keyless_requests; /* that named no routing key */
    int64_t canary_requests, canary_harm;              /* requests, and those that failed */
    struct guard_reading readings[ROLLOUT_CHECKS_MAX]; /* [spec->check_count] */
    enum finding finding;                              /* of a gate or a shadow step */
    char finding_text[256];
};

enum { ROLLOUT_REASON_BYTES = 512 };

struct rollout_decision {
    enum rollout_action action;
    const char *cause; /* "harm", "guard", "few_keys", "max", "error", "deadline", "shadow", "gate",
                          "step"; a label of metrics */
    char reason[ROLLOUT_REASON_BYTES]; /* one sentence with the numbers */
};

void rollout_decide(const struct rollout_view *view, struct rollout_decision *decision);

/* The numbers as JSON, for the decision's row: {"step": ..., "guards": [...], ...}. */
void rollout_view_write(const struct rollout_view *view, struct json_writer *w);

/* One check's members into an open object. */
void rollout_reading_write(const struct rollout_check *check, const struct guard_reading *reading,
                           struct json_writer *w);

#endif
