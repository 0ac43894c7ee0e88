/* review_outcome.h - what a person decided, as outcomes of the prediction: the label, and
 * "override" when he said something else than the model. */
#ifndef SLIPWAY_SERVE_REVIEW_OUTCOME_H
#define SLIPWAY_SERVE_REVIEW_OUTCOME_H

#include "monitor/outcome.h"
#include "review/review.h"
#include "serve/intake.h"

#define REVIEW_OVERRIDE_NAME "override"

enum { REVIEW_OUTCOMES_MAX = 2 };

struct review_outcomes {
    struct predicted predicted;
    bool is_found; /* `predicted` is the record's, with its segments; else made from the item */
    struct outcome list[REVIEW_OUTCOMES_MAX];
    int count;
};

/* Before the transaction: find what was predicted, where records are kept. */
void review_outcome_find(const struct intake *intake, const char *model, const char *prediction_id,
                         struct arena *arena, struct review_outcomes *outcomes);

/* Within it, after review_decide: submit what follows from a new label; nothing otherwise. */
enum err_code review_outcome_submit(struct store *store, const struct review_result *result,
                                    const struct actor *actor, int64_t now_us, struct arena *arena,
                                    struct review_outcomes *outcomes, struct err *err);

/* After the commit. NULL intake: nobody hears. */
void review_outcome_publish(struct intake *intake, const struct review_outcomes *outcomes);

#endif
