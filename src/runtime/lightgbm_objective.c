/* lightgbm_objective.c - the objectives of LightGBM and their inverse links. */
#include "runtime/lightgbm_objective.h"

#include <math.h>

#include "base/check.h"

static const struct {
    const char *name;
    enum lightgbm_link link;
    int class_count;
} objectives[] = {
    {"binary", LIGHTGBM_SIGMOID, 2},
    {"multiclass", LIGHTGBM_SOFTMAX, 0},
    {"multiclassova", LIGHTGBM_SIGMOID, 0},
    {"cross_entropy", LIGHTGBM_SIGMOID, 1},
    {"cross_entropy_lambda", LIGHTGBM_LOG1P_EXP, 1},
    {"xentropy", LIGHTGBM_SIGMOID, 1},
    {"xentlambda", LIGHTGBM_LOG1P_EXP, 1},
    {"regression", LIGHTGBM_RAW, 1},
    {"regression_l1", LIGHTGBM_RAW, 1},
    {"huber", LIGHTGBM_RAW, 1},
    {"fair", LIGHTGBM_RAW, 1},
    {"quantile", LIGHTGBM_RAW, 1},
    {"mape", LIGHTGBM_RAW, 1},
    {"poisson", LIGHTGBM_EXP, 1},
    {"gamma", LIGHTGBM_EXP, 1},
    {"tweedie", LIGHTGBM_EXP, 1},
    {"lambdarank", LIGHTGBM_RAW, 1},
    {"rank_xendcg", LIGHTGBM_RAW, 1},
    {"custom", LIGHTGBM_RAW, 1},
};

static enum err_code find_name(struct str name, struct lightgbm_objective *o, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(objectives); i++)
        if (str_equal_c(name, objectives[i].name)) {
            o->name = objectives[i].name;
            o->link = objectives[i].link;
            o->class_count = objectives[i].class_count;
            return ERR_OK;
        }
    name.len = name.len < 64 ? name.len : 64;
    return err_set(err, ERR_UNSUPPORTED, "the objective '%.*s' is not one of LightGBM's",
                   STR_ARG(name));
}

/* "sigmoid:0.7" and "sqrt" matter; num_class, alpha and others say nothing about predictions. */
static enum err_code read_parameter(struct str text, struct lightgbm_objective *o, struct err *err)
{
    if (str_starts_with(text, STR_LIT("sigmoid:"))) {
        struct str number = {text.ptr + 8, text.len - 8};
        if (!str_to_f64(number, &o->sigmoid) || !(o->sigmoid > 0 && isfinite(o->sigmoid)))
            return err_set(err, ERR_INVALID, "objective: sigmoid is not a number above 0");
    }
    if (str_equal_c(text, "sqrt") && o->link == LIGHTGBM_RAW)
        o->link = LIGHTGBM_SQUARE;
    return ERR_OK;
}

enum err_code lightgbm_objective_parse(struct str text, struct lightgbm_objective *objective,
                                       struct err *err)
{
    struct lightgbm_objective o = {
        .name = "custom", .link = LIGHTGBM_RAW, .class_count = 1, .sigmoid = 1, .divisor = 1};
    struct str rest = str_trim(text), part;
    enum err_code rc = ERR_OK;
    if (rest.len > 0 && str_split(&rest, ' ', &part))
        rc = find_name(part, &o, err);
    while (!rc && rest.ptr && str_split(&rest, ' ', &part))
        rc = read_parameter(part, &o, err);
    if (!rc)
        *objective = o;
    return rc;
}

static double sigmoid_of(double score, double sigmoid)
{
    return 1.0 / (1.0 + exp(-sigmoid * score));
}

/* The largest score is subtracted first, so no power overflows. */
static void predict_softmax(const double *scores, double divisor, int outputs, float *predictions)
{
    double largest = scores[0] / divisor, sum = 0;
    for (int o = 1; o < outputs; o++)
        largest = fmax(largest, scores[o] / divisor);
    for (int o = 0; o < outputs; o++)
        sum += exp(scores[o] / divisor - largest);
    for (int o = 0; o < outputs; o++)
        predictions[o] = (float)(exp(scores[o] / divisor - largest) / sum);
}

static double predict_one(const struct lightgbm_objective *o, double score)
{
    switch (o->link) {
    case LIGHTGBM_SIGMOID:
        return sigmoid_of(score, o->sigmoid);
    case LIGHTGBM_EXP:
        return exp(score);
    case LIGHTGBM_LOG1P_EXP:
        return log1p(exp(score));
    case LIGHTGBM_SQUARE:
        return copysign(score * score, score);
    case LIGHTGBM_RAW:
    case LIGHTGBM_SOFTMAX:
        break;
    }
    return score;
}

void lightgbm_predict(const struct lightgbm_objective *objective, const double *scores,
                      int64_t rows, int outputs, float *predictions)
{
    if (objective->link == LIGHTGBM_SOFTMAX) {
        for (int64_t r = 0; r < rows; r++, scores += outputs, predictions += outputs)
            predict_softmax(scores, objective->divisor, outputs, predictions);
        return;
    }
    for (int64_t i = 0; i < rows * outputs; i++)
        predictions[i] = (float)predict_one(objective, scores[i] / objective->divisor);
}
