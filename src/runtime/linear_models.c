/* linear_models.c - operators that are models: linear ones, trees, and the arithmetic around them.
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "runtime/linear_compile.h"

/* --- linear models
 * ------------------------------------------------------------------------------------- */

/* [targets, width] -> [width, targets] */
static const float *transpose(struct linear_compiler *c, const float *from, size_t targets,
                              size_t width)
{
    float *to = arena_calloc(c->b->keep, targets * width, sizeof(*to));
    for (size_t t = 0; to && t < targets; t++)
        for (size_t i = 0; i < width; i++)
            to[i * targets + t] = from[t * width + i];
    return to;
}

static enum err_code add_linear(struct linear_compiler *c, const struct linear_binding *in,
                                size_t targets, const float *weights, const float *bias, int *reg)
{
    *reg = linear_add_register(c->b, LINEAR_FLOAT, (int64_t)targets);
    struct linear_step *step = linear_add_step(c->b, STEP_LINEAR, in->reg, *reg);
    if (!step || !weights)
        return linear_no_room(c);
    step->a = weights;
    step->b = bias;
    return ERR_OK;
}

/* coefficients [targets, width] and intercepts [targets], or none. */
static enum err_code read_coefficients(struct linear_compiler *c, int width, size_t targets,
                                       const float **weights, const float **bias)
{
    const float *coefficients;
    size_t count, bias_count;
    enum err_code rc =
        onnx_floats(c->node, "coefficients", c->b->arena, &coefficients, &count, c->err);
    if (!rc)
        rc = onnx_floats(c->node, "intercepts", c->b->keep, bias, &bias_count, c->err);
    if (!rc &&
        (targets < 1 || count != targets * (size_t)width || (bias_count && bias_count != targets)))
        rc = err_set(c->err, ERR_INVALID,
                     "ONNX: node %d (%.*s): %zu coefficients and %zu intercepts for %zu results of "
                     "%d columns",
                     c->node->index, STR_ARG(c->node->op), count, bias_count, targets, width);
    if (rc)
        return rc;
    *weights = transpose(c, coefficients, targets, (size_t)width);
    *bias = bias_count ? *bias : NULL;
    return *weights ? ERR_OK : linear_no_room(c);
}

static enum err_code compile_regressor(struct linear_compiler *c)
{
    struct linear_binding in;
    const float *weights, *bias;
    int64_t targets = 1;
    struct str post = STR_LIT("NONE");
    int reg;
    enum err_code rc = linear_as_floats(c, 0, &in);
    if (!rc)
        rc = onnx_int_opt(c->node, "targets", &targets, c->err);
    if (!rc)
        rc = onnx_text_opt(c->node, "post_transform", &post, c->err);
    if (!rc && (!str_equal_c(post, "NONE") || targets < 1 || targets > LINEAR_WIDTH_MAX))
        rc = linear_leave(c, "it has a post_transform or no targets");
    if (!rc)
        rc =
            read_coefficients(c, linear_reg_of(c, in.reg)->width, (size_t)targets, &weights, &bias);
    if (!rc)
        rc = add_linear(c, &in, (size_t)targets, weights, bias, &reg);
    if (!rc)
        linear_bind(c, c->node->outputs[0], reg, 2, NULL);
    return rc;
}

/* The class with the largest score as output 0. */
static enum err_code add_label(struct linear_compiler *c, int scores, int64_t classes)
{
    const int64_t *ints;
    const struct str *texts;
    size_t int_count, text_count;
    int index = linear_add_register(c->b, LINEAR_INT, 1);
    if (!linear_add_step(c->b, STEP_ARGMAX, scores, index))
        return linear_no_room(c);
    enum err_code rc =
        onnx_ints(c->node, "classlabels_ints", c->b->keep, &ints, &int_count, c->err);
    if (!rc)
        rc = onnx_texts(c->node, "classlabels_strings", c->b->arena, &texts, &text_count, c->err);
    if (!rc && (int64_t)(text_count ? text_count : int_count) != classes)
        rc = linear_leave(c, "it has not a score for each class");
    if (rc)
        return rc;
    if (text_count)
        return linear_look_up(c, 0, index, LINEAR_TEXT, texts, text_count, 1);
    return linear_look_up(c, 0, index, LINEAR_INT, ints, int_count, 1);
}

