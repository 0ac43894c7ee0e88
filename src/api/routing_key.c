/* routing_key.c - JSON values and tensor elements as routing keys. */
#include "api/routing_key.h"

#include <math.h>

#include "base/tensor_element.h"

static struct str copy_number(const char *text, size_t len, struct arena *arena)
{
    char *copy = arena_copy(arena, text, len);
    return (struct str){copy, copy ? len : 0};
}

static struct str of_double(double value, struct arena *arena)
{
    char text[STR_NUMBER_BYTES];
    if (!isfinite(value))
        return (struct str){0};
    bool is_whole = value == floor(value) && fabs(value) < 0x1p53;
    size_t len = is_whole ? str_from_i64((int64_t)value, text) : str_from_f64(value, text);
    return copy_number(text, len, arena);
}

struct str routing_key_of(yyjson_val *value, struct arena *arena)
{
    char text[STR_NUMBER_BYTES];
    if (yyjson_is_str(value))
        return json_str(value);
    if (yyjson_is_sint(value))
        return copy_number(text, str_from_i64(yyjson_get_sint(value), text), arena);
    if (yyjson_is_uint(value))
        return copy_number(text, str_from_u64(yyjson_get_uint(value), text), arena);
    if (yyjson_is_real(value))
        return of_double(yyjson_get_real(value), arena);
    return (struct str){0};
}

static struct str of_binary(const struct oip_input *input, struct arena *arena)
{
    size_t offset = 0;
    struct str element;
    if (input->dtype == DTYPE_BYTES)
        return tensor_take_text(input->binary, &offset, &element) ? element : (struct str){0};
    return of_double(tensor_f64_at(input->binary.ptr, input->dtype, 0), arena);
}

static struct str of_input(const struct oip_input *input, struct arena *arena)
{
    if (input->element_count < 1 || input->dtype == DTYPE_COUNT)
        return (struct str){0};
    if (input->floats)
        return of_double((double)input->floats[0], arena);
    if (!input->data)
        return of_binary(input, arena);
    yyjson_val *first = input->data;
    for (int depth = 0; yyjson_is_arr(first) && depth < TENSOR_RANK_MAX; depth++)
        first = yyjson_arr_get_first(first);
    return routing_key_of(first, arena);
}

struct str routing_key_of_oip(const struct oip_request *request, const char *name,
                              struct arena *arena)
{
    yyjson_val *parameter = yyjson_obj_get(request->parameters, name);
    if (parameter)
        return routing_key_of(parameter, arena);
    for (int i = 0; i < request->input_count; i++)
        if (str_equal_c(request->inputs[i].name, name))
            return of_input(&request->inputs[i], arena);
    return (struct str){0};
}
