/* oip_config.h - a version as Triton's model configuration extension describes it. */
#ifndef SLIPWAY_API_OIP_CONFIG_H
#define SLIPWAY_API_OIP_CONFIG_H

#include "api/api.h"

#define OIP_BACKEND "slipway"

/* One tensor that callers may send or get. */
struct oip_tensor {
    const char *name;
    enum dtype dtype;
    const int64_t *shape;
    int rank;
    bool is_optional;
};
typedef void oip_tensor_fn(void *arg, const struct oip_tensor *tensor);

/* Inputs: one matrix, a tensor for each field of the contract, or the model's own. */
void oip_each_input(const struct loaded *loaded, oip_tensor_fn *fn, void *arg);
void oip_each_output(const struct loaded *loaded, oip_tensor_fn *fn, void *arg);

struct oip_config {
    const struct loaded *loaded;
    const struct serving *serving;
    int64_t versions[ENDPOINT_LOADED_MAX]; /* that answer now */
    int version_count;
    int64_t rows_max;   /* of a request; 0: not all tensors have a first dimension that may vary */
    int batch_rows_max; /* of joined requests; 1: they are never joined */
    int instances;
};
void oip_config_read(const struct endpoint *endpoint, const struct loaded *loaded,
                     const struct serve_thread *thread, struct oip_config *config);

/* Dimensions without the one of the batch. Of a number a row none are left, which a configuration
 * says as one of size 1 that is taken away again (*is_reshaped). */
const int64_t *oip_config_dims(const struct oip_config *config, const struct oip_tensor *tensor,
                               int *rank, bool *is_reshaped);

/* inference.DataType of model_config.proto: its number, and its name. */
unsigned oip_config_type(enum dtype dtype);
const char *oip_config_type_name(enum dtype dtype);

#endif