static enum err_code compile_classifier(struct linear_compiler *c)
{
    struct linear_binding in;
    const float *weights, *bias;
    size_t classes, texts;
    const int64_t *ignored;
    const struct str *names;
    struct str name = STR_LIT("NONE");
    enum onnx_post post;
    int raw, scores;
    enum err_code rc = linear_as_floats(c, 0, &in);
    if (!rc)
        rc = onnx_ints(c->node, "classlabels_ints", c->b->arena, &ignored, &classes, c->err);
    if (!rc)
        rc = onnx_texts(c->node, "classlabels_strings", c->b->arena, &names, &texts, c->err);
    if (!rc)
        rc = onnx_text_opt(c->node, "post_transform", &name, c->err);
    if (!rc && (!onnx_post_find(name, &post) || post == ONNX_POST_PROBIT))
        rc = linear_leave(c, "its post_transform is not one of linear models");
    if (rc)
        return rc;
    classes = texts ? texts : classes;
    if (classes < 2)
        return linear_leave(c, "it has fewer than two classes");
    rc = read_coefficients(c, linear_reg_of(c, in.reg)->width, classes, &weights, &bias);
    if (rc && classes == 2)
        return linear_leave(c, "it has one score for two classes");
    if (!rc)
        rc = add_linear(c, &in, classes, weights, bias, &raw);
    if (!rc)
        rc = add_label(c, raw, (int64_t)classes);
    if (!rc)
        rc = linear_output(c, 1, LINEAR_FLOAT, (int64_t)classes, 2, &scores);
    if (rc)
        return rc;
    struct linear_step *step = linear_add_step(c->b, STEP_POST, raw, scores);
    if (!step)
        return linear_no_room(c);
    step->mode = (int)post;
    linear_reg_of(c, scores)->is_probability = post != ONNX_POST_NONE;
    return ERR_OK;
}

/* data . constant [width, targets] */
static enum err_code compile_matmul(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    const float *weights;
    const struct onnx_constant *right = linear_constant_input(c, 1);
    int reg;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (rc)
        return rc;
    int width = linear_reg_of(c, in->reg)->width;
    if (!right || right->type != ONNX_FLOAT || right->rank < 1 || right->rank > 2 ||
        right->shape[0] != width)
        return linear_leave(c, "it multiplies by no constant matrix of its columns");
    rc = onnx_constant_floats(right, c->b->keep, &weights, c->err);
    size_t targets = right->rank == 2 ? (size_t)right->shape[1] : 1;
    if (!rc)
        rc = add_linear(c, in, targets, weights, NULL, &reg);
    if (!rc)
        linear_bind(c, c->node->outputs[0], reg, right->rank, NULL);
    return rc;
}

