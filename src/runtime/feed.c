/* feed.c - fitting the inputs of a model to fields, and filling them row by row. */
#include "runtime/feed.h"

#include <math.h>

#include "base/check.h"
#include "base/tensor_element.h"
#include "contract/fit.h"

/* ---- fitting ---- */

static int required_inputs(const struct signature *signature)
{
    int count = 0;
    for (int i = 0; i < signature->input_count; i++)
        count += !signature->inputs[i].is_optional;
    return count;
}

/* The one input that has to be given, when all features can be its columns; else NULL. */
static const struct signature_tensor *find_matrix(const struct contract *contract,
                                                  const struct signature *signature)
{
    if (required_inputs(signature) != 1)
        return NULL;
    const struct signature_tensor *input = signature->inputs;
    while (input->is_optional)
        input++;
    bool is_wide = input->rank == 2 && input->shape[0] < 0 && input->shape[1] != 1;
    if (!is_wide || input->dtype == DTYPE_BYTES ||
        contract_field_find(contract, str_of(input->name)))
        return NULL;
    return input;
}

static enum err_code fit_matrix(struct feed *feed, const struct signature_tensor *input,
                                struct arena *arena, struct err *err)
{
    const struct contract *contract = feed->contract;
    struct contract_fit fit = {
        .feature_count = input->shape[1] < 0 ? contract->feature_count : (int)input->shape[1],
        .class_count = feed->signature->class_count,
    };
    int *order = arena_calloc(arena, (size_t)fit.feature_count, sizeof(*order));
    if (!order)
        return err_set(err, ERR_LIMIT, "no room for %d features", fit.feature_count);
    feed->inputs[input - feed->signature->inputs].is_matrix = true;
    return contract_fit(contract, &fit, order, err);
}

static enum err_code check_shape(const struct signature_tensor *input, struct err *err)
{
    bool is_column =
        input->rank == 1 || (input->rank == 2 && (input->shape[1] == 1 || input->shape[1] == -1));
    if (is_column && input->shape[0] == -1)
        return ERR_OK;
    err_set(err, ERR_INVALID,
            "the model's input '%s' is no column of rows: a field feeds inputs of "
            "shape [-1] or [-1,1]",
            input->name);
    return err_hint(err, "register the version without a contract; callers then send its tensors");
}

static enum err_code check_type(const struct signature_tensor *input,
                                const struct contract_field *field, struct err *err)
{
    bool takes_text = input->dtype == DTYPE_BYTES;
    bool fits = field->is_text ? takes_text : !takes_text || field->is_coded;
    if (fits)
        return ERR_OK;
    err_set(err, ERR_INVALID, "field '%s' is of type %s in the contract, but the model takes %s",
            field->name, contract_type_name(field->type), dtype_name(input->dtype));
    return err_hint(err, takes_text ? "make it a string"
                                    : "make it a number, or list its "
                                      "categories in code order as validValues");
}

static enum err_code lacks_field(const struct contract *contract,
                                 const struct signature_tensor *input, struct err *err)
{
    const struct contract_field *near = contract_field_nearest(contract, str_of(input->name));
    err_set(err, ERR_INVALID,
            "the model has the input '%s', the contract has no feature of that "
            "name",
            input->name);
    return near ? err_hint(err, "the contract has a field '%s'", near->name) : ERR_INVALID;
}

static enum err_code fit_column(struct feed *feed, int i, struct err *err)
{
    const struct signature_tensor *input = &feed->signature->inputs[i];
    const struct contract_field *field = contract_field_find(feed->contract, str_of(input->name));
    if (!field && input->is_optional)
        return ERR_OK;
    if (!field || field->role != ROLE_FEATURE)
        return lacks_field(feed->contract, input, err);
    feed->inputs[i].field = field;
    enum err_code rc = check_shape(input, err);
    return rc ? rc : check_type(input, field, err);
}

static bool feeds(const struct feed *feed, const struct contract_field *field)
{
    for (int i = 0; i < feed->signature->input_count; i++)
        if (feed->inputs[i].field == field)
            return true;
    return false;
}

static enum err_code fit_columns(struct feed *feed, struct err *err)
{
    const struct contract *contract = feed->contract;
    for (int i = 0; i < feed->signature->input_count; i++) {
        enum err_code rc = fit_column(feed, i, err);
        if (rc)
            return rc;
    }
    for (int i = 0; i < contract->input_count; i++) {
        const struct contract_field *field = contract->inputs[i];
        if (field->role != ROLE_FEATURE || feeds(feed, field))
            continue;
        err_set(err, ERR_INVALID, "the contract has feature '%s', the model has no such input",
                field->name);
        return err_hint(err, "remove the field or give it the slipwayRole segment");
    }
    return contract_fit_classes(contract, feed->signature->class_count, err);
}

