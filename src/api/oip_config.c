/* oip_config.c - tensors, batching and instances of a version, gathered. */
#include "api/oip_config.h"

#include "api/oip_fill.h"
#include "serve/lane.h"

/* ---- tensors ---- */

static void give(oip_tensor_fn *fn, void *arg, const struct signature_tensor *tensor)
{
    const struct oip_tensor given = {.name = tensor->name,
                                     .dtype = tensor->dtype,
                                     .shape = tensor->shape,
                                     .rank = tensor->rank,
                                     .is_optional = tensor->is_optional};
    fn(arg, &given);
}

static void each_field(const struct contract *contract, oip_tensor_fn *fn, void *arg)
{
    const int64_t column[2] = {-1, 1};
    for (int i = 0; i < contract->field_count; i++) {
        const struct contract_field *field = &contract->fields[i];
        const struct oip_tensor given = {
            .name = field->name, .dtype = oip_field_dtype(field), .shape = column, .rank = 2};
        if (field->column >= 0)
            fn(arg, &given);
    }
}

void oip_each_input(const struct loaded *loaded, oip_tensor_fn *fn, void *arg)
{
    if (loaded->matrix)
        give(fn, arg, loaded->matrix);
    else if (loaded->contract)
        each_field(loaded->contract, fn, arg);
    else
        for (int i = 0; i < loaded->signature->input_count; i++)
            give(fn, arg, &loaded->signature->inputs[i]);
}

void oip_each_output(const struct loaded *loaded, oip_tensor_fn *fn, void *arg)
{
    for (int i = 0; i < loaded->signature->output_count; i++)
        give(fn, arg, &loaded->signature->outputs[i]);
}

/* ---- the configuration ---- */

static void check_batch(void *arg, const struct oip_tensor *tensor)
{
    bool *has_batch = arg;
    *has_batch = *has_batch && tensor->rank > 0 && tensor->shape[0] == -1;
}

static int batch_rows(const struct loaded *loaded, const struct serving *serving)
{
    int model_max = loaded->signature->batch_rows_max;
    int rows = model_max < serving->batch_rows_max ? model_max : serving->batch_rows_max;
    return rows > 1 ? rows : 1;
}

void oip_config_read(const struct endpoint *endpoint, const struct loaded *loaded,
                     const struct serve_thread *thread, struct oip_config *config)
{
    struct loaded *versions[ENDPOINT_LOADED_MAX];
    bool has_batch = true;
    *config = (struct oip_config){.loaded = loaded, .serving = endpoint->serving, .instances = 1};
    config->version_count = endpoint_each_loaded(endpoint, versions);
    for (int i = 0; i < config->version_count; i++)
        config->versions[i] = versions[i]->number;
    oip_each_input(loaded, check_batch, &has_batch);
    oip_each_output(loaded, check_batch, &has_batch);
    config->rows_max = has_batch ? thread->predict_rows_max : 0;
    config->batch_rows_max = has_batch ? batch_rows(loaded, endpoint->serving) : 1;
    if (loaded->lane)
        config->instances = lane_instances(loaded->lane, endpoint->serving);
}

const int64_t *oip_config_dims(const struct oip_config *config, const struct oip_tensor *tensor,
                               int *rank, bool *is_reshaped)
{
    static const int64_t one[] = {1};
    int first = config->rows_max ? 1 : 0;
    *is_reshaped = tensor->rank == first;
    *rank = *is_reshaped ? 1 : tensor->rank - first;
    return *is_reshaped ? one : tensor->shape + first;
}

unsigned oip_config_type(enum dtype dtype)
{
    static const uint8_t numbers[DTYPE_COUNT] = {
        [DTYPE_BOOL] = 1, [DTYPE_U8] = 2,   [DTYPE_U16] = 3,    [DTYPE_U32] = 4,  [DTYPE_U64] = 5,
        [DTYPE_I8] = 6,   [DTYPE_I16] = 7,  [DTYPE_I32] = 8,    [DTYPE_I64] = 9,  [DTYPE_F16] = 10,
        [DTYPE_F32] = 11, [DTYPE_F64] = 12, [DTYPE_BYTES] = 13, [DTYPE_BF16] = 14};
    return numbers[dtype];
}

const char *oip_config_type_name(enum dtype dtype)
{
    static const char *const names[DTYPE_COUNT] = {
        [DTYPE_BOOL] = "TYPE_BOOL",    [DTYPE_U8] = "TYPE_UINT8",   [DTYPE_U16] = "TYPE_UINT16",
        [DTYPE_U32] = "TYPE_UINT32",   [DTYPE_U64] = "TYPE_UINT64", [DTYPE_I8] = "TYPE_INT8",
        [DTYPE_I16] = "TYPE_INT16",    [DTYPE_I32] = "TYPE_INT32",  [DTYPE_I64] = "TYPE_INT64",
        [DTYPE_F16] = "TYPE_FP16",     [DTYPE_F32] = "TYPE_FP32",   [DTYPE_F64] = "TYPE_FP64",
        [DTYPE_BYTES] = "TYPE_STRING", [DTYPE_BF16] = "TYPE_BF16",
    };
    return names[dtype];
}