static enum err_code compile_gemm(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    const float *weights, *bias = NULL;
    const struct onnx_constant *right = linear_constant_input(c, 1),
                               *add = linear_constant_input(c, 2);
    float alpha = 1, beta = 1;
    int64_t left_turned = 0, right_turned = 0;
    int reg;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = onnx_float_opt(c->node, "alpha", &alpha, c->err);
    if (!rc)
        rc = onnx_float_opt(c->node, "beta", &beta, c->err);
    if (!rc)
        rc = onnx_int_opt(c->node, "transA", &left_turned, c->err);
    if (!rc)
        rc = onnx_int_opt(c->node, "transB", &right_turned, c->err);
    if (rc)
        return rc;
    int width = linear_reg_of(c, in->reg)->width;
    if (alpha != 1 || beta != 1 || left_turned || !right || right->rank != 2 ||
        right->shape[right_turned ? 1 : 0] != width)
        return linear_leave(c, "it is no product with a constant matrix of its columns");
    size_t targets = (size_t)right->shape[right_turned ? 0 : 1];
    if (targets < 1 || (c->node->input_count > 2 && (!add || (size_t)add->count != targets)))
        return linear_leave(c, "it adds something that is no constant for each result");
    rc = onnx_constant_floats(right, c->b->keep, &weights, c->err);
    if (!rc && add)
        rc = onnx_constant_floats(add, c->b->keep, &bias, c->err);
    if (!rc)
        rc = add_linear(c, in, targets,
                        right_turned ? transpose(c, weights, targets, (size_t)width) : weights,
                        bias, &reg);
    if (!rc)
        linear_bind(c, c->node->outputs[0], reg, 2, NULL);
    return rc;
}

/* --- arithmetic
 * ------------------------------------------------------------------------------------------ */

/* A constant for each column, or one for all. */
static enum err_code constant_row(struct linear_compiler *c, const struct onnx_constant *constant,
                                  int width, const float **out)
{
    if (constant->type != ONNX_FLOAT ||
        (constant->count != 1 &&
         (constant->count != width || constant->shape[constant->rank - 1] != width)))
        return linear_leave(c, "its constant is not one number for each column");
    return onnx_constant_floats(constant, c->b->keep, out, c->err);
}

static enum err_code with_constant(struct linear_compiler *c, int data,
                                   const struct onnx_constant *constant,
                                   enum linear_operation operation)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    const float *row;
    enum err_code rc = linear_float_input(c, data, &in);
    if (rc)
        return rc;
    struct linear_binding from = *in;
    struct linear_register is = *linear_reg_of(c, from.reg);
    int width =
        is.width == 1 && constant->rank ? (int)constant->shape[constant->rank - 1] : is.width;
    if (data == 1 && operation == LINEAR_DIVIDE)
        return linear_leave(c, "it divides a constant");
    if (data == 1 && operation == LINEAR_SUBTRACT) { /* c - x is -x + c, with the same bits */
        int reg = linear_add_register(c->b, LINEAR_FLOAT, is.width);
        step = linear_add_step(c->b, STEP_FUNCTION, from.reg, reg);
        if (!step)
            return linear_no_room(c);
        step->mode = LINEAR_NEGATE;
        from.reg = reg;
        operation = LINEAR_ADD;
    }
    rc = constant_row(c, constant, width < 1 ? 1 : width, &row);
    if (!rc)
        rc = linear_step_to(c, STEP_ARITHMETIC, &from, LINEAR_FLOAT, width, &step);
    if (rc)
        return rc;
    step->mode = (int)operation;
    step->a = row;
    step->a_width = (int)constant->count;
    linear_reg_of(c, step->out)->is_probability =
        is.is_probability && operation == LINEAR_MULTIPLY && constant->count == 1 && row[0] == 1.0f;
    return ERR_OK;
}

static enum err_code arithmetic(struct linear_compiler *c, enum linear_operation operation)
{
    const struct linear_binding *left = NULL, *right = NULL;
    struct linear_step *step;
    if (linear_constant_input(c, 1))
        return with_constant(c, 0, linear_constant_input(c, 1), operation);
    if (linear_constant_input(c, 0))
        return with_constant(c, 1, linear_constant_input(c, 0), operation);
    enum err_code rc = linear_float_input(c, 0, &left);
    if (!rc)
        rc = linear_float_input(c, 1, &right);
    if (rc)
        return rc;
    int a = linear_reg_of(c, left->reg)->width, b = linear_reg_of(c, right->reg)->width;
    if (a != b && a != 1 && b != 1)
        return linear_leave(c, "its inputs differ in width");
    int right_reg = right->reg, left_reg = left->reg;
    int *list = arena_calloc(c->b->keep, 2, sizeof(*list));
    if (!list)
        return linear_no_room(c);
    rc = linear_step_to(c, STEP_ARITHMETIC, left, LINEAR_FLOAT, a > b ? a : b, &step);
    if (rc)
        return rc;
    list[0] = left_reg;
    list[1] = right_reg;
    step->in = list;
    step->in_count = 2;
    step->mode = (int)operation;
    linear_reg_of(c, step->out)->is_probability =
        operation == LINEAR_DIVIDE && linear_reg_of(c, left_reg)->is_probability && b == 1;
    return ERR_OK;
}

