/* grpc_schema.c - names and numbers of every service and message.
 *
 * They are those of Triton's grpc_service.proto and model_config.proto (which the Open Inference
 * Protocol's are a part of), grpc/health/v1/health.proto and grpc/reflection/v1/reflection.proto;
 * of messages that we fill in part, the fields that we fill.
 */
#include "api/grpc_schema.h"

#include <string.h>

#define END {.name = NULL}
#define FIELDS(...) ((const struct schema_field[]){__VA_ARGS__, END})

/* clang-format off */

/* ---- inference ---- */

static const struct schema_message inference_messages[] = {
    {"ServerLiveRequest", NULL},
    {"ServerLiveResponse", FIELDS({"live", 1, SCHEMA_BOOL, NULL, SCHEMA_ONE})},
    {"ServerReadyRequest", NULL},
    {"ServerReadyResponse", FIELDS({"ready", 1, SCHEMA_BOOL, NULL, SCHEMA_ONE})},
    {"ModelReadyRequest", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"ModelReadyResponse", FIELDS({"ready", 1, SCHEMA_BOOL, NULL, SCHEMA_ONE})},
    {"ServerMetadataRequest", NULL},
    {"ServerMetadataResponse", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"extensions", 3, SCHEMA_STRING, NULL, SCHEMA_MANY})},
    {"ModelMetadataRequest", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"ModelMetadataResponse", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"versions", 2, SCHEMA_STRING, NULL, SCHEMA_MANY},
        {"platform", 3, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"inputs", 4, SCHEMA_MESSAGE, "ModelMetadataResponse.TensorMetadata", SCHEMA_MANY},
        {"outputs", 5, SCHEMA_MESSAGE, "ModelMetadataResponse.TensorMetadata", SCHEMA_MANY})},
    {"ModelMetadataResponse.TensorMetadata", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"datatype", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"shape", 3, SCHEMA_INT64, NULL, SCHEMA_MANY})},
    {"InferParameter", FIELDS(
        {"bool_param", 1, SCHEMA_BOOL, NULL, SCHEMA_CHOICE},
        {"int64_param", 2, SCHEMA_INT64, NULL, SCHEMA_CHOICE},
        {"string_param", 3, SCHEMA_STRING, NULL, SCHEMA_CHOICE},
        {"double_param", 4, SCHEMA_DOUBLE, NULL, SCHEMA_CHOICE},
        {"uint64_param", 5, SCHEMA_UINT64, NULL, SCHEMA_CHOICE})},
    {"InferTensorContents", FIELDS(
        {"bool_contents", 1, SCHEMA_BOOL, NULL, SCHEMA_MANY},
        {"int_contents", 2, SCHEMA_INT32, NULL, SCHEMA_MANY},
        {"int64_contents", 3, SCHEMA_INT64, NULL, SCHEMA_MANY},
        {"uint_contents", 4, SCHEMA_UINT32, NULL, SCHEMA_MANY},
        {"uint64_contents", 5, SCHEMA_UINT64, NULL, SCHEMA_MANY},
        {"fp32_contents", 6, SCHEMA_FLOAT, NULL, SCHEMA_MANY},
        {"fp64_contents", 7, SCHEMA_DOUBLE, NULL, SCHEMA_MANY},
        {"bytes_contents", 8, SCHEMA_BYTES, NULL, SCHEMA_MANY})},
    {"ModelInferRequest", FIELDS(
        {"model_name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"model_version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"id", 3, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"parameters", 4, SCHEMA_MESSAGE, "InferParameter", SCHEMA_MAP},
        {"inputs", 5, SCHEMA_MESSAGE, "ModelInferRequest.InferInputTensor", SCHEMA_MANY},
        {"outputs", 6, SCHEMA_MESSAGE, "ModelInferRequest.InferRequestedOutputTensor", SCHEMA_MANY},
        {"raw_input_contents", 7, SCHEMA_BYTES, NULL, SCHEMA_MANY})},
    {"ModelInferRequest.InferInputTensor", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"datatype", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"shape", 3, SCHEMA_INT64, NULL, SCHEMA_MANY},
        {"parameters", 4, SCHEMA_MESSAGE, "InferParameter", SCHEMA_MAP},
        {"contents", 5, SCHEMA_MESSAGE, "InferTensorContents", SCHEMA_ONE})},
    {"ModelInferRequest.InferRequestedOutputTensor", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"parameters", 2, SCHEMA_MESSAGE, "InferParameter", SCHEMA_MAP})},
    {"ModelInferResponse", FIELDS(
        {"model_name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"model_version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"id", 3, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"parameters", 4, SCHEMA_MESSAGE, "InferParameter", SCHEMA_MAP},
        {"outputs", 5, SCHEMA_MESSAGE, "ModelInferResponse.InferOutputTensor", SCHEMA_MANY},
        {"raw_output_contents", 6, SCHEMA_BYTES, NULL, SCHEMA_MANY})},
    {"ModelInferResponse.InferOutputTensor", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"datatype", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"shape", 3, SCHEMA_INT64, NULL, SCHEMA_MANY},
        {"parameters", 4, SCHEMA_MESSAGE, "InferParameter", SCHEMA_MAP},
        {"contents", 5, SCHEMA_MESSAGE, "InferTensorContents", SCHEMA_ONE})},
    {"ModelStreamInferResponse", FIELDS(
        {"error_message", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"infer_response", 2, SCHEMA_MESSAGE, "ModelInferResponse", SCHEMA_ONE})},
    {"ModelConfigRequest", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"ModelConfigResponse", FIELDS({"config", 1, SCHEMA_MESSAGE, "ModelConfig", SCHEMA_ONE})},
    {"ModelConfig", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"platform", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version_policy", 3, SCHEMA_MESSAGE, "ModelVersionPolicy", SCHEMA_ONE},
        {"max_batch_size", 4, SCHEMA_INT32, NULL, SCHEMA_ONE},
        {"input", 5, SCHEMA_MESSAGE, "ModelInput", SCHEMA_MANY},
        {"output", 6, SCHEMA_MESSAGE, "ModelOutput", SCHEMA_MANY},
        {"instance_group", 7, SCHEMA_MESSAGE, "ModelInstanceGroup", SCHEMA_MANY},
        {"dynamic_batching", 11, SCHEMA_MESSAGE, "ModelDynamicBatching", SCHEMA_ONE},
        {"backend", 17, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"model_transaction_policy", 19, SCHEMA_MESSAGE, "ModelTransactionPolicy", SCHEMA_ONE})},
    {"ModelVersionPolicy", FIELDS(
        {"specific", 3, SCHEMA_MESSAGE, "ModelVersionPolicy.Specific", SCHEMA_CHOICE})},
    {"ModelVersionPolicy.Specific", FIELDS(
        {"versions", 1, SCHEMA_INT64, NULL, SCHEMA_MANY})},
    {"ModelTensorReshape", FIELDS(
        {"shape", 1, SCHEMA_INT64, NULL, SCHEMA_MANY})},
    {"ModelInput", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"data_type", 2, SCHEMA_ENUM, "DataType", SCHEMA_ONE},
        {"dims", 4, SCHEMA_INT64, NULL, SCHEMA_MANY},
        {"reshape", 5, SCHEMA_MESSAGE, "ModelTensorReshape", SCHEMA_ONE},
        {"optional", 8, SCHEMA_BOOL, NULL, SCHEMA_ONE})},
    {"ModelOutput", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"data_type", 2, SCHEMA_ENUM, "DataType", SCHEMA_ONE},
        {"dims", 3, SCHEMA_INT64, NULL, SCHEMA_MANY},
        {"reshape", 5, SCHEMA_MESSAGE, "ModelTensorReshape", SCHEMA_ONE})},
    {"ModelInstanceGroup", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"count", 2, SCHEMA_INT32, NULL, SCHEMA_ONE},
        {"kind", 4, SCHEMA_ENUM, "ModelInstanceGroup.Kind", SCHEMA_ONE})},
    {"ModelQueuePolicy", FIELDS(
        {"default_timeout_microseconds", 2, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"allow_timeout_override", 3, SCHEMA_BOOL, NULL, SCHEMA_ONE},
        {"max_queue_size", 4, SCHEMA_UINT32, NULL, SCHEMA_ONE})},
    {"ModelDynamicBatching", FIELDS(
        {"preferred_batch_size", 1, SCHEMA_INT32, NULL, SCHEMA_MANY},
        {"max_queue_delay_microseconds", 2, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"priority_levels", 4, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"default_priority_level", 5, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"default_queue_policy", 6, SCHEMA_MESSAGE, "ModelQueuePolicy", SCHEMA_ONE})},
    {"ModelTransactionPolicy", FIELDS(
        {"decoupled", 1, SCHEMA_BOOL, NULL, SCHEMA_ONE})},
    {"ModelStatisticsRequest", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"StatisticDuration", FIELDS(
        {"count", 1, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"ns", 2, SCHEMA_UINT64, NULL, SCHEMA_ONE})},
    {"InferStatistics", FIELDS(
        {"success", 1, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"fail", 2, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"queue", 3, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"compute_input", 4, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"compute_infer", 5, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"compute_output", 6, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"cache_hit", 7, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"cache_miss", 8, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE})},
    {"InferResponseStatistics", FIELDS(
        {"compute_infer", 1, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"compute_output", 2, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"success", 3, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"fail", 4, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"empty_response", 5, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"cancel", 6, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE})},
    {"InferBatchStatistics", FIELDS(
        {"batch_size", 1, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"compute_input", 2, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"compute_infer", 3, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE},
        {"compute_output", 4, SCHEMA_MESSAGE, "StatisticDuration", SCHEMA_ONE})},
    {"MemoryUsage", FIELDS(
        {"type", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"id", 2, SCHEMA_INT64, NULL, SCHEMA_ONE},
        {"byte_size", 3, SCHEMA_UINT64, NULL, SCHEMA_ONE})},
    {"ModelStatistics", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"last_inference", 3, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"inference_count", 4, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"execution_count", 5, SCHEMA_UINT64, NULL, SCHEMA_ONE},
        {"inference_stats", 6, SCHEMA_MESSAGE, "InferStatistics", SCHEMA_ONE},
        {"batch_stats", 7, SCHEMA_MESSAGE, "InferBatchStatistics", SCHEMA_MANY},
        {"memory_usage", 8, SCHEMA_MESSAGE, "MemoryUsage", SCHEMA_MANY},
        {"response_stats", 9, SCHEMA_MESSAGE, "InferResponseStatistics", SCHEMA_MAP})},
    {"ModelStatisticsResponse", FIELDS(
        {"model_stats", 1, SCHEMA_MESSAGE, "ModelStatistics", SCHEMA_MANY})},
    {"RepositoryIndexRequest", FIELDS(
        {"repository_name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"ready", 2, SCHEMA_BOOL, NULL, SCHEMA_ONE})},
    {"RepositoryIndexResponse", FIELDS(
        {"models", 1, SCHEMA_MESSAGE, "RepositoryIndexResponse.ModelIndex", SCHEMA_MANY})},
    {"RepositoryIndexResponse.ModelIndex", FIELDS(
        {"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"version", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"state", 3, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"reason", 4, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"ModelRepositoryParameter", FIELDS(
        {"bool_param", 1, SCHEMA_BOOL, NULL, SCHEMA_CHOICE},
        {"int64_param", 2, SCHEMA_INT64, NULL, SCHEMA_CHOICE},
        {"string_param", 3, SCHEMA_STRING, NULL, SCHEMA_CHOICE},
        {"bytes_param", 4, SCHEMA_BYTES, NULL, SCHEMA_CHOICE})},
    {"RepositoryModelLoadRequest", FIELDS(
        {"repository_name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"model_name", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"parameters", 3, SCHEMA_MESSAGE, "ModelRepositoryParameter", SCHEMA_MAP})},
    {"RepositoryModelLoadResponse", NULL},
    {"RepositoryModelUnloadRequest", FIELDS(
        {"repository_name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"model_name", 2, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"parameters", 3, SCHEMA_MESSAGE, "ModelRepositoryParameter", SCHEMA_MAP})},
    {"RepositoryModelUnloadResponse", NULL},
    {"TraceSettingRequest", FIELDS(
        {"settings", 1, SCHEMA_MESSAGE, "TraceSettingRequest.SettingValue", SCHEMA_MAP},
        {"model_name", 2, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"TraceSettingRequest.SettingValue", FIELDS(
        {"value", 1, SCHEMA_STRING, NULL, SCHEMA_MANY})},
    {"TraceSettingResponse", FIELDS(
        {"settings", 1, SCHEMA_MESSAGE, "TraceSettingResponse.SettingValue", SCHEMA_MAP})},
    {"TraceSettingResponse.SettingValue", FIELDS(
        {"value", 1, SCHEMA_STRING, NULL, SCHEMA_MANY})},
    {"LogSettingsRequest", FIELDS(
        {"settings", 1, SCHEMA_MESSAGE, "LogSettingsRequest.SettingValue", SCHEMA_MAP})},
    {"LogSettingsRequest.SettingValue", FIELDS(
        {"bool_param", 1, SCHEMA_BOOL, NULL, SCHEMA_CHOICE},
        {"uint32_param", 2, SCHEMA_UINT32, NULL, SCHEMA_CHOICE},
        {"string_param", 3, SCHEMA_STRING, NULL, SCHEMA_CHOICE})},
    {"LogSettingsResponse", FIELDS(
        {"settings", 1, SCHEMA_MESSAGE, "LogSettingsResponse.SettingValue", SCHEMA_MAP})},
    {"LogSettingsResponse.SettingValue", FIELDS(
        {"bool_param", 1, SCHEMA_BOOL, NULL, SCHEMA_CHOICE},
        {"uint32_param", 2, SCHEMA_UINT32, NULL, SCHEMA_CHOICE},
        {"string_param", 3, SCHEMA_STRING, NULL, SCHEMA_CHOICE})},
    END,
};

static const struct schema_value data_types[] = {
    {"TYPE_INVALID", 0}, {"TYPE_BOOL", 1}, {"TYPE_UINT8", 2}, {"TYPE_UINT16", 3},
    {"TYPE_UINT32", 4}, {"TYPE_UINT64", 5}, {"TYPE_INT8", 6}, {"TYPE_INT16", 7},
    {"TYPE_INT32", 8}, {"TYPE_INT64", 9}, {"TYPE_FP16", 10}, {"TYPE_FP32", 11},
    {"TYPE_FP64", 12}, {"TYPE_STRING", 13}, {"TYPE_BF16", 14}, END,
};

static const struct schema_value instance_kinds[] = {
    {"KIND_AUTO", 0}, {"KIND_GPU", 1}, {"KIND_CPU", 2}, {"KIND_MODEL", 3}, END};

static const struct schema_enum inference_enums[] = {
    {"DataType", data_types}, {"ModelInstanceGroup.Kind", instance_kinds}, END};

static const struct schema_method inference_methods[] = {
    {"ServerLive", "ServerLiveRequest", "ServerLiveResponse", false, false},
    {"ServerReady", "ServerReadyRequest", "ServerReadyResponse", false, false},
    {"ModelReady", "ModelReadyRequest", "ModelReadyResponse", false, false},
    {"ServerMetadata", "ServerMetadataRequest", "ServerMetadataResponse", false, false},
    {"ModelMetadata", "ModelMetadataRequest", "ModelMetadataResponse", false, false},
    {"ModelInfer", "ModelInferRequest", "ModelInferResponse", false, false},
    {"ModelStreamInfer", "ModelInferRequest", "ModelStreamInferResponse", true, true},
    {"ModelConfig", "ModelConfigRequest", "ModelConfigResponse", false, false},
    {"ModelStatistics", "ModelStatisticsRequest", "ModelStatisticsResponse", false, false},
    {"RepositoryIndex", "RepositoryIndexRequest", "RepositoryIndexResponse", false, false},
    {"RepositoryModelLoad", "RepositoryModelLoadRequest", "RepositoryModelLoadResponse", false,
     false},
    {"RepositoryModelUnload", "RepositoryModelUnloadRequest", "RepositoryModelUnloadResponse",
     false, false},
    {"TraceSetting", "TraceSettingRequest", "TraceSettingResponse", false, false},
    {"LogSettings", "LogSettingsRequest", "LogSettingsResponse", false, false},
    END,
};

static const struct schema_service inference_services[] = {
    {"GRPCInferenceService", inference_methods}, END};

/* ---- health ---- */

static const struct schema_message health_messages[] = {
    {"HealthCheckRequest", FIELDS({"service", 1, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"HealthCheckResponse", FIELDS(
        {"status", 1, SCHEMA_ENUM, "HealthCheckResponse.ServingStatus", SCHEMA_ONE})},
    END,
};

static const struct schema_value serving[] = {
    {"UNKNOWN", 0}, {"SERVING", 1}, {"NOT_SERVING", 2}, {"SERVICE_UNKNOWN", 3}, END};

static const struct schema_enum health_enums[] = {
    {"HealthCheckResponse.ServingStatus", serving}, END};

static const struct schema_method health_methods[] = {
    {"Check", "HealthCheckRequest", "HealthCheckResponse", false, false},
    {"Watch", "HealthCheckRequest", "HealthCheckResponse", false, true},
    END,
};

static const struct schema_service health_services[] = {{"Health", health_methods}, END};

/* ---- reflection ---- */

static const struct schema_message reflection_messages[] = {
    {"ServerReflectionRequest", FIELDS(
        {"host", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"file_by_filename", 3, SCHEMA_STRING, NULL, SCHEMA_CHOICE},
        {"file_containing_symbol", 4, SCHEMA_STRING, NULL, SCHEMA_CHOICE},
        {"file_containing_extension", 5, SCHEMA_MESSAGE, "ExtensionRequest", SCHEMA_CHOICE},
        {"all_extension_numbers_of_type", 6, SCHEMA_STRING, NULL, SCHEMA_CHOICE},
        {"list_services", 7, SCHEMA_STRING, NULL, SCHEMA_CHOICE})},
    {"ExtensionRequest", FIELDS(
        {"containing_type", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"extension_number", 2, SCHEMA_INT32, NULL, SCHEMA_ONE})},
    {"ServerReflectionResponse", FIELDS(
        {"valid_host", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"original_request", 2, SCHEMA_MESSAGE, "ServerReflectionRequest", SCHEMA_ONE},
        {"file_descriptor_response", 4, SCHEMA_MESSAGE, "FileDescriptorResponse", SCHEMA_CHOICE},
        {"all_extension_numbers_response", 5, SCHEMA_MESSAGE, "ExtensionNumberResponse",
         SCHEMA_CHOICE},
        {"list_services_response", 6, SCHEMA_MESSAGE, "ListServiceResponse", SCHEMA_CHOICE},
        {"error_response", 7, SCHEMA_MESSAGE, "ErrorResponse", SCHEMA_CHOICE})},
    {"FileDescriptorResponse", FIELDS(
        {"file_descriptor_proto", 1, SCHEMA_BYTES, NULL, SCHEMA_MANY})},
    {"ExtensionNumberResponse", FIELDS(
        {"base_type_name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE},
        {"extension_number", 2, SCHEMA_INT32, NULL, SCHEMA_MANY})},
    {"ListServiceResponse", FIELDS(
        {"service", 1, SCHEMA_MESSAGE, "ServiceResponse", SCHEMA_MANY})},
    {"ServiceResponse", FIELDS({"name", 1, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    {"ErrorResponse", FIELDS(
        {"error_code", 1, SCHEMA_INT32, NULL, SCHEMA_ONE},
        {"error_message", 2, SCHEMA_STRING, NULL, SCHEMA_ONE})},
    END,
};

static const struct schema_method reflection_methods[] = {
    {"ServerReflectionInfo", "ServerReflectionRequest", "ServerReflectionResponse", true, true},
    END,
};

static const struct schema_service reflection_services[] = {
    {"ServerReflection", reflection_methods}, END};

const struct schema_file schema_files[] = {
    {"grpc_service.proto", "inference", inference_messages, inference_enums, inference_services},
    {"grpc/health/v1/health.proto", "grpc.health.v1", health_messages, health_enums,
     health_services},
    {"grpc/reflection/v1/reflection.proto", "grpc.reflection.v1", reflection_messages, NULL,
     reflection_services},
    {"grpc/reflection/v1alpha/reflection.proto", "grpc.reflection.v1alpha", reflection_messages,
     NULL, reflection_services},
    {.path = NULL},
};

/* clang-format on */

/* ---- finding ---- */

const struct schema_file *schema_find_path(struct str path)
{
    for (const struct schema_file *file = schema_files; file->path; file++)
        if (str_equal_c(path, file->path))
            return file;
    return NULL;
}

static bool has_symbol(const struct schema_file *file, struct str name)
{
    for (const struct schema_message *m = file->messages; m->name; m++)
        if (str_equal_c(name, m->name))
            return true;
    for (const struct schema_enum *e = file->enums; e && e->name; e++)
        if (str_equal_c(name, e->name))
            return true;
    for (const struct schema_service *s = file->services; s->name; s++) {
        size_t length = strlen(s->name);
        if (str_equal_c(name, s->name))
            return true;
        if (name.len <= length || memcmp(name.ptr, s->name, length) != 0 || name.ptr[length] != '.')
            continue;
        struct str rest = {name.ptr + length + 1, name.len - length - 1};
        for (const struct schema_method *m = s->methods; m->name; m++)
            if (str_equal_c(rest, m->name))
                return true;
    }
    return false;
}

const struct schema_file *schema_find_symbol(struct str symbol)
{
    for (const struct schema_file *file = schema_files; file->path; file++) {
        size_t length = strlen(file->package);
        if (symbol.len <= length || memcmp(symbol.ptr, file->package, length) != 0 ||
            symbol.ptr[length] != '.')
            continue;
        if (has_symbol(file, (struct str){symbol.ptr + length + 1, symbol.len - length - 1}))
            return file;
    }
    return NULL;
}
