/* oip_parse.c - bytes -> struct oip_request: JSON head, shapes, binary tensors. */
#include "api/api.h"
#include "api/oip.h"
#include "base/check.h"

/* ---- small pieces ---- */

const char *oip_shape_text(const int64_t *shape, int rank, char *out)
{
    size_t at = 0;
    out[at++] = '[';
    for (int i = 0; i < rank && at + 24 < OIP_SHAPE_BYTES; i++)
        at += (size_t)snprintf(out + at, OIP_SHAPE_BYTES - at, "%s%lld", i ? "," : "",
                               (long long)shape[i]);
    out[at++] = ']';
    out[at] = '\0';
    return out;
}

static enum err_code read_shape(yyjson_val *shape, struct oip_input *input, struct err *err)
{
    size_t i, count;
    yyjson_val *dim;
    if (!yyjson_is_arr(shape))
        return err_set(err, ERR_INVALID, "input '%.*s': 'shape' must be an array of whole numbers",
                       STR_ARG(input->name));
    if (yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return err_set(err, ERR_LIMIT, "input '%.*s': %zu dimensions, at most %d are taken",
                       STR_ARG(input->name), yyjson_arr_size(shape), TENSOR_RANK_MAX);
    yyjson_arr_foreach(shape, i, count, dim)
    {
        if (!yyjson_is_uint(dim) || yyjson_get_uint(dim) > INT64_MAX)
            return err_set(err, ERR_INVALID,
                           "Unable to parse 'shape' of input '%.*s': dimension %zu must be a whole "
                           "number of 0 or more",
                           STR_ARG(input->name), i);
        input->shape[input->rank++] = (int64_t)yyjson_get_uint(dim);
    }
    input->element_count = tensor_elements(input->shape, input->rank);
    if (input->element_count < 0)
        return err_set(err, ERR_LIMIT,
                       "input '%.*s': shape causes total element count to exceed maximum size of "
                       "int64",
                       STR_ARG(input->name));
    return ERR_OK;
}

enum err_code oip_check_binary(const struct oip_input *input, struct err *err)
{
    size_t width = dtype_bytes(input->dtype), need;
    if (width == 0)
        return ERR_OK; /* BYTES: checked element by element */
    if (__builtin_mul_overflow((size_t)input->element_count, width, &need) ||
        need != input->binary.len)
        return err_set(err, ERR_INVALID,
                       "input byte size mismatch for input '%.*s' for model: expected %zu, got %zu",
                       STR_ARG(input->name), (size_t)input->element_count * width,
                       input->binary.len);
    return ERR_OK;
}

/* The next `size` bytes behind the JSON. */
static enum err_code take_binary(struct oip_input *input, uint64_t size, struct str *rest,
                                 struct err *err)
{
    if (size > rest->len) {
        err_set(err, ERR_INVALID,
                "input '%.*s' says binary_data_size %llu, but %zu bytes are left in the body",
                STR_ARG(input->name), (unsigned long long)size, rest->len);
        return err_hint(err, "Inference-Header-Content-Length must be the JSON's length in bytes");
    }
    input->binary = (struct str){rest->ptr, (size_t)size};
    *rest = (struct str){rest->ptr + size, rest->len - (size_t)size};
    return oip_check_binary(input, err);
}

/* parameters.shared_memory_region, _offset and _byte_size, of an input or an output. */
static enum err_code read_region(yyjson_val *parameters, const char *what,
                                 struct oip_region *region, struct err *err)
{
    yyjson_val *name = yyjson_obj_get(parameters, "shared_memory_region");
    yyjson_val *offset = yyjson_obj_get(parameters, "shared_memory_offset");
    yyjson_val *size = yyjson_obj_get(parameters, "shared_memory_byte_size");
    if (!name)
        return ERR_OK;
    if (!yyjson_is_str(name) || !yyjson_is_uint(size) || (offset && !yyjson_is_uint(offset)))
        return err_set(err, ERR_INVALID,
                       "%s in shared memory: expected 'shared_memory_region', a text, and "
                       "'shared_memory_byte_size' and 'shared_memory_offset', whole numbers",
                       what);
    *region = (struct oip_region){json_str(name), yyjson_get_uint(offset), yyjson_get_uint(size)};
    return ERR_OK;
}

static enum err_code locate_data(yyjson_val *object, struct oip_input *input, bool has_header,
                                 struct str *rest, struct err *err)
{
    yyjson_val *parameters = yyjson_obj_get(object, "parameters");
    yyjson_val *size = yyjson_obj_get(parameters, "binary_data_size");
    yyjson_val *data = yyjson_obj_get(object, "data");
    if (read_region(parameters, "an input", &input->region, err))
        return err->code;
    bool has_region = input->region.name.ptr;
    if (has_region + (size != NULL) + (data != NULL) != 1)
        return err_set(err, ERR_INVALID,
                       "Input '%.*s' must set only one of the following fields: 'data', "
                       "'binary_data_size', 'shared_memory_region'",
                       STR_ARG(input->name));
    if (has_region)
        return ERR_OK;
    if (!size) {
        if (!yyjson_is_arr(data))
            return err_set(err, ERR_INVALID, "input '%.*s': 'data' must be an array",
                           STR_ARG(input->name));
        input->data = data;
        return ERR_OK;
    }
    if (!yyjson_is_uint(size))
        return err_set(err, ERR_INVALID, "input '%.*s': binary_data_size must be a whole number",
                       STR_ARG(input->name));
    if (!has_header) {
        err_set(err, ERR_INVALID,
                "must specify valid 'Infer-Header-Content-Length' in request "
                "header: input '%.*s' is binary",
                STR_ARG(input->name));
        return err_hint(err, "the header is Inference-Header-Content-Length: bytes of the JSON");
    }
    return take_binary(input, yyjson_get_uint(size), rest, err);
}

static enum err_code read_input(yyjson_val *object, struct oip_input *input, bool has_header,
                                struct str *rest, struct err *err)
{
    struct str datatype;
    *input = (struct oip_input){.dtype = DTYPE_COUNT};
    enum err_code rc = json_get_str(object, "an input", "name", &input->name, err);
    if (!rc)
        rc = json_get_str(object, "an input", "datatype", &datatype, err);
    if (rc)
        return rc;
    input->dtype = dtype_find(datatype);
    if (input->dtype == DTYPE_COUNT) {
        err_set(err, ERR_INVALID, "input '%.*s': datatype '%.*s' does not exist",
                STR_ARG(input->name), STR_ARG(datatype));
        return err_hint(err, "FP32, FP64, INT8 to INT64, UINT8 to UINT64, BOOL, BYTES, FP16, BF16");
    }
    rc = read_shape(yyjson_obj_get(object, "shape"), input, err);
    return rc ? rc : locate_data(object, input, has_header, rest, err);
}

static enum err_code read_inputs(yyjson_val *list, bool has_header, struct str *rest,
                                 struct arena *arena, struct oip_request *request, struct err *err)
{
    size_t i, count;
    yyjson_val *object;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0) {
        err_set(err, ERR_INVALID, "the request must have 'inputs', an array of tensors");
        return err_hint(err, "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,30],\"datatype\":"
                             "\"FP32\",\"data\":[...]}]}");
    }
    if (yyjson_arr_size(list) > OIP_INPUTS_MAX)
        return err_set(err, ERR_LIMIT, "%zu inputs, at most %d are taken", yyjson_arr_size(list),
                       OIP_INPUTS_MAX);
    request->inputs = arena_alloc(arena, yyjson_arr_size(list) * sizeof(*request->inputs));
    if (!request->inputs)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    yyjson_arr_foreach(list, i, count, object)
    {
        enum err_code rc = read_input(object, &request->inputs[i], has_header, rest, err);
        if (rc)
            return rc;
    }
    request->input_count = (int)count;
    return ERR_OK;
}

