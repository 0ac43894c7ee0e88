/* grpc_config.c - ModelConfig: the twin of oip_config_api.c; field numbers are those of Triton's
 * model_config.proto. */
#include "api/grpc.h"
#include "api/grpc_service.h"
#include "api/grpc_tensor.h"
#include "api/handlers.h"
#include "api/oip_config.h"

enum { KIND_CPU = 2 };

struct tensor_list {
    struct buf *out;
    const struct oip_config *config;
    uint32_t number, dims_number; /* of the tensor's field, and of its dims */
};

static void put_tensor(void *arg, const struct oip_tensor *tensor)
{
    const struct tensor_list *list = arg;
    struct buf *out = list->out;
    int rank;
    bool is_reshaped;
    const int64_t *dims = oip_config_dims(list->config, tensor, &rank, &is_reshaped);
    size_t mark = pb_begin(out, list->number);
    pb_put_text(out, 1, tensor->name);
    pb_put_varint(out, 2, oip_config_type(tensor->dtype));
    grpc_put_shape(out, list->dims_number, dims, rank);
    if (is_reshaped)
        pb_end(out, pb_begin(out, 5));
    if (tensor->is_optional)
        pb_put_varint(out, 8, 1);
    pb_end(out, mark);
}

/* ModelVersionPolicy: these. */
static void put_versions(struct buf *out, const struct oip_config *config)
{
    size_t policy = pb_begin(out, 3);
    size_t specific = pb_begin(out, 3);
    grpc_put_shape(out, 1, config->versions, config->version_count);
    pb_end(out, specific);
    pb_end(out, policy);
}

static void put_batching(struct buf *out, const struct oip_config *config)
{
    const struct serving *serving = config->serving;
    const int64_t preferred = config->batch_rows_max;
    size_t mark = pb_begin(out, 11);
    grpc_put_shape(out, 1, &preferred, 1);
    pb_put_varint(out, 2, (uint64_t)serving->batch_delay_us);
    pb_put_varint(out, 4, SERVING_PRIORITY_LAST);
    pb_put_varint(out, 5, (uint64_t)serving->priority);
    size_t queue = pb_begin(out, 6);
    pb_put_varint(out, 2, (uint64_t)serving->timeout_us);
    pb_put_varint(out, 3, 1);
    pb_put_varint(out, 4, (uint64_t)serving->queue_requests_max);
    pb_end(out, queue);
    pb_end(out, mark);
}

static void put_instances(struct buf *out, const struct oip_config *config)
{
    size_t mark = pb_begin(out, 7);
    pb_put_text(out, 1, config->loaded->model);
    pb_put_varint(out, 2, (uint64_t)config->instances);
    pb_put_varint(out, 4, KIND_CPU);
    pb_end(out, mark);
}

static void put_config(struct buf *out, const struct oip_config *config)
{
    const struct loaded *loaded = config->loaded;
    pb_put_text(out, 1, loaded->model);
    pb_put_text(out, 2, loaded->signature->platform);
    put_versions(out, config);
    pb_put_varint(out, 4, (uint64_t)config->rows_max);
    oip_each_input(loaded, put_tensor, &(struct tensor_list){out, config, 5, 4});
    oip_each_output(loaded, put_tensor, &(struct tensor_list){out, config, 6, 3});
    put_instances(out, config);
    if (config->batch_rows_max > 1)
        put_batching(out, config);
    pb_put_text(out, 17, OIP_BACKEND);
    pb_end(out, pb_begin(out, 19)); /* ModelTransactionPolicy: not decoupled */
}

enum err_code grpc_model_config(struct call *call, struct err *err)
{
    struct oip_config config;
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = grpc_find_in_memory(call, &endpoint, &loaded, err);
    if (rc || call->is_waiting)
        return rc;
    struct buf *out = &call->x->response.body;
    oip_config_read(endpoint, loaded, call->thread, &config);
    size_t mark = grpc_begin(out);
    size_t field = pb_begin(out, 1);
    put_config(out, &config);
    pb_end(out, field);
    grpc_end(out, mark);
    return ERR_OK;
}
