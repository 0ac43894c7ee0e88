/* review.h - predictions that people decide: items, who has which, and what was decided.
 *
 *                    review_next          review_decide (as often as `reviewers` says)
 *     open --------------> leased --------------------------> decided
 *      |  <-- lease over, review_skip --      |  disagreement: one more reviewer, a majority
 * decides |  <------------ review_undo --------- |
 *      +-- due: default -> expired   reject -> rejected   escalate -> open, first in line
 *
 * All functions work on the caller's store connection; those that change something run inside the
 * caller's transaction (serve/control). A decision is a row that never changes: a correction, an
 * undo and a skip are rows of their own, and the state of an item follows from its rows. An item
 * that is erased keeps its numbers and loses its texts.
 *
 * Callers say what time it is (`now_us`, wall time), so that what happens at a lease's end can be
 * tested.
 */
#ifndef SLIPWAY_REVIEW_REVIEW_H
#define SLIPWAY_REVIEW_REVIEW_H

#include "event/audit.h"
#include "review/match.h"
#include "store/store.h"

enum {
    REVIEW_ITEM_BYTES_MAX = 256 * 1024, /* of the inputs of one item */
    REVIEW_LABEL_BYTES_MAX = 256,
    REVIEW_NOTE_BYTES_MAX = 4096, /* notes and reasons */
    REVIEW_UUID_BYTES_MAX = 64,
    REVIEW_LIST_MAX = 1000,
    REVIEW_BATCH_MAX = 256,       /* items of one transaction */
    REVIEW_OPEN_MAX = 100 * 1000, /* open items of all models */
};

enum review_state {
    REVIEW_OPEN,
    REVIEW_DECIDED,  /* `label` is what people say */
    REVIEW_EXPIRED,  /* nobody decided: the model's answer stands */
    REVIEW_REJECTED, /* nobody decided: there is no answer */
    REVIEW_DISPUTED, /* as many people as may be could not agree */
    REVIEW_ERASED,
};
const char *review_state_name(enum review_state state);
/* false when there is none of that name. */
bool review_state_parse(struct str name, enum review_state *state);

struct review_item {
    int64_t id;
    /* the prediction */
    const char *prediction_id, *request_id, *model;
    int64_t version;
    enum arm arm;
    int64_t rollout;
    bool has_key;
    uint64_t key_hash;
    int64_t predicted_us;
    const char *inputs;       /* JSON object */
    const char *answer;       /* JSON object: label, probability, probabilities, or value */
    const char *answer_label; /* the class, or the number as text */
    const char *choices;      /* JSON list of the classes; "[]": a number is decided */
    const char *business_key; /* "" when there is none */
    /* why it is here */
    const char *rule;
    int64_t rules_revision;
    const char *reason; /* of an appeal; "" */
    double probability; /* chance to get here; 0: asked for, not drawn */
    bool is_random;     /* of the plain random share */
    bool is_blind;      /* reviewers do not see the answer */
    enum review_mode mode;
    enum review_expiry on_expiry;
    int stakes;
    int reviewers_rule, reviewers; /* as the rule says; as many as are wanted now */
    double tolerance, gold_share;
    int64_t lease_us, undo_us, sla_us;
    int64_t created_us, due_us;
    /* what became of it */
    enum review_state state;
    bool is_escalated, is_late; /* is_late: it missed its time */
    int decision_count;         /* that count now */
    const char *label;          /* DECIDED: the label; else "" */
    int64_t closed_us;          /* 0 while open */
    const char *gold_label;     /* the known answer; "" when it is none */
    const char *asked_by;       /* HOLD: who waits for the answer, see review_asker; else "" */
};

/* ---- rules ---- */

/* Store a review file as the model's next revision; "" ends review for what comes. The document has
 * been parsed. *revision is the new one. */
enum err_code review_rules_put(struct store *store, const char *model, struct str document,
                               const struct actor *actor, int64_t now_us, int64_t *revision,
                               struct err *err);

struct review_document {
    int64_t revision; /* 0: the model has none */
    const char *text, *created_by;
    int64_t created_us;
    uint64_t salt[2];
};
enum err_code review_rules_get(struct store *store, const char *model, struct arena *arena,
                               struct review_document *document, struct err *err);

/* The rules of the newest revision with the model's salt; NULL when there are none. */
enum err_code review_rules_load(struct store *store, const char *model, struct arena *arena,
                                struct review_rules **rules, struct err *err);

/* ---- items ---- */

/* Who asks, for ever: a key by its id, as another one may get its name; others by their name. In
 * `arena`. */
const char *review_asker(const struct actor *actor, struct arena *arena);

/* Row `row` of an answered record as an open item that `match` wants, in `arena`; ERR_LIMIT when it
 * is too large. `rules` says what is hidden (may be NULL). */
enum err_code review_item_make(const struct record *record, int64_t row,
                               const struct review_rules *rules, const struct review_match *match,
                               struct arena *arena, struct review_item *item, struct err *err);

/* Put items (at most REVIEW_BATCH_MAX) and fill their ids. A prediction that has an item keeps that
 * one: its probability grows to the larger of both, and item->id is the other's. One audit event a
 * model. *new_count (may be NULL) is how many were put. ERR_LIMIT when REVIEW_OPEN_MAX are open. */
