/* oip_elements.c - JSON values and binary bytes -> typed, row-major arrays. */
#include "api/oip_elements.h"

#include "base/check.h"
#include "base/tensor_element.h"
#include "base/tensor_value.h"

/* ---- JSON ---- */

static enum err_code wrong_count(const struct oip_input *input, struct err *err)
{
    char text[OIP_SHAPE_BYTES];
    err_set(err, ERR_INVALID, "input '%.*s': data does not have the shape %s", STR_ARG(input->name),
            oip_shape_text(input->shape, input->rank, text));
    return err_hint(err, "%lld elements, flat or nested as the shape says",
                    (long long)input->element_count);
}

/* Flat and nested data are walked alike: an immutable document keeps a container's values behind it
 * in order, so the inner arrays' heads are skipped. */
static enum err_code check_form(const struct oip_input *input, bool *is_nested, struct err *err)
{
    *is_nested = yyjson_is_arr(yyjson_arr_get_first(input->data));
    bool fits = *is_nested ? tensor_value_is_nested(input->data, input->shape, input->rank)
                           : (int64_t)yyjson_arr_size(input->data) == input->element_count;
    return fits ? ERR_OK : wrong_count(input, err);
}

static enum err_code wrong_element(const struct oip_input *input, int64_t index, yyjson_val *value,
                                   const char *expected, struct err *err)
{
    return err_set(err, ERR_INVALID, "input '%.*s': element %lld must be %s, got %s",
                   STR_ARG(input->name), (long long)index, expected, yyjson_get_type_desc(value));
}

static enum err_code read_f32_json(const struct oip_input *input, bool is_nested, float *out,
                                   struct err *err)
{
    double number;
    enum err_code rc = ERR_OK;
    yyjson_val *value = input->data + 1;
    for (int64_t i = 0; !rc && i < input->element_count; value++) {
        if (tensor_value_number(value, &number))
            out[i++] = (float)number;
        else if (!is_nested || !yyjson_is_arr(value))
            rc = wrong_element(input, i, value, "a number", err);
    }
    return rc;
}

static enum err_code read_integer(const struct oip_input *input, int64_t i, yyjson_val *value,
                                  void *data, struct err *err)
{
    if (!yyjson_is_num(value))
        return wrong_element(input, i, value, "a whole number", err);
    if (tensor_put_integer(data, input->dtype, i, value))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "input '%.*s': element %lld: %.17g does not fit %s",
                   STR_ARG(input->name), (long long)i, yyjson_get_num(value),
                   dtype_name(input->dtype));
}

static enum err_code read_bool(const struct oip_input *input, int64_t i, yyjson_val *value,
                               void *data, struct err *err)
{
    bool is_number = yyjson_is_uint(value) && yyjson_get_uint(value) <= 1;
    if (!yyjson_is_bool(value) && !is_number)
        return wrong_element(input, i, value, "true or false", err);
    ((uint8_t *)data)[i] = is_number ? yyjson_get_uint(value) == 1 : yyjson_get_bool(value);
    return ERR_OK;
}

static enum err_code read_f64(const struct oip_input *input, int64_t i, yyjson_val *value,
                              void *data, struct err *err)
{
    if (tensor_value_number(value, &((double *)data)[i]))
        return ERR_OK;
    return wrong_element(input, i, value, "a number", err);
}

static enum err_code read_text(const struct oip_input *input, int64_t i, yyjson_val *value,
                               void *data, struct err *err)
{
    if (!yyjson_is_str(value))
        return wrong_element(input, i, value, "a text", err);
    ((struct str *)data)[i] = json_str(value);
    return ERR_OK;
}

typedef enum err_code read_fn(const struct oip_input *input, int64_t i, yyjson_val *value,
                              void *data, struct err *err);

static read_fn *reader_of(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_BOOL:
        return read_bool;
    case DTYPE_F64:
        return read_f64;
    case DTYPE_BYTES:
        return read_text;
    default:
        return read_integer;
    }
}

static enum err_code read_json(const struct oip_input *input, bool is_nested, void *data,
                               struct err *err)
{
    if (input->dtype == DTYPE_F32)
        return read_f32_json(input, is_nested, data, err);
    read_fn *read = reader_of(input->dtype);
    enum err_code rc = ERR_OK;
    yyjson_val *value = input->data + 1;
    for (int64_t i = 0; !rc && i < input->element_count; value++) {
        if (!is_nested || !yyjson_is_arr(value))
            rc = read(input, i++, value, data, err);
    }
    return rc;
}

/* ---- binary ---- */

static enum err_code read_texts(const struct oip_input *input, struct str *texts, struct err *err)
{
    size_t offset = 0;
    for (int64_t i = 0; i < input->element_count; i++)
        if (!tensor_take_text(input->binary, &offset, &texts[i]))
            return err_set(err, ERR_INVALID,
                           "unexpected number of string elements %lld for inference input '%.*s', "
                           "expecting %lld",
                           (long long)i, STR_ARG(input->name), (long long)input->element_count);
    if (offset != input->binary.len)
        return err_set(err, ERR_INVALID,
                       "expected %lld string elements for inference input '%.*s': %zu bytes are "
                       "left behind them",
                       (long long)input->element_count, STR_ARG(input->name),
                       input->binary.len - offset);
    return ERR_OK;
}

