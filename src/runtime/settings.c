/* settings.c - single values and tensors of a YAML file, checked. */
#include "runtime/settings.h"

#include "base/check.h"

enum err_code settings_refuse(struct settings_file *file, const char *key, const char *expected)
{
    return err_set(file->err, ERR_INVALID, "%s: '%s' must be %s", file->name, key, expected);
}

/* ---- single values ---- */

enum err_code settings_int(struct settings_file *file, const char *key, int64_t min, int64_t max,
                           int *out)
{
    yyjson_val *value = yyjson_obj_get(file->root, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < min || yyjson_get_sint(value) > max)
        return err_set(file->err, ERR_INVALID, "%s: '%s' must be a whole number from %lld to %lld",
                       file->name, key, (long long)min, (long long)max);
    *out = (int)yyjson_get_sint(value);
    return ERR_OK;
}

enum err_code settings_size(struct settings_file *file, const char *key, uint64_t min, uint64_t max,
                            size_t *out)
{
    yyjson_val *value = yyjson_obj_get(file->root, key);
    uint64_t bytes = 0;
    if (!value)
        return ERR_OK;
    bool is_size =
        yyjson_is_str(value) ? str_to_size(json_str(value), &bytes) : yyjson_is_uint(value);
    if (yyjson_is_uint(value))
        bytes = yyjson_get_uint(value);
    if (!is_size || bytes < min || bytes > max)
        return err_set(file->err, ERR_INVALID,
                       "%s: '%s' must be a size such as 512M, from %lluM to %lluM", file->name, key,
                       (unsigned long long)min >> 20, (unsigned long long)max >> 20);
    *out = (size_t)bytes;
    return ERR_OK;
}

enum err_code settings_time(struct settings_file *file, const char *key, int64_t max_ms,
                            int64_t *out_ms)
{
    yyjson_val *value = yyjson_obj_get(file->root, key);
    int64_t us = 0;
    if (!value)
        return ERR_OK;
    if (!yyjson_is_str(value) || !str_to_span_us(json_str(value), &us) || us < 1000 ||
        us / 1000 > max_ms)
        return err_set(file->err, ERR_INVALID, "%s: '%s' must be a time such as 10s, at most %llds",
                       file->name, key, (long long)max_ms / 1000);
    *out_ms = us / 1000;
    return ERR_OK;
}

/* ---- tensors ---- */

bool settings_is_name(yyjson_val *value)
{
    struct str name = json_str(value);
    if (!yyjson_is_str(value) || name.len == 0 || name.len > SETTINGS_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20)
            return false;
    return true;
}

static enum err_code read_shape(struct settings_file *file, yyjson_val *shape, const char *what,
                                struct signature_tensor *tensor)
{
    size_t i, max;
    yyjson_val *size;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return err_set(file->err, ERR_INVALID, "%s: %s needs a shape such as [-1, 3]", file->name,
                       what);
    yyjson_arr_foreach(shape, i, max, size)
    {
        int64_t value = yyjson_is_int(size) ? yyjson_get_sint(size) : -2;
        if (value < -1 || value > INT32_MAX)
            return err_set(file->err, ERR_INVALID,
                           "%s: %s has no size at place %zu of its shape; -1 is any", file->name,
                           what, i + 1);
        tensor->shape[i] = value;
    }
    tensor->rank = (int)yyjson_arr_size(shape);
    return ERR_OK;
}

static enum err_code read_tensor(struct settings_file *file, yyjson_val *item, const char *list,
                                 struct signature_tensor *tensor)
{
    static const char *const keys[] = {"name", "dtype", "shape", "optional", NULL};
    char what[80];
    yyjson_val *name = yyjson_obj_get(item, "name");
    snprintf(what, sizeof(what), "%.16s '%.48s'", list,
             settings_is_name(name) ? yyjson_get_str(name) : "?");
    if (!settings_is_name(name))
        return err_set(file->err, ERR_INVALID, "%s: each of %s needs a name", file->name, list);
    enum err_code rc = json_check_keys(item, file->name, keys, file->err);
    if (rc)
        return rc;
    tensor->name = yyjson_get_str(name);
    tensor->dtype = dtype_find(json_str(yyjson_obj_get(item, "dtype")));
    if (tensor->dtype == DTYPE_COUNT)
        return err_set(file->err, ERR_INVALID,
                       "%s: %s needs a dtype: BOOL, INT64, FP32, BYTES, ...", file->name, what);
    rc = json_get_bool_opt(item, file->name, "optional", &tensor->is_optional, file->err);
    return rc ? rc : read_shape(file, yyjson_obj_get(item, "shape"), what, tensor);
}

static enum err_code refuse_list(struct settings_file *file, const char *key, size_t count_max)
{
    return err_set(file->err, ERR_INVALID,
                   "%s: '%s' must be a list of 1 to %zu tensors: {name: x, dtype: FP32, shape: "
                   "[-1, 3]}",
                   file->name, key, count_max);
}

enum err_code settings_tensors(struct settings_file *file, yyjson_val *list, const char *key,
                               size_t count_max, const struct signature_tensor **out,
                               int *out_count)
{
    size_t count = yyjson_arr_size(list), i, max;
    yyjson_val *item;
    if (!yyjson_is_arr(list) || count == 0 || count > count_max)
        return refuse_list(file, key, count_max);
    struct signature_tensor *tensors = arena_calloc(file->arena, count, sizeof(*tensors));
    if (!tensors)
        return err_set(file->err, ERR_LIMIT, "%s has too many tensors", file->name);
    yyjson_arr_foreach(list, i, max, item)
    {
        enum err_code rc = read_tensor(file, item, key, &tensors[i]);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (strcmp(tensors[k].name, tensors[i].name) == 0)
                return err_set(file->err, ERR_INVALID, "%s: two of %s are named '%s'", file->name,
                               key, tensors[i].name);
    }
    *out = tensors;
    *out_count = (int)count;
    return ERR_OK;
}

bool settings_can_batch(const struct signature *signature, const struct signature_tensor **other)
{
    for (int i = 0; i < signature->input_count + signature->output_count; i++) {
        const struct signature_tensor *tensor =
            i < signature->input_count ? &signature->inputs[i]
                                       : &signature->outputs[i - signature->input_count];
        *other = tensor;
        if (tensor->rank == 0 || tensor->shape[0] != -1)
            return false;
    }
    return true;
}
