/* linear_run.c - what each step does to a block of rows.
 *
 * Formulas are those of the ONNX operators, in float32; sums of products are in double, in the
 * order of the columns. No step allocates.
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "runtime/linear_program.h"

/* One step at work. */
struct work {
    const struct linear_step *step;
    int64_t rows;
    int width, out_width;
    enum linear_type type; /* of the input */
    void *out;
    const void *in;
    const struct linear_program *program;
    void *const *data;
};

static const float *floats_of(const struct work *w)
{
    assert(w->type == LINEAR_FLOAT);
    return w->in;
}

/* What lies outside int64 becomes its smallest, as the CPU's conversion gives it. */
static int64_t to_int(float x)
{
    return x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : INT64_MIN;
}

static void run_cast(const struct work *w)
{
    int64_t count = w->rows * w->width;
    const float *floats = w->in;
    const int64_t *ints = w->in;
    for (int64_t i = 0; i < count; i++) {
        if (w->type == LINEAR_FLOAT)
            ((int64_t *)w->out)[i] = to_int(floats[i]);
        else
            ((float *)w->out)[i] = (float)ints[i];
    }
}

static void run_concat(const struct work *w)
{
    size_t element = linear_type_bytes(w->type), at = 0, out_row = (size_t)w->out_width * element;
    for (int i = 0; i < w->step->in_count; i++) {
        int reg = w->step->in[i];
        size_t bytes = (size_t)w->program->registers[reg].width * element;
        const char *from = w->data[reg];
        for (int64_t r = 0; r < w->rows; r++)
            memcpy((char *)w->out + (size_t)r * out_row + at, from + (size_t)r * bytes, bytes);
        at += bytes;
    }
}

static void run_select(const struct work *w)
{
    size_t element = linear_type_bytes(w->type);
    const char *row = w->in;
    char *out = w->out;
    for (int64_t r = 0; r < w->rows; r++, row += (size_t)w->width * element)
        for (int i = 0; i < w->out_width; i++, out += element)
            memcpy(out, row + (size_t)w->step->columns[i] * element, element);
}

static int column_of(const struct linear_step *s, int64_t i, int width)
{
    return s->a_width > 1 ? (int)(i % width) : 0;
}

static void run_impute(const struct work *w)
{
    const struct linear_step *s = w->step;
    int64_t count = w->rows * w->width;
    if (w->type == LINEAR_INT) {
        const int64_t *in = w->in;
        for (int64_t i = 0; i < count; i++)
            ((int64_t *)w->out)[i] =
                in[i] == s->missing_int ? s->ints[column_of(s, i, w->width)] : in[i];
        return;
    }
    const float *in = floats_of(w);
    float *out = w->out;
    bool is_nan = isnan(s->missing);
    for (int64_t i = 0; i < count; i++) {
        bool is_missing = is_nan ? isnan(in[i]) : in[i] == s->missing;
        out[i] = is_missing ? s->a[column_of(s, i, w->width)] : in[i];
    }
}

static void run_scale(const struct work *w)
{
    const struct linear_step *s = w->step;
    const float *in = floats_of(w);
    float *out = w->out;
    for (int64_t i = 0; i < w->rows * w->width; i++) {
        int column = column_of(s, i, w->width);
        float centered = in[i] - s->a[column];
        out[i] = s->mode ? centered / s->b[column] : centered * s->b[column];
    }
}

static void normalize_max(const float *in, int width, float *out)
{
    float largest = -INFINITY;
    for (int i = 0; i < width; i++)
        largest = in[i] > largest ? in[i] : largest;
    for (int i = 0; i < width; i++)
        out[i] = largest != 0 ? in[i] / largest : in[i];
}

static void normalize_l1(const float *in, int width, float *out)
{
    float sum = 0;
    for (int i = 0; i < width; i++)
        sum += fabsf(in[i]);
    for (int i = 0; i < width; i++)
        out[i] = sum != 0 ? in[i] / sum : in[i];
}

static void normalize_l2(const float *in, int width, float *out)
{
    float sum = 0;
    for (int i = 0; i < width; i++)
        sum += in[i] * in[i];
    for (int i = 0; i < width; i++)
        out[i] = sum != 0 ? copysignf(sqrtf(in[i] * in[i] / sum), in[i]) : in[i];
}

