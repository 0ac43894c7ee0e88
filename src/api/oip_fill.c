/* oip_fill.c - one matrix, or one tensor per field, put into rows and checked for shape and type.
 */
#include "api/oip_fill.h"

#include <math.h>

#include "api/oip_elements.h"
#include "api/oip_tensors.h"
#include "base/check.h"
#include "base/tensor_element.h"

enum dtype oip_field_dtype(const struct contract_field *field)
{
    if (field->category_count || field->is_text)
        return DTYPE_BYTES;
    switch (field->type) {
    case TYPE_INTEGER:
        return DTYPE_I64;
    case TYPE_BOOLEAN:
        return DTYPE_BOOL;
    case TYPE_NUMBER:
        return DTYPE_F32;
    default:
        return DTYPE_BYTES;
    }
}

/* ---- one matrix ---- */

static enum err_code wrong_shape(const struct request *req, const struct oip_input *input,
                                 int features, struct err *err)
{
    char got[OIP_SHAPE_BYTES];
    return err_set(err, ERR_INVALID,
                   "unexpected shape for input '%.*s' for model '%s'. Expected [-1,%d], got %s.",
                   STR_ARG(input->name), req->loaded->model, features,
                   oip_shape_text(input->shape, input->rank, got));
}

static enum err_code check_matrix(const struct request *req, const struct oip_input *input,
                                  int features, struct err *err)
{
    enum dtype expected = req->loaded->matrix->dtype;
    if (input->dtype != expected)
        return err_set(err, ERR_INVALID,
                       "inference input '%.*s' data-type is '%s', but model '%s' expects '%s'",
                       STR_ARG(input->name), dtype_name(input->dtype), req->loaded->model,
                       dtype_name(expected));
    if (input->rank != 2 || input->shape[1] != features)
        return wrong_shape(req, input, features, err);
    if (input->shape[0] == 0)
        return err_set(err, ERR_INVALID, "input '%.*s' has no rows: nothing to predict",
                       STR_ARG(input->name));
    return oip_check_rows(req, input->shape[0], err);
}

static float *new_matrix(const struct request *req, const struct oip_input *input, struct err *err)
{
    float *matrix =
        arena_alloc_aligned(req->arena, (size_t)input->element_count * sizeof(*matrix), 64);
    if (!matrix)
        err_set(err, ERR_LIMIT, "no room for %lld elements", (long long)input->element_count);
    return matrix;
}

static enum err_code fill_features(struct request *req, const struct oip_input *input,
                                   struct err *err)
{
    enum err_code rc = check_matrix(req, input, req->loaded->signature->feature_count, err);
    if (rc)
        return rc;
    req->row_count = input->shape[0];
    req->features = input->floats;
    if (input->floats)
        return ERR_OK;
    float *matrix = new_matrix(req, input, err);
    if (!matrix)
        return ERR_LIMIT;
    req->features = matrix;
    return oip_read_f32(input, matrix, err);
}

/* FP64 for a model that takes it as it is; records and shadows get the nearest FP32. */
static enum err_code fill_wide(const struct oip_request *oip, struct request *req, struct err *err)
{
    enum err_code rc = oip_fill_tensors(oip, req, err);
    float *matrix = rc ? NULL : new_matrix(req, &oip->inputs[0], err);
    if (!matrix)
        return rc ? rc : ERR_LIMIT;
    const double *wide = req->in[0].data;
    for (int64_t i = 0; i < oip->inputs[0].element_count; i++)
        matrix[i] = (float)wide[i];
    req->features = matrix;
    return ERR_OK;
}

/* Rows that are exactly the features need no second matrix. */
static enum err_code fill_in_place(struct request *req, const struct oip_input *input,
                                   struct err *err)
{
    float *values = input->floats ? input->floats : new_matrix(req, input, err);
    if (!values)
        return ERR_LIMIT;
    enum err_code rc = input->floats ? ERR_OK : oip_read_as_f32(input, req->arena, values, err);
    if (!rc)
        rc = rows_begin_with(&req->rows, req->loaded->contract, values, input->shape[0], req->arena,
                             err);
    req->has_rows = !rc;
    return rc;
}