static enum err_code compile_add(struct linear_compiler *c)
{
    return arithmetic(c, LINEAR_ADD);
}

static enum err_code compile_sub(struct linear_compiler *c)
{
    return arithmetic(c, LINEAR_SUBTRACT);
}

static enum err_code compile_mul(struct linear_compiler *c)
{
    return arithmetic(c, LINEAR_MULTIPLY);
}

static enum err_code compile_div(struct linear_compiler *c)
{
    return arithmetic(c, LINEAR_DIVIDE);
}

static enum err_code compile_function(struct linear_compiler *c)
{
    static const char *const names[] = {"Exp", "Log", "Sqrt", "Neg", "Abs", "Reciprocal"};
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = linear_step_to(c, STEP_FUNCTION, in, LINEAR_FLOAT, linear_reg_of(c, in->reg)->width,
                            &step);
    for (int i = 0; !rc && i < (int)ARRAY_LEN(names); i++)
        if (onnx_is(c->node, names[i]))
            step->mode = i;
    return rc;
}

static enum err_code compile_sigmoid(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = linear_step_to(c, STEP_SIGMOID, in, LINEAR_FLOAT, linear_reg_of(c, in->reg)->width,
                            &step);
    if (!rc)
        linear_reg_of(c, step->out)->is_probability = true;
    return rc;
}

static enum err_code compile_softmax(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    struct linear_step *step;
    int64_t axis = c->graph->version < 13 ? 1 : -1;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = onnx_int_opt(c->node, "axis", &axis, c->err);
    if (!rc && axis != 1 && axis != -1)
        rc = linear_leave(c, "its axis is not the columns");
    if (!rc)
        rc =
            linear_step_to(c, STEP_POST, in, LINEAR_FLOAT, linear_reg_of(c, in->reg)->width, &step);
    if (rc)
        return rc;
    step->mode = ONNX_POST_SOFTMAX;
    linear_reg_of(c, step->out)->is_probability = true;
    return ERR_OK;
}

static enum err_code compile_argmax(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    int64_t axis = 0, keeps = 1, last = 0;
    int reg;
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = onnx_int_opt(c->node, "axis", &axis, c->err);
    if (!rc)
        rc = onnx_int_opt(c->node, "keepdims", &keeps, c->err);
    if (!rc)
        rc = onnx_int_opt(c->node, "select_last_index", &last, c->err);
    if (!rc && ((axis != 1 && axis != -1) || last))
        rc = linear_leave(c, "its axis is not the columns");
    int from = rc ? 0 : in->reg;
    if (!rc)
        rc = linear_output(c, 0, LINEAR_INT, 1, keeps ? 2 : 1, &reg);
    if (!rc && !linear_add_step(c->b, STEP_ARGMAX, from, reg))
        rc = linear_no_room(c);
    return rc;
}

