/* onnx_trial.c - learning from a few runs on made-up rows.
 *
 *     one row a        -> how long it takes; f(a)
 *     rows a and b     -> f(a, b): is its first row f(a), and are there two?
 *
 * Only then may requests be joined, for a model whose answer for one row depends on another (a mean
 * over the batch, an output of another length) would give wrong answers silently.
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/onnx.h"
#include "runtime/onnx_model.h"

enum {
    INLINE_NS_MAX = 50000,  /* of one row on the thread of the connection */
    TIMED_NS_MAX = 2000000, /* a first run that takes longer is not repeated */
    TIMED_RUNS = 8,
    TRIAL_ELEMENTS_MAX = 1 << 24,
    TRIAL_BYTES_MAX = 1 << 30,
};

static const int64_t trial_ns_max = 10 * INT64_C(1000000000);

struct trial {
    struct arena *arena;
    struct tensor *in; /* [input_count], in the arena */
    struct tensor out[RUNTIME_TENSORS_MAX];
    struct runtime_call call;
    int64_t ns; /* of the fastest run */
};

/* --- made-up rows ------------------------------------------------------------------------ */

/* Small, different from row to row, and valid as an index, a flag or a probability. */
static void fill_floats(float *values, int64_t count, int64_t per_row)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((i % per_row * 7 + i / per_row * 13) % 16) / 16;
}

static void fill_doubles(double *values, int64_t count, int64_t per_row)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)((i % per_row * 7 + i / per_row * 13) % 16) / 16;
}

static void fill_texts(struct str *texts, int64_t count, struct str text)
{
    for (int64_t i = 0; i < count; i++)
        texts[i] = text;
}

/* A category that an encoder knows, since others may be refused. */
static struct str text_for(const struct onnx_file *file, const char *input)
{
    for (int i = 0; i < file->sample_count; i++)
        if (str_equal_c(file->samples[i].input, input))
            return file->samples[i].text;
    return STR_LIT("a");
}

/* 0 and 1 in turn, as little-endian integers; as half floats these are tiny numbers. */
static void fill_integers(uint8_t *bytes, int64_t count, size_t size, int64_t per_row)
{
    for (int64_t i = 0; i < count; i++)
        bytes[(size_t)i * size] = (uint8_t)((i % per_row + i / per_row) & 1);
}

static bool fill(struct trial *trial, const struct onnx_file *file, struct tensor *t, int64_t rows)
{
    int64_t count = tensor_elements(t->shape, t->rank);
    size_t size = t->dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(t->dtype);
    if (count < 0 || count > TRIAL_ELEMENTS_MAX)
        return false;
    t->data = arena_calloc(trial->arena, (size_t)count + 1, size);
    int64_t per_row = rows > 0 && count >= rows ? count / rows : 1;
    if (!t->data)
        return false;
    if (t->dtype == DTYPE_F32)
        fill_floats(t->data, count, per_row);
    else if (t->dtype == DTYPE_F64)
        fill_doubles(t->data, count, per_row);
    else if (t->dtype == DTYPE_BYTES)
        fill_texts(t->data, count, text_for(file, t->name));
    else
        fill_integers(t->data, count, size, per_row);
    return true;
}

/* Inputs with `rows` where the first dimension is free, and one of every other free dimension. */
static bool make_inputs(const struct onnx_model *m, const struct onnx_file *file,
                        struct trial *trial, int64_t rows)
{
    for (int i = 0; i < m->signature.input_count; i++) {
        const struct signature_tensor *want = &m->inputs[i];
        struct tensor *t = &trial->in[i];
        *t = (struct tensor){.name = want->name, .dtype = want->dtype, .rank = want->rank};
        for (int d = 0; d < want->rank; d++)
            t->shape[d] = want->shape[d] >= 0 ? want->shape[d] : d == 0 ? rows : 1;
        if (!want->is_optional && !fill(trial, file, t, rows))
            return false;
    }
    return true;
}

/* --- runs ----------------------------------------------------------------------------------- */

static bool run_once(const struct onnx_model *m, struct trial *trial)
{
    struct err err = {0};
    int64_t start = clock_monotonic_ns();
    trial->call.deadline_ns = start + trial_ns_max;
    if (onnx_run(m, &trial->call, &err))
        return false;
    int64_t ns = clock_monotonic_ns() - start;
    if (trial->ns == 0 || ns < trial->ns)
        trial->ns = ns > 0 ? ns : 1;
    return true;
}