static enum err_code fill_gathered(struct request *req, const struct oip_input *input,
                                   struct err *err)
{
    enum err_code rc =
        rows_begin(&req->rows, req->loaded->contract, input->shape[0], req->arena, err);
    if (rc)
        return rc;
    req->has_rows = true;
    float *matrix = new_matrix(req, input, err);
    if (!matrix)
        return ERR_LIMIT;
    rc = oip_read_as_f32(input, req->arena, matrix, err);
    if (!rc)
        rows_put_matrix(&req->rows, matrix);
    return rc;
}

static enum err_code fill_matrix(struct request *req, const struct oip_input *input,
                                 struct err *err)
{
    const struct contract *contract = req->loaded->contract;
    enum err_code rc = check_matrix(req, input, contract->feature_count, err);
    if (rc)
        return rc;
    req->row_count = input->shape[0];
    bool is_exact = contract->is_feature_prefix && contract->feature_count == contract->value_count;
    return is_exact ? fill_in_place(req, input, err) : fill_gathered(req, input, err);
}

/* ---- one tensor per field ---- */

static enum err_code check_column(const struct request *req, const struct oip_input *input,
                                  const struct contract_field *field, struct err *err)
{
    enum dtype expected = oip_field_dtype(field);
    char got[OIP_SHAPE_BYTES];
    if (expected == DTYPE_BYTES ? input->dtype != DTYPE_BYTES : input->dtype == DTYPE_BYTES)
        return err_set(
            err, ERR_INVALID, "inference input '%s' data-type is '%s', but model '%s' expects '%s'",
            field->name, dtype_name(input->dtype), req->loaded->model, dtype_name(expected));
    if (input->rank < 1 || input->rank > 2 || (input->rank == 2 && input->shape[1] != 1))
        return err_set(err, ERR_INVALID,
                       "unexpected shape for input '%s' for model '%s'. Expected [-1] or [-1,1], "
                       "got %s.",
                       field->name, req->loaded->model,
                       oip_shape_text(input->shape, input->rank, got));
    if (input->shape[0] != req->row_count)
        return err_set(err, ERR_INVALID,
                       "input '%s' batch size does not match other inputs for model '%s': expected "
                       "%lld, got %lld",
                       field->name, req->loaded->model, (long long)req->row_count,
                       (long long)input->shape[0]);
    return ERR_OK;
}

static enum err_code put_json(struct rows *rows, const struct contract_field *field, int64_t row,
                              yyjson_val *value, struct err *err)
{
    if (yyjson_is_arr(value) && yyjson_arr_size(value) == 1)
        value = yyjson_arr_get_first(value);
    if (yyjson_is_num(value))
        rows_put_f64(rows, row, field, yyjson_get_num(value));
    else if (yyjson_is_str(value))
        rows_put_str(rows, row, field, json_str(value));
    else if (yyjson_is_bool(value))
        rows_put_bool(rows, row, field, yyjson_get_bool(value));
    else if (yyjson_is_null(value))
        rows_put_missing(rows, row, field);
    else
        return err_set(err, ERR_INVALID, "input '%s': element %lld must be one value, got %s",
                       field->name, (long long)row, yyjson_get_type_desc(value));
    return ERR_OK;
}