enum err_code review_open(struct store *store, struct review_item *items, int count,
                          const struct actor *actor, int64_t now_us, int *new_count,
                          struct err *err);

/* The answer of a row as members of the object that is being written: label, probability and
 * probabilities, or value. */
void review_answer_write(struct json_writer *w, const struct condition_facts *facts);

enum err_code review_item_get(struct store *store, int64_t id, struct arena *arena,
                              struct review_item *item, struct err *err);

/* Those whose prediction or request has this id, by id; *count 0 when there are none. */
enum err_code review_items_of(struct store *store, const char *id, struct arena *arena,
                              struct review_item **items, int *count, struct err *err);

struct review_filter {
    const char *model; /* NULL: all */
    bool has_state;
    enum review_state state;
    int64_t after; /* id: those behind it */
    int limit;     /* at most REVIEW_LIST_MAX */
};
/* By id. */
enum err_code review_list(struct store *store, const struct review_filter *filter,
                          struct arena *arena, struct review_item **items, int *count,
                          struct err *err);

/* ---- handing out ---- */

struct review_lease {
    int64_t item;
    int64_t taken_us, until_us;
    bool is_gold; /* the reviewer is not told */
};

/* The item whose turn it is for this reviewer: the one already leased, else by stakes, then time to
 * the SLA, among those he has neither decided nor skipped and others leave room in. With `draw`
 * (uniform in [0, 1)) below the item's gold share it is a gold item of the same model instead, when
 * there is one he has not seen. *found false: nothing to do. */
enum err_code review_next(struct store *store, const char *model, const char *reviewer, double draw,
                          int64_t now_us, struct review_lease *lease, bool *found, struct err *err);

/* ERR_CONFLICT when the lease has ended. */
enum err_code review_heartbeat(struct store *store, int64_t item, const char *reviewer,
                               int64_t now_us, struct review_lease *lease, struct err *err);

/* ---- deciding ---- */

struct review_act {
    const char *uuid; /* the client's: sent twice, done once */
    int64_t item;
    const char *label; /* decide */
    const char *note;  /* decide: remark; skip, undo: the reason; may be "" but for a skip */
};

struct review_result {
    bool is_repeated;        /* the uuid was there with the same words: nothing was done */
    bool is_gold;            /* for the caller's ears only */
    struct review_item item; /* as it is now */
    bool has_new_label;      /* it was decided just now, or another way than before */
    bool is_override;        /* and not as the model answered */
    int64_t decision;        /* id of the row */
};

/* Each writes its audit event. ERR_CONFLICT says why the state forbids it, or that the uuid was
 * used for something else; ERR_INVALID names the choices. Results live in `arena`. */
enum err_code review_decide(struct store *store, const struct review_act *act,
                            const struct actor *actor, int64_t now_us, struct arena *arena,
                            struct review_result *result, struct err *err);
enum err_code review_skip(struct store *store, const struct review_act *act,
                          const struct actor *actor, int64_t now_us, struct arena *arena,
                          struct review_result *result, struct err *err);
enum err_code review_undo(struct store *store, const struct review_act *act,
                          const struct actor *actor, int64_t now_us, struct arena *arena,
                          struct review_result *result, struct err *err);

/* Say what the right answer of an item is, so that reviewers can be measured on it; "" takes it
 * back. The item must be closed. */
enum err_code review_set_gold(struct store *store, int64_t item, const char *label,
                              const struct actor *actor, struct arena *arena, struct err *err);

/* Close or escalate what is due, at most REVIEW_BATCH_MAX; *count is how many. */
enum err_code review_expire(struct store *store, const struct actor *actor, int64_t now_us,
                            int *count, struct err *err);

/* Is anything due? For a look before a transaction. */
enum err_code review_has_due(struct store *store, int64_t now_us, bool *has_due, struct err *err);

/* Take the texts of these predictions out of items and decisions; *count is of the items. Open ones
 * are closed. Part of the caller's audit event. */
enum err_code review_erase(struct store *store, const char *const *prediction_ids, int id_count,
                           int64_t now_us, int64_t *count, struct err *err);

/* The same for all items of a model whose row has this business key, also where the key's field is
 * hidden. */
enum err_code review_erase_key(struct store *store, const char *model, const char *key,
                               int64_t now_us, struct arena *arena, int64_t *count,
                               struct err *err);

/* ---- what decisions amount to ---- */

struct review_vote {
    const char *label;
};

struct review_verdict {
    enum review_state state; /* OPEN, DECIDED, DISPUTED */
    int reviewers;           /* wanted */
    bool is_escalated;
    char label[REVIEW_LABEL_BYTES_MAX + 1]; /* DECIDED */
};

/* Decisions that count, one a reviewer, against the rule. Pure. Classes: all agree, or from three
 * on more than half do. Numbers agree within `tolerance`; then the median is the label. */
struct review_verdict review_resolve(const struct review_vote *votes, int count, int reviewers_rule,
                                     bool is_number, double tolerance);

struct review_decision {
    int64_t id;
    const char *uuid, *reviewer, *kind, *label, *note;
    int64_t item, replaces;
    bool is_gold, is_blind;
    int64_t took_us, created_us;
};
/* All rows of an item, oldest first. */
enum err_code review_decisions(struct store *store, int64_t item, struct arena *arena,
                               struct review_decision **decisions, int *count, struct err *err);

#endif