static bool trial_begin(const struct onnx_model *m, const struct onnx_file *file,
                        struct trial *trial, int64_t rows)
{
    *trial = (struct trial){.arena = arena_new(TRIAL_BYTES_MAX)};
    trial->in = arena_calloc(trial->arena, (size_t)m->signature.input_count, sizeof(*trial->in));
    trial->call = (struct runtime_call){
        .in = trial->in,
        .in_count = m->signature.input_count,
        .arena = trial->arena,
        .out = trial->out,
    };
    return make_inputs(m, file, trial, rows) && run_once(m, trial);
}

static void trial_end(struct trial *trial)
{
    arena_free(trial->arena);
}

/* The output of that index of the signature; NULL when it came without data. */
static const struct tensor *output_of(const struct onnx_model *m, const struct trial *trial,
                                      int index)
{
    for (int i = 0; i < trial->call.out_count; i++)
        if (trial->out[i].name == m->outputs[index].name)
            return &trial->out[i];
    return NULL;
}

/* --- what they say --------------------------------------------------------------------------- */

static bool has_free_rows(const struct signature_tensor *t)
{
    return t->rank >= 1 && t->shape[0] < 0;
}

static bool is_same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-5 + 1e-3 * fabs(a);
}

static bool is_same_row(const struct tensor *one, const struct tensor *two, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        bool is_same = true;
        if (one->dtype == DTYPE_F32)
            is_same = is_same_number((double)((const float *)one->data)[i],
                                     (double)((const float *)two->data)[i]);
        else if (one->dtype == DTYPE_F64)
            is_same =
                is_same_number(((const double *)one->data)[i], ((const double *)two->data)[i]);
        else if (one->dtype == DTYPE_BYTES)
            is_same =
                str_equal(((const struct str *)one->data)[i], ((const struct str *)two->data)[i]);
        if (!is_same)
            return false;
    }
    size_t size = dtype_bytes(one->dtype);
    bool is_exact = one->dtype != DTYPE_F16 && one->dtype != DTYPE_BF16 &&
                    one->dtype != DTYPE_F32 && one->dtype != DTYPE_F64 && size > 0;
    return !is_exact || memcmp(one->data, two->data, (size_t)count * size) == 0;
}

/* Is the first row of the answer for two rows the answer for that row alone? */
static bool is_row_alone(const struct tensor *one, const struct tensor *two)
{
    if (!one || !two || one->rank < 1 || one->rank != two->rank || one->dtype != two->dtype ||
        one->shape[0] != 1 || two->shape[0] != 2)
        return false;
    for (int d = 1; d < one->rank; d++)
        if (one->shape[d] != two->shape[d])
            return false;
    return is_same_row(one, two, tensor_elements(one->shape, one->rank));
}

static bool rows_are_independent(const struct onnx_model *m, const struct trial *one,
                                 const struct trial *two)
{
    for (int i = 0; i < m->signature.input_count; i++)
        if (!has_free_rows(&m->inputs[i]))
            return false;
    for (int i = 0; i < m->signature.output_count; i++)
        if (!is_row_alone(output_of(m, one, i), output_of(m, two, i)))
            return false;
    return true;
}

/* Shapes nobody declared become those that were seen; what changed with the rows is free. */
static void learn_shapes(struct onnx_model *m, const struct trial *one, const struct trial *two)
{
    for (int i = 0; i < m->signature.output_count; i++) {
        const struct tensor *a = output_of(m, one, i), *b = two ? output_of(m, two, i) : NULL;
        struct signature_tensor *t = &m->outputs[i];
        if (!m->is_unshaped[i] || !a)
            continue;
        bool is_sure = b && b->rank == a->rank;
        t->rank = a->rank;
        for (int d = 0; d < a->rank; d++)
            t->shape[d] = is_sure && a->shape[d] == b->shape[d] ? a->shape[d] : -1;
    }
}

/* See onnx_model.h. That the first dimension is the rows has been tried. */
static bool is_predictable(const struct onnx_model *m, const struct onnx_file *file)
{
    if (m->signature.batch_rows_max == 0 || m->signature.input_count != 1 || file->has_graphs)
        return false;
    for (int i = 0; i < m->signature.output_count; i++) {
        const struct signature_tensor *t = &m->outputs[i];
        bool is_known = has_free_rows(t) && t->dtype != DTYPE_BYTES;
        for (int d = 1; d < t->rank; d++)
            is_known = is_known && t->shape[d] >= 0;
        if (!is_known)
            return false;
    }
    return true;
}

/* Time depends on shapes alone, and the shape of a row is fixed. */
static bool is_steady(const struct onnx_model *m, const struct onnx_file *file)
{
    if (file->has_graphs)
        return false;
    for (int i = 0; i < m->signature.input_count; i++) {
        const struct signature_tensor *t = &m->inputs[i];
        if (t->dtype == DTYPE_BYTES)
            return false;
        for (int d = 1; d < t->rank; d++)
            if (t->shape[d] < 0)
                return false;
    }
    return true;
}