static enum err_code read_class_count(yyjson_val *parameters, struct oip_output *output,
                                      struct err *err)
{
    yyjson_val *count = yyjson_obj_get(parameters, "classification");
    if (count && (!yyjson_is_uint(count) || yyjson_get_uint(count) == 0 ||
                  yyjson_get_uint(count) > OIP_CLASSES_MAX))
        return err_set(err, ERR_INVALID,
                       "output parameter 'classification' must be a whole number from 1 to %d",
                       OIP_CLASSES_MAX);
    output->class_count = (int)yyjson_get_uint(count);
    return ERR_OK;
}

static enum err_code read_output(yyjson_val *object, bool is_binary_default,
                                 struct oip_output *output, struct err *err)
{
    bool has_form = false;
    yyjson_val *parameters = yyjson_obj_get(object, "parameters");
    output->is_binary = is_binary_default;
    enum err_code rc = read_region(parameters, "an output", &output->region, err);
    if (!rc)
        rc = read_class_count(parameters, output, err);
    if (rc)
        return rc;
    yyjson_val *binary = yyjson_obj_get(parameters, "binary_data");
    has_form = binary != NULL;
    if (has_form && !yyjson_is_bool(binary))
        return err_set(err, ERR_INVALID, "output parameter 'binary_data' must be true or false");
    if (has_form)
        output->is_binary = yyjson_get_bool(binary);
    return json_get_str(object, "an output", "name", &output->name, err);
}

static enum err_code read_outputs(yyjson_val *list, struct arena *arena,
                                  struct oip_request *request, struct err *err)
{
    size_t i, count;
    yyjson_val *object;
    if (!list)
        return ERR_OK;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > OIP_OUTPUTS_MAX)
        return err_set(err, ERR_INVALID, "'outputs' must be an array of at most %d tensors",
                       OIP_OUTPUTS_MAX);
    request->outputs = arena_calloc(arena, yyjson_arr_size(list), sizeof(*request->outputs));
    if (!request->outputs)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    yyjson_arr_foreach(list, i, count, object)
    {
        struct oip_output *output = &request->outputs[i];
        enum err_code rc = read_output(object, request->is_binary_default, output, err);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (str_equal(request->outputs[k].name, output->name))
                return err_set(err, ERR_INVALID, "output '%.*s' already exists in request",
                               STR_ARG(output->name));
    }
    request->output_count = (int)count;
    return ERR_OK;
}