static void run_normalize(const struct work *w)
{
    const float *in = floats_of(w);
    float *out = w->out;
    for (int64_t r = 0; r < w->rows; r++, in += w->width, out += w->width) {
        if (w->step->mode == NORM_MAX)
            normalize_max(in, w->width, out);
        else if (w->step->mode == NORM_L1)
            normalize_l1(in, w->width, out);
        else
            normalize_l2(in, w->width, out);
    }
}

static void run_binarize(const struct work *w)
{
    const float *in = floats_of(w);
    for (int64_t i = 0; i < w->rows * w->width; i++)
        ((float *)w->out)[i] = in[i] > w->step->a[0] ? 1.0f : 0.0f;
}

/* --- keys --------------------------------------------------------------------------------------
 */

/* The place of element i of the input; a float is an integer where keys are. */
static int place_of(const struct work *w, int64_t i)
{
    const struct linear_keys *keys = &w->step->keys;
    if (w->type == LINEAR_TEXT)
        return linear_find_text(keys, ((const struct str *)w->in)[i]);
    if (w->type == LINEAR_INT)
        return linear_find_int(keys, ((const int64_t *)w->in)[i]);
    float x = ((const float *)w->in)[i];
    return keys->type == LINEAR_FLOAT ? linear_find_float(keys, x)
                                      : linear_find_int(keys, to_int(x));
}

static enum err_code refuse_category(const struct work *w, int64_t i, struct err *err)
{
    struct str text = {0};
    if (w->type == LINEAR_TEXT)
        text = ((const struct str *)w->in)[i];
    text.len = text.len < 64 ? text.len : 64;
    return err_set(err, ERR_INVALID, "row %lld: the category '%.*s' is none the model knows",
                   (long long)(i / w->width), STR_ARG(text));
}

static enum err_code run_one_hot(const struct work *w, struct err *err)
{
    int64_t count = w->rows * w->width;
    int keys = w->out_width / w->width;
    float *out = w->out;
    memset(out, 0, (size_t)w->rows * (size_t)w->out_width * sizeof(*out));
    for (int64_t i = 0; i < count; i++) {
        int place = place_of(w, i);
        if (place >= 0)
            out[i * keys + place] = 1;
        else if (w->step->is_strict)
            return refuse_category(w, i, err);
    }
    return ERR_OK;
}

static void run_encode(const struct work *w)
{
    const struct linear_values *v = &w->step->values;
    enum linear_type type = w->program->registers[w->step->out].type;
    for (int64_t i = 0; i < w->rows * w->width; i++) {
        int place = place_of(w, i);
        if (type == LINEAR_FLOAT)
            ((float *)w->out)[i] = place < 0 ? v->other_float : v->floats[place];
        else if (type == LINEAR_INT)
            ((int64_t *)w->out)[i] = place < 0 ? v->other_int : v->ints[place];
        else
            ((struct str *)w->out)[i] = place < 0 ? v->other_text : v->texts[place];
    }
}

/* --- numbers ------------------------------------------------------------------------------------
 */

static void run_linear(const struct work *w)
{
    const float *in = floats_of(w), *weights = w->step->a, *bias = w->step->b;
    float *out = w->out;
    for (int64_t r = 0; r < w->rows; r++, in += w->width, out += w->out_width)
        for (int o = 0; o < w->out_width; o++) {
            double sum = 0;
            for (int i = 0; i < w->width; i++)
                sum +=
                    (double)in[i] * (double)weights[(size_t)i * (size_t)w->out_width + (size_t)o];
            out[o] = (float)(sum + (bias ? (double)bias[o] : 0));
        }
}

static void run_post(const struct work *w)
{
    float *out = w->out;
    memcpy(out, floats_of(w), (size_t)(w->rows * w->width) * sizeof(*out));
    for (int64_t r = 0; r < w->rows; r++)
        onnx_post_apply((enum onnx_post)w->step->mode, out + r * w->width, w->width);
}

static void run_argmax(const struct work *w)
{
    const float *in = floats_of(w);
    for (int64_t r = 0; r < w->rows; r++, in += w->width) {
        int best = 0;
        for (int i = 1; i < w->width; i++)
            if (in[i] > in[best])
                best = i;
        ((int64_t *)w->out)[r] = best;
    }
}

