/* outcome.h - what came true about a prediction: labels, business values, events.
 *
 *     feedback, review decision -> prediction joined (predicted.h) -> outcome_submit() in the
 *         caller's transaction -> commit -> outcomes_publish() -> each sink in turn
 *
 * A prediction has one current outcome of each name; "label" is the name of the truth. What is
 * newer by `at` replaces what is older, and both stay in the history:
 *
 *     nothing there                           accepted
 *     the same again, or its feedback id      duplicate; nothing is stored
 *     other, newer at                         corrected
 *     other, older at                         outdated: kept in the history only
 *     other, the same at                      refused: two truths of one moment contradict
 *     no such prediction (yet)                orphan: kept, joined when the prediction appears
 *
 * Everything that learns of outcomes comes through here: the API, review decisions (source
 * OUTCOME_REVIEW), orphans that found their prediction.
 */
#ifndef SLIPWAY_MONITOR_OUTCOME_H
#define SLIPWAY_MONITOR_OUTCOME_H

#include "event/audit.h"
#include "monitor/predicted.h"
#include "store/store.h"

#define OUTCOME_LABEL_NAME "label"

enum {
    OUTCOME_BATCH_MAX = 1000,      /* outcomes of one transaction */
    OUTCOME_TEXT_BYTES_MAX = 1024, /* of a label, a key or an id */
    OUTCOME_NAMES_MAX = 64,        /* values and events of a model */
    OUTCOME_UNIT_BYTES_MAX = 32,
    OUTCOME_SINKS_MAX = 8,
    OUTCOME_REASON_BYTES = 256,
};

enum outcome_kind {
    OUTCOME_LABEL, /* the truth the model was to predict */
    OUTCOME_VALUE, /* a number people care about: revenue, refunds, minutes saved */
    OUTCOME_EVENT, /* something happened: a complaint, an override */
};

enum outcome_source { OUTCOME_API, OUTCOME_REVIEW };

/* Which way is better. */
enum outcome_direction { OUTCOME_NEUTRAL, OUTCOME_UP, OUTCOME_DOWN };

enum outcome_result {
    OUTCOME_PENDING, /* not submitted yet */
    OUTCOME_ACCEPTED,
    OUTCOME_DUPLICATE,
    OUTCOME_CORRECTED,
    OUTCOME_OUTDATED,
    OUTCOME_ORPHAN,
    OUTCOME_REFUSED, /* `reason` says why */
};
enum { OUTCOME_RESULT_COUNT = 7 };

struct outcome {
    /* By the submitter. Texts are borrowed and live until the outcome was published. */
    const struct predicted *predicted; /* the prediction it is about; NULL: not found */
    struct str prediction_id;          /* as asked for; empty when asked by key */
    struct str key;                    /* business key as asked for; empty when asked by id */
    int64_t until_us;                  /* by key: the newest prediction made by then; 0: by now */
    const char *model;                 /* "" when not found and not named */
    enum outcome_kind kind;
    enum outcome_source source;
    struct str name;                  /* "label", "revenue", "complaint" */
    struct str label;                 /* LABEL: class name, or a number as text */
    double value;                     /* VALUE */
    struct str unit;                  /* VALUE: "EUR", "min"; empty: as declared */
    enum outcome_direction direction; /* NEUTRAL: as declared */
    int64_t at_us;                    /* when it became true; 0: now */
    struct str feedback_id;           /* the client's own, for redelivery; empty: none */
    const char *actor;                /* of orphans: who brought it */

    /* By outcome_submit. */
    int64_t seq;         /* of its row; 0 when none was stored */
    int64_t received_us; /* kept when it is set already: of orphans */
    enum outcome_result result;
    bool is_wrong;   /* LABEL of a class: the answer was another one */
    int label_class; /* LABEL of a class: its index; else -1 */
    double error;    /* LABEL that is a number: the answer minus the truth, else 0 */
    struct {         /* CORRECTED: what was said before */
        bool is_wrong;
        double value;
    } replaced;
    char reason[OUTCOME_REASON_BYTES];
};

const char *outcome_kind_name(enum outcome_kind kind);                /* "label", ... */
const char *outcome_source_name(enum outcome_source source);          /* "api", "review" */
const char *outcome_direction_name(enum outcome_direction direction); /* "", "up", "down" */
const char *outcome_result_name(enum outcome_result result);          /* "accepted", ... */

/* Store `count` outcomes (at most OUTCOME_BATCH_MAX) inside the caller's transaction. What is wrong
 * with one of them is its result and reason, and hinders no other; an error is the store's. Values
 * and events that the model has not declared are declared by their first use, values only with a
 * direction. */
enum err_code outcome_submit(struct store *store, struct outcome *outcomes, int count,
                             const struct actor *actor, struct arena *arena, struct err *err);

/* ---- who hears of them ---- */

/* Called after the commit, one call at a time, on the thread that submitted: a pool, the ticker.
 * Only outcomes that count are seen: accepted ones and corrections (then result says so). A sink
 * copies what it keeps and returns soon. */
struct outcome_sink {
    const char *name; /* "guards" */
    void *arg;
    void (*take)(void *arg, const struct outcome *outcome);
};

struct outcomes; /* the list of sinks */

struct outcomes *outcomes_new(void);
void outcomes_free(struct outcomes *outcomes); /* NULL is allowed */

/* Before anybody publishes. */
void outcomes_add_sink(struct outcomes *outcomes, const struct outcome_sink *sink);

/* Any thread but a data thread. NULL outcomes (in-process use): nobody hears. */
void outcomes_publish(struct outcomes *outcomes, const struct outcome *list, int count);

#endif