static enum err_code fill_column_json(struct rows *rows, const struct oip_input *input,
                                      const struct contract_field *field, struct err *err)
{
    size_t row, count;
    yyjson_val *value;
    if ((int64_t)yyjson_arr_size(input->data) != input->shape[0])
        return err_set(err, ERR_INVALID, "input '%s': %zu elements in 'data', expected %lld",
                       field->name, yyjson_arr_size(input->data), (long long)input->shape[0]);
    yyjson_arr_foreach(input->data, row, count, value)
    {
        enum err_code rc = put_json(rows, field, (int64_t)row, value, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static void fill_column_floats(struct rows *rows, const struct oip_input *input,
                               const struct contract_field *field)
{
    for (int64_t row = 0; row < input->element_count; row++) {
        if (isnan(input->floats[row]))
            rows_put_missing(rows, row, field);
        else
            rows_put_f64(rows, row, field, (double)input->floats[row]);
    }
}

static enum err_code fill_column_bytes(struct rows *rows, const struct oip_input *input,
                                       const struct contract_field *field, struct err *err)
{
    size_t offset = 0;
    struct str element;
    for (int64_t row = 0; row < input->element_count; row++) {
        if (!tensor_take_text(input->binary, &offset, &element))
            return err_set(err, ERR_INVALID,
                           "unexpected number of string elements %lld for inference input '%s', "
                           "expecting %lld",
                           (long long)row, field->name, (long long)input->element_count);
        rows_put_str(rows, row, field, element);
    }
    if (offset != input->binary.len)
        return err_set(err, ERR_INVALID, "input '%s': %zu bytes are left after the last element",
                       field->name, input->binary.len - offset);
    return ERR_OK;
}

static enum err_code fill_column(struct request *req, const struct oip_input *input,
                                 const struct contract_field *field, struct err *err)
{
    enum err_code rc = check_column(req, input, field, err);
    if (rc)
        return rc;
    if (input->floats) {
        fill_column_floats(&req->rows, input, field);
        return ERR_OK;
    }
    if (input->data)
        return fill_column_json(&req->rows, input, field, err);
    if (input->dtype == DTYPE_BYTES)
        return fill_column_bytes(&req->rows, input, field, err);
    for (int64_t row = 0; row < input->element_count; row++) {
        double value = tensor_f64_at(input->binary.ptr, input->dtype, row);
        if (input->dtype == DTYPE_BOOL)
            rows_put_bool(&req->rows, row, field, value != 0);
        else
            rows_put_f64(&req->rows, row, field, value);
    }
    return ERR_OK;
}

static enum err_code fill_columns(const struct oip_request *oip, struct request *req,
                                  struct err *err)
{
    const struct contract *contract = req->loaded->contract;
    int64_t count = oip->inputs[0].rank ? oip->inputs[0].shape[0] : 0;
    if (count == 0)
        return err_set(err, ERR_INVALID, "input '%.*s' has no rows: nothing to predict",
                       STR_ARG(oip->inputs[0].name));
    enum err_code rc = oip_check_rows(req, count, err);
    if (!rc)
        rc = rows_begin(&req->rows, contract, count, req->arena, err);
    if (rc)
        return rc;
    req->has_rows = true;
    req->row_count = count;
    uint8_t *seen = arena_calloc(req->arena, (size_t)contract->field_count, 1);
    if (!seen)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    for (int i = 0; i < oip->input_count; i++) {
        const struct contract_field *field = contract_field_find(contract, oip->inputs[i].name);
        if (!field) {
            rows_put_unknown(&req->rows, 0, oip->inputs[i].name);
            continue;
        }
        if (seen[field - contract->fields]++)
            return err_set(err, ERR_INVALID, "input '%s' occurs twice", field->name);
        rc = fill_column(req, &oip->inputs[i], field, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code wrong_input(const struct oip_request *oip, const struct loaded *loaded,
                                 struct err *err)
{
    err_set(err, ERR_INVALID,
            "expected 1 inputs but got %d inputs for model '%s'. Got input(s) ['%.*s'%s], but "
            "missing required input(s) ['%s']. Please provide all required input(s).",
            oip->input_count, loaded->model, STR_ARG(oip->inputs[0].name),
            oip->input_count > 1 ? ",..." : "", loaded->matrix->name);
    return err_hint(err, "see GET /v2/models/%s", loaded->model);
}

enum err_code oip_fill(struct oip_request *oip, struct request *req, struct err *err)
{
    const struct loaded *loaded = req->loaded;
    enum err_code rc = oip->is_raw ? oip_name_raw(oip, req, err) : ERR_OK;
    if (rc)
        return rc;
    bool is_matrix = loaded->matrix && oip->input_count == 1 &&
                     str_equal_c(oip->inputs[0].name, loaded->matrix->name);
    if (loaded->contract)
        return is_matrix ? fill_matrix(req, &oip->inputs[0], err) : fill_columns(oip, req, err);
    if (!loaded_is_tabular(loaded))
        return oip_fill_tensors(oip, req, err);
    if (is_matrix && oip->inputs[0].dtype == DTYPE_F64 && loaded->signature->inputs[0].takes_f64)
        return fill_wide(oip, req, err);
    return is_matrix ? fill_features(req, &oip->inputs[0], err) : wrong_input(oip, loaded, err);
}
