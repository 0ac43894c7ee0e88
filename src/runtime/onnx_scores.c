/* onnx_scores.c - margins to scores and classes, by the steps of ONNX Runtime. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_trees.h"

bool onnx_post_find(struct str name, enum onnx_post *post)
{
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_equal_c(name, names[i])) {
            *post = (enum onnx_post)i;
            return true;
        }
    return false;
}

static float logistic_of(float x)
{
    float v = 1.0f / (1.0f + expf(-fabsf(x)));
    return x < 0 ? 1.0f - v : v;
}

/* Of -x and of x, which share the power. */
static void logistic_of_both(float x, float *values)
{
    float v = 1.0f / (1.0f + expf(-fabsf(x)));
    values[0] = x > 0 ? 1.0f - v : v;
    values[1] = x < 0 ? 1.0f - v : v;
}

/* Inverse of the normal distribution by Winitzki's approximation of the inverse error function. */
static float probit_of(float p)
{
    float x = 2.0f * p - 1.0f, sign = x < 0 ? -1.0f : 1.0f;
    float log = logf((1.0f - x) * (1.0f + x));
    float v = 2.0f / (3.14159f * 0.147f) + 0.5f * log, v2 = 1.0f / 0.147f * log;
    float root = sign * sqrtf(-v + sqrtf(v * v - v2));
    return 1.41421356f * root;
}

static void softmax(float *values, int count, bool skips_zero)
{
    float largest = -3.40282347e38f, sum = 0;
    for (int i = 0; i < count; i++)
        largest = values[i] > largest ? values[i] : largest;
    float of_zero = expf(-largest);
    for (int i = 0; i < count; i++)
        if (!skips_zero || values[i] > 0.0000001f || values[i] < -0.0000001f) {
            values[i] = expf(values[i] - largest);
            sum += values[i];
        } else {
            values[i] *= of_zero;
        }
    for (int i = 0; i < count; i++)
        values[i] /= sum;
}

void onnx_post_apply(enum onnx_post post, float *values, int count)
{
    switch (post) {
    case ONNX_POST_NONE:
        break;
    case ONNX_POST_SOFTMAX:
    case ONNX_POST_SOFTMAX_ZERO:
        softmax(values, count, post == ONNX_POST_SOFTMAX_ZERO);
        break;
    case ONNX_POST_LOGISTIC:
        for (int i = 0; i < count; i++)
            values[i] = logistic_of(values[i]);
        break;
    case ONNX_POST_PROBIT:
        for (int i = 0; i < count; i++)
            values[i] = probit_of(values[i]);
        break;
    }
}

/* --- regressors ------------------------------------------------------------------------------- */

/* With one target ONNX Runtime knows PROBIT only; others leave the number as it is. */
static void finish_targets(const struct onnx_scores *s, float *row)
{
    for (int i = 0; i < s->count; i++) {
        if (s->divisor > 0)
            row[i] /= s->divisor;
        if (s->base_count == s->count)
            row[i] += s->base[i];
    }
    if (s->count > 1 || s->post == ONNX_POST_PROBIT)
        onnx_post_apply(s->post, row, s->count);
}

/* --- classifiers --------------------------------------------------------------------------------
 */

/* The class of the score that decides. */
static int64_t choose_binary(const struct onnx_scores *s, float score)
{
    return score > (s->is_single && s->is_positive ? 0.5f : 0.0f);
}

/* One score becomes two: probabilities of its class and of the other, or the score and its
 * opposite. */
static void write_single(const struct onnx_scores *s, float score, float *row)
{
    row[0] = row[1] = score;
    if (s->post == ONNX_POST_LOGISTIC) {
        logistic_of_both(score, row);
    } else if (s->is_positive) {
        row[0] = 1.0f - score;
    } else {
        row[0] = -score;
    }
}

static int64_t finish_binary(const struct onnx_scores *s, float *row)
{
    bool has_second = s->has_score[1];
    if (s->base_count == 2 && has_second) {
        row[1] = s->base[1] + row[0];
        row[0] = s->has_score[0] ? -row[1] : 0; /* what has no score is written as 0 */
    } else if (s->base_count == 2) {
        row[0] += s->base[0]; /* the second has no score, so its base does not count */
    } else if (s->base_count == 1) {
        row[0] += s->base[0];
    }
    int64_t class_index = choose_binary(s, has_second ? row[1] : row[0]);
    if (has_second || s->base_count == 2)
        onnx_post_apply(s->post, row, 2);
    else
        write_single(s, row[0], row);
    return class_index;
}

static int64_t finish_classes(const struct onnx_scores *s, float *row)
{
    int64_t best = -1;
    for (int i = 0; i < s->base_count; i++)
        row[i] += s->base[i];
    for (int i = 0; i < s->count; i++)
        if ((s->has_score[i] || s->base_count) && (best < 0 || row[i] > row[best]))
            best = i;
    onnx_post_apply(s->post, row, s->count);
    return best < 0 ? 0 : best;
}

void onnx_scores_finish(const struct onnx_scores *scores, float *margins, int64_t rows,
                        int64_t *classes)
{
    for (int64_t r = 0; r < rows; r++, margins += scores->count) {
        int64_t class_index = 0;
        if (!scores->is_classifier)
            finish_targets(scores, margins);
        else if (scores->count == 2)
            class_index = finish_binary(scores, margins);
        else
            class_index = finish_classes(scores, margins);
        if (classes)
            classes[r] = class_index;
    }
}

int64_t onnx_scores_label(const struct onnx_scores *scores, int64_t class_index)
{
    bool is_apart = scores->count == 2 && !scores->is_single;
    return is_apart || !scores->labels ? class_index : scores->labels[class_index];
}