static enum err_code compile_sum(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    const int64_t *axes = NULL;
    size_t count = 0;
    int64_t keeps = 1;
    int reg;
    const struct onnx_constant *constant = linear_constant_input(c, 1);
    enum err_code rc = linear_float_input(c, 0, &in);
    if (!rc)
        rc = onnx_ints(c->node, "axes", c->b->arena, &axes, &count, c->err);
    if (!rc)
        rc = onnx_int_opt(c->node, "keepdims", &keeps, c->err);
    if (!rc && constant) {
        count = (size_t)constant->count;
        rc = onnx_constant_ints(constant, c->b->arena, &axes, c->err);
    }
    if (!rc && (count != 1 || (axes[0] != 1 && axes[0] != -1)))
        rc = linear_leave(c, "its axis is not the columns");
    int from = rc ? 0 : in->reg;
    if (!rc)
        rc = linear_output(c, 0, LINEAR_FLOAT, 1, keeps ? 2 : 1, &reg);
    if (!rc && !linear_add_step(c->b, STEP_SUM, from, reg))
        rc = linear_no_room(c);
    return rc;
}

/* --- trees
 * ---------------------------------------------------------------------------------------------- */

static enum err_code add_tree_labels(struct linear_compiler *c, const struct onnx_scores *s,
                                     int classes)
{
    int64_t *labels = arena_calloc(c->b->keep, (size_t)s->count, sizeof(*labels));
    if (!labels)
        return linear_no_room(c);
    for (int i = 0; i < s->count; i++)
        labels[i] = onnx_scores_label(s, i);
    if (s->names)
        return linear_look_up(c, 0, classes, LINEAR_TEXT, s->names, (size_t)s->count, 1);
    return linear_look_up(c, 0, classes, LINEAR_INT, labels, (size_t)s->count, 1);
}

static enum err_code compile_trees(struct linear_compiler *c)
{
    struct linear_binding in;
    struct forest forest;
    struct linear_trees *trees = arena_calloc(c->b->keep, 1, sizeof(*trees));
    enum err_code rc = linear_as_floats(c, 0, &in);
    if (!rc && !trees)
        rc = linear_no_room(c);
    if (!rc)
        rc = onnx_trees_read(c->node, linear_reg_of(c, in.reg)->width, c->b->arena, c->b->keep,
                             &forest, &trees->scores, c->err);
    if (rc)
        return rc;
    const struct onnx_scores *s = &trees->scores;
    int scores, classes = s->is_classifier ? linear_add_register(c->b, LINEAR_INT, 1) : -1;
    rc = linear_output(c, s->is_classifier ? 1 : 0, LINEAR_FLOAT, s->count, 2, &scores);
    struct linear_step *step = rc ? NULL : linear_add_step(c->b, STEP_TREES, in.reg, scores);
    if (rc)
        return rc;
    if (!step || (s->is_classifier && classes < 0))
        return linear_no_room(c);
    step->classes = classes;
    step->trees = trees;
    linear_reg_of(c, scores)->is_probability =
        s->is_classifier && (s->post != ONNX_POST_NONE || s->is_positive);
    if (!c->b->is_trial && !tier_choose(&forest, &trees->tier, &trees->built, &trees->built_bytes))
        return linear_no_room(c);
    return s->is_classifier ? add_tree_labels(c, s, classes) : ERR_OK;
}

/* --- the table ---------------------------------------------------------------------------- */

const struct linear_operator linear_model_operators[] = {
    {"LinearRegressor", compile_regressor},
    {"LinearClassifier", compile_classifier},
    {"MatMul", compile_matmul},
    {"Gemm", compile_gemm},
    {"Add", compile_add},
    {"Sub", compile_sub},
    {"Mul", compile_mul},
    {"Div", compile_div},
    {"Exp", compile_function},
    {"Log", compile_function},
    {"Sqrt", compile_function},
    {"Neg", compile_function},
    {"Abs", compile_function},
    {"Reciprocal", compile_function},
    {"Sigmoid", compile_sigmoid},
    {"Softmax", compile_softmax},
    {"ArgMax", compile_argmax},
    {"ReduceSum", compile_sum},
    {"TreeEnsembleClassifier", compile_trees},
    {"TreeEnsembleRegressor", compile_trees},
    {"TreeEnsemble", compile_trees},
    {NULL, NULL},
};
