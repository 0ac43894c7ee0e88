/* grpc_service.c - inference.GRPCInferenceService: health, metadata, repository. The twins of the
 * REST handlers in oip_api.c; field numbers are those of Triton's grpc_service.proto. */
#include "api/grpc.h"
#include "api/grpc_tensor.h"
#include "api/handlers.h"
#include "api/oip_fill.h"
#include "base/check.h"

#define GRPC_SERVER_NAME "slipway"

/* ---- requests ---- */

/* The texts in fields 1 and 2, which name a model and a version. */
static enum err_code read_names(struct call *call, struct str names[2], struct err *err)
{
    struct str message;
    struct pb_field f;
    names[0] = names[1] = (struct str){"", 0};
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    struct pb_reader r = pb_read(message);
    while (pb_next(&r, &f))
        if (f.wire == PB_BYTES && f.number >= 1 && f.number <= 2)
            names[f.number - 1] = f.bytes;
    return r.problem ? err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem)
                     : ERR_OK;
}

static enum err_code choose_version(struct call *call, const struct str names[2],
                                    const struct endpoint **endpoint, struct loaded **loaded,
                                    struct err *err)
{
    *endpoint = snapshot_find(call->snapshot, names[0]);
    if (*endpoint)
        return endpoint_choose(*endpoint, names[1], loaded, err);
    err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
            STR_ARG(names[0]));
    return err_hint(err, "names are in RepositoryIndex");
}

/* The version whose description is asked for: one that is not in memory is brought there, and the
 * call waits. */
static enum err_code find_in_memory(struct call *call, const struct endpoint **endpoint,
                                    struct loaded **loaded, struct err *err)
{
    struct str names[2];
    enum err_code rc = read_names(call, names, err);
    if (!rc)
        rc = choose_version(call, names, endpoint, loaded, err);
    if (rc == ERR_UNAVAILABLE && endpoint_is_cold(*endpoint, names[1]))
        rc = call_wait_for_model(call, names[0], names[1], err);
    return rc;
}