enum err_code feed_fit(const struct contract *contract, const struct signature *signature,
                       struct arena *arena, struct feed **out, struct err *err)
{
    struct feed *feed = arena_calloc(arena, 1, sizeof(*feed));
    if (!feed)
        return err_set(err, ERR_LIMIT, "no room for the inputs of the model");
    feed->contract = contract;
    feed->signature = signature;
    feed->inputs = arena_calloc(arena, (size_t)signature->input_count, sizeof(*feed->inputs));
    if (!feed->inputs)
        return err_set(err, ERR_LIMIT, "no room for %d inputs", signature->input_count);
    const struct signature_tensor *matrix = find_matrix(contract, signature);
    enum err_code rc = matrix ? fit_matrix(feed, matrix, arena, err) : fit_columns(feed, err);
    if (!rc)
        *out = feed;
    return rc;
}

/* ---- filling ---- */

static enum err_code has_no_value(const struct contract_field *field, enum dtype dtype, int64_t row,
                                  float value, struct err *err)
{
    if (isnan(value))
        return err_set(err, ERR_INVALID,
                       "row %lld: field '%s' is missing, which the model's datatype %s cannot say",
                       (long long)row, field->name, dtype_name(dtype));
    return err_set(err, ERR_INVALID,
                   "row %lld: field '%s': %.9g does not fit the model's datatype "
                   "%s",
                   (long long)row, field->name, (double)value, dtype_name(dtype));
}

static enum err_code fill_matrix(const struct feed *feed, const float *values, int64_t count,
                                 struct tensor *in, struct err *err)
{
    const struct contract *contract = feed->contract;
    int64_t width = contract->feature_count;
    for (int64_t row = 0; row < count; row++) {
        const float *from = values + row * contract->value_count;
        for (int64_t i = 0; i < width; i++) {
            float value = from[contract->feature_columns[i]];
            if (!tensor_put_f64(in->data, in->dtype, row * width + i, (double)value))
                return has_no_value(contract->values[contract->feature_columns[i]], in->dtype, row,
                                    value, err);
        }
    }
    return ERR_OK;
}

static enum err_code fill_numbers(const struct feed *feed, const struct contract_field *field,
                                  const float *values, int64_t count, struct tensor *in,
                                  struct err *err)
{
    for (int64_t row = 0; row < count; row++) {
        float value = values[row * feed->contract->value_count + field->column];
        if (!tensor_put_f64(in->data, in->dtype, row, (double)value))
            return has_no_value(field, in->dtype, row, value, err);
    }
    return ERR_OK;
}

static struct str category_at(const struct contract_field *field, float code)
{
    bool is_known = code >= 0 && code < (float)field->category_count;
    return is_known ? field->categories[(int)code] : STR_LIT("");
}

static void fill_texts(const struct feed *feed, const struct contract_field *field,
                       const float *values, const struct str *texts, int64_t count,
                       struct tensor *in)
{
    const struct contract *contract = feed->contract;
    struct str *out = in->data;
    for (int64_t row = 0; row < count; row++) {
        if (!field->is_text)
            out[row] = category_at(field, values[row * contract->value_count + field->column]);
        else
            out[row] = texts ? texts[row * contract->text_count + field->column] : (struct str){0};
        if (!out[row].ptr)
            out[row] = STR_LIT("");
    }
}

static enum err_code fill(const struct feed *feed, int i, const float *values,
                          const struct str *texts, int64_t count, struct tensor *in,
                          struct err *err)
{
    const struct feed_input *input = &feed->inputs[i];
    if (input->is_matrix)
        return fill_matrix(feed, values, count, in, err);
    if (in->dtype != DTYPE_BYTES)
        return fill_numbers(feed, input->field, values, count, in, err);
    fill_texts(feed, input->field, values, texts, count, in);
    return ERR_OK;
}

static enum err_code new_tensor(const struct feed *feed, int i, int64_t count, struct arena *arena,
                                struct tensor *in, struct err *err)
{
    const struct signature_tensor *input = &feed->signature->inputs[i];
    int64_t width = feed->inputs[i].is_matrix ? feed->contract->feature_count : 1;
    *in = (struct tensor){
        .name = input->name, .dtype = input->dtype, .rank = input->rank, .shape = {count, width}};
    if (!feed->inputs[i].is_matrix && !feed->inputs[i].field)
        return ERR_OK; /* an optional one */
    in->data =
        arena_alloc_aligned(arena, (size_t)(count * width) * dtype_memory_bytes(in->dtype), 64);
    if (!in->data)
        return err_set(err, ERR_LIMIT, "no room for %lld rows", (long long)count);
    return ERR_OK;
}

enum err_code feed_tensors(const struct feed *feed, const float *values, const struct str *texts,
                           int64_t count, struct arena *arena, struct tensor *in, struct err *err)
{
    for (int i = 0; i < feed->signature->input_count; i++) {
        enum err_code rc = new_tensor(feed, i, count, arena, &in[i], err);
        if (!rc && in[i].data)
            rc = fill(feed, i, values, texts, count, &in[i], err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}
