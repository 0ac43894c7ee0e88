/* objective.c - the objectives of XGBoost and their inverse links. */
#include "runtime/objective.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

static const struct objective objectives[] = {
    {"binary:logistic", LINK_LOGISTIC, TASK_BINARY},
    {"binary:logitraw", LINK_IDENTITY, TASK_BINARY},
    {"binary:hinge", LINK_STEP, TASK_BINARY},
    {"multi:softprob", LINK_SOFTMAX, TASK_CLASSES},
    {"multi:softmax", LINK_LARGEST, TASK_CLASSES},
    {"reg:squarederror", LINK_IDENTITY, TASK_NUMBER},
    {"reg:linear", LINK_IDENTITY, TASK_NUMBER}, /* the old name of squarederror */
    {"reg:squaredlogerror", LINK_IDENTITY, TASK_NUMBER},
    {"reg:pseudohubererror", LINK_IDENTITY, TASK_NUMBER},
    {"reg:absoluteerror", LINK_IDENTITY, TASK_NUMBER},
    {"reg:quantileerror", LINK_IDENTITY, TASK_NUMBER},
    {"reg:logistic", LINK_LOGISTIC, TASK_NUMBER},
    {"reg:gamma", LINK_EXP, TASK_NUMBER},
    {"reg:tweedie", LINK_EXP, TASK_NUMBER},
    {"count:poisson", LINK_EXP, TASK_NUMBER},
    {"survival:cox", LINK_EXP, TASK_NUMBER},
    {"survival:aft", LINK_EXP, TASK_NUMBER},
    {"rank:pairwise", LINK_IDENTITY, TASK_NUMBER},
    {"rank:ndcg", LINK_IDENTITY, TASK_NUMBER},
    {"rank:map", LINK_IDENTITY, TASK_NUMBER},
};

const struct objective *objective_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(objectives); i++)
        if (str_equal_c(name, objectives[i].name))
            return &objectives[i];
    return NULL;
}

enum err_code objective_base_margin(const struct objective *objective, float base_score,
                                    float *margin, struct err *err)
{
    float result = base_score;
    if (objective->link == LINK_LOGISTIC)
        result = -logf(1.0f / base_score - 1.0f);
    else if (objective->link == LINK_EXP)
        result = logf(base_score);
    if (!isfinite(result))
        return err_set(err, ERR_INVALID, "base_score %g is impossible for %s", (double)base_score,
                       objective->name);
    *margin = result;
    return ERR_OK;
}

int objective_predictions(const struct objective *objective, int outputs)
{
    return objective->link == LINK_LARGEST ? 1 : outputs;
}

/* -margin stops at 88.7, where e^x is about to overflow. */
static void predict_logistic(const float *margins, int64_t count, float *predictions)
{
    for (int64_t i = 0; i < count; i++) {
        float x = -margins[i] < 88.7f ? -margins[i] : 88.7f;
        predictions[i] = 1.0f / (expf(x) + 1.0f);
    }
}

/* The largest margin is subtracted first, so no power overflows; the sum is a double. */
static void predict_softmax(const float *margins, int64_t rows, int outputs, float *predictions)
{
    for (int64_t r = 0; r < rows; r++, margins += outputs, predictions += outputs) {
        float largest = margins[0];
        double sum = 0;
        for (int o = 1; o < outputs; o++)
            largest = fmaxf(largest, margins[o]);
        for (int o = 0; o < outputs; o++) {
            predictions[o] = expf(margins[o] - largest);
            sum += predictions[o];
        }
        for (int o = 0; o < outputs; o++)
            predictions[o] /= (float)sum;
    }
}

static void predict_largest(const float *margins, int64_t rows, int outputs, float *predictions)
{
    for (int64_t r = 0; r < rows; r++, margins += outputs) {
        int best = 0;
        for (int o = 1; o < outputs; o++)
            if (margins[o] > margins[best])
                best = o;
        predictions[r] = (float)best;
    }
}

void objective_predict(const struct objective *objective, const float *margins, int64_t rows,
                       int outputs, float *predictions)
{
    int64_t count = rows * outputs;
    switch (objective->link) {
    case LINK_IDENTITY:
        memmove(predictions, margins, (size_t)count * sizeof(*margins));
        break;
    case LINK_LOGISTIC:
        predict_logistic(margins, count, predictions);
        break;
    case LINK_EXP:
        for (int64_t i = 0; i < count; i++)
            predictions[i] = expf(margins[i]);
        break;
    case LINK_STEP:
        for (int64_t i = 0; i < count; i++)
            predictions[i] = margins[i] > 0.0f ? 1.0f : 0.0f;
        break;
    case LINK_SOFTMAX:
        predict_softmax(margins, rows, outputs, predictions);
        break;
    case LINK_LARGEST:
        predict_largest(margins, rows, outputs, predictions);
        break;
    }
}