/* A byte that is neither 0 nor 1 would be undefined behaviour in whoever reads it as a bool. */
static enum err_code check_bools(const struct oip_input *input, struct err *err)
{
    for (size_t i = 0; i < input->binary.len; i++)
        if ((unsigned char)input->binary.ptr[i] > 1)
            return err_set(err, ERR_INVALID, "input '%.*s': element %zu must be 0 or 1, got %d",
                           STR_ARG(input->name), i, (unsigned char)input->binary.ptr[i]);
    return ERR_OK;
}

static bool is_in_place(const struct oip_input *input)
{
    return !input->floats && !input->data && input->dtype != DTYPE_BYTES &&
           (uintptr_t)input->binary.ptr % dtype_bytes(input->dtype) == 0;
}

static enum err_code read_binary(const struct oip_input *input, void *data, struct err *err)
{
    if (input->dtype == DTYPE_BYTES)
        return read_texts(input, data, err);
    if (input->binary.len)
        memcpy(data, input->binary.ptr, input->binary.len);
    return ERR_OK;
}

enum err_code oip_read_f32(const struct oip_input *input, float *out, struct err *err)
{
    assert(input->dtype == DTYPE_F32);
    if (input->floats) {
        memcpy(out, input->floats, (size_t)input->element_count * sizeof(*out));
        return ERR_OK;
    }
    bool is_nested;
    if (input->data)
        return check_form(input, &is_nested, err) ? err->code
                                                  : read_f32_json(input, is_nested, out, err);
    assert(input->binary.len == (size_t)input->element_count * sizeof(float));
    return read_binary(input, out, err);
}

/* Before there is memory for the elements: what was sent has as many. */
static enum err_code check_sent(const struct oip_input *input, bool *is_nested, struct err *err)
{
    if (input->data && (input->dtype == DTYPE_F16 || input->dtype == DTYPE_BF16))
        return err_set(err, ERR_INVALID,
                       "receiving %s data via JSON is not supported. Please use the binary data "
                       "format for input '%.*s'",
                       dtype_name(input->dtype), STR_ARG(input->name));
    if (input->data)
        return check_form(input, is_nested, err);
    if (input->dtype == DTYPE_BOOL)
        return check_bools(input, err);
    if (input->dtype == DTYPE_BYTES && (uint64_t)input->element_count > input->binary.len / 4)
        return err_set(err, ERR_INVALID,
                       "unexpected number of string elements for inference input '%.*s': %zu bytes "
                       "cannot hold the expected %lld",
                       STR_ARG(input->name), input->binary.len, (long long)input->element_count);
    return ERR_OK;
}

static void *new_elements(const struct oip_input *input, struct arena *arena, struct err *err)
{
    size_t bytes;
    bool is_huge = __builtin_mul_overflow((size_t)input->element_count,
                                          dtype_memory_bytes(input->dtype), &bytes);
    void *data = is_huge ? NULL : arena_alloc_aligned(arena, bytes, 64);
    if (!data)
        err_set(err, ERR_LIMIT, "no room for the %lld elements of input '%.*s'",
                (long long)input->element_count, STR_ARG(input->name));
    return data;
}

enum err_code oip_read_tensor(const struct oip_input *input, struct arena *arena,
                              struct tensor *tensor, struct err *err)
{
    bool is_nested = false;
    tensor->dtype = input->dtype;
    tensor->rank = input->rank;
    memcpy(tensor->shape, input->shape, sizeof(tensor->shape));
    tensor->data = input->floats;
    enum err_code rc = input->floats ? ERR_OK : check_sent(input, &is_nested, err);
    if (rc || tensor->data)
        return rc;
    if (is_in_place(input)) {
        tensor->data = (void *)(uintptr_t)input->binary.ptr;
        return ERR_OK;
    }
    tensor->data = new_elements(input, arena, err);
    if (!tensor->data)
        return ERR_LIMIT;
    return input->data ? read_json(input, is_nested, tensor->data, err)
                       : read_binary(input, tensor->data, err);
}

enum err_code oip_read_as_f32(const struct oip_input *input, struct arena *arena, float *out,
                              struct err *err)
{
    struct tensor tensor = {0};
    assert(input->dtype != DTYPE_BYTES);
    if (input->dtype == DTYPE_F32)
        return oip_read_f32(input, out, err);
    enum err_code rc = oip_read_tensor(input, arena, &tensor, err);
    for (int64_t i = 0; !rc && i < input->element_count; i++)
        out[i] = (float)tensor_f64_at(tensor.data, tensor.dtype, i);
    return rc;
}