/* A reply whose only field is a truth in field 1. */
static enum err_code answer_bool(struct call *call, bool value)
{
    size_t mark = grpc_begin(&call->x->response.body);
    if (value) /* false is what an absent field means */
        pb_put_varint(&call->x->response.body, 1, 1);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* ---- health ---- */

enum err_code grpc_server_live(struct call *call, struct err *err)
{
    (void)err;
    return answer_bool(call, true);
}

enum err_code grpc_server_ready(struct call *call, struct err *err)
{
    (void)err;
    return answer_bool(call, call_readiness(call, NULL) == NULL);
}

/* Questions about readiness are answered with no, not with an error. */
enum err_code grpc_model_ready(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    struct str names[2];
    enum err_code rc = read_names(call, names, err);
    if (rc)
        return rc;
    rc = choose_version(call, names, &endpoint, &loaded, err);
    bool is_cold = rc == ERR_UNAVAILABLE && endpoint_is_cold(endpoint, names[1]);
    return answer_bool(call, is_cold || (rc == ERR_OK && !loaded_problem(loaded)));
}

/* ---- metadata ---- */

enum err_code grpc_server_metadata(struct call *call, struct err *err)
{
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    (void)err;
    pb_put_text(out, 1, GRPC_SERVER_NAME);
    pb_put_text(out, 2, SLIPWAY_VERSION);
    pb_put_text(out, 3, "model_repository");
    pb_put_text(out, 3, "model_configuration");
    pb_put_text(out, 3, "statistics");
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

static void put_version(struct buf *out, uint32_t number, int64_t version)
{
    char text[STR_NUMBER_BYTES];
    pb_put_bytes(out, number, (struct str){text, str_from_i64(version, text)});
}

static bool is_listed_before(const struct endpoint *endpoint, int index, int64_t version)
{
    for (int i = 0; i < index; i++)
        if (endpoint->aliases[i].loaded && endpoint->aliases[i].version == version)
            return true;
    return false;
}

/* Call fn with each version that answers, once. */
static void each_version(const struct endpoint *endpoint,
                         void (*fn)(void *arg, const struct endpoint *endpoint,
                                    const struct loaded *loaded),
                         void *arg)
{
    const struct loaded *previous = endpoint->previous;
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        if (alias->loaded && !is_listed_before(endpoint, i, alias->version))
            fn(arg, endpoint, alias->loaded);
    }
    if (previous && !is_listed_before(endpoint, endpoint->alias_count, previous->number))
        fn(arg, endpoint, previous);
}

static void put_version_name(void *out, const struct endpoint *endpoint,
                             const struct loaded *loaded)
{
    (void)endpoint;
    put_version(out, 2, loaded->number);
}

/* How one tensor is told: as metadata, or as configuration. */
typedef void tensor_fn(struct buf *out, uint32_t number, const char *name, enum dtype dtype,
                       const int64_t *shape, int rank);

static void put_metadata(struct buf *out, uint32_t number, const char *name, enum dtype dtype,
                         const int64_t *shape, int rank)
{
    size_t mark = pb_begin(out, number);
    pb_put_text(out, 1, name);
    pb_put_text(out, 2, dtype_name(dtype));
    grpc_put_shape(out, 3, shape, rank);
    pb_end(out, mark);
}

/* One matrix, or a tensor for each field of the contract. */
static void put_inputs(struct buf *out, uint32_t number, const struct loaded *loaded,
                       tensor_fn *put)
{
    const int64_t column[2] = {-1, 1};
    const struct signature *signature = loaded->signature;
    if (loaded->matrix || !loaded->contract) {
        int count = loaded->matrix ? 1 : signature->input_count;
        const struct signature_tensor *inputs = loaded->matrix ? loaded->matrix : signature->inputs;
        for (int i = 0; i < count; i++)
            put(out, number, inputs[i].name, inputs[i].dtype, inputs[i].shape, inputs[i].rank);
        return;
    }
    for (int i = 0; i < loaded->contract->field_count; i++) {
        const struct contract_field *field = &loaded->contract->fields[i];
        if (field->column >= 0)
            put(out, number, field->name, oip_field_dtype(field), column, 2);
    }
}

static void put_outputs(struct buf *out, uint32_t number, const struct loaded *loaded,
                        tensor_fn *put)
{
    const struct signature *signature = loaded->signature;
    for (int i = 0; i < signature->output_count; i++)
        put(out, number, signature->outputs[i].name, signature->outputs[i].dtype,
            signature->outputs[i].shape, signature->outputs[i].rank);
}

enum err_code grpc_model_metadata(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = find_in_memory(call, &endpoint, &loaded, err);
    if (rc || call->is_waiting)
        return rc;
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    pb_put_text(out, 1, endpoint->name);
    each_version(endpoint, put_version_name, out);
    pb_put_text(out, 3, loaded->signature->platform);
    put_inputs(out, 4, loaded, put_metadata);
    put_outputs(out, 5, loaded, put_metadata);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* inference.DataType of model_config.proto. */
static unsigned config_dtype(enum dtype dtype)
{
    static const uint8_t numbers[DTYPE_COUNT] = {
        [DTYPE_BOOL] = 1, [DTYPE_U8] = 2,   [DTYPE_U16] = 3,    [DTYPE_U32] = 4,  [DTYPE_U64] = 5,
        [DTYPE_I8] = 6,   [DTYPE_I16] = 7,  [DTYPE_I32] = 8,    [DTYPE_I64] = 9,  [DTYPE_F16] = 10,
        [DTYPE_F32] = 11, [DTYPE_F64] = 12, [DTYPE_BYTES] = 13, [DTYPE_BF16] = 14};
    return numbers[dtype];
}

/* ModelInput has its dims in field 4, ModelOutput in 3; with a batch dimension they begin behind
 * it. */
static void put_config(struct buf *out, uint32_t number, const char *name, enum dtype dtype,
                       const int64_t *shape, int rank)
{
    bool has_batch = rank > 0 && shape[0] == -1;
    size_t mark = pb_begin(out, number);
    pb_put_text(out, 1, name);
    pb_put_varint(out, 2, config_dtype(dtype));
    grpc_put_shape(out, number == 5 ? 4 : 3, shape + has_batch, rank - has_batch);
    pb_end(out, mark);
}

enum err_code grpc_model_config(struct call *call, struct err *err)
{
    const struct endpoint *endpoint;
    struct loaded *loaded;
    enum err_code rc = find_in_memory(call, &endpoint, &loaded, err);
    if (rc || call->is_waiting)
        return rc;
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    size_t config = pb_begin(out, 1);
    pb_put_text(out, 1, endpoint->name);
    pb_put_text(out, 2, loaded->signature->platform);
    pb_put_varint(out, 4, (uint64_t)call->thread->predict_rows_max);
    put_inputs(out, 5, loaded, put_config);
    put_outputs(out, 6, loaded, put_config);
    pb_put_text(out, 17, GRPC_SERVER_NAME);
    pb_end(out, config);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* ---- repository ---- */

static void put_index(struct buf *out, const char *name, int64_t version, const char *problem)
{
    size_t mark = pb_begin(out, 1);
    pb_put_text(out, 1, name);
    if (version)
        put_version(out, 2, version);
    pb_put_text(out, 3, problem ? "UNAVAILABLE" : "READY");
    if (problem)
        pb_put_text(out, 4, problem);
    pb_end(out, mark);
}

static void put_endpoint(struct buf *out, const struct endpoint *endpoint, bool is_ready_only)
{
    for (int i = 0; i < endpoint->alias_count; i++) {
        const struct endpoint_alias *alias = &endpoint->aliases[i];
        const char *reason = repository_reason(endpoint, alias);
        if (!repository_is_listed(endpoint, i) && (!reason || !is_ready_only))
            put_index(out, endpoint->name, alias->version, reason);
    }
}

/* Field 2 of the request: only those that are ready. */
static enum err_code read_ready(struct call *call, bool *is_ready_only, struct err *err)
{
    struct str message;
    struct pb_field f;
    *is_ready_only = false;
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    struct pb_reader r = pb_read(message);
    while (pb_next(&r, &f))
        if (f.number == 2 && f.wire == PB_VARINT)
            *is_ready_only = f.value != 0;
    return r.problem ? err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem)
                     : ERR_OK;
}

enum err_code grpc_repository_index(struct call *call, struct err *err)
{
    const struct map *endpoints = &call->snapshot->endpoints;
    bool is_ready_only;
    enum err_code rc = read_ready(call, &is_ready_only, err);
    if (rc)
        return rc;
    struct buf *out = &call->x->response.body;
    size_t mark = grpc_begin(&call->x->response.body);
    for (size_t i = 0; i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            put_endpoint(out, endpoints->slots[i].value, is_ready_only);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}

/* The model that RepositoryModelLoad or Unload names, in field 2; field 3 are parameters, of which
 * files and configurations are not taken. */
static enum err_code read_model(struct call *call, const char **model, struct err *err)
{
    struct str message, key = {0};
    struct pb_field f;
    call->params[0] = (struct str){"", 0};
    enum err_code rc = grpc_message(call, &message, err);
    if (rc)
        return rc;
    struct pb_reader r = pb_read(message);
    while (pb_next(&r, &f)) {
        if (f.wire == PB_BYTES && f.number == 2)
            call->params[0] = f.bytes;
        if (f.wire != PB_BYTES || f.number != 3)
            continue;
        struct pb_reader entry = pb_read(f.bytes);
        if (pb_next(&entry, &f) && f.wire == PB_BYTES && f.number == 1)
            key = f.bytes;
        if (!str_equal(key, STR_LIT("unload_dependents"))) {
            err_set(err, ERR_UNSUPPORTED, "the parameter '%.*s' is not taken", STR_ARG(key));
            return err_hint(err, "register a version: slipway model register NAME FILE");
        }
    }
    if (r.problem)
        return err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem);
    return call_name(call, 0, "model", model, err);
}

static void answer_empty(struct call *call)
{
    grpc_end(&call->x->response.body, grpc_begin(&call->x->response.body));
}

enum err_code grpc_repository_load(struct call *call, struct err *err)
{
    const char *model;
    enum err_code rc = read_model(call, &model, err);
    if (!rc)
        rc = repository_load_model(call, model, err);
    if (!rc)
        answer_empty(call);
    return rc;
}

enum err_code grpc_repository_unload(struct call *call, struct err *err)
{
    const char *model;
    enum err_code rc = read_model(call, &model, err);
    if (!rc)
        rc = control_unload(call->node->control, model, err);
    if (!rc)
        answer_empty(call);
    return rc;
}

/* ---- statistics ---- */

struct sums {
    uint64_t request_count, failed_count, row_count, ns;
};

static void put_duration(struct buf *out, uint32_t number, uint64_t count, uint64_t ns)
{
    size_t mark = pb_begin(out, number);
    pb_put_varint(out, 1, count);
    pb_put_varint(out, 2, ns);
    pb_end(out, mark);
}

static void sum_thread(const struct version_stats *stats, struct sums *sums)
{
    for (int slot = 0; slot < LOADED_STATUS_COUNT; slot++) {
        uint64_t count = counter_read(&stats->request_count[slot]);
        bool is_good = loaded_status_name(slot)[0] == '2';
        sums->request_count += is_good ? count : 0;
        sums->failed_count += is_good ? 0 : count;
    }
    sums->row_count += counter_read(&stats->row_count);
    sums->ns += counter_read(&stats->latency.sum_ns);
}

/* ModelStatistics. Time is that of whole requests, which is what callers wait for. */
static void put_statistics(void *arg, const struct endpoint *endpoint, const struct loaded *loaded)
{
    const struct call *call = arg;
    struct buf *out = &call->x->response.body;
    struct sums sums = {0};
    struct cache_counts cache;
    loaded_cache_counts(loaded, &cache);
    for (int i = 0; i < call->node->thread_count; i++)
        sum_thread(&loaded->stats[i], &sums);
    size_t mark = pb_begin(out, 1);
    pb_put_text(out, 1, endpoint->name);
    put_version(out, 2, loaded->number);
    /* Those that a response cache has answered are no inferences. */
    pb_put_varint(out, 4, sums.row_count - cache.hit_rows);
    pb_put_varint(out, 5, sums.request_count - cache.count[CACHE_HIT]);
    size_t inference = pb_begin(out, 6);
    put_duration(out, 1, sums.request_count, sums.ns);
    put_duration(out, 2, sums.failed_count, 0);
    put_duration(out, 7, cache.count[CACHE_HIT], cache.ns[CACHE_HIT]);
    put_duration(out, 8, cache.count[CACHE_MISS], cache.ns[CACHE_MISS]);
    pb_end(out, inference);
    pb_end(out, mark);
}

enum err_code grpc_model_statistics(struct call *call, struct err *err)
{
    const struct map *endpoints = &call->snapshot->endpoints;
    const struct endpoint *endpoint = NULL;
    struct loaded *loaded = NULL;
    struct str names[2];
    enum err_code rc = read_names(call, names, err);
    if (!rc && names[0].len)
        rc = choose_version(call, names, &endpoint, &loaded, err);
    if (rc)
        return rc;
    size_t mark = grpc_begin(&call->x->response.body);
    if (loaded && names[1].len)
        put_statistics(call, endpoint, loaded);
    else if (endpoint)
        each_version(endpoint, put_statistics, call);
    for (size_t i = 0; !endpoint && i < endpoints->slot_count; i++)
        if (endpoints->slots[i].key.ptr)
            each_version(endpoints->slots[i].value, put_statistics, call);
    grpc_end(&call->x->response.body, mark);
    return ERR_OK;
}