static void choose_place(struct onnx_model *m, const struct onnx_file *file, struct trial *one)
{
    if (!is_steady(m, file) || one->ns > TIMED_NS_MAX)
        return;
    for (int i = 1; i < TIMED_RUNS; i++)
        if (!run_once(m, one))
            return;
    if (one->ns <= INLINE_NS_MAX)
        m->signature.place = RUNTIME_INLINE;
}

/* --- classes -----------------------------------------------------------------------------------
 */

/* Another output that names the class of each row, as converters of classifiers write it. */
static bool has_label(const struct onnx_model *m)
{
    for (int i = 0; i < m->signature.output_count; i++) {
        const struct signature_tensor *t = &m->outputs[i];
        if ((t->dtype == DTYPE_I64 || t->dtype == DTYPE_BYTES) && t->rank == 1)
            return true;
    }
    return false;
}

static bool is_distribution(const float *row, int64_t count)
{
    float sum = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!(row[i] >= -1e-4f && row[i] <= 1 + 1e-4f))
            return false;
        sum += row[i];
    }
    return fabsf(sum - 1) <= 1e-3f;
}

/* Classes whose probabilities the output holds; 0: it does not hold any. What is made by Softmax or
 * Sigmoid, comes as maps or stands beside a label is one when the numbers agree. */
static int probability_classes(const struct onnx_model *m, const struct onnx_file *file, int index,
                               const struct tensor *seen)
{
    const struct onnx_output *output = onnx_file_output(file, m->outputs[index].name);
    int64_t columns = seen && seen->rank == 2 ? seen->shape[1] : 1;
    if (!seen || !output || seen->dtype != DTYPE_F32 || seen->rank < 1 || seen->rank > 2 ||
        seen->shape[0] < 1 || columns < 1 || columns > INT32_MAX)
        return 0;
    if (columns == 1)
        return str_equal_c(output->op, "Sigmoid") ? 2 : 0;
    bool is_hinted = output->zipped.ptr || str_equal_c(output->op, "Softmax") || has_label(m);
    for (int64_t r = 0; is_hinted && r < seen->shape[0]; r++)
        is_hinted = is_distribution((const float *)seen->data + r * columns, columns);
    return is_hinted ? (int)columns : 0;
}

static void find_probabilities(struct onnx_model *m, const struct onnx_file *file,
                               const struct trial *two)
{
    for (int i = 0; i < m->signature.output_count; i++) {
        int classes = probability_classes(m, file, i, output_of(m, two, i));
        if (!classes)
            continue;
        m->signature.answer = i;
        m->signature.class_count = classes;
        m->signature.is_probability = true;
        return;
    }
}

/* A matrix of floats in, one number or one row of numbers out: what contracts are about. Several
 * numbers that are no probabilities are scores of classes, of which the largest wins. */
static void find_features(struct onnx_model *m)
{
    struct signature *s = &m->signature;
    const struct signature_tensor *in = &m->inputs[0], *out = &m->outputs[m->signature.answer];
    bool is_matrix = s->input_count == 1 && in->dtype == DTYPE_F32 && in->rank == 2 &&
                     in->shape[0] < 0 && in->shape[1] > 0 && in->shape[1] <= INT32_MAX;
    bool is_answer = out->dtype == DTYPE_F32 && out->rank >= 1 && out->rank <= 2 &&
                     (out->rank == 1 || out->shape[1] > 0);
    if (!is_matrix || !is_answer || s->batch_rows_max == 0)
        return;
    s->feature_count = (int)in->shape[1];
    if (out->rank == 2 && out->shape[1] > 1)
        s->class_count = (int)out->shape[1];
}

void onnx_try(struct onnx_model *m, const struct onnx_file *file)
{
    struct trial one, two;
    bool is_answered = trial_begin(m, file, &one, 1);
    bool is_joined = trial_begin(m, file, &two, 2);
    if (is_answered && is_joined && rows_are_independent(m, &one, &two))
        m->signature.batch_rows_max = ONNX_BATCH_ROWS_MAX;
    if (is_answered)
        learn_shapes(m, &one, is_joined ? &two : NULL);
    if (is_joined)
        find_probabilities(m, file, &two);
    find_features(m);
    m->is_predictable = is_predictable(m, file);
    if (is_answered)
        choose_place(m, file, &one);
    trial_end(&one);
    trial_end(&two);
}
