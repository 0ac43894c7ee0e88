/* objective.h - what a model was trained for: how its margins become predictions.
 *
 * The formulas and their float32 steps are XGBoost's, so that predictions agree with its own.
 */
#ifndef SLIPWAY_RUNTIME_OBJECTIVE_H
#define SLIPWAY_RUNTIME_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum objective_link {
    LINK_IDENTITY, /* margin */
    LINK_LOGISTIC, /* 1 / (1 + e^-margin) */
    LINK_EXP,      /* e^margin */
    LINK_STEP,     /* 1 when margin > 0, else 0 */
    LINK_SOFTMAX,  /* the probabilities of all classes */
    LINK_LARGEST,  /* index of the class with the largest margin, the first among equals */
};

enum objective_task {
    TASK_NUMBER, /* regression, counts, ranking, survival */
    TASK_BINARY, /* one margin, two classes */
    TASK_CLASSES /* one margin per class */
};

struct objective {
    const char *name; /* as XGBoost writes it: "binary:logistic" */
    enum objective_link link;
    enum objective_task task;
};

/* NULL when there is none of that name. */
const struct objective *objective_find(struct str name);

/* base_score is written on the prediction's scale; the margin it stands for, in float32.
 * ERR_INVALID when there is none (a probability outside (0, 1), a rate that is not positive). */
enum err_code objective_base_margin(const struct objective *objective, float base_score,
                                    float *margin, struct err *err);

/* Predictions a row gets from `outputs` margins: `outputs`, or 1 for LINK_LARGEST. */
int objective_predictions(const struct objective *objective, int outputs);

/* margins [rows, outputs] -> predictions [rows, objective_predictions()]. The two may be the same
 * array. */
void objective_predict(const struct objective *objective, const float *margins, int64_t rows,
                       int outputs, float *predictions);

#endif
