/* lightgbm_objective.h - how LightGBM's raw scores become predictions, in double as it does. */
#ifndef SLIPWAY_RUNTIME_LIGHTGBM_OBJECTIVE_H
#define SLIPWAY_RUNTIME_LIGHTGBM_OBJECTIVE_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum lightgbm_link {
    LIGHTGBM_RAW,       /* score */
    LIGHTGBM_SIGMOID,   /* 1 / (1 + e^(-sigmoid * score)), of each output */
    LIGHTGBM_SOFTMAX,   /* probabilities of all classes */
    LIGHTGBM_EXP,       /* e^score */
    LIGHTGBM_LOG1P_EXP, /* ln(1 + e^score) */
    LIGHTGBM_SQUARE,    /* sign(score) * score^2 */
};

struct lightgbm_objective {
    const char *name; /* "binary"; a literal */
    enum lightgbm_link link;
    int class_count; /* 2: binary; 0: as many as the model has outputs; 1: a number */
    double sigmoid;
    double divisor; /* scores are divided by it first: the iterations of a random forest, else 1 */
};

/* The line after "objective=": "binary sigmoid:1". Without one (an own objective) predictions are
 * scores. ERR_UNSUPPORTED for a name LightGBM does not have, ERR_INVALID for a wrong parameter. */
enum err_code lightgbm_objective_parse(struct str text, struct lightgbm_objective *objective,
                                       struct err *err);

/* scores [rows, outputs] -> predictions [rows, outputs] */
void lightgbm_predict(const struct lightgbm_objective *objective, const double *scores,
                      int64_t rows, int outputs, float *predictions);

#endif