/* Cut the body where the header says that the JSON ends. */
static enum err_code cut_body(struct str body, struct str header, struct str *json,
                              struct str *rest, struct err *err)
{
    uint64_t length = body.len;
    if (header.ptr && (!str_to_u64(header, &length) || length > body.len)) {
        err_set(err, ERR_INVALID,
                "must specify valid 'Infer-Header-Content-Length': got '%.*s' for a body of %zu "
                "bytes",
                STR_ARG(header), body.len);
        return err_hint(err, "Inference-Header-Content-Length is the JSON's length in bytes");
    }
    *json = (struct str){body.ptr, (size_t)length};
    *rest = (struct str){body.ptr + length, body.len - (size_t)length};
    return ERR_OK;
}

/* Top-level members are few, so each is compared with those before it. */
static enum err_code find_members(yyjson_val *root, yyjson_val **inputs, yyjson_val **outputs,
                                  yyjson_val **parameters, struct oip_request *request,
                                  struct err *err)
{
    size_t i, count;
    yyjson_val *key, *value, *id = NULL;
    struct {
        const char *name;
        yyjson_val **value;
    } wanted[] = {
        {"inputs", inputs}, {"outputs", outputs}, {"parameters", parameters}, {"id", &id}};
    yyjson_obj_foreach(root, i, count, key, value)
    {
        for (size_t k = 0; k < ARRAY_LEN(wanted); k++) {
            if (!yyjson_equals_str(key, wanted[k].name))
                continue;
            if (*wanted[k].value)
                return err_set(err, ERR_INVALID, "the request has '%s' twice", wanted[k].name);
            *wanted[k].value = value;
        }
    }
    if (id && !yyjson_is_str(id))
        return err_set(err, ERR_INVALID, "'id' must be a text");
    if (id)
        request->id = json_str(id);
    return ERR_OK;
}

static enum err_code read_parameters(yyjson_val *parameters, struct oip_request *request,
                                     struct err *err)
{
    size_t i, count;
    yyjson_val *key, *value;
    if (!parameters)
        return ERR_OK;
    if (!yyjson_is_obj(parameters))
        return err_set(err, ERR_INVALID, "'parameters' must be an object, got %s",
                       yyjson_get_type_desc(parameters));
    yyjson_obj_foreach(parameters, i, count, key, value)
    {
        if (str_starts_with(json_str(key), STR_LIT("triton_")))
            return err_set(err, ERR_INVALID,
                           "parameter '%.*s': parameter keys starting with 'triton_' are reserved",
                           STR_ARG(json_str(key)));
        if (yyjson_is_ctn(value) || yyjson_is_null(value))
            return err_set(err, ERR_INVALID,
                           "parameter '%.*s' has invalid type. It should be either 'int', 'bool', "
                           "'string' or 'double'",
                           STR_ARG(json_str(key)));
    }
    request->is_binary_default = yyjson_get_bool(yyjson_obj_get(parameters, "binary_data_output"));
    request->parameters = parameters;
    return ERR_OK;
}

/* The header says that no JSON comes first: the body is the one input, its name, datatype and shape
 * are the model's. All outputs come back in binary. */
static enum err_code read_raw(struct str body, struct arena *arena, struct oip_request *request,
                              struct err *err)
{
    request->inputs = arena_calloc(arena, 1, sizeof(*request->inputs));
    if (!request->inputs)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    request->inputs->dtype = DTYPE_COUNT;
    request->inputs->binary = body;
    request->input_count = 1;
    request->is_raw = true;
    request->is_binary_default = true;
    return ERR_OK;
}

enum err_code oip_parse(struct str body, struct str header_length, struct arena *arena,
                        struct oip_request *request, struct err *err)
{
    struct str json = {0}, rest = {0};
    yyjson_val *root, *inputs = NULL, *outputs = NULL, *parameters = NULL;
    *request = (struct oip_request){0};
    if (str_equal(header_length, STR_LIT("0")))
        return read_raw(body, arena, request, err);
    enum err_code rc = cut_body(body, header_length, &json, &rest, err);
    if (!rc)
        rc = json_read_numbers(json, arena, &root, err);
    if (rc)
        return rc;
    if (!yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "the request must be a JSON object, got %s",
                       yyjson_get_type_desc(root));
    rc = find_members(root, &inputs, &outputs, &parameters, request, err);
    if (rc)
        return rc;
    rc = read_parameters(parameters, request, err);
    if (rc)
        return rc;
    rc = read_inputs(inputs, header_length.ptr != NULL, &rest, arena, request, err);
    if (!rc && rest.len)
        rc = err_set(err, ERR_INVALID, "%zu bytes of the body belong to no input", rest.len);
    return rc ? rc : read_outputs(outputs, arena, request, err);
}
