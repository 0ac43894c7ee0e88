/* oip_config_api.c - GET /v2/models/{model}/config: Triton's ModelConfig as JSON.
 *
 * Members are those that its clients read, in the order in which Triton writes them; what there is
 * no counterpart of is left out or empty.
 */
#include "api/handlers.h"
#include "api/oip_api.h"
#include "api/oip_config.h"

struct tensor_list {
    struct json_writer *w;
    const struct oip_config *config;
    bool is_input;
};

static void put_dims(struct json_writer *w, const char *key, const int64_t *dims, int rank)
{
    json_key(w, key);
    json_begin_array(w);
    for (int i = 0; i < rank; i++)
        json_put_i64(w, dims[i]);
    json_end_array(w);
}

static void put_tensor(void *arg, const struct oip_tensor *tensor)
{
    const struct tensor_list *list = arg;
    struct json_writer *w = list->w;
    int rank;
    bool is_reshaped;
    const int64_t *dims = oip_config_dims(list->config, tensor, &rank, &is_reshaped);
    json_begin_object(w);
    json_member_text(w, "name", tensor->name);
    json_member_text(w, "data_type", oip_config_type_name(tensor->dtype));
    if (list->is_input)
        json_member_text(w, "format", "FORMAT_NONE");
    put_dims(w, "dims", dims, rank);
    if (is_reshaped) {
        json_key(w, "reshape");
        json_begin_object(w);
        put_dims(w, "shape", dims, 0);
        json_end_object(w);
    }
    json_member_bool(w, "is_shape_tensor", false);
    if (list->is_input) {
        json_member_bool(w, "allow_ragged_batch", false);
        json_member_bool(w, "optional", tensor->is_optional);
    } else {
        json_member_text(w, "label_filename", "");
    }
    json_end_object(w);
}

static void put_tensors(struct json_writer *w, const struct oip_config *config)
{
    struct tensor_list list = {.w = w, .config = config, .is_input = true};
    json_key(w, "input");
    json_begin_array(w);
    oip_each_input(config->loaded, put_tensor, &list);
    json_end_array(w);
    list.is_input = false;
    json_key(w, "output");
    json_begin_array(w);
    oip_each_output(config->loaded, put_tensor, &list);
    json_end_array(w);
}

static void put_versions(struct json_writer *w, const struct oip_config *config)
{
    json_key(w, "version_policy");
    json_begin_object(w);
    json_key(w, "specific");
    json_begin_object(w);
    put_dims(w, "versions", config->versions, config->version_count);
    json_end_object(w);
    json_end_object(w);
}

static void put_queue(struct json_writer *w, const struct serving *serving)
{
    json_key(w, "default_queue_policy");
    json_begin_object(w);
    json_member_text(w, "timeout_action", "REJECT");
    json_member_i64(w, "default_timeout_microseconds", serving->timeout_us);
    json_member_bool(w, "allow_timeout_override", true);
    json_member_i64(w, "max_queue_size", serving->queue_requests_max);
    json_end_object(w);
}

static void put_batching(struct json_writer *w, const struct oip_config *config)
{
    const int64_t preferred = config->batch_rows_max;
    const struct serving *serving = config->serving;
    json_key(w, "dynamic_batching");
    json_begin_object(w);
    put_dims(w, "preferred_batch_size", &preferred, 1);
    json_member_i64(w, "max_queue_delay_microseconds", serving->batch_delay_us);
    json_member_bool(w, "preserve_ordering", false);
    json_member_i64(w, "priority_levels", SERVING_PRIORITY_LAST);
    json_member_i64(w, "default_priority_level", serving->priority);
    put_queue(w, serving);
    json_end_object(w);
}

static void put_instances(struct json_writer *w, const struct oip_config *config)
{
    json_key(w, "instance_group");
    json_begin_array(w);
    json_begin_object(w);
    json_member_text(w, "name", config->loaded->model);
    json_member_text(w, "kind", "KIND_CPU");
    json_member_i64(w, "count", config->instances);
    put_dims(w, "gpus", NULL, 0);
    json_end_object(w);
    json_end_array(w);
}

static void put_flag(struct json_writer *w, const char *object, const char *member, bool value)
{
    json_key(w, object);
    json_begin_object(w);
    json_member_bool(w, member, value);
    json_end_object(w);
}

enum err_code oip_config_get(struct call *call, struct err *err)
{
    struct oip_config config;
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = oip_find_in_memory(call, &endpoint, &loaded, err);
    if (rc || call->is_waiting)
        return rc;
    oip_config_read(endpoint, loaded, call->thread, &config);
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_member_text(&w, "name", endpoint->name);
    json_member_text(&w, "platform", loaded->signature->platform);
    json_member_text(&w, "backend", OIP_BACKEND);
    put_versions(&w, &config);
    json_member_i64(&w, "max_batch_size", config.rows_max);
    put_tensors(&w, &config);
    if (config.batch_rows_max > 1)
        put_batching(&w, &config);
    put_instances(&w, &config);
    put_flag(&w, "model_transaction_policy", "decoupled", false);
    json_end_object(&w);
    return ERR_OK;
}