static float operate(int operation, float x, float y)
{
    switch (operation) {
    case LINEAR_ADD:
        return x + y;
    case LINEAR_SUBTRACT:
        return x - y;
    case LINEAR_MULTIPLY:
        return x * y;
    default:
        return x / y;
    }
}

/* Either side may have one column, and the second may be constant. */
static void run_arithmetic(const struct work *w)
{
    const struct linear_step *s = w->step;
    const float *x = floats_of(w), *y = s->a;
    int y_width = s->a_width, y_step = 0;
    float *out = w->out;
    if (s->in_count == 2) {
        y = w->data[s->in[1]];
        y_width = y_step = w->program->registers[s->in[1]].width;
    }
    for (int64_t r = 0; r < w->rows; r++, x += w->width, y += y_step)
        for (int i = 0; i < w->out_width; i++)
            *out++ = operate(s->mode, x[w->width > 1 ? i : 0], y[y_width > 1 ? i : 0]);
}

static float function_of(int function, float x)
{
    switch (function) {
    case LINEAR_EXP:
        return expf(x);
    case LINEAR_LOG:
        return logf(x);
    case LINEAR_SQRT:
        return sqrtf(x);
    case LINEAR_NEGATE:
        return -x;
    case LINEAR_ABS:
        return fabsf(x);
    default:
        return 1.0f / x;
    }
}

static void run_function(const struct work *w)
{
    const float *in = floats_of(w);
    for (int64_t i = 0; i < w->rows * w->width; i++)
        ((float *)w->out)[i] = function_of(w->step->mode, in[i]);
}

static void run_sigmoid(const struct work *w)
{
    const float *in = floats_of(w);
    for (int64_t i = 0; i < w->rows * w->width; i++)
        ((float *)w->out)[i] = 1.0f / (1.0f + expf(-in[i]));
}

static void run_sum(const struct work *w)
{
    const float *in = floats_of(w);
    for (int64_t r = 0; r < w->rows; r++, in += w->width) {
        double sum = 0;
        for (int i = 0; i < w->width; i++)
            sum += (double)in[i];
        ((float *)w->out)[r] = (float)sum;
    }
}

static void run_trees(const struct work *w)
{
    const struct linear_trees *t = w->step->trees;
    const struct tier_rows rows = {.count = w->rows, .rows = floats_of(w)};
    int64_t *classes = w->step->classes < 0 ? NULL : w->data[w->step->classes];
    t->tier->score(t->built, &rows, w->out);
    onnx_scores_finish(&t->scores, w->out, w->rows, classes);
}

/* --- all steps
 * ------------------------------------------------------------------------------------ */

static enum err_code run_step(const struct work *w, struct err *err)
{
    switch (w->step->kind) {
    case STEP_CAST:
        run_cast(w);
        break;
    case STEP_CONCAT:
        run_concat(w);
        break;
    case STEP_SELECT:
        run_select(w);
        break;
    case STEP_IMPUTE:
        run_impute(w);
        break;
    case STEP_SCALE:
        run_scale(w);
        break;
    case STEP_NORMALIZE:
        run_normalize(w);
        break;
    case STEP_BINARIZE:
        run_binarize(w);
        break;
    case STEP_ONE_HOT:
        return run_one_hot(w, err);
    case STEP_ENCODE:
        run_encode(w);
        break;
    case STEP_LINEAR:
        run_linear(w);
        break;
    case STEP_POST:
        run_post(w);
        break;
    case STEP_SIGMOID:
        run_sigmoid(w);
        break;
    case STEP_ARGMAX:
        run_argmax(w);
        break;
    case STEP_ARITHMETIC:
        run_arithmetic(w);
        break;
    case STEP_FUNCTION:
        run_function(w);
        break;
    case STEP_SUM:
        run_sum(w);
        break;
    case STEP_TREES:
        run_trees(w);
        break;
    }
    return ERR_OK;
}

enum err_code linear_run(const struct linear_program *program, void *const *data, int64_t rows,
                         struct err *err)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < program->step_count; i++) {
        const struct linear_step *s = &program->steps[i];
        const struct work w = {
            .step = s,
            .rows = rows,
            .width = program->registers[s->in[0]].width,
            .out_width = program->registers[s->out].width,
            .type = program->registers[s->in[0]].type,
            .out = data[s->out],
            .in = data[s->in[0]],
            .program = program,
            .data = data,
        };
        rc = run_step(&w, err);
    }
    return rc;
}
